package notify

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"allo-slack/outbox"
	"allo-slack/slackapi"
)

const (
	// updateMost is how long Slack may answer an update badly before it is dropped, while it answers other calls.
	updateMost = 2 * time.Minute
	// updatesAtOnce is how many updates are read from the store together, and updatesBeside how many are made beside each
	// other, so that one that fails holds up few.
	updatesAtOnce = 50
	updatesBeside = 4
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
	wanted   <-chan struct{} // something is to be updated
}

// run updates until ctx ends.
func (u *updater) run(ctx context.Context) {
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	for {
		list, err := u.store.Updates(ctx, updatesAtOnce)
		if err != nil && ctx.Err() == nil {
			u.log.WarnContext(ctx, "updates can't be read, will retry", "err", err)
		}
		var failed atomic.Bool
		failed.Store(err != nil)
		var group errgroup.Group
		group.SetLimit(updatesBeside)
		for _, one := range list {
			group.Go(func() error {
				if err := u.update(ctx, one); err != nil && ctx.Err() == nil {
					failed.Store(true)
					u.log.WarnContext(ctx, "an update could not be read or recorded, will retry", "err", err)
				}
				return nil
			})
		}
		_ = group.Wait()
		if len(list) == updatesAtOnce && !failed.Load() && ctx.Err() == nil {
			continue
		}
		var again <-chan time.Time
		if failed.Load() {
			again = time.After(updatesAgain)
		}
		select {
		case <-u.wanted:
		case <-again:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// update makes one update and commits that it was made, or dropped as it can't be made. The error is the store's, or ctx's.
func (u *updater) update(ctx context.Context, one outbox.Update) error {
	var err error
	var p *outbox.Post
	dropped := ""
	o := u.slack.Ask(ctx, slackapi.Updating, slackapi.Patience{For: updateMost}, func(ctx context.Context) slackapi.Outcome {
		// Only now, as the wait for Slack may be long.
		if p, err = u.store.SentPost(ctx, one.Post); err != nil || p == nil || len(p.Deliveries) == 0 {
			return slackapi.Outcome{Kind: slackapi.NotAsked}
		}
		m, err := u.messages.again(ctx, p)
		if err != nil {
			dropped = err.Error()
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
	return u.store.Told(ctx, one)
}
