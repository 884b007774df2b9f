package torture

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"allo-slack/fakeslack"
	"allo-slack/tests/process"
)

func TestMain(m *testing.M) { process.Main(m) }

// number is a setting of the run.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s must be a number: %v", name, err)
	}
	return n
}

// run is one torture.
type run struct {
	t     *testing.T
	slack *fakeslack.Server
	env   []string
	bot   atomic.Pointer[process.Bot]

	mu     sync.Mutex
	rand   *rand.Rand
	faults map[fakeslack.FaultKind]int

	poisoned atomic.Bool // Slack refuses what holds poison
	lookups  int         // faults in a row at looking up people; guarded by mu

	kills, accepted, duplicates, retries, others atomic.Int64
}

func (r *run) intN(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rand.IntN(n)
}

// chaos has Slack misbehave in about one call of three.
func (r *run) chaos(method, _ string) *fakeslack.Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	lookup := method == "users.lookupByEmail"
	if r.rand.IntN(3) != 0 || lookup && r.lookups == 2 {
		if lookup {
			r.lookups = 0
		}
		return nil // whom to mention is asked three times at most
	}
	if lookup {
		r.lookups++
	}
	all := []fakeslack.Fault{
		{Kind: fakeslack.CutBefore}, {Kind: fakeslack.Status, Status: 500}, {Kind: fakeslack.Status, Status: 503}, {Kind: fakeslack.Empty},
		{Kind: fakeslack.RateLimit, RetryAfter: time.Second}, {Kind: fakeslack.Slow, Delay: time.Duration(r.rand.IntN(900)) * time.Millisecond},
		{Kind: fakeslack.SlackError, Code: "internal_error"}, {Kind: fakeslack.SlackError, Code: "request_timeout"}, {Kind: fakeslack.Redirect},
		{Kind: fakeslack.NotOK}, {Kind: fakeslack.Status, Status: 403},
	}
	if method == "chat.update" {
		all = slices.DeleteFunc(all, func(f fakeslack.Fault) bool { return f.Kind == fakeslack.Slow }) // of two that overlap the last one counts
	}
	switch method {
	case "conversations.history", "conversations.replies", "conversations.list":
		all = append(all, fakeslack.Fault{Kind: fakeslack.EmptyPage}, fakeslack.Fault{Kind: fakeslack.OddPage}, fakeslack.Fault{Kind: fakeslack.OddPage, Body: "{}"})
	}
	if method == "chat.postMessage" {
		all = append(all,
			fakeslack.Fault{Kind: fakeslack.DropAfterAccept}, fakeslack.Fault{Kind: fakeslack.DropAfterAccept},
			fakeslack.Fault{Kind: fakeslack.StatusAfterAccept, Status: 500}, fakeslack.Fault{Kind: fakeslack.GarbageAfterAccept},
			fakeslack.Fault{Kind: fakeslack.NoTS}, fakeslack.Fault{Kind: fakeslack.HalfAnswer},
			fakeslack.Fault{Kind: fakeslack.LateVisible, Delay: time.Duration(r.rand.IntN(3000)) * time.Millisecond})
	}
	f := all[r.rand.IntN(len(all))]
	f.Method = method
	r.faults[f.Kind]++
	return &f
}

// front is what stands before Slack: it refuses what is poisoned, as Slack refuses a message that it can't show.
func (r *run) front(slack http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		if r.poisoned.Load() && strings.HasSuffix(req.URL.Path, "chat.postMessage") && bytes.Contains(body, []byte(poison)) {
			_, _ = io.WriteString(w, `{"ok":false,"error":"invalid_blocks"}`)
			return
		}
		slack.ServeHTTP(w, req)
	})
}

// crowd has other people post in the bot's channels until ctx ends.
func (r *run) crowd(ctx context.Context, rooms []string) {
	odd := fakeslack.OddMessages()
	for ctx.Err() == nil {
		one := odd[r.intN(len(odd))]
		if len(one) < 10_000 || r.intN(10) == 0 {
			r.slack.Others(rooms[r.intN(len(rooms))], one)
			r.others.Add(1)
		}
		pause(ctx, 150*time.Millisecond)
	}
}

