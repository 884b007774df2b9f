package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Channel is what is known of a channel that a rule names.
type Channel struct {
	Ref  string // as the rule has it
	ID   string // Slack's
	Name string // as Slack had it when it was asked, without #
}

// ErrPosting says that Slack may have a message in the channel that a name stood for until now: what waits there can't
// go to another one before that is known.
var ErrPosting = errors.New("slack may have a message in the channel that had the name before")

// Resolve commits which id a reference stands for, and moves what waits, or is set aside, under the reference to the
// id, keeping its order: also what waits for the id that the reference stood for before, as a channel that was made anew
// has another, unless one of the others stands for either: names that change places move nothing. What the channel has already, under another of its
// names, it doesn't get again; a channel that has another one in its place keeps a row of what went there. The error is
// ErrPosting if what waits can't be moved yet; then nothing is changed.
func (s *Store) Resolve(ctx context.Context, now time.Time, stricter Stricter, c Channel, others ...string) error {
	err := s.writer.do(ctx, func(t *tx) error {
		if err := succeed(t, c, others, stricter, millis(now)); err != nil {
			return err
		}
		if err := t.exec(`INSERT INTO channels (ref, id, name) VALUES (?, ?, ?) ON CONFLICT (ref) DO UPDATE SET id = excluded.id, name = excluded.name`,
			c.Ref, c.ID, c.Name); err != nil {
			return err
		}
		if c.Ref == c.ID {
			return nil
		}
		return move(t, c.Ref, c.ID, stricter)
	})
	if err != nil {
		return fmt.Errorf("recording channel %s: %w", c.Ref, err)
	}
	return nil
}

// succeed moves to a channel what is on its way to the one that had its name before. If another reference stands for
// either, by another name or by its id, nothing is moved.
func succeed(t *tx, c Channel, others []string, stricter Stricter, now int64) error {
	var before string
	known, err := t.scan(`SELECT id FROM channels WHERE ref = ?`, []any{c.Ref}, &before)
	if err != nil || !known || before == c.ID {
		return err
	}
	for _, other := range others {
		id, err := idOf(t, other)
		if err != nil || other != c.Ref && (id == before || id == c.ID) {
			return err
		}
	}
	var post string
	var doubt bool
	open, err := t.scan(`SELECT id, doubt FROM posts WHERE state = 'open' AND channel = ?`, []any{before}, &post, &doubt)
	switch {
	case err != nil:
		return err
	case doubt:
		return ErrPosting
	case open:
		if err := dropPost(t, post, backInQueue); err != nil {
			return err
		}
	}
	return leave(t, before, c.ID, stricter, now)
}

// move lets what waits, or is set aside, for one channel wait for another, in its place, and keep what it was spared. What a
// part follows is not there.
func move(t *tx, from, to string, stricter Stricter) error {
	if err := both(t, from, to, stricter); err != nil {
		return err
	}
	for _, query := range []string{
		// What was sent to the first by hand since the other was spared it.
		`DELETE FROM deliveries WHERE channel = ?2 AND state IN ('moved', 'withdrawn') AND EXISTS (SELECT 1 FROM deliveries o
			WHERE o.event = deliveries.event AND o.part = deliveries.part AND o.channel = ?1 AND o.state IN ('waiting', 'aside') AND o.again > deliveries.again)`,
		`DELETE FROM deliveries WHERE channel = ?1 AND state = 'waiting'
			AND EXISTS (SELECT 1 FROM deliveries o WHERE o.event = deliveries.event AND o.part = deliveries.part AND o.channel = ?2)`,
		`DELETE FROM deliveries WHERE channel = ?1 AND state = 'aside'
			AND EXISTS (SELECT 1 FROM deliveries o WHERE o.event = deliveries.event AND o.part = deliveries.part AND o.channel = ?2)`,
		`UPDATE deliveries SET channel = ?2, reply = '' WHERE channel = ?1 AND state = 'waiting'`,
		`UPDATE deliveries SET channel = ?2, reply = '' WHERE channel = ?1 AND state = 'aside'`,
		`UPDATE OR IGNORE deliveries SET channel = ?2 WHERE channel = ?1 AND state IN ('moved', 'withdrawn')`,
	} {
		if err := t.exec(query, from, to); err != nil {
			return err
		}
	}
	return nil
}

