package outbox

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"
)

// Tick is one attempt at Slack, as the pace needs to know it after a crash.
type Tick struct {
	At     time.Time
	Tokens float64 // what is left in the workspace's bucket at that time
	// Early and Late are the same moment by Slack's clock, which is not known better than that. Zero is At.
	Early, Late time.Time
}

// slack returns the moment by Slack's clock, as what is looked for in a channel's history has to have it.
func (t Tick) slack() (early, late time.Time) {
	if t.Early.IsZero() || t.Late.IsZero() {
		return t.At, t.At
	}
	return t.Early, t.Late
}

// Begin commits a new post with the given deliveries, in doubt, as its first attempt is about to be made. Those
// that no longer wait in the channel (they were sent elsewhere by hand) are left out; nil if none is left, or if
// the channel has an open post already. What became known of a delivery since it was read is told by an update once
// Slack has the post.
func (s *Store) Begin(ctx context.Context, channel string, form Form, deliveries []Delivery, tick Tick) (*Post, error) {
	var post *Post
	err := s.writer.do(ctx, func(t *tx) error {
		post = &Post{ID: rand.Text(), Channel: channel, Form: form, Doubt: true, Attempts: 1}
		post.FirstAttempt, post.LastAttempt = tick.slack()
		now := millis(tick.At)
		n, err := t.changed(`INSERT INTO posts (id, channel, form, state, doubt, attempts, first_attempt, last_attempt)
			VALUES (?, ?, ?, 'open', 1, 1, ?, ?) ON CONFLICT DO NOTHING`, post.ID, channel, string(form), millis(post.FirstAttempt), millis(post.LastAttempt))
		if err != nil {
			return err
		}
		if n == 0 {
			post = nil
			return nil
		}
		for _, d := range deliveries {
			n, err := t.changed(`UPDATE deliveries SET state = 'posting', post = ? WHERE id = ? AND state = 'waiting' AND channel = ?`, post.ID, d.ID, channel)
			if err != nil {
				return err
			}
			if n > 0 {
				post.Deliveries = append(post.Deliveries, d)
			}
		}
		if len(post.Deliveries) == 0 {
			id := post.ID
			post = nil
			return t.exec(`DELETE FROM posts WHERE id = ?`, id)
		}
		if err := noteWhatIsNew(t, post); err != nil {
			return err
		}
		if post.Thread, err = threadOf(t, post, now); err != nil {
			return err
		}
		if err := t.exec(`UPDATE posts SET thread = ? WHERE id = ?`, post.Thread, post.ID); err != nil {
			return err
		}
		return keepPace(t, channel, tick)
	})
	if err != nil {
		return nil, fmt.Errorf("beginning a post: %w", err)
	}
	return post, nil
}

// noteWhatIsNew lets a post be updated that holds a delivery of which something became known since it was read.
func noteWhatIsNew(t *tx, p *Post) error {
	for _, d := range p.Deliveries {
		n, err := t.changed(`INSERT INTO updates (post, turn) SELECT ?, 1 FROM routings WHERE event = ? AND known <> ? `+newTurn, p.ID, d.Event, d.Known)
		if err != nil || n > 0 {
			return err
		}
	}
	return nil
}

// threadOf returns the ts that a post replies to: if all that it holds belongs to one thread that goes on, that
// thread's.
func threadOf(t *tx, p *Post, now int64) (string, error) {
	thread := ""
	for i, d := range p.Deliveries {
		if i > 0 && d.Thread != p.Deliveries[0].Thread {
			return "", nil
		}
		if d.Part > 0 {
			_, err := t.scan(`SELECT reply FROM deliveries WHERE id = ?`, []any{d.ID}, &thread)
			return thread, err
		}
	}
	first := p.Deliveries[0]
	if first.Thread == "" {
		return "", nil
	}
	_, err := t.scan(`SELECT t.ts FROM threads t, routings r WHERE t.thread = ? AND t.channel = ? AND r.event = ? AND (r.thread_for = 0 OR t.at + r.thread_for > ?)`,
		[]any{first.Thread, p.Channel, first.Event, now}, &thread)
	return thread, err
}

// keepPace writes an attempt, for the pace of its channel and of the workspace.
func keepPace(t *tx, channel string, tick Tick) error {
	const upsert = `INSERT INTO pace (channel, last, tokens) VALUES (?, ?, ?) ON CONFLICT (channel) DO UPDATE SET last = excluded.last, tokens = excluded.tokens`
	now := millis(tick.At)
	if err := t.exec(upsert, channel, now, 0.0); err != nil {
		return err
	}
	return t.exec(upsert, "", now, tick.Tokens)
}

// Pause commits that Slack wants nothing posted in the whole workspace before a time.
func (s *Store) Pause(ctx context.Context, until time.Time) error {
	return s.writer.do(ctx, func(t *tx) error {
		return t.exec(`INSERT INTO pace (channel, last, paused) VALUES ('', 0, ?) ON CONFLICT (channel) DO UPDATE SET paused = max(paused, excluded.paused)`, millis(until))
	})
}

// Pace is what is known of the pace of a process that ran before this one.
type Pace struct {
	Workspace Tick
	Paused    time.Time
	Channels  map[string]time.Time // when each was last written to
}

// Pace returns the pace of channels that were written to since a time, and of the workspace.
func (s *Store) Pace(ctx context.Context, since time.Time) (Pace, error) {
	pace := Pace{Channels: map[string]time.Time{}}
	rows, err := s.db.QueryContext(ctx, `SELECT channel, last, tokens, paused FROM pace WHERE channel = '' OR last > ?`, millis(since))
	if err != nil {
		return pace, fmt.Errorf("reading the pace: %w", explain(err))
	}
	defer rows.Close()
	for rows.Next() {
		var channel string
		var last, paused int64
		var tokens float64
		if err := rows.Scan(&channel, &last, &tokens, &paused); err != nil {
			return pace, fmt.Errorf("reading the pace: %w", err)
		}
		if channel == "" {
			pace.Workspace, pace.Paused = Tick{At: fromMillis(last), Tokens: tokens}, fromMillis(paused)
			continue
		}
		pace.Channels[channel] = fromMillis(last)
	}
	return pace, explain(rows.Err())
}
