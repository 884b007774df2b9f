package notify

import (
	"context"
	"time"

	"allo-slack/allo"
	"allo-slack/outbox"
)

// Accept keeps an event, unless it is a repeat. When it returns without an error the event is on disk, and Run takes it from
// there.
func (n *Notifier) Accept(ctx context.Context, e *allo.Event) (duplicate bool, err error) {
	n.silence.heard(time.Now())
	return n.accept(ctx, e, false)
}

// Recover accepts a call whose event never came, or what is known by now of one whose event did. What is known already is
// not kept again.
func (n *Notifier) Recover(ctx context.Context, e *allo.Event) (duplicate bool, err error) {
	// Nobody above would answer a panic, as the webhook does.
	if broken := guard(func() {
		if duplicate, err = n.knows(ctx, e); err == nil && !duplicate {
			duplicate, err = n.accept(ctx, e, true)
		}
	}); broken != nil {
		return false, broken
	}
	return duplicate, err
}

func (n *Notifier) accept(ctx context.Context, e *allo.Event, recovered bool) (duplicate bool, err error) {
	log := n.log.With("event_kind", e.Topic.Kind())
	if e.Topic == allo.Ping {
		log.InfoContext(ctx, "ping answered")
		return false, nil
	}
	identity := e.Identity()
	_, duplicate, err = n.store.Append(ctx, outbox.Entry{
		Kind:     outbox.Allo,
		Topic:    string(e.Topic),
		Body:     e.Raw,
		Received: time.Now(),
		Said:     e.Sent,
		Key:      outbox.Key{Key: identity.Key, Window: identity.Window},
		Saying:   identity.Saying,
		Delivery: e.Delivery,
		About:    e.About(),

		Recovered: recovered,
	})
	switch {
	case err != nil:
		return false, err
	case duplicate:
		n.metrics.accepted.WithLabelValues(string(outbox.Duplicate)).Inc()
		if !recovered {
			log.InfoContext(ctx, "event repeated")
		}
		return true, nil
	}
	if len(e.Odd) > 0 {
		log.WarnContext(ctx, "fields of an unexpected type; what could be read is kept", "fields", e.Odd)
	}
	signal(n.appended)
	return false, nil
}

// knows reports whether a call would say nothing new. Without it, each look at recent calls would keep all of them once
// more.
func (n *Notifier) knows(ctx context.Context, e *allo.Event) (bool, error) {
	s, err := storyOf(ctx, n.store, n.log, e.Identity().Key, 0)
	if err != nil || s.first == nil {
		return false, err
	}
	more := *e
	more.Said = time.Now()
	before, after := s.known(), allo.Fold(s.event, append(s.later, more)...)
	return after.Says(&before), nil
}
