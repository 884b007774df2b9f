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
	// historyTries is how often a history is read whose answers can't be read, or are errors that nobody knows.
	historyTries = 8
)

// turn is what a post may be tried again with, or where its channel's history shows it.
type turn struct {
	ts     string // in the history; "" if it is to be tried
	tick   outbox.Tick
	trying entry // to be left if it isn't tried
}

// turn returns when a post may be tried again: Slack is there, the pace of channel and workspace allows it and, if Slack
// may have the post, its history was read a moment ago and doesn't show it.
func (w *worker) turn(ctx context.Context, p *outbox.Post) (now turn, err error) {
	looks := 0
	if p.Doubt {
		// Most of what Slack took shows at once; the rest within secondLook.
		ended := w.ended
		if ended.IsZero() {
			ended = w.started // an attempt of the process before this one ended with it
		}
		if time.Since(ended) < secondLook {
			looks++
			ts, readable, err := w.look(ctx, p, looks)
			if err != nil || ts != "" {
				return turn{ts: ts}, err
			}
			if !readable {
				looks = unreadable
			} else if err := sleep(ctx, time.Until(ended.Add(secondLook))); err != nil {
				return now, err
			}
		}
	}
	// The wait for the pace may take an hour, and a token can't be kept: what was looked for before is looked for again.
	var looked time.Time
	for {
		if p.Doubt && looks != unreadable && time.Since(looked) > lookFresh {
			looks++
			ts, readable, err := w.look(ctx, p, looks)
			if err != nil || ts != "" {
				return turn{ts: ts}, err
			}
			if !readable {
				looks = unreadable
			}
			looked = time.Now()
		}
		if now.trying, err = w.enter(ctx); err != nil {
			return now, err
		}
		if now.tick, err = w.pace.wait(ctx, w.channel); err != nil {
			w.leave(now.trying)
			return now, err
		}
		if !p.Doubt || looks == unreadable || time.Since(looked) <= lookFresh {
			break
		}
		w.leave(now.trying)
		w.pace.giveBack()
	}
	if p.Doubt && looks != unreadable {
		w.metrics.unsure.WithLabelValues("missing").Inc()
		w.log.InfoContext(ctx, "message not in the history, so it is sent again", "channel", w.directory.name(p.Channel), "attempt", p.Attempts)
	}
	return now, nil
}

// unreadable stands for the number of looks where the history can't be read.
const unreadable = -1

// look looks for a post in the history of its channel, or of its thread. Where that can't be read it can't be known
// whether Slack has it. What was found is logged and counted.
func (w *worker) look(ctx context.Context, p *outbox.Post, nth int) (ts string, readable bool, err error) {
	ts, o, err := w.history(ctx, p)
	switch {
	case err != nil:
		return "", false, err
	case o.Kind != Sent:
		w.metrics.unsure.WithLabelValues("unreadable").Inc()
		w.log.WarnContext(ctx, "history can't be read, so a message that Slack may have is sent again",
			"channel", w.directory.name(p.Channel), "attempt", p.Attempts, "err", o.Reason(),
			"todo", "invite the bot (/invite @allo-slack) and reinstall the app with slack-app.yaml")
		return "", false, nil
	case ts != "":
		w.metrics.unsure.WithLabelValues("found").Inc()
		w.log.InfoContext(ctx, "message found in the history", "channel", w.directory.name(p.Channel), "attempt", p.Attempts, "look", nth)
	}
	return ts, true, nil
}

// history reads what the channel shows around a post's attempts, for as long as Slack is away and a while beyond. The
// outcome is Sent, or what says that it can't be read.
func (w *worker) history(ctx context.Context, p *outbox.Post) (ts string, o Outcome, err error) {
	thread, joined, odd := p.Thread, false, 0
	for attempt := 1; ; attempt++ {
		trying, err := w.enter(ctx)
		if err != nil {
			return "", Outcome{}, err
		}
		ts, o := w.slack.find(ctx, p.Channel, thread, p.ID, p.FirstAttempt.Add(-lookBefore), p.LastAttempt.Add(lookAfter))
		if ctx.Err() != nil {
			w.leave(trying)
			return "", o, context.Cause(ctx)
		}
		w.report(ctx, o)
		switch o.Kind {
		case RefusedThread:
			if thread == "" {
				return ts, o, nil
			}
			thread = "" // what it replies to is gone: Slack puts such a reply at the top
		case RefusedChannel:
			if o.Code != "not_in_channel" || joined || !w.directory.rejoin(ctx, p.Channel) {
				return ts, o, nil
			}
			joined = true
		case Sent, RefusedMessage:
			return ts, o, nil
		case RefusedToken:
			if err := w.tokenRefused(ctx, o); err != nil {
				return "", o, err
			}
		case Wait:
			if err := w.wait(ctx, o); err != nil {
				return "", o, err
			}
		default:
			if o.Bounded {
				if odd++; odd >= historyTries {
					return "", o, nil
				}
			}
			w.changed(ctx, "history not read, will retry", o, attempt)
			if err := w.retry(ctx, o, attempt); err != nil {
				return "", o, err
			}
		}
	}
}
