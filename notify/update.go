package notify

import (
	"context"
	"log/slog"
	"time"

	"allo-slack/outbox"
	"allo-slack/slackapi"
)

const (
	// updateMost is how long Slack may answer an update badly before it is dropped, while it answers other calls.
	updateMost = 2 * time.Minute
	// updatesBeside is how many updates are made beside each other, so that those that fail hold up few. The limit a minute bounds them.
	updatesBeside = 50
	// updatesAgain is when those are read again that could not be read, or not be recorded.
	updatesAgain = 5 * time.Second
)

// updater brings messages that Slack has up to date. It works beside the workers, so that a failing update never delays a
// message.
type updater struct {
	store    *outbox.Store
	slack    *slackapi.Client
	channels *directory
	messages *messages
	metrics  *Metrics
	log      *slog.Logger
	wake     func(channel string)
	wanted   <-chan struct{} // something is to be updated
}

// run updates until ctx ends.
func (u *updater) run(ctx context.Context) {
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	type result struct {
		post string
		err  error
	}
	done := make(chan result, updatesBeside)
	going := map[string]bool{} // posts that are being updated: one at a time each
	var again <-chan time.Time // while the store failed
	for ctx.Err() == nil {
		var err error
		if again == nil {
			err = u.begin(ctx, going, func(one outbox.Update) { done <- result{one.Post, u.update(ctx, one)} })
		}
		if err == nil {
			select {
			case r := <-done:
				delete(going, r.post)
				err = r.err
			case <-again:
				again = nil
			case <-u.wanted:
			case <-ticker.C:
			case <-ctx.Done():
			}
		}
		if err != nil && ctx.Err() == nil {
			u.log.WarnContext(ctx, "an update could not be read or recorded, will retry", "err", err)
			again = time.After(updatesAgain)
		}
	}
	for range going {
		<-done
	}
}

// begin begins updates, beside those that are going, which are listed too.
func (u *updater) begin(ctx context.Context, going map[string]bool, update func(outbox.Update)) error {
	list, err := u.store.Updates(ctx, 2*updatesBeside)
	for _, one := range list {
		if !going[one.Post] && len(going) < updatesBeside {
			going[one.Post] = true
			go update(one)
		}
	}
	return err
}

// update makes one update and commits that it was made, or dropped as it can't be made. The error is the store's, or ctx's.
func (u *updater) update(ctx context.Context, one outbox.Update) error {
	var err error
	var p *outbox.Post
	dropped, parts := "", 0
	o := u.slack.Ask(ctx, slackapi.Updating, slackapi.Patience{For: updateMost}, func(ctx context.Context) slackapi.Outcome {
		// Only now, as the wait for Slack may be long.
		if p, err = u.store.SentPost(ctx, one.Post); err != nil || p == nil || len(p.Deliveries) == 0 {
			return slackapi.Outcome{Kind: slackapi.NotAsked}
		}
		var items []item
		if items, err = u.messages.read(ctx, p.Deliveries, nil); err != nil {
			return slackapi.Outcome{Kind: slackapi.NotAsked}
		}
		if len(items) == 1 {
			parts = u.messages.parts(ctx, items[0])
		}
		m, unmade := u.messages.render(ctx, p, items)
		if unmade != nil {
			dropped = unmade.Error()
			return slackapi.Outcome{Kind: slackapi.NotAsked}
		}
		o := u.slack.Update(ctx, p.Channel, p.TS, m)
		u.metrics.updates.WithLabelValues(o.Kind.String()).Inc()
		return o
	})
	switch {
	case err != nil:
		return err
	case o.Kind == slackapi.Stopped:
		return o.Err
	case o.Kind == slackapi.Sent:
		u.log.InfoContext(ctx, "updated", "event_id", p.Deliveries[0].Event, "channel", u.channels.name(p.Channel))
	case o.Kind != slackapi.NotAsked:
		dropped = o.Reason()
	}
	if dropped != "" {
		u.log.WarnContext(ctx, "update dropped; the message stays as it is", "event_id", p.Deliveries[0].Event, "channel", u.channels.name(p.Channel), "err", dropped)
	}
	if parts == 0 {
		return u.store.Updated(ctx, one, nil, 0, time.Now())
	}
	err = u.store.Updated(ctx, one, p, parts, time.Now())
	u.wake(p.Channel) // a transcript that came later
	return err
}
