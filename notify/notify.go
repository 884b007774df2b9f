// Package notify takes events from "answered" to "Slack has it".
//
// Accept matches an event against the rules and stores it with one delivery a channel; it needs no Slack. Run
// works off what is stored: a worker for each channel that has something waiting waits for the pace of channel and
// workspace, takes the oldest delivery (or, when more than four wait, as many as a digest holds), commits them as a
// post, sends it, and commits what became of it.
//
// It promises:
//
//   - In a channel, messages appear in the order in which events came in. A post that is not settled is the only one
//     its channel works on.
//   - A post that Slack may or may not have taken is looked for in the channel's history before it is sent again.
//   - At most one message in 1.05 s a channel, a bucket of 20 refilled at 4 a second for the workspace, and silence for
//     as long as a 429 asks; also across restarts.
//   - No channel's backlog or error delays another, except where Slack speaks of the workspace: a 429, the token, an
//     outage.
//
// What becomes of a post is decided by next, and nowhere else.
package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"allo-slack/allo"
	"allo-slack/outbox"
	"allo-slack/rules"
	"allo-slack/slackapi"
)

// scanEvery is how often the store is asked for work that no wake-up told of: what another process asked to be
// sent again, and what a wake-up missed.
const scanEvery = 2 * time.Second

// Config is what a Notifier works with. All of it is needed, but for SlackURL, Silence and CallLink.
type Config struct {
	Store    *outbox.Store
	Rules    *rules.File
	Token    string // Slack's bot token
	SlackURL string // "" is the real one
	HTTP     *http.Client
	Limiter  Limiter
	Metrics  *Metrics
	Log      *slog.Logger
	Silence  time.Duration // no event for so long is told to the ops channel; 0: never
	// CallLink is the link to a call's page, by its event, the rule that posts it, and when it came in; the same for the
	// same. nil has buttons link straight to Allo.
	CallLink func(event int64, rule string, received time.Time) string
}

// Notifier is the way from an event to Slack.
type Notifier struct {
	store     *outbox.Store
	rules     atomic.Pointer[rules.File]
	slack     *slackapi.Client
	directory *directory
	pace      *pacer
	people    *people
	messages  *messages
	troubles  *troubles
	metrics   *Metrics
	log       *slog.Logger
	silence   silence
	updates   chan struct{} // something is to be updated
	aside     chan struct{} // something was set aside
	renamed   chan struct{} // the rules may name other channels

	mu      sync.Mutex
	ctx     context.Context // of Run; nil before and after it
	workers map[string]*worker
	group   sync.WaitGroup
}

// New prepares a Notifier. It asks nothing of Slack.
func New(ctx context.Context, c Config) (*Notifier, error) {
	now := time.Now()
	n := &Notifier{
		store:   c.Store,
		metrics: c.Metrics,
		log:     c.Log,
		updates: make(chan struct{}, 1),
		aside:   make(chan struct{}, 1),
		renamed: make(chan struct{}, 1),
		workers: map[string]*worker{},
	}
	n.rules.Store(c.Rules)
	pace, err := c.Store.Pace(ctx, now.Add(-time.Minute))
	if err != nil {
		return nil, err
	}
	lately, err := begin(ctx, c.Store, now, c.Log)
	if err != nil {
		return nil, err
	}
	n.slack = slackapi.New(slackapi.Config{
		Token: c.Token, URL: c.SlackURL, HTTP: c.HTTP, Log: c.Log,
		Used: 1 - lately[len(lately)-1].Share, Paused: pace.Paused, KeepPause: c.Store.Pause,
	})
	n.pace = newPacer(c.Limiter, pace, n.slack.Paused, now)
	named := func() []string { return n.rules.Load().Channels() }
	if n.directory, err = newDirectory(ctx, n.slack, c.Store, named, n.wake, len(lately) > 1, c.Log); err != nil {
		return nil, err
	}
	if n.troubles, err = newTroubles(ctx, c.Store); err != nil {
		return nil, err
	}
	if n.people, err = newPeople(ctx, c.Store, n.slack, c.Log); err != nil {
		return nil, err
	}
	n.messages = &messages{store: c.Store, people: n.people, zone: n.zone, callLink: c.CallLink, log: c.Log}
	heard, err := c.Store.LastHeard(ctx, now)
	if err != nil {
		return nil, err
	}
	n.silence.limit = c.Silence
	n.silence.heard(heard)
	return n, nil
}

