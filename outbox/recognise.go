package outbox

import (
	"context"
	"fmt"
	"time"
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
// again, until it knows that. What was said since a time, of what was there before, and what was found since then, may be
// more than the message says, so it is brought up to date. It returns how many deliveries it settled.
func (s *Store) Recognise(ctx context.Context, channel string, found []Recognised, tick Tick, since time.Time) (int, error) {
	settled := 0
	err := s.writer.do(ctx, func(t *tx) error {
		settled = 0
		for _, r := range found {
			var post string
			if _, err := t.scan(`SELECT d.post FROM deliveries d JOIN posts p ON p.id = d.post AND p.state = 'open' WHERE d.id = ?`, []any{r.Delivery.ID}, &post); err != nil {
				return err
			}
			if err := letGo(t, post, r); err != nil {
				return err
			}
			is, err := recognise(t, channel, r, tick, millis(since))
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

// letGo has what an open post holds wait again, as the message that shows it is found, or another one. What is to be told of
// the post's own message stays.
func letGo(t *tx, post string, r Recognised) error {
	switch post {
	case "":
		return nil
	case r.Post:
		if err := t.exec(backInQueue, post); err != nil {
			return err
		}
		return t.exec(`UPDATE posts SET state = 'sent', doubt = 0, ts = ?, thread = ? WHERE id = ?`, r.Shown.TS, r.Shown.Thread, post)
	}
	return dropPost(t, post, backInQueue)
}

// recognise settles one delivery, if it waits.
func recognise(t *tx, channel string, r Recognised, tick Tick, since int64) (bool, error) {
	now := millis(tick.At)
	post, err := postOf(t, channel, r, now)
	if err != nil {
		return false, err
	}
	n, err := t.changed(`UPDATE deliveries SET state = 'sent', reason = '', post = ?, at = ? WHERE id = ? AND channel = ? AND state = 'waiting'`, post, now, r.Delivery.ID, channel)
	if err != nil || n == 0 {
		return false, err
	}
	if err := t.exec(`UPDATE posts SET whole = (SELECT count(*) FROM deliveries WHERE post = ?1) >= ?2 WHERE id = ?1`, post, r.Holds); err != nil {
		return false, err
	}
	if err := t.exec(`INSERT INTO updates (post, turn) SELECT d.post, 1 FROM deliveries d JOIN events e ON e.id = d.event WHERE d.id = ?1 AND d.part = 0
		AND (e.recovered = 1 AND e.received_at >= ?2 OR EXISTS (SELECT 1 FROM events l WHERE l.about = e.key AND l.about <> '' AND l.received_at >= ?2)) `+newTurn,
		r.Delivery.ID, since); err != nil {
		return false, err
	}
	p := &Post{ID: post, Channel: channel, Deliveries: []Delivery{r.Delivery}}
	if err := shownInThread(t, p, r.Shown, r.Holds == 1, now); err != nil || r.Holds > 1 {
		return true, err
	}
	return true, addParts(t, p, r.Shown, now)
}

// postOf returns the id of the post that a message is, a new one unless it is known. A message may carry the id of another
// one: whoever posts in a channel can copy what ours carry.
func postOf(t *tx, channel string, r Recognised, now int64) (string, error) {
	form := Message
	if r.Holds > 1 {
		form = Digest
	}
	for _, id := range []string{r.Post, r.Post + " " + channel + " " + r.Shown.TS} {
		if err := t.exec(`INSERT INTO posts (id, channel, thread, form, state, doubt, attempts, first_attempt, last_attempt, ts, whole) VALUES (?, ?, ?, ?, 'sent', 0, 0, ?, ?, ?, 0)
			ON CONFLICT (id) DO NOTHING`, id, channel, r.Shown.Thread, string(form), now, now, r.Shown.TS); err != nil {
			return "", err
		}
		var is bool
		if _, err := t.scan(`SELECT channel = ? AND ts = ? FROM posts WHERE id = ?`, []any{channel, r.Shown.TS, id}, &is); err != nil || is {
			return id, err
		}
	}
	return "", fmt.Errorf("two messages of one place: %s %s", channel, r.Shown.TS)
}
