package notify

import (
	"context"
	"time"

	"allo-slack/outbox"
	"allo-slack/slackapi"
)

// tell logs and counts what became of a post.
func (w *worker) tell(ctx context.Context, p *post, o slackapi.Outcome, t outbox.Transition, c course) {
	switch {
	case t.Fate == outbox.Sent:
		w.tellSent(ctx, p, p.do == look)
	case t.Fate == outbox.Aside:
		w.tellAside(ctx, p, t.Reason)
	case t.Fate == outbox.Split:
		w.log.WarnContext(ctx, "digest refused; its events go alone", "channel", w.name(), "err", t.Reason)
	case t.Top:
		w.log.WarnContext(ctx, "thread takes no replies; the message goes to the top of the channel", "channel", w.name(), "err", t.Reason)
	case o.Kind == slackapi.Unsure:
		w.changed(ctx, "no clear answer, so the history is looked at before it is sent again", o, p.Attempts)
	case o.Kind == slackapi.Later:
		w.changed(ctx, "not posted, will retry", o, p.Attempts)
	case o.Kind == slackapi.RefusedMessage && c.do == try:
		w.log.WarnContext(ctx, "message refused; it goes as plain text", "channel", w.name(), "event_id", p.Deliveries[0].Event, "err", t.Reason)
	case c.blind && !p.blind:
		w.log.WarnContext(ctx, "history can't be read, so a message that Slack may have is sent again",
			"channel", w.name(), "attempt", p.Attempts, "err", o.Reason(),
			"todo", "invite the bot (/invite @allo-slack) and reinstall the app with slack-app.yaml")
	}
}

func (w *worker) tellSent(ctx context.Context, p *post, found bool) {
	now := time.Now()
	if found {
		w.metrics.unsure.WithLabelValues("found").Inc()
		w.log.InfoContext(ctx, "message found in the history", "channel", w.name(), "attempt", p.Attempts, "look", p.looks+1)
	}
	w.healed(ctx)
	signal(w.updates)
	for _, d := range p.Deliveries {
		w.metrics.shown.Inc()
		w.metrics.delay.Observe(now.Sub(d.Received).Seconds())
		w.log.InfoContext(ctx, "sent", "event_id", d.Event, "event_kind", kind(&d), "channel", w.name(),
			"rule", d.Rule, "attempt", p.Attempts, "duration", now.Sub(d.Received).Round(time.Millisecond).String())
	}
}

func (w *worker) tellAside(ctx context.Context, p *post, reason string) {
	for _, d := range p.Deliveries {
		w.metrics.aside.Inc()
		w.log.ErrorContext(ctx, "set aside: slack refuses it for good", "event_id", d.Event, "event_kind", kind(&d),
			"channel", w.name(), "rule", d.Rule, "err", reason, "todo", "see: allo-slack failed; send it again with: allo-slack replay")
	}
	signal(w.aside)
}

// changed logs a failure that heals by itself, once for each error.
func (w *worker) changed(ctx context.Context, message string, o slackapi.Outcome, attempt int) {
	if w.last == o.Code {
		return
	}
	w.last = o.Code
	args := []any{"channel", w.name(), "attempt", attempt, "err", o.Reason()}
	if o.Err != nil && !o.Answered {
		args = append(args, "cause", o.Err.Error()) // net/http's errors name the URL, which holds no secret at Slack
	}
	w.log.WarnContext(ctx, message, args...)
}
