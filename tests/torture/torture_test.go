package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
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

const (
	senders  = 4
	channels = 12
)

// rulesText gives each sender channels of its own, and some events a second one that all share.
func rulesText() string {
	var b strings.Builder
	b.WriteString("rules:\n  - {name: shared, match: {number: \"+33199000000\"}, channel: \"#shared\", continue: true}\n")
	for c := range channels {
		fmt.Fprintf(&b, "  - {name: c%d, match: {number: \"+331980000%02d\"}, channel: \"#c%d\"}\n", c, c, c)
	}
	return b.String()
}

// event is one of a sender's, in the order in which it sends them.
type event struct {
	token    string // found in whatever shows it
	body     string
	channels []string
}

// makeEvent makes the n-th event of a sender.
func makeEvent(r *rand.Rand, sender, n int) event {
	c := sender + senders*r.IntN(channels/senders)
	e := event{token: fmt.Sprintf("case-%d-%05d", sender, n), channels: []string{fmt.Sprintf("c%d", c)}}
	line, theirs := fmt.Sprintf("+331980000%02d", c), fmt.Sprintf("+141555501%02d", r.IntN(100))
	dialled := ""
	if r.IntN(4) == 0 {
		dialled = "+33199000000"
		e.channels = append(e.channels, "shared")
	}
	switch r.IntN(4) {
	case 0:
		if dialled == "" {
			e.body = fmt.Sprintf(`{"topic":"SMS_RECEIVED","data":{"id":%q,"direction":"INBOUND","from_number":%q,"to_number":%q,"content":%q}}`, e.token, theirs, line, e.token)
			break
		}
		fallthrough
	default:
		e.body = fmt.Sprintf(`{"topic":"CALL_RECEIVED","data":{"id":%q,"direction":"INBOUND","result":"ANSWERED","length_in_minutes":1,"from_number":%q,
			"to_number":%q,"original_to_number":%q,"one_sentence_summary":%q}}`, e.token, theirs, line, dialled, e.token)
	}
	return e
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

	kills, accepted, duplicates, retries atomic.Int64
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
	if r.rand.IntN(3) != 0 {
		return nil
	}
	all := []fakeslack.Fault{
		{Kind: fakeslack.CutBefore}, {Kind: fakeslack.Status, Status: 500}, {Kind: fakeslack.Status, Status: 503}, {Kind: fakeslack.Empty},
		{Kind: fakeslack.RateLimit, RetryAfter: time.Second}, {Kind: fakeslack.Slow, Delay: time.Duration(r.rand.IntN(900)) * time.Millisecond},
		{Kind: fakeslack.SlackError, Code: "internal_error"}, {Kind: fakeslack.SlackError, Code: "request_timeout"}, {Kind: fakeslack.Redirect},
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

// sender sends events one after the other, each of them once more a little later.
func (r *run) sender(ctx context.Context, events []event, rnd *rand.Rand) {
	for i, e := range events {
		if r.send(ctx, e.body) {
			r.duplicates.Add(1) // the answer before was lost with the process
		}
		r.accepted.Add(1)
		if back := rnd.IntN(8); back <= i {
			if !r.send(ctx, events[i-back].body) && ctx.Err() == nil {
				r.t.Errorf("%s was answered as new though it was answered before", events[i-back].token)
			}
		}
		pause(ctx, time.Duration(rnd.IntN(100))*time.Millisecond)
	}
	for _, e := range events { // and whatever was left out once more
		if !r.send(ctx, e.body) && ctx.Err() == nil {
			r.t.Errorf("%s was answered as new though it was answered before", e.token)
		}
	}
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
		pause(ctx, time.Duration(100+r.intN(900))*time.Millisecond)
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

	r := &run{t: t, slack: fakeslack.New(fakeslack.Options{Token: process.Token}), rand: rand.New(rand.NewPCG(seed, 0)), faults: map[fakeslack.FaultKind]int{}}
	for c := range channels {
		r.slack.AddChannel(fakeslack.Channel{Name: fmt.Sprintf("c%d", c)})
	}
	r.slack.AddChannel(fakeslack.Channel{Name: "shared"})
	url, stop, err := r.slack.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	dir := t.TempDir()
	file := filepath.Join(dir, "rules.yaml")
	if err := os.WriteFile(file, []byte(rulesText()), 0o600); err != nil {
		t.Fatal(err)
	}
	r.env = process.Environ(url, file, filepath.Join(dir, "test.db"))
	r.slack.Chaos(r.chaos)

	all := make([][]event, senders)
	for s := range all {
		rnd := rand.New(rand.NewPCG(seed, uint64(s)+1))
		for n := range total / senders {
			all[s] = append(all[s], makeEvent(rnd, s, n))
		}
	}
	killing, stopKilling := context.WithCancel(t.Context())
	defer stopKilling()
	var sending, killer sync.WaitGroup
	killer.Go(func() { r.killer(killing) })
	for s, events := range all {
		rnd := rand.New(rand.NewPCG(seed, uint64(s)+100))
		sending.Go(func() { r.sender(t.Context(), events, rnd) })
	}
	sending.Wait()
	stopKilling()
	killer.Wait()
	r.slack.Chaos(nil)
	calm := time.Now()
	b := r.bot.Load()
	shown := r.drain(all)
	took := time.Since(calm)
	if status, err := b.Stop(10 * time.Second); status != 0 || err != nil {
		t.Errorf("stopped with %d, %v", status, err)
	}
	lost, twice, disorder := r.check(all, shown())
	if n := r.slack.RateLimited(); n > 0 {
		over := map[string]int{}
		for _, c := range r.slack.Calls("") {
			if c.Status == http.StatusTooManyRequests && c.Fault == "" {
				over[c.Method]++
			}
		}
		t.Errorf("%d calls were over Slack's pace: %v", n, over)
	}
	t.Logf("seed %d: %d events answered, %d kills, faults %v, %d tries that were not answered, %d answered again after a kill; lost %d, twice %d, out of order %d; %s from the last fault to the last event",
		seed, r.accepted.Load(), r.kills.Load(), r.faults, r.retries.Load(), r.duplicates.Load(), lost, twice, disorder, took.Round(time.Millisecond))
	if t.Failed() {
		keep := filepath.Join(os.TempDir(), fmt.Sprintf("torture-%d.log", seed))
		if err := os.WriteFile(keep, []byte(b.Log()), 0o600); err == nil {
			t.Logf("the last process's log: %s", keep)
		}
	}
}
