package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"allo-slack/allo"
	"allo-slack/outbox"
	"allo-slack/rules"
)

const (
	// rulesAsked is how long after a call rules are asked again when something new is known of it: who tags yesterday's calls
	// doesn't want them posted anew. Later it only updates its messages.
	rulesAsked = 24 * time.Hour
	// statesMost is how many states of a call rules are asked about at once, the latest ones.
	statesMost = 20
)

// decide decides about one event: where it goes itself and, if it is about a call, what is new of that call, with all that
// the events behind it say.
func (r *router) decide(ctx context.Context, e outbox.Event, event allo.Event, behind []outbox.Event) (d decided, err error) {
	d = decided{event: e, said: event, Routing: outbox.Routing{Event: e.ID}}
	if e.Kind == outbox.Note {
		sendTo(&d, r.rules().OpsChannel)
		return d, nil
	}
	thing := e.Key
	if e.About != "" {
		thing = e.About
	}
	call, known := r.stories[thing]
	if !known {
		if call, err = storyOf(ctx, r.store, r.log, thing, e.ID); err != nil {
			return d, err
		}
		if e.About != "" {
			r.stories[thing] = call
		}
	}
	retold := e.About != "" && event.Topic == allo.CallReceived && call.first != nil
	switch {
	case retold:
		d.Fate = outbox.Duplicate // unless there is something new in it
	case e.About != "" && event.Topic != allo.CallReceived:
		err = r.first(ctx, &d, story{event: event})
	default:
		err = r.first(ctx, &d, story{event: event, later: call.later})
	}
	if err != nil || e.About == "" || call.first == nil || call.first.New {
		return d, err
	}
	news, covered := r.covered[e.ID]
	if !covered {
		more := []allo.Event{event}
		ids := []int64{e.ID}
		for _, b := range behind {
			if b.About == e.About && b.Kind == outbox.Allo {
				more, ids = append(more, read(ctx, r.log, b)), append(ids, b.ID)
			}
		}
		if err := r.again(ctx, &d, call, more); err != nil {
			return d, err
		}
		news = slices.ContainsFunc(d.Decisions, func(of outbox.Decision) bool { return of.Event == call.first.ID })
		for _, id := range ids {
			r.covered[id] = news
		}
	}
	if retold && news {
		d.Fate = outbox.Amended
	}
	return d, nil
}

// undecided decides about an event that can't be decided about, for a mistake in this program: it goes to the default channel,
// unless that never gets its like.
func (r *router) undecided(ctx context.Context, e outbox.Event, why error) decided {
	r.metrics.rulesFailed.Inc()
	r.log.ErrorContext(ctx, "an event can't be routed: a mistake in this program; it goes to default_channel", "event_id", e.ID, "event_kind", allo.Topic(e.Topic).Kind(), "err", why)
	d := decided{event: e, Routing: outbox.Routing{Event: e.ID}}
	if e.About == "" && !allo.Topic(e.Topic).OnlyWhenNamed() {
		sendTo(&d, r.rules().DefaultChannel)
	} else {
		sendTo(&d, "")
	}
	return d
}

// sendTo decides that an event goes to one channel and nowhere else; "" is nowhere at all.
func sendTo(d *decided, channel string) {
	own := outbox.Decision{Event: d.Event}
	d.Fate = outbox.Unrouted
	if channel != "" {
		d.Fate, own.Routes = outbox.Routed, []outbox.Route{{Channel: channel, Options: "{}"}}
	}
	d.Decisions = []outbox.Decision{own}
}

// first decides about an event that was not routed before.
func (r *router) first(ctx context.Context, d *decided, s story) error {
	now := s.known()
	identity := s.event.Identity()
	d.Thread = thread(&now)
	d.Subject = outbox.Subject{Name: identity.Subject, State: identity.State, Change: identity.Change}
	own := outbox.Decision{Event: d.Event, Marks: marks(&now, d.event.Received), Retold: chain(&now)}
	answer := r.ask(ctx, d.event, s.states())
	switch {
	case len(answer.targets) > 0:
		d.Fate = outbox.Routed
	case answer.muted != "":
		d.Fate, d.rule = outbox.Muted, answer.muted
	default:
		d.Fate = outbox.Unrouted
	}
	if err := answer.decide(&own); err != nil {
		return err
	}
	var err error
	own.Touched, err = r.answered(ctx, d.Event, own.Marks)
	d.Decisions = append(d.Decisions, own)
	return err
}

// again decides about a call that was routed before, now that more was said of it. Nothing is decided where that says nothing
// new: neither of what the call is, nor of what it was in between.
func (r *router) again(ctx context.Context, d *decided, s story, more []allo.Event) error {
	with := story{event: s.event, later: append(slices.Clip(s.later), more...)}
	states, before, after := with.statesBy(more)
	if len(states) == 0 {
		return nil
	}
	news := !after.Says(&before)
	of := outbox.Decision{Event: s.first.ID, Marks: marks(&after, s.first.Received), Quiet: !news}
	if news {
		of.Retold = chain(&after)
		of.Parts = !slices.Equal(before.Call.Transcript, after.Call.Transcript) || before.Call.TranscriptText != after.Call.TranscriptText
		var err error
		if of.Touched, err = r.answered(ctx, of.Event, of.Marks); err != nil {
			return err
		}
	}
	if d.event.Received.Sub(since(&after, s.first.Received)) <= rulesAsked {
		if err := r.ask(ctx, *s.first, states).decide(&of); err != nil {
			return err
		}
	}
	d.Decisions = append(d.Decisions, of)
	return nil
}

