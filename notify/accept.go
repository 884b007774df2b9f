package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"allo-slack/allo"
	"allo-slack/outbox"
	"allo-slack/rules"
)

// Accept matches an event against the rules and stores it, unless it is a repeat. When it returns without an error
// the event is on disk; what waits for Slack is sent by Run.
func (n *Notifier) Accept(ctx context.Context, e *allo.Event) (duplicate bool, err error) {
	n.silence.heard(time.Now())
	return n.accept(ctx, e, false)
}

// Recover accepts a call whose event never came. What is known already is only brought up to date.
func (n *Notifier) Recover(ctx context.Context, e *allo.Event) (duplicate bool, err error) {
	// Nobody above would answer a panic, as the webhook does.
	if broken := guard(func() { duplicate, err = n.accept(ctx, e, true) }); broken != nil {
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
	now := time.Now()
	identity := e.Identity()
	entry, muted, err := n.entry(ctx, e, identity, now)
	if err != nil {
		return false, err
	}
	entry.Recovered = recovered
	if e.Topic == allo.CallReceived && e.ID != "" {
		entry.Mind = identity.Key
	}
	added, err := n.store.Add(ctx, entry)
	before := added.Before
	if err == nil && before {
		added, muted, err = n.addWithWhatCameBefore(ctx, e, identity, recovered, now)
	}
	if err != nil {
		return false, err
	}
	log = log.With("event_id", added.ID)
	amended := false
	if added.News || before || e.About() != "" {
		if amended, err = n.amend(ctx, e, identity, added.News); err != nil {
			return false, err
		}
	}
	n.moved(added)
	switch {
	case added.Duplicate && amended:
		n.metrics.accepted.WithLabelValues("amended").Inc()
		log.InfoContext(ctx, "event told again with something new")
		return false, nil
	case added.Duplicate:
		n.metrics.accepted.WithLabelValues("duplicate").Inc()
		if !recovered {
			log.InfoContext(ctx, "event repeated")
		}
		return true, nil
	}
	if len(e.Odd) > 0 {
		log.WarnContext(ctx, "fields of an unexpected type; what could be read is kept", "fields", e.Odd)
	}
	switch {
	case len(added.Channels) > 0:
		n.metrics.accepted.WithLabelValues("routed").Inc()
		log.InfoContext(ctx, "event accepted", "channels", len(added.Channels), "recovered", recovered)
	case muted != "":
		n.metrics.accepted.WithLabelValues("muted").Inc()
		log.InfoContext(ctx, "event muted", "rule", muted)
	default:
		n.metrics.accepted.WithLabelValues("unrouted").Inc()
		log.InfoContext(ctx, "event kept and not posted: no rule takes it")
	}
	return false, nil
}

// entry is an event as the outbox keeps it; muted is the rule that mutes it.
func (n *Notifier) entry(ctx context.Context, e *allo.Event, identity allo.Identity, now time.Time) (entry outbox.Entry, muted string, err error) {
	routes, decision, err := n.route(ctx, e, now)
	if err != nil {
		return entry, "", err
	}
	entry = outbox.Entry{
		Kind:     outbox.Allo,
		Topic:    string(e.Topic),
		Body:     e.Raw,
		Received: now,
		Happened: e.At(),
		Thread:   thread(e),
		Asks:     asks(e),
		Answers:  answers(e),
		About:    e.About(),
		Keys:     []outbox.Key{{Key: identity.Key, Window: identity.Window}},
		Content:  identity.Content,
		Subject:  identity.Subject, State: identity.State, Change: identity.Change,
		Muted:      decision.Muted != "",
		Deliveries: routes,
	}
	if e.Delivery != "" {
		entry.Keys = append(entry.Keys, outbox.Key{Key: "delivery:" + e.Delivery})
	}
	return entry, decision.Muted, nil
}

// route asks the rules where an event goes.
func (n *Notifier) route(ctx context.Context, e *allo.Event, now time.Time) ([]outbox.Route, rules.Decision, error) {
	decision := n.rules.Load().Route(e, now)
	for _, err := range decision.Errors {
		n.log.WarnContext(ctx, "rule skipped", "event_kind", e.Topic.Kind(), "err", err)
	}
	var routes []outbox.Route
	for _, target := range decision.Targets {
		options, err := json.Marshal(target.Options)
		if err != nil {
			return nil, decision, fmt.Errorf("options of rule %q: %w", target.Rule, err)
		}
		routes = append(routes, outbox.Route{Channel: target.Channel, Rule: target.Rule, Options: string(options)})
	}
	return routes, decision, nil
}

// moved wakes whoever has something to do after a commit.
func (n *Notifier) moved(added outbox.Added) {
	for _, channel := range added.Channels {
		n.wake(channel)
	}
	if added.Updates {
		signal(n.updates)
	}
}
