package outbox

import (
	"context"
	"errors"
	"fmt"
)

// Fate is what becomes of an open post.
type Fate int

// The fates of an open post.
const (
	StaysOpen Fate = iota // it is tried again
	Sent                  // Slack has it
	Back                  // Slack surely doesn't have it, and it can't be sent in this channel now: what it holds waits again, where it was in the queue, and may be sent elsewhere
	Split                 // it was refused for what it holds together: each of its deliveries waits again, where it was in the queue, and goes alone
	Aside                 // Slack refuses it for good: what it holds is kept, with the reason, until someone sends it again
)

func (f Fate) String() string { return [...]string{"open", "sent", "back", "split", "aside"}[f] }

// Transition is what becomes of an open post and of what it holds, after it was tried or looked for.
type Transition struct {
	Fate   Fate
	Reason string // why Slack doesn't have it. Of a post that stays open "" leaves the reason that it had
	Tries  int    // of one that stays open: 1 as an attempt is about to be made, -1 as the last one doesn't count, 0 otherwise
	Doubt  bool   // of one that stays open: Slack may have it
	Looked bool   // of one that stays open: its history was read since the last attempt and didn't show it (or never will be), so that it may be sent elsewhere by hand
	Form   Form   // of one that stays open: how it is tried next; "" is as before
	Top    bool   // of one that stays open: its thread takes no replies, so it goes to the top, and opens the thread anew
	Shown  Shown  // with Sent
}

// Shown is where Slack has a post.
type Shown struct {
	TS     string
	Thread string // the ts of the message that it is a reply to; "" if it stands at the top
	Parts  int    // how many parts are to follow it in its thread
}

// ErrGone says that a post is settled: its deliveries were sent elsewhere by hand meanwhile, or what was to become of
// it was committed before.
var ErrGone = errors.New("the post is settled already")

// Settle applies a transition to an open post, in one write, and to p where the post stays open. It may be repeated with the
// same effect. The error is ErrGone if the post isn't open any more: its deliveries were sent
// elsewhere by hand, or this very transition was committed and its answer lost. Then nothing is changed. Whatever the
// error, p isn't.
//
// tick is the attempt that it belongs to, for the pace; the zero Tick leaves the pace as it is. Sent and Aside need one:
// its time is kept with what the post holds.
func (s *Store) Settle(ctx context.Context, p *Post, to Transition, tick Tick) error {
	err := s.writer.do(ctx, func(t *tx) error {
		if err := settle(t, p, to, tick); err != nil {
			return err
		}
		if tick.At.IsZero() {
			return nil
		}
		return keepPace(t, p.Channel, tick)
	})
	if err != nil {
		return fmt.Errorf("recording a post as %s: %w", to.Fate, err)
	}
	// Only now: the write may be run more than once.
	if to.Fate == StaysOpen {
		p.stay(to, tick)
	}
	return nil
}

// settle writes a transition; ErrGone if the post isn't open. Then what it wrote is rolled back, as with any error.
func settle(t *tx, p *Post, to Transition, tick Tick) error {
	now := millis(tick.At)
	switch to.Fate {
	case Sent:
		return sent(t, p, to.Shown, now)
	case Back:
		return dropPost(t, p.ID, backInQueue)
	case Split:
		return dropPost(t, p.ID, `UPDATE deliveries SET state = 'waiting', alone = 1, post = NULL WHERE post = ?`)
	case Aside:
		return dropPost(t, p.ID, `UPDATE deliveries SET state = 'aside', reason = ?, post = NULL, at = ? WHERE post = ?`, to.Reason, now)
	default:
		return staysOpen(t, p, to, tick)
	}
}

// stay shows in a post what a transition that leaves it open made of it.
func (p *Post) stay(to Transition, tick Tick) {
	p.Doubt, p.Looked = to.Doubt, to.Looked
	p.Attempts += to.Tries
	if _, late := tick.slack(); to.Tries == 1 && late.After(p.LastAttempt) {
		p.LastAttempt = late
	}
	if to.Form != "" {
		p.Form = to.Form
	}
	if to.Reason != "" {
		p.Reason = to.Reason
	}
	if to.Top {
		p.Thread = ""
	}
}

