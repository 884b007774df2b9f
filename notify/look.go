package notify

import (
	"context"
	"time"

	"allo-slack/outbox"
)

const (
	// lookBefore and lookAfter are how far around the attempts the history is read: Slack's clock isn't ours.
	lookBefore = time.Minute
	lookAfter  = 2 * time.Minute
	// secondLook is how long after an attempt ended a message that Slack took must show in the history.
	secondLook = 5 * time.Second
)

// look finds out whether Slack has a post that was attempted and never answered for. ended is when the attempt
// ended. It reads the history at once and, if the post isn't there, again a little later. ts is "" if Slack doesn't
// have it, or if it can't be known as the history can't be read; then it is logged and counted.
func (w *worker) look(ctx context.Context, p *outbox.Post, ended time.Time) (ts string, err error) {
	for i, at := range []time.Time{ended, ended.Add(secondLook)} {
		if err := sleep(ctx, time.Until(at)); err != nil {
			return "", err
		}
		marks, o, err := w.history(ctx, p)
		if err != nil {
			return "", err
		}
		if o.Kind != Sent {
			w.metrics.unsure.WithLabelValues("unreadable").Inc()
			w.log.WarnContext(ctx, "history can't be read, so a message that Slack may have is sent again",
				"channel", w.directory.name(p.Channel), "attempt", p.Attempts, "err", o.Reason(),
				"todo", "invite the bot (/invite @allo-slack) and reinstall the app with slack-app.yaml")
			return "", nil
		}
		if ts := marks[p.ID]; ts != "" {
			w.metrics.unsure.WithLabelValues("found").Inc()
			w.log.InfoContext(ctx, "message found in the history", "channel", w.directory.name(p.Channel), "attempt", p.Attempts, "look", i+1)
			return ts, nil
		}
	}
	w.metrics.unsure.WithLabelValues("missing").Inc()
	w.log.InfoContext(ctx, "message not in the history, so it is sent again", "channel", w.directory.name(p.Channel), "attempt", p.Attempts)
	return "", nil
}

// history reads what the channel shows around a post's attempts, for as long as it takes. The outcome is Sent, or
// a refusal, after which it can't be read.
func (w *worker) history(ctx context.Context, p *outbox.Post) (map[string]string, Outcome, error) {
	thread, joined := p.Thread, false
	for attempt := 1; ; attempt++ {
		trying, err := w.enter(ctx)
		if err != nil {
			return nil, Outcome{}, err
		}
		marks, o := w.slack.marks(ctx, p.Channel, thread, p.FirstAttempt.Add(-lookBefore), p.LastAttempt.Add(lookAfter))
		if ctx.Err() != nil {
			w.leave(trying)
			return nil, o, context.Cause(ctx)
		}
		w.report(ctx, o)
		switch o.Kind {
		case RefusedThread:
			if thread == "" {
				return marks, o, nil
			}
			thread = "" // what it replies to is gone: Slack puts such a reply at the top
		case RefusedChannel:
			if o.Code != "not_in_channel" || joined || !w.directory.rejoin(ctx, p.Channel) {
				return marks, o, nil
			}
			joined = true
		case Sent, RefusedMessage:
			return marks, o, nil
		case RefusedToken:
			if o.Code == "missing_scope" {
				w.leave(trying)
				return nil, o, nil
			}
			if err := w.tokenRefused(ctx, o); err != nil {
				return nil, o, err
			}
		case Wait:
			if err := w.wait(ctx, o); err != nil {
				return nil, o, err
			}
		default:
			w.changed(ctx, "history not read, will retry", o, attempt)
			if err := w.retry(ctx, o, attempt); err != nil {
				return nil, o, err
			}
		}
	}
}
