package outbox

import (
	"context"
	"fmt"
)

// Recognised is a delivery that stands in Slack, though this store doesn't know that: it was restored from a copy.
type Recognised struct {
	Delivery Delivery
	Post     string // the id of the message that shows it
	Holds    int    // how many deliveries that message shows
	Shown    Shown  // where it is
}

// Recognise commits that deliveries of a channel stand in Slack, where they wait or are being posted. What an open post holds
// besides them waits again, where it was in the queue. A message that shows what this store doesn't know of is never written
// again. It returns how many deliveries it settled.
func (s *Store) Recognise(ctx context.Context, channel string, found []Recognised, tick Tick) (int, error) {
	settled := 0
	err := s.writer.do(ctx, func(t *tx) error {
		settled = 0
		for _, r := range found {
			var post string
			if _, err := t.scan(`SELECT d.post FROM deliveries d JOIN posts p ON p.id = d.post AND p.state = 'open' WHERE d.id = ?`, []any{r.Delivery.ID}, &post); err != nil {
				return err
			}
			if post != "" {
				if err := dropPost(t, post, backInQueue); err != nil {
					return err
				}
			}
			is, err := recognise(t, channel, r, tick)
			if err != nil {
				return err
			}
			if is {
				settled++
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("recording what slack has already: %w", err)
	}
	return settled, nil
}

// recognise settles one delivery, if it waits.
func recognise(t *tx, channel string, r Recognised, tick Tick) (bool, error) {
	now := millis(tick.At)
	form := Message
	if r.Holds > 1 {
		form = Digest
	}
	if err := t.exec(`INSERT INTO posts (id, channel, thread, form, state, doubt, attempts, first_attempt, last_attempt, ts, whole) VALUES (?, ?, ?, ?, 'sent', 0, 0, ?, ?, ?, 0)
		ON CONFLICT (id) DO NOTHING`, r.Post, channel, r.Shown.Thread, string(form), now, now, r.Shown.TS); err != nil {
		return false, err
	}
	n, err := t.changed(`UPDATE deliveries SET state = 'sent', reason = '', post = ?, at = ? WHERE id = ? AND channel = ? AND state = 'waiting'`, r.Post, now, r.Delivery.ID, channel)
	if err != nil || n == 0 {
		return false, err
	}
	if err := t.exec(`UPDATE posts SET whole = (SELECT count(*) FROM deliveries WHERE post = ?1) >= ?2 WHERE id = ?1`, r.Post, r.Holds); err != nil {
		return false, err
	}
	// What became known of it since it was routed may not be in the message.
	if err := t.exec(`INSERT INTO updates (post, turn) SELECT ?1, 1 FROM routings WHERE event = ?2 AND known > 0 `+newTurn, r.Post, r.Delivery.Event); err != nil {
		return false, err
	}
	p := &Post{ID: r.Post, Channel: channel, Deliveries: []Delivery{r.Delivery}}
	if err := shownInThread(t, p, r.Shown, r.Holds == 1, now); err != nil || r.Holds > 1 {
		return true, err
	}
	return true, addParts(t, p, r.Shown, now)
}
