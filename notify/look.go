package notify

import (
	"context"
	"time"

	"allo-slack/outbox"
	"allo-slack/slackapi"
)

const (
	// lookBefore and lookAfter are how far around the attempts the history is read, by Slack's clock.
	lookBefore = time.Minute
	lookAfter  = 2 * time.Minute
	// historyMost is how long a history is read whose answers can't be read, or which Slack doesn't answer for while it
	// answers for others. Then it can't be known whether Slack has a message.
	historyMost = 5 * time.Minute
)

// look looks for a post in the history of its channel, or of its thread. The outcome is Sent, with where it is, Missing,
// Unreadable or Stopped.
func (w *worker) look(ctx context.Context, p *post) slackapi.Outcome {
	patience := w.patience(ctx, historyMost, "history not read, will retry")
	failed := patience.Failed
	patience.Failed = func(o slackapi.Outcome, try int) {
		failed(o, try)
		if err := w.store.Settle(context.WithoutCancel(ctx), p.Post, unread(o), outbox.Tick{}); err != nil {
			w.log.WarnContext(ctx, "why a message is in doubt could not be stored", "channel", w.name(), "err", err)
		}
	}
	in := slackapi.Place{Channel: p.Channel, Thread: p.Thread}
	find := func() (struct{}, slackapi.Outcome) {
		return struct{}{}, w.slack.Find(ctx, patience, in, p.ID, p.FirstAttempt.Add(-lookBefore), p.LastAttempt.Add(lookAfter))
	}
	_, o := readHistory(ctx, w.channels, p.Channel, find)
	if o.Kind == slackapi.RefusedThread && in.Thread != "" {
		in.Thread = "" // what it replies to is gone: Slack puts such a reply at the top
		_, o = readHistory(ctx, w.channels, p.Channel, find)
	}
	if o.Kind != slackapi.Sent && o.Kind != slackapi.Missing && o.Kind != slackapi.Stopped {
		o.Kind = slackapi.Unreadable
	}
	return o
}

// readHistory reads the history of a channel, and becomes a member of it again, once, where only members may.
func readHistory[T any](ctx context.Context, channels *directory, channel string, read func() (T, slackapi.Outcome)) (T, slackapi.Outcome) {
	got, o := read()
	if o.Code != "not_in_channel" {
		return got, o
	}
	switch again := channels.rejoin(ctx, channel, slackapi.Patience{For: joinMost}); again.Kind {
	case slackapi.Sent:
		return read()
	case slackapi.Stopped: // that says nothing of the history
		return got, again
	}
	return got, o
}
