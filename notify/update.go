package notify

import (
	"context"
	"time"

	"allo-slack/format"
	"allo-slack/outbox"
)

const (
	// updateTries is how often an update is tried before it is dropped, while Slack answers other calls.
	updateTries = 16
	// updatesAtOnce is how many updates are read from the store together.
	updatesAtOnce = 50
)

// update brings messages that Slack has up to date until ctx ends. Updates run in their own loop, so a failing update
// never delays a message.
func (n *Notifier) update(ctx context.Context) {
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	tries := map[string]int{}
	for {
		list, err := n.store.Updates(ctx, updatesAtOnce)
		if err != nil && ctx.Err() == nil {
			n.log.WarnContext(ctx, "updates can't be read, will retry", "err", err)
		}
		failed := 0
		for _, u := range list {
			done, err := n.updateOne(ctx, u, tries)
			if err != nil {
				return
			}
			if !done {
				failed++
				continue
			}
			delete(tries, u.Post)
			if err := n.store.Told(ctx, u); err != nil && ctx.Err() == nil {
				n.log.WarnContext(ctx, "an update that was made could not be recorded", "err", err)
			}
		}
		if len(list) == updatesAtOnce && failed < len(list) {
			continue
		}
		var again <-chan time.Time
		if failed > 0 {
			again = time.After(backoff(failed + 4))
		}
		select {
		case <-n.updates:
		case <-again:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// updateOne tries one update, once, so that others have their turn; done is false if it is to be tried again. An outage
// is waited for. The error is ctx's.
func (n *Notifier) updateOne(ctx context.Context, u outbox.Update, tries map[string]int) (done bool, err error) {
	var event int64
	var channel string
	o, err := n.ask(ctx, patience{odd: 1, lost: 1}, func(Outcome, int) {}, func(ctx context.Context) Outcome {
		// Only now, as the wait for Slack may be long.
		p, err := n.store.SentPost(ctx, u.Post)
		switch {
		case err != nil:
			return storeFailed(err)
		case p == nil || len(p.Deliveries) == 0:
			return Outcome{Kind: Sent, Local: true}
		}
		event, channel = p.Deliveries[0].Event, n.directory.name(p.Channel)
		var message format.Message
		holds := true
		if err := guard(func() {
			items := n.items(ctx, p.Deliveries)
			if holds = fits(p, items); holds {
				message = render(p, items)
			}
		}); err != nil {
			return Outcome{Kind: RefusedMessage, Local: true, Code: "the message can't be made", Detail: err.Error(), Err: err}
		}
		if !holds {
			return Outcome{Kind: RefusedMessage, Local: true, Code: "the digest would no longer hold all that it shows"}
		}
		o := n.slack.update(ctx, p.Channel, p.TS, p.ID, message)
		n.metrics.updates.WithLabelValues(o.Kind.String()).Inc()
		return o
	})
	if err != nil {
		return false, err
	}
	switch o.Kind {
	case Sent:
		if !o.Local {
			n.log.InfoContext(ctx, "updated", "event_id", event, "channel", channel)
		}
		return true, nil
	case Later, Unsure:
		if tries[u.Post]++; tries[u.Post] < updateTries {
			return false, nil
		}
	}
	n.log.WarnContext(ctx, "update dropped; the message stays as it is", "event_id", event, "channel", channel, "err", o.Reason())
	return true, nil
}