// since is when a call was.
func since(call *allo.Event, received time.Time) time.Time {
	if at := call.At(); !at.IsZero() && at.Before(received) {
		return at
	}
	return received
}

// answer is what the rules say of the states of an event.
type answer struct {
	targets []rules.Target // where any of them has it go; if the last one is muted, where that has it go all the same
	spared  []rules.Target // where another one has it go, if the last one is muted
	muted   string         // the rule that mutes the last one
}

// decide writes it into a decision.
func (a answer) decide(d *outbox.Decision) (err error) {
	d.Muted = a.muted != ""
	if d.Routes, err = routes(a.targets); err != nil {
		return err
	}
	d.Spared, err = routes(a.spared)
	return err
}

// ask asks the rules about the states of an event, in their order. A rule that fails is told and counted, and takes nothing.
func (r *router) ask(ctx context.Context, e outbox.Event, states []allo.Event) answer {
	file := r.rules()
	log := r.log.With("event_id", e.ID, "event_kind", allo.Topic(e.Topic).Kind())
	var targets []rules.Target
	var decision rules.Decision // the last one
	for i := range states {
		decision = file.Route(&states[i], e.Received)
		for _, err := range decision.Errors {
			r.metrics.rulesFailed.Inc()
			log.WarnContext(ctx, "rule skipped", "err", err)
		}
		for _, target := range decision.Targets {
			targets = rules.Add(targets, target)
		}
	}
	if decision.Muted == "" {
		return answer{targets: targets}
	}
	a := answer{muted: decision.Muted}
	for _, t := range targets {
		if slices.ContainsFunc(decision.Targets, func(last rules.Target) bool { return last.Channel == t.Channel }) {
			a.targets = append(a.targets, t)
		} else {
			a.spared = append(a.spared, t)
		}
	}
	return a
}

// routes writes targets as the outbox keeps them.
func routes(targets []rules.Target) ([]outbox.Route, error) {
	var all []outbox.Route
	for _, t := range targets {
		options, err := json.Marshal(t.Options)
		if err != nil {
			return nil, fmt.Errorf("options of rule %q: %w", t.Rule, err)
		}
		all = append(all, outbox.Route{Channel: t.Channel, Rule: t.Rule, Options: string(options)})
	}
	return all, nil
}

// stricter returns a delivery's options with all that others keep back. What can't be read of them is as good as not there, as
// it is when the delivery is rendered.
func stricter(options, than string) (string, error) {
	var a, b rules.Options
	_ = json.Unmarshal([]byte(options), &a)
	_ = json.Unmarshal([]byte(than), &b)
	written, err := json.Marshal(a.Stricter(b))
	return string(written), err
}

// marks are by what an event is found.
func marks(e *allo.Event, received time.Time) []outbox.Mark {
	at := happened(e, received)
	var all []outbox.Mark
	add := func(mark string) { all = append(all, outbox.Mark{Mark: mark, At: at}) }
	if who := asks(e); who != "" {
		add(asking + who)
	}
	if who := answers(e); who != "" {
		add(answering + who)
	}
	if of := chain(e); of != "" {
		add(of)
	}
	return all
}

// happened is when something did, as far as that is known.
func happened(e *allo.Event, received time.Time) time.Time {
	if at := e.At(); !at.IsZero() {
		return at
	}
	return received
}

// What marks of questions and of answers begin with; whom they are of follows.
const (
	asking    = "asks:"
	answering = "answers:"
)

// answerWindow is how long a missed call may be waited on to be answered.
const answerWindow = 7 * 24 * time.Hour

// askedMost is how many missed calls of one customer an answer is told at, and how many answers are looked through.
const askedMost = 1000

// answered returns the missed calls that an event with these marks answers, as the first that does.
func (r *router) answered(ctx context.Context, event int64, marks []outbox.Mark) ([]int64, error) {
	at := slices.IndexFunc(marks, func(m outbox.Mark) bool { return len(m.Mark) > len(answering) && m.Mark[:len(answering)] == answering })
	if at < 0 {
		return nil, nil
	}
	m := marks[at]
	from := m.At.Add(-answerWindow)
	asked, err := r.store.Marked(ctx, asking+m.Mark[len(answering):], from, m.At, askedMost)
	if err != nil || len(asked) == 0 {
		return nil, err
	}
	answers, err := r.store.Marked(ctx, m.Mark, from, m.At, askedMost)
	if err != nil {
		return nil, err
	}
	var touched []int64
	for _, q := range asked {
		first := func(a outbox.Mark) bool { return a.At.Before(m.At) || a.At.Equal(m.At) && a.Event < event }
		if !slices.ContainsFunc(answers, func(a outbox.Mark) bool { return !a.At.Before(q.At) && first(a) }) {
			touched = append(touched, q.Event)
		}
	}
	return touched, nil
}