// starts is the fact that tells when processes began lately, and with which share of Slack's limits a minute.
const starts = "starts"

// begin notes that a process begins, and returns the starts of the last minute, its own last.
func begin(ctx context.Context, store *outbox.Store, now time.Time, log *slog.Logger) ([]slackapi.Start, error) {
	known, err := store.Fact(ctx, starts)
	if err != nil {
		return nil, err
	}
	var before []slackapi.Start
	_ = json.Unmarshal(known, &before) // none yet
	lately := slackapi.Begin(before, now)
	value, err := json.Marshal(lately)
	if err != nil {
		return nil, err
	}
	if err := store.SetFact(ctx, starts, value); err != nil {
		// The disk may be full, and Slack is asked all the same.
		log.WarnContext(ctx, "that a process began could not be stored", "err", err)
	}
	return lately, nil
}

func (n *Notifier) zone() *time.Location { return n.rules.Load().Zone }

// SetRules makes other rules count for the events that come from now on. What waits keeps its channel.
func (n *Notifier) SetRules(f *rules.File) {
	n.rules.Store(f)
	signal(n.renamed)
}

// Now returns the time by which what was kept long enough may be deleted: the earlier of our clock's and Slack's, as
// either may be far ahead. It asks Slack, once in a process, and is false while Slack doesn't answer.
func (n *Notifier) Now(ctx context.Context) (time.Time, bool) {
	theirs, _, told := n.slack.Now()
	if !told {
		n.slack.Answers(ctx)
		theirs, _, told = n.slack.Now()
	}
	return earlier(time.Now(), theirs), told
}

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

// signal lets whoever listens look once more; a signal that nobody took yet is enough.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run works off what is stored until ctx ends. A send that is in flight then is given grace to be answered.
func (n *Notifier) Run(ctx context.Context) error {
	n.mu.Lock()
	n.ctx = ctx
	n.mu.Unlock()
	n.group.Go(func() { n.directory.preparing(ctx, n.renamed) })
	updater := updater{store: n.store, slack: n.slack, channels: n.directory, messages: n.messages, metrics: n.metrics, log: n.log, wanted: n.updates}
	n.group.Go(func() { updater.run(ctx) })
	watcher := watcher{
		store: n.store, rules: n.rules.Load, channels: n.directory, troubles: n.troubles, silence: &n.silence, metrics: n.metrics, log: n.log,
		wake: n.wake, aside: n.aside,
	}
	n.group.Go(func() { watcher.run(ctx) })
	defer n.group.Wait()
	defer func() {
		n.mu.Lock()
		n.ctx = nil // no worker starts from now on
		n.mu.Unlock()
	}()
	ticker := time.NewTicker(scanEvery)
	defer ticker.Stop()
	for {
		busy, err := n.store.Busy(ctx)
		if err != nil && ctx.Err() == nil {
			n.log.ErrorContext(ctx, "what waits can't be read", "err", err)
		}
		for _, channel := range busy {
			n.wake(channel)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// wake makes sure that a channel's worker runs, and looks once more after what it is doing.
func (n *Notifier) wake(channel string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctx == nil {
		return
	}
	if w, running := n.workers[channel]; running {
		w.again = true
		return
	}
	w := &worker{
		channel: channel, store: n.store, slack: n.slack, channels: n.directory, people: n.people, messages: n.messages,
		pace: n.pace, troubles: n.troubles, metrics: n.metrics, log: n.log, wake: n.wake, updates: n.updates, aside: n.aside,
	}
	n.workers[channel] = w
	n.group.Add(1)
	ctx := n.ctx
	go func() {
		defer n.group.Done()
		for {
			w.run(ctx)
			n.mu.Lock()
			if !w.again || ctx.Err() != nil {
				delete(n.workers, channel)
				n.mu.Unlock()
				return
			}
			w.again = false
			n.mu.Unlock()
		}
	}()
}
