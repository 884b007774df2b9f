package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	// rulesAsked is how long after a call rules are asked again when something new is known of it: who tags yesterday's calls
	// doesn't want them posted anew. Later it only updates its messages.
	rulesAsked = 24 * time.Hour
	// statesMost is how many states of a call rules are asked about at once, the latest ones.
	statesMost = 20
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
	covered map[int64]bool      // those of the events of whose news of a call is decided already; true if there are any
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
			r.later[d.event.ID] = now.Add(routeAgain)
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
		if call, err = storyOf(ctx, r.store, r.log, thing); err != nil {
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
