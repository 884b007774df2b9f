package notify

import (
	"context"
	"time"

	"allo-slack/outbox"
)

const (
	// lookBefore and lookAfter are how far around the attempts the history is read, by Slack's clock.
	lookBefore = time.Minute
	lookAfter  = 2 * time.Minute
	// secondLook is how long after an attempt ended a message that Slack took must show in the history.
	secondLook = 5 * time.Second
	// lookFresh is how long before an attempt the last look may have been. What Slack takes late shows later than a look.
	lookFresh = 5 * time.Second
	// doubtLasts is how long after an attempt ended a message may yet show that Slack took.
	doubtLasts = time.Minute
	// lookStale is lookFresh where looks are slow and the workspace busy, so that each look would come too early.
	lookStale = 30 * time.Second
)

// historyPatience is how often a history is read whose answers can't be read, or which Slack doesn't answer for while it
// answers for others. Then it can't be known whether Slack has a message.
var historyPatience = patience{odd: 8, lost: 40}

// unreadable begins the reason of a post that is in doubt as its history isn't read.
const unreadable = "history not read: "

// chance is when a post may be tried, or where Slack has it already.
type chance struct {
	found *shownAt // in the history; nil if it is to be tried
	blind bool     // the history can't be read, so it can't be known
	tick  outbox.Tick
	entry entry // ends with report, or with pass
}

// shownAt is where the history shows a post.
type shownAt struct{ ts, thread string }

// pass gives a chance back that isn't taken.
func (w *worker) pass(c chance) {
	w.leave(c.entry)
	w.pace.giveBack(c.tick)
}

// await returns when a post may be tried again: Slack is there, the pace of channel and workspace allows it and, if Slack
// may have the post, its history was read a moment ago and doesn't show it.
func (w *worker) await(ctx context.Context, p *outbox.Post) (c chance, err error) {
	looks := 0
	var looked time.Time
	look := func() (done bool, err error) {
		looks++
		c.found, c.blind, err = w.look(ctx, p, looks)
		looked = time.Now()
		return err != nil || c.found != nil, err
	}
	if p.Doubt {
		// Most of what Slack took shows at once; the rest within secondLook.
		ended := w.ended
		if ended.IsZero() {
			ended = w.started // an attempt of the process before this one ended with it
		}
		if time.Since(ended) < secondLook {
			if done, err := look(); done {
				return c, err
			}
			if !c.blind {
				if err := sleep(ctx, time.Until(ended.Add(secondLook))); err != nil {
					return c, err
				}
				looked = time.Time{}
			}
		}
	}
	fresh := lookFresh
	for round := 1; ; round++ {
		if round > 2 {
			fresh = lookStale
		}
		// All waiting comes before the last look: it may take an hour.
		if c.entry, err = w.enter(ctx); err != nil {
			return c, err
		}
		if c.tick, err = w.pace.wait(ctx, w.channel); err != nil {
			w.leave(c.entry)
			return c, err
		}
		if !p.Doubt || c.blind || time.Since(looked) <= fresh {
			return c, nil
		}
		// The turn is kept meanwhile: who gave it back would wait behind all others each time.
		w.leave(c.entry)
		if done, err := look(); done {
			w.pace.giveBack(c.tick)
			return c, err
		}
		if c.entry, err = w.enter(ctx); err != nil {
			w.pace.giveBack(c.tick)
			return c, err
		}
		if time.Since(c.tick.At) <= turnKeeps && !w.pace.pausing() {
			c.tick = w.pace.touch(w.channel)
			return c, nil
		}
		w.pass(c)
	}
}

// look looks for a post in the history of its channel, or of its thread. It is blind where that can't be read.
func (w *worker) look(ctx context.Context, p *outbox.Post, nth int) (found *shownAt, blind bool, err error) {
	found, o, err := w.history(ctx, p)
	switch {
	case err != nil:
		return nil, false, err
	case o.Kind != Sent:
		if w.blind != p.ID {
			w.blind = p.ID
			w.log.WarnContext(ctx, "history can't be read, so a message that Slack may have is sent again",
				"channel", w.directory.name(p.Channel), "attempt", p.Attempts, "err", o.Reason(),
				"todo", "invite the bot (/invite @allo-slack) and reinstall the app with slack-app.yaml")
		}
		return nil, true, nil
	case found != nil:
		w.metrics.unsure.WithLabelValues("found").Inc()
		w.log.InfoContext(ctx, "message found in the history", "channel", w.directory.name(p.Channel), "attempt", p.Attempts, "look", nth)
	}
	return found, false, nil
}

// history reads what the channel shows around a post's attempts. The outcome is Sent, or what says that it can't be read.
func (w *worker) history(ctx context.Context, p *outbox.Post) (found *shownAt, o Outcome, err error) {
	thread, joined := p.Thread, false
	for {
		var ts string
		o, err := w.ask(ctx, historyPatience, func(o Outcome, attempt int) {
			w.changed(ctx, "history not read, will retry", o, attempt)
			w.inDoubt(ctx, p, unreadable+o.Reason(), false)
		}, func(ctx context.Context) (o Outcome) {
			ts, o = w.slack.find(ctx, p.Channel, thread, p.ID, p.FirstAttempt.Add(-lookBefore), p.LastAttempt.Add(lookAfter))
			return o
		})
		switch {
		case err != nil:
			return nil, o, err
		case o.Kind == Sent && ts != "":
			return &shownAt{ts, thread}, o, nil
		case o.Kind == RefusedThread && thread != "":
			thread = "" // what it replies to is gone: Slack puts such a reply at the top
		case o.Code == "not_in_channel" && !joined:
			joined = true
			again, err := w.ask(ctx, patience{odd: 3, lost: 3}, func(Outcome, int) {}, func(ctx context.Context) Outcome { return w.directory.rejoin(ctx, p.Channel) })
			if err != nil || again.Kind != Sent {
				return nil, o, err
			}
		default:
			return nil, o, nil
		}
	}
}
