package notify

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"allo-slack/allo"
	"allo-slack/outbox"
	"allo-slack/rules"
	"allo-slack/slackapi"
)

const (
	// routeMost and routeBytes bound how many events are routed in one transaction.
	routeMost  = 64
	routeBytes = 16 << 20
	// routeRest is how long the router rests after so many events: Slack takes a few messages a second, and answers come first.
	routeRest = 50 * time.Millisecond
	// routeAgain is when an event is routed again that the store could not take, though it takes others.
	routeAgain = time.Minute
)

// router decides what follows from each event that was appended, in the order in which they came in, alone: of the event
// itself and, if it is about a call, of that call.
type router struct {
	store    *outbox.Store
	rules    func() *rules.File
	metrics  *Metrics
	log      *slog.Logger
	wake     func(channel string)
	updates  chan<- struct{} // something is to be updated
	appended <-chan struct{} // something was appended

	later   map[int64]time.Time // events that could not be routed, and when they are tried again
	stories map[string]story    // what was said of the things that the events are about that are routed now
	covered map[int64]bool      // events whose news of a call are decided already; true where there are any
}

// run routes until ctx ends.
func (r *router) run(ctx context.Context) {
	ticker := time.NewTicker(scanEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		n, err := r.once(ctx, time.Now())
		if err != nil && ctx.Err() == nil {
			r.log.ErrorContext(ctx, "events can't be routed, will retry", "err", err)
		}
		if n > 0 && err == nil {
			if n >= routeMost {
				_ = slackapi.Sleep(ctx, routeRest)
			}
			continue
		}
		select {
		case <-r.appended:
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// decided is an event with what was decided about it.
type decided struct {
	outbox.Routing
	event outbox.Event
	said  allo.Event // the same, read; without a topic if it can't be
	rule  string     // that mutes it
}

// once routes what was appended by now, at most routeMost, and returns how many events that were. The error is the store's,
// or ctx's.
func (r *router) once(ctx context.Context, now time.Time) (n int, err error) {
	maps.DeleteFunc(r.later, func(_ int64, at time.Time) bool { return !now.Before(at) })
	list, err := r.store.Unrouted(ctx, routeMost, routeBytes, slices.Collect(maps.Keys(r.later))...)
	if err != nil {
		return 0, err
	}
	var batch []decided
	about := map[string]bool{} // what the batch decides about: things, and who asks
	r.stories, r.covered = map[string]story{}, map[int64]bool{}
	flush := func() error {
		err := r.commit(ctx, batch, now)
		r.learn(batch)
		batch = nil
		clear(about)
		clear(r.covered)
		return err
	}
	for i, e := range list {
		n++
		switch e.Kind {
		case outbox.Allo, outbox.Note:
		case outbox.Asked:
			if err := flush(); err != nil {
				return n, err
			}
			if err := r.carryOut(ctx, e, now); err != nil {
				return n, err
			}
			continue
		default: // of a newer version
			r.later[e.ID] = now.Add(routeAgain)
			continue
		}
		var d decided
		var of []string
		broken := guard(func() {
			event := allo.Event{}
			if e.Kind == outbox.Allo {
				event = read(ctx, r.log, e)
			}
			of = []string{e.Key, e.About, asking + asks(&event)}
			_, covered := r.covered[e.ID]
			if about[e.Key] || about[e.About] && !covered || about[asking+answers(&event)] {
				// What is decided about this one depends on what was decided about those, once that is in the store.
				if err = flush(); err != nil {
					return
				}
			}
			d, err = r.decide(ctx, e, event, list[i+1:])
		})
		switch {
		case broken != nil:
			d = r.undecided(ctx, e, broken)
		case err != nil && !isStores(ctx, err):
			d = r.undecided(ctx, e, err)
		case err != nil:
			return n, err
		}
		err = nil
		batch = append(batch, d)
		for _, of := range of {
			about[of] = of != "" && of != asking
		}
	}
	return n, flush()
}

// learn adds what was routed to what is known to have been said. What may have been routed otherwise is read again.
func (r *router) learn(batch []decided) {
	for _, d := range batch {
		s, known := r.stories[d.event.About]
		_, waits := r.later[d.event.ID]
		if !known || d.event.About == "" {
			delete(r.stories, d.event.Key)
			continue
		}
		if waits || d.said.Topic == "" || s.first == nil || s.first.New {
			delete(r.stories, d.event.About)
			continue
		}
		s.later = append(s.later, d.said)
		r.stories[d.event.About] = s
	}
}

// commit commits what was decided about events or, where that fails for one of them, about each of them by itself. The
// error is the store's, or ctx's.
func (r *router) commit(ctx context.Context, batch []decided, now time.Time) error {
	if len(batch) == 0 {
		return nil
	}
	routings := make([]outbox.Routing, len(batch))
	for i, d := range batch {
		routings[i] = d.Routing
	}
	effects, err := r.store.Route(ctx, now, stricter, routings...)
	if err == nil {
		for i, effect := range effects {
			r.tell(ctx, batch[i], effect)
		}
		return nil
	}
	switch {
	case isStores(ctx, err):
		return err
	case len(batch) == 1:
		r.postpone(ctx, batch[0].event, now, err)
		return nil
	}
	waits := map[string]bool{} // calls of which the news that stand with one event are to be committed first
	for i, d := range batch {
		if of := d.event.About; waits[of] {
			r.postpone(ctx, d.event, now, err)
			continue
		}
		if err := r.commit(ctx, batch[i:i+1], now); err != nil {
			return err
		}
		if _, failed := r.later[d.event.ID]; failed && d.event.About != "" {
			waits[d.event.About] = true
		}
	}
	return nil
}

// carryOut does what a person asked for. The error is the store's, or ctx's.
func (r *router) carryOut(ctx context.Context, e outbox.Event, now time.Time) error {
	done, err := r.store.CarryOut(ctx, e.ID, now)
	switch {
	case err != nil && isStores(ctx, err):
		return err
	case err != nil:
		r.postpone(ctx, e, now, err)
		return nil
	}
	for _, channel := range done.Channels {
		r.wake(channel)
	}
	r.log.InfoContext(ctx, "sent again by hand", "deliveries", done.Sent, "channels", len(done.Channels))
	return nil
}

// isStores reports whether an error says nothing of what was to be written.
func isStores(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, outbox.ErrUnavailable) || errors.Is(err, outbox.ErrClosed)
}

// postpone has an event tried again later that the store can't take, though it takes others.
func (r *router) postpone(ctx context.Context, e outbox.Event, now time.Time, err error) {
	r.log.ErrorContext(ctx, "event not routed, will retry; others are", "event_id", e.ID, "err", err)
	r.later[e.ID] = now.Add(routeAgain)
}

// tell logs and counts what became of an event, and wakes whoever has something to do now.
func (r *router) tell(ctx context.Context, d decided, effect outbox.Effect) {
	for _, channel := range effect.Channels {
		r.wake(channel)
	}
	if effect.Updates {
		signal(r.updates)
	}
	if effect.Fate == "" || d.event.Kind != outbox.Allo {
		return
	}
	r.metrics.accepted.WithLabelValues(string(effect.Fate)).Inc()
	log := r.log.With("event_id", d.event.ID, "event_kind", allo.Topic(d.event.Topic).Kind())
	switch effect.Fate {
	case outbox.Routed:
		log.InfoContext(ctx, "event routed", "channels", len(effect.Channels), "recovered", d.event.Recovered)
	case outbox.Muted:
		log.InfoContext(ctx, "event muted", "rule", d.rule)
	case outbox.Unrouted:
		log.InfoContext(ctx, "event kept and not posted: no rule takes it")
	case outbox.Amended:
		log.InfoContext(ctx, "call brought up to date", "channels", len(effect.Channels))
	case outbox.Duplicate:
		log.InfoContext(ctx, "event says nothing new")
	}
}