// janitor archives a channel and opens it again until ctx ends, and has another one made anew on the way.
func (r *run) janitor(ctx context.Context) {
	remake := sync.OnceFunc(func() {
		r.slack.SetChannel(anew, func(c *fakeslack.Channel) { c.Name, c.Archived = former, true })
		r.slack.AddChannel(fakeslack.Channel{Name: anew})
	})
	for i := 0; ctx.Err() == nil; i++ {
		pause(ctx, time.Duration(500+r.intN(3000))*time.Millisecond)
		r.slack.SetChannel(archived, func(c *fakeslack.Channel) { c.Archived = !c.Archived })
		if i == 2 {
			remake()
		}
	}
	r.slack.SetChannel(archived, func(c *fakeslack.Channel) { c.Archived = false })
	remake()
}

// send hands the bot of the moment an event until it is answered with 200, as Allo does.
func (r *run) send(ctx context.Context, body string) (duplicate bool) {
	for ctx.Err() == nil {
		if b := r.bot.Load(); b != nil && b.Ready() {
			status, answer, err := b.Post(ctx, body)
			if err == nil && status == http.StatusOK {
				return strings.Contains(answer, "duplicate")
			}
			if err == nil && status != http.StatusServiceUnavailable {
				r.t.Errorf("answer: %d %s", status, answer)
				return false
			}
		}
		r.retries.Add(1)
		pause(ctx, 20*time.Millisecond)
	}
	return false
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// within waits until something holds, at most for a time.
func (r *run) within(ctx context.Context, d time.Duration, holds func() bool) {
	for end := time.Now().Add(d); time.Now().Before(end) && !holds() && ctx.Err() == nil; {
		pause(ctx, 50*time.Millisecond)
	}
}

// sender sends events one after the other, slow milliseconds apart at most, each of them once more a little later. One that
// watches waits for each to be shown, a while. What is said beside an event comes around it, all at once and in any order.
func (r *run) sender(ctx context.Context, events []event, rnd *rand.Rand, slow int, watch bool) {
	var beside sync.WaitGroup
	for i, e := range events {
		for _, body := range e.beside {
			delay, again := rnd.IntN([]int{200, 5000}[rnd.IntN(2)]), rnd.IntN(1000)
			beside.Go(func() {
				pause(ctx, time.Duration(delay)*time.Millisecond)
				r.first(ctx, body)
				pause(ctx, time.Duration(again)*time.Millisecond)
				r.again(ctx, body)
			})
		}
		if len(e.beside) > 0 {
			pause(ctx, time.Duration(rnd.IntN(200))*time.Millisecond) // some of it comes before the call itself
		}
		r.first(ctx, e.body)
		if watch && len(e.channels) > 0 {
			// Its message is to stand alone, if it can, before more is told of it.
			r.within(ctx, 4*time.Second, func() bool { return slices.Contains(r.shown(e.channels[0]), e.token) })
		}
		if back := rnd.IntN(8); back <= i {
			r.again(ctx, events[i-back].body)
		}
		pause(ctx, time.Duration(rnd.IntN(slow))*time.Millisecond)
	}
	beside.Wait()
	for _, e := range events { // and whatever was left out once more
		r.again(ctx, e.body)
	}
}

// first sends what was not answered yet.
func (r *run) first(ctx context.Context, body string) {
	if r.send(ctx, body) {
		r.duplicates.Add(1) // the answer before was lost with the process
	}
	r.accepted.Add(1)
}

// again sends what was answered before.
func (r *run) again(ctx context.Context, body string) {
	if !r.send(ctx, body) && ctx.Err() == nil {
		r.t.Errorf("%s was answered as new though it was answered before", body)
	}
}

// settle runs the bot until it has joined its channels: a crash loop is no faster at that than one process.
func (r *run) settle(channels int) {
	b := process.Run(r.t, r.env)
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	if _, err := r.slack.WaitCalls(ctx, "conversations.join", channels); err != nil {
		r.t.Fatalf("the channels were not joined: %v\n%s", err, b.Log())
	}
	b.Kill()
}

// killer ends and starts the bot until ctx ends, and leaves one running.
func (r *run) killer(ctx context.Context) {
	for ctx.Err() == nil {
		b := process.Run(r.t, r.env)
		r.bot.Store(b)
		if r.intN(5) > 0 && !b.Ready() {
			r.t.Errorf("the program ended by itself:\n%s", b.Log())
			return
		}
		life := 200 + r.intN(1800)
		if r.intN(4) == 0 {
			life += 6000 // what is in doubt after a kill is known after five seconds
		}
		pause(ctx, time.Duration(life)*time.Millisecond)
		if ctx.Err() != nil {
			return
		}
		b.Kill()
		r.kills.Add(1)
	}
}

func TestTorture(t *testing.T) {
	seed := uint64(number(t, "TORTURE_SEED", int(time.Now().UnixNano()%1e9)))
	total := number(t, "TORTURE_EVENTS", 800)
	t.Logf("seed %d: TORTURE_SEED=%d TORTURE_EVENTS=%d go test ./tests/torture -run Torture", seed, seed, total)

	var users []fakeslack.User
	for _, p := range people {
		if p.id != "" {
			users = append(users, fakeslack.User{ID: p.id, Email: p.email})
		}
	}
	r := &run{t: t, slack: fakeslack.New(fakeslack.Options{Token: process.Token, Users: users, ShortPages: 100}),
		rand: rand.New(rand.NewPCG(seed, 0)), faults: map[fakeslack.FaultKind]int{}}
	rooms := append(allChannels(), ops)
	for _, name := range rooms {
		r.slack.AddChannel(fakeslack.Channel{Name: name})
		r.slack.Others(name, fakeslack.OddMessages()...)
	}
	r.poisoned.Store(true)
	server := httptest.NewServer(r.front(r.slack.API()))
	t.Cleanup(server.Close)
	url := server.URL + "/api/"
	dir := t.TempDir()
	file := filepath.Join(dir, "rules.yaml")
	if err := os.WriteFile(file, []byte(rulesText()), 0o600); err != nil {
		t.Fatal(err)
	}
	r.env = process.Environ(url, file, filepath.Join(dir, "test.db"))
	r.settle(len(rooms))
	r.slack.Chaos(r.chaos)

	all := make([][]event, senders+tellers)
	for s := range all {
		rnd := rand.New(rand.NewPCG(seed, uint64(s)+1))
		if teller := s - senders; teller >= 0 {
			for n := range max(total/40, 8) {
				all[s] = append(all[s], makeStory(rnd, teller, n)...)
			}
			continue
		}
		for n := range total / senders {
			all[s] = append(all[s], makeEvent(rnd, s, n))
		}
	}
	busy, rest := context.WithCancel(t.Context())
	defer rest()
	var sending, world sync.WaitGroup
	world.Go(func() { r.killer(busy) })
	world.Go(func() { r.crowd(busy, rooms) })
	world.Go(func() { r.janitor(busy) })
	for s, events := range all {
		rnd := rand.New(rand.NewPCG(seed, uint64(s)+100))
		slow, watch := 600, s >= senders
		if watch {
			slow = 1000
		}
		sending.Go(func() { r.sender(t.Context(), events, rnd, slow, watch) })
	}
	sending.Wait()
	rest()
	world.Wait()
	r.slack.Chaos(nil)
	calm := time.Now()
	b := r.bot.Load()
	r.drain(func() int { return r.missing(all) })
	took := time.Since(calm)
	r.drain(func() int { return len(r.stale(all)) })
	refused := r.failed(all)
	lost, twice, disorder := r.check(all)
	r.checkMessages(all)
	r.checkNotes(all)
	r.poisoned.Store(false)
	r.replay(all)
	if status, err := b.Stop(10 * time.Second); status != 0 || err != nil {
		t.Errorf("stopped with %d, %v", status, err)
	}
	if n := r.slack.RateLimited(); n > 0 {
		over := map[string]int{}
		for _, c := range r.slack.Calls("") {
			if c.Status == http.StatusTooManyRequests && c.Fault == "" {
				over[c.Method]++
			}
		}
		t.Errorf("%d calls were over Slack's pace: %v", n, over)
	}
	t.Logf("seed %d: %d events answered, %d kills, faults %v, %d messages by others, %d tries that were not answered, %d answered again after a kill; lost %d, twice %d, out of order %d, over pace %d; %d refused and replayed; %s from the last fault to the last event",
		seed, r.accepted.Load(), r.kills.Load(), r.faults, r.others.Load(), r.retries.Load(), r.duplicates.Load(), lost, twice, disorder, r.slack.RateLimited(), refused, took.Round(time.Millisecond))
	if t.Failed() || os.Getenv("TORTURE_KEEP") != "" {
		keep := filepath.Join(os.TempDir(), fmt.Sprintf("torture-%d.log", seed))
		if err := os.WriteFile(keep, []byte(b.Log()), 0o600); err == nil {
			t.Logf("the last process's log: %s", keep)
		}
	}
}
