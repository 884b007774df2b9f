package outbox

import (
	"context"
	"crypto/rand"
	"errors"
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

// ErrGone says that a post is settled: its deliveries were sent elsewhere by hand meanwhile.
var ErrGone = errors.New("the post is settled already")

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
		n, err := t.changed(`INSERT INTO posts (id, channel, form, state, doubt, attempts, first_attempt, last_attempt, newest)
			VALUES (?, ?, ?, 'open', 1, 1, ?, ?, (SELECT COALESCE(max(id), 0) FROM events)) ON CONFLICT DO NOTHING`, post.ID, channel, string(form), millis(post.FirstAttempt), millis(post.LastAttempt))
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

// noteWhatIsNew lets a post be updated that holds a delivery of which something became known since it was read: a tag,
// a summary, an answer.
func noteWhatIsNew(t *tx, p *Post) error {
	for _, d := range p.Deliveries {
		n, err := t.changed(`INSERT INTO updates (post, turn) SELECT ?1, 1 FROM events e LEFT JOIN events a ON a.id = e.answer
			WHERE e.id = ?2 AND (e.body <> ?3 OR a.body IS NOT ?4) `+newTurn, p.ID, d.Event, d.Body, d.Answer)
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
	_, err := t.scan(`SELECT t.ts FROM threads t, events e WHERE t.thread = ? AND t.channel = ? AND e.id = ? AND (e.thread_for = 0 OR t.at + e.thread_for > ?)`,
		[]any{first.Thread, p.Channel, first.Event, now}, &thread)
	return thread, err
}

// Attempt commits that another attempt at a post is about to be made, and in which form. ErrGone if the post is settled.
func (s *Store) Attempt(ctx context.Context, p *Post, form Form, tick Tick) error {
	_, late := tick.slack()
	err := s.writer.do(ctx, func(t *tx) error {
		n, err := t.changed(`UPDATE posts SET form = ?, doubt = 1, looked = 0, attempts = attempts + 1, last_attempt = max(last_attempt, ?) WHERE id = ? AND state = 'open'`,
			string(form), millis(late), p.ID)
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrGone
		}
		return keepPace(t, p.Channel, tick)
	})
	if err != nil {
		return fmt.Errorf("recording an attempt: %w", err)
	}
	p.Form, p.Doubt = form, true
	if late.After(p.LastAttempt) {
		p.LastAttempt = late
	}
	p.Attempts++
	return nil
}

// Answer is what Slack said to an attempt that it surely did not take.
type Answer struct {
	Reason  string
	Attempt bool // it counts as one; what Slack puts off for its pace doesn't
	Doubt   bool // Slack may still have the post from an attempt before
	Looked  bool // the history was read since that one, and didn't show it
}

// NotTaken commits that the last attempt at a post was surely not taken. Unless it is in doubt all the same the next
// one needs no look first.
func (s *Store) NotTaken(ctx context.Context, p *Post, a Answer, tick Tick) error {
	less := 1
	if a.Attempt {
		less = 0
	}
	err := s.writer.do(ctx, func(t *tx) error {
		if err := t.exec(`UPDATE posts SET doubt = ?, looked = ?, attempts = attempts - ?, reason = ? WHERE id = ? AND state = 'open'`,
			a.Doubt, a.Looked, less, a.Reason, p.ID); err != nil {
			return err
		}
		return keepPace(t, p.Channel, tick)
	})
	if err != nil {
		return fmt.Errorf("recording an answer: %w", err)
	}
	p.Doubt = a.Doubt
	p.Attempts -= less
	return nil
}

// InDoubt commits why Slack may or may not have a post, and whether its history was read since and didn't show it: then
// it may be sent elsewhere by hand.
func (s *Store) InDoubt(ctx context.Context, p *Post, reason string, looked bool) error {
	err := s.writer.do(ctx, func(t *tx) error {
		return t.exec(`UPDATE posts SET reason = ?, looked = ? WHERE id = ? AND state = 'open'`, reason, looked, p.ID)
	})
	if err != nil {
		return fmt.Errorf("recording an answer: %w", err)
	}
	return nil
}

// Shown is where Slack has a post.
type Shown struct {
	TS     string
	Thread string // the ts of the message that it is a reply to; "" if it stands at the top
	Parts  int    // how many parts are to follow it in its thread
	Retell bool   // it tells of all that is in its thread (see Thread)
}

// Sent settles a post: Slack has it. A message that stands at the top, alone, opens the thread of what it holds.
func (s *Store) Sent(ctx context.Context, p *Post, shown Shown, tick Tick) error {
	err := s.writer.do(ctx, func(t *tx) error {
		now := millis(tick.At)
		n, err := t.changed(`UPDATE posts SET state = 'sent', doubt = 0, ts = ?, thread = ? WHERE id = ? AND state = 'open'`, shown.TS, shown.Thread, p.ID)
		if err != nil || n == 0 {
			return err // settled before: this is the second run of a commit whose answer was lost
		}
		if err := t.exec(`UPDATE deliveries SET state = 'sent', reason = '', at = ? WHERE post = ? AND state = 'posting'`, now, p.ID); err != nil {
			return err
		}
		if err := shownInThread(t, p, shown, now); err != nil {
			return err
		}
		if len(p.Deliveries) == 1 {
			d := p.Deliveries[0]
			reply := shown.TS
			if shown.Thread != "" {
				reply = shown.Thread
			}
			for part := 1; part <= shown.Parts; part++ {
				if err := t.exec(`INSERT INTO deliveries (event, part, channel, reply, rule, options, state, alone, at) VALUES (?, ?, ?, ?, ?, ?, 'waiting', 1, ?)
					ON CONFLICT DO NOTHING`, d.Event, part, p.Channel, reply, d.Rule, d.Options, now); err != nil {
					return err
				}
			}
		}
		return keepPace(t, p.Channel, tick)
	})
	if err != nil {
		return fmt.Errorf("recording a post as sent: %w", err)
	}
	return nil
}

// shownInThread opens the thread of a message, or notes that a thread went on.
func shownInThread(t *tx, p *Post, shown Shown, now int64) error {
	for i, d := range p.Deliveries {
		if d.Thread == "" || d.Part > 0 || i > 0 && d.Thread == p.Deliveries[i-1].Thread {
			continue
		}
		if shown.Thread != "" || len(p.Deliveries) > 1 {
			if err := t.exec(`UPDATE threads SET at = max(at, ?) WHERE thread = ? AND channel = ?`, now, d.Thread, p.Channel); err != nil {
				return err
			}
			continue
		}
		if err := t.exec(`INSERT INTO threads (thread, channel, ts, post, at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (thread, channel) DO UPDATE SET ts = excluded.ts, post = excluded.post, at = excluded.at`, d.Thread, p.Channel, shown.TS, p.ID, now); err != nil {
			return err
		}
		if !shown.Retell {
			continue
		}
		// What joined the thread while the message was on its way isn't told in it.
		if err := t.exec(`INSERT INTO updates (post, turn) SELECT ?1, 1 WHERE EXISTS (SELECT 1 FROM events WHERE thread = ?2 AND thread <> ''
			AND id > (SELECT newest FROM posts WHERE id = ?1) AND id <> ?3) `+newTurn, p.ID, d.Thread, d.Event); err != nil {
			return err
		}
	}
	return nil
}

// Unthread commits that the thread that a post was a reply to takes no replies: it goes to the top, and opens the
// thread anew.
func (s *Store) Unthread(ctx context.Context, p *Post) error {
	err := s.writer.do(ctx, func(t *tx) error {
		if err := t.exec(`DELETE FROM threads WHERE channel = ? AND ts = ? AND thread = ?`, p.Channel, p.Thread, p.Deliveries[0].Thread); err != nil {
			return err
		}
		return t.exec(`UPDATE posts SET thread = '' WHERE id = ? AND state = 'open'`, p.ID)
	})
	if err != nil {
		return fmt.Errorf("leaving a thread: %w", err)
	}
	p.Thread = ""
	return nil
}

// Split settles a post that was refused for what it holds together: each of its deliveries waits again, where it
// was in the queue, and goes alone.
func (s *Store) Split(ctx context.Context, p *Post, tick Tick) error {
	return s.release(ctx, p, tick, `UPDATE deliveries SET state = 'waiting', alone = 1, post = NULL WHERE post = ?`)
}

// Release settles a post that Slack surely doesn't have and that can't be sent in this channel now: its deliveries
// wait again, where they were in the queue, and may be sent elsewhere.
func (s *Store) Release(ctx context.Context, p *Post, tick Tick) error {
	return s.release(ctx, p, tick, backInQueue)
}

// SetAside settles a post that Slack refuses for good: its deliveries are kept with the reason until someone sends
// them again.
func (s *Store) SetAside(ctx context.Context, p *Post, reason string, tick Tick) error {
	return s.release(ctx, p, tick, `UPDATE deliveries SET state = 'aside', reason = ?, post = NULL, at = ? WHERE post = ?`, reason, millis(tick.At))
}

// backInQueue lets what a post holds wait again, where it was in the queue.
const backInQueue = `UPDATE deliveries SET state = 'waiting', post = NULL WHERE post = ?`

// dropPost lets go of what an open post holds, as a statement says whose last argument is the post, and deletes it. What is
// to be told of it goes with it.
func dropPost(t *tx, post, deliveries string, args ...any) error {
	if err := t.exec(deliveries, append(args, post)...); err != nil {
		return err
	}
	return t.exec(`DELETE FROM posts WHERE id = ? AND state = 'open'`, post)
}

// release settles a post as refused.
func (s *Store) release(ctx context.Context, p *Post, tick Tick, deliveries string, args ...any) error {
	err := s.writer.do(ctx, func(t *tx) error {
		if err := dropPost(t, p.ID, deliveries, args...); err != nil {
			return err
		}
		return keepPace(t, p.Channel, tick)
	})
	if err != nil {
		return fmt.Errorf("recording a refusal: %w", err)
	}
	return nil
}

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
