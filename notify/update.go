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

// update brings messages that Slack has up to date until ctx ends. It is nobody's way: what it can't do now waits here
// and holds up no queue.
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
			done, err := n.updateOne(ctx, u, tries[u.Post] >= updateTries)
			if err != nil {
				return
			}
			if !done {
				tries[u.Post]++
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

// updateOne makes one update; done is false if it is to be tried again. The last try is the last only if Slack answers
// other calls: an outage is waited for. The error is ctx's.
func (n *Notifier) updateOne(ctx context.Context, u outbox.Update, last bool) (done bool, err error) {
	asked := false
	trying, err := n.enter(ctx)
	if err != nil {
		return false, err
	}
	defer func() {
		if !asked {
			n.leave(trying)
		}
	}()
	if err := n.pace.rest(ctx); err != nil {
		return false, err
	}
	// Only now, as all that may take long.
	p, err := n.store.SentPost(ctx, u.Post)
	if err != nil || p == nil || len(p.Deliveries) == 0 {
		return err == nil, ctx.Err()
	}
	var message format.Message
	holds := true
	if err := guard(func() {
		items := n.items(ctx, p.Deliveries)
		if holds = fits(p, items); holds {
			message = render(p, items)
		}
	}); err != nil {
		n.log.ErrorContext(ctx, "update dropped: the message can't be made", "event_id", p.Deliveries[0].Event, "channel", n.directory.name(p.Channel), "err", err)
		return true, nil
	}
	if !holds {
		n.log.InfoContext(ctx, "update left out: the digest would no longer hold all that it shows", "channel", n.directory.name(p.Channel))
		return true, nil
	}
	o := n.slack.update(ctx, p.Channel, p.TS, p.ID, message)
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	asked = true
	n.metrics.updates.WithLabelValues(o.Kind.String()).Inc()
	n.report(ctx, o)
	switch o.Kind {
	case Sent:
		n.log.InfoContext(ctx, "updated", "event_id", p.Deliveries[0].Event, "channel", n.directory.name(p.Channel))
		return true, nil
	case Wait:
		return false, n.wait(ctx, o)
	case RefusedToken:
		if o.Code != "missing_scope" {
			return false, n.tokenRefused(ctx, o)
		}
	case Later, Unsure:
		if !last || n.directory.hello(ctx).Kind != Sent {
			return false, nil
		}
	}
	n.log.WarnContext(ctx, "update dropped; the message stays as it is", "event_id", p.Deliveries[0].Event,
		"channel", n.directory.name(p.Channel), "err", o.Reason())
	return true, nil
}