// both has what waits for two channels, or is in one of them already, keep back in either what it does in the other: one of
// the two is left.
func both(t *tx, from, to string, stricter Stricter) error {
	events, err := t.ids(`SELECT d.event FROM deliveries d JOIN deliveries o ON o.event = d.event AND o.part = 0 AND o.channel = ?2 WHERE d.channel = ?1 AND d.part = 0 AND d.state = 'waiting'
		UNION ALL SELECT d.event FROM deliveries d JOIN deliveries o ON o.event = d.event AND o.part = 0 AND o.channel = ?2 WHERE d.channel = ?1 AND d.part = 0 AND d.state = 'aside'`, from, to)
	if err != nil {
		return err
	}
	for _, event := range events {
		changed := false
		for _, pair := range [][2]string{{from, to}, {to, from}} {
			var options string
			if _, err := t.scan(`SELECT options FROM deliveries WHERE event = ? AND part = 0 AND channel = ?`, []any{event, pair[0]}, &options); err != nil {
				return err
			}
			more, err := keepBack(t, event, pair[1], options, stricter)
			if err != nil {
				return err
			}
			changed = changed || more
		}
		if changed {
			if _, err := renewed(t, event, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// leave has a channel keep a row of each event that waits there, or is set aside, and is to go to another channel.
func leave(t *tx, from, to string, stricter Stricter, now int64) error {
	type key struct {
		event int64
		part  int
	}
	var all []key
	rows, err := t.w.conn.QueryContext(t.ctx, `SELECT event, part FROM deliveries WHERE channel = ?1 AND state = 'waiting'
		UNION ALL SELECT event, part FROM deliveries WHERE channel = ?1 AND state = 'aside'`, from)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var k key
		if err := rows.Scan(&k.event, &k.part); err != nil {
			return err
		}
		all = append(all, k)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, k := range all {
		// It came from there: the channel has its name again.
		if err := t.exec(`DELETE FROM deliveries WHERE event = ? AND part = ? AND channel = ? AND state = 'moved'`, k.event, k.part, to); err != nil {
			return err
		}
	}
	if err := move(t, from, to, stricter); err != nil {
		return err
	}
	for _, k := range all {
		if err := t.exec(`INSERT INTO deliveries (event, part, channel, rule, options, state, at)
			SELECT event, part, ?1, rule, options, 'moved', ?2 FROM deliveries WHERE event = ?3 AND part = ?4 AND channel = ?5 ON CONFLICT DO NOTHING`,
			from, now, k.event, k.part, to); err != nil {
			return err
		}
	}
	return nil
}

// Channels lists what references were resolved to.
func (s *Store) Channels(ctx context.Context) ([]Channel, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT ref, id, name FROM channels ORDER BY ref`)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	var list []Channel
	for rows.Next() {
		var c Channel
		if err := rows.Scan(&c.Ref, &c.ID, &c.Name); err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, explain(rows.Err())
}

// Trouble is why a channel is stuck.
type Trouble struct {
	Channel string
	Reason  string
	Since   time.Time
}

// SetTrouble commits why a channel is stuck; since when stays as it was when it was first stuck.
func (s *Store) SetTrouble(ctx context.Context, channel, reason string, now time.Time) error {
	return s.writer.do(ctx, func(t *tx) error {
		return t.exec(`INSERT INTO troubles (channel, reason, since) VALUES (?, ?, ?) ON CONFLICT (channel) DO UPDATE SET reason = excluded.reason`,
			channel, reason, millis(now))
	})
}

// ClearTrouble commits that a channel is stuck no more.
func (s *Store) ClearTrouble(ctx context.Context, channel string) error {
	return s.writer.do(ctx, func(t *tx) error {
		return t.exec(`DELETE FROM troubles WHERE channel = ?`, channel)
	})
}

// Troubles lists the channels that are stuck.
func (s *Store) Troubles(ctx context.Context) ([]Trouble, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT channel, reason, since FROM troubles ORDER BY channel`)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	var list []Trouble
	for rows.Next() {
		var t Trouble
		var since int64
		if err := rows.Scan(&t.Channel, &t.Reason, &since); err != nil {
			return nil, err
		}
		t.Since = fromMillis(since)
		list = append(list, t)
	}
	return list, explain(rows.Err())
}
