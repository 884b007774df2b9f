// Package notify takes events from "answered" to "Slack has it".
//
// Accept appends an event to the store; it asks neither rules nor Slack. Run works off what is stored. Its router takes what
// was appended, in order: it folds what was said of an event, asks the rules, and commits where the event goes. A worker for
// each channel that has something waiting waits for the pace of channel and workspace, takes the oldest delivery (or, when
// more than four wait, as many as a digest holds), commits them as a post, sends it, and commits what became of it.
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
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

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
	restored  *restored
	troubles  *troubles
	metrics   *Metrics
	log       *slog.Logger
	silence   silence
	appended  chan struct{} // something was appended
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
		store:    c.Store,
		metrics:  c.Metrics,
		log:      c.Log,
		updates:  make(chan struct{}, 1),
		appended: make(chan struct{}, 1),
		aside:    make(chan struct{}, 1),
		renamed:  make(chan struct{}, 1),
		workers:  map[string]*worker{},
	}
	n.rules.Store(c.Rules)
	pace, err := c.Store.Pace(ctx, now.Add(-time.Minute))
	if err != nil {
		return nil, err
	}
	share, err := begin(ctx, c.Store, now, c.Log)
	if err != nil {
		return nil, err
	}
	n.slack = slackapi.New(slackapi.Config{
		Token: c.Token, URL: c.SlackURL, HTTP: c.HTTP, Log: c.Log,
		Used: 1 - share, Paused: pace.Paused, KeepPause: c.Store.Pause,
	})
	n.pace = newPacer(c.Limiter, pace, n.slack.Paused, now)
	named := func() []string { return n.rules.Load().Channels() }
	if n.directory, err = newDirectory(ctx, n.slack, c.Store, named, n.wake, c.Log); err != nil {
		return nil, err
	}
	if n.troubles, err = newTroubles(ctx, c.Store); err != nil {
		return nil, err
	}
	if n.people, err = newPeople(ctx, c.Store, n.slack, c.Log); err != nil {
		return nil, err
	}
	n.restored = &restored{store: c.Store, slack: n.slack, channels: n.directory, metrics: c.Metrics, log: c.Log}
	if err := n.restored.begin(ctx, now); err != nil {
		return nil, err
	}
	n.messages = &messages{store: c.Store, people: n.people, restored: n.restored, zone: n.zone, callLink: c.CallLink, log: c.Log}
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

// begin notes that a process begins, and returns its share of Slack's limits.
func begin(ctx context.Context, store *outbox.Store, now time.Time, log *slog.Logger) (share float64, err error) {
	known, err := store.Fact(ctx, starts)
	if err != nil {
		return 0, err
	}
	var before []slackapi.Start
	_ = json.Unmarshal(known, &before) // none yet
	lately := slackapi.Begin(before, now)
	value, err := json.Marshal(lately)
	if err != nil {
		return 0, err
	}
	if err := store.SetFact(ctx, starts, value); err != nil {
		// The disk may be full, and Slack is asked all the same.
		log.WarnContext(ctx, "that a process began could not be stored", "err", err)
	}
	return lately[len(lately)-1].Share, nil
}

func (n *Notifier) zone() *time.Location { return n.rules.Load().Zone }

// SetRules makes other rules count for what is routed from now on. What waits keeps its channel.
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
	updater := updater{store: n.store, slack: n.slack, channels: n.directory, messages: n.messages, metrics: n.metrics, log: n.log, wake: n.wake, wanted: n.updates}
	n.group.Go(func() { updater.run(ctx) })
	watcher := watcher{
		store: n.store, rules: n.rules.Load, channels: n.directory, troubles: n.troubles, silence: &n.silence, metrics: n.metrics, log: n.log,
		appended: n.appended, aside: n.aside,
	}
	n.group.Go(func() { watcher.run(ctx) })
	router := router{
		store: n.store, rules: n.rules.Load, metrics: n.metrics, log: n.log, wake: n.wake, updates: n.updates, appended: n.appended,
		later: map[int64]time.Time{},
	}
	n.group.Go(func() { router.run(ctx) })
	n.group.Go(func() { n.restored.beat(ctx) })
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
		channel: channel, store: n.store, slack: n.slack, channels: n.directory, people: n.people, messages: n.messages, restored: n.restored,
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