// staysOpen writes a post that stays open, as stay shows it.
func staysOpen(t *tx, p *Post, to Transition, tick Tick) error {
	next := *p
	next.stay(to, tick)
	n, err := t.changed(`UPDATE posts SET form = ?, doubt = ?, looked = ?, attempts = ?, last_attempt = ?, reason = ?, thread = ? WHERE id = ? AND state = 'open'`,
		string(next.Form), next.Doubt, next.Looked, next.Attempts, millis(next.LastAttempt), next.Reason, next.Thread, p.ID)
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrGone
	}
	if !to.Top {
		return nil
	}
	return t.exec(`DELETE FROM threads WHERE channel = ? AND ts = ? AND thread = ?`, p.Channel, p.Thread, p.Deliveries[0].Thread)
}

// sent writes that Slack has a post. A message that stands at the top, alone, opens the thread of what it holds.
func sent(t *tx, p *Post, shown Shown, now int64) error {
	n, err := t.changed(`UPDATE posts SET state = 'sent', doubt = 0, ts = ?, thread = ? WHERE id = ? AND state = 'open'`, shown.TS, shown.Thread, p.ID)
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrGone
	}
	if err := t.exec(`UPDATE deliveries SET state = 'sent', reason = '', at = ? WHERE post = ? AND state = 'posting'`, now, p.ID); err != nil {
		return err
	}
	alone := len(p.Deliveries) == 1
	if err := shownInThread(t, p, shown, alone, now); err != nil || !alone {
		return err
	}
	return addParts(t, p, shown, now)
}

// shownInThread opens the thread of a message that shows one delivery, alone, or notes that a thread went on.
func shownInThread(t *tx, p *Post, shown Shown, alone bool, now int64) error {
	for i, d := range p.Deliveries {
		if d.Thread == "" || d.Part > 0 || i > 0 && d.Thread == p.Deliveries[i-1].Thread {
			continue
		}
		if shown.Thread != "" || !alone {
			if err := t.exec(`UPDATE threads SET at = max(at, ?) WHERE thread = ? AND channel = ?`, now, d.Thread, p.Channel); err != nil {
				return err
			}
			continue
		}
		if err := t.exec(`INSERT INTO threads (thread, channel, ts, post, at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (thread, channel) DO UPDATE SET ts = excluded.ts, post = excluded.post, at = excluded.at`, d.Thread, p.Channel, shown.TS, p.ID, now); err != nil {
			return err
		}
	}
	return nil
}

// addParts lets the parts wait that are to follow a message of one delivery, in its thread. Those of a digest are in none.
func addParts(t *tx, p *Post, shown Shown, now int64) error {
	d := p.Deliveries[0]
	reply := shown.TS
	if shown.Thread != "" {
		reply = shown.Thread
	}
	for part := 1; part <= shown.Parts; part++ {
		// The options are those of by now, which may have changed while the message was on its way.
		if err := t.exec(`INSERT INTO deliveries (event, part, channel, reply, rule, options, again, state, alone, at)
			SELECT event, ?, channel, ?, rule, options, again, 'waiting', 1, ? FROM deliveries WHERE id = ? ON CONFLICT DO NOTHING`, part, reply, now, d.ID); err != nil {
			return err
		}
	}
	return nil
}

// backInQueue lets what a post holds wait again, where it was in the queue.
const backInQueue = `UPDATE deliveries SET state = 'waiting', post = NULL WHERE post = ?`

// dropPost lets go of what an open post holds, as a statement says whose last argument is the post, and deletes it. What is
// to be told of it goes with it. ErrGone if the post isn't open; the write is to fail then, as the statement was run.
func dropPost(t *tx, post, deliveries string, args ...any) error {
	if err := t.exec(deliveries, append(args, post)...); err != nil {
		return err
	}
	n, err := t.changed(`DELETE FROM posts WHERE id = ? AND state = 'open'`, post)
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrGone
	}
	return nil
}
