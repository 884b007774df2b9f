package notify

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"allo-slack/allo"
	"allo-slack/fakeslack"
	"allo-slack/outbox"
	"allo-slack/rules"
	"allo-slack/slackapi"
	"allo-slack/tests/direct"
)

// What the tests' events say, and what no log may hold.
const (
	testToken    = "xoxb-17-of-the-tests"
	customerName = "Zebulon Quagmire"
	customerNo   = "+14155550123"
	ourNo        = "+33612345678"
)

// bubble runs a test inside a bubble of its own, beside others: there time passes when all wait for it.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

// toSupport sends everything to #support.
const toSupport = `rules: [{name: all, match: {}, channel: "#support"}]`

// byTag sends a call to the channel that its tag names.
const byTag = `rules:
  - {name: a, match: {tag: a}, channel: "#a"}
  - {name: b, match: {tag: b}, channel: "#b"}
  - {name: c, match: {tag: c}, channel: "#c"}`

// always is a Limiter that lets everything through: the pace is the pacer's own.
type always struct{}

func (always) Take(context.Context, string) (bool, time.Time, error) { return true, time.Time{}, nil }

// journal keeps what was logged.
type journal struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.all.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.all.String()
}

// tail is the last lines.
func (j *journal) tail(lines int) string {
	all := strings.SplitAfter(j.String(), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "")
}

// rig is a bot with a store of its own and a Slack in this process. It is made inside a bubble.
type rig struct {
	t      *testing.T
	slack  *fakeslack.Server
	wire   *direct.Transport // the last of wires
	rules  string
	path   string // of the store
	log    *journal
	silent time.Duration       // Config.Silence
	api    http.Handler        // Slack, or what a test puts before it
	wires  []*direct.Transport // one of each start

	callLink func(event int64, rule string, received time.Time) string // Config.CallLink

	store   *outbox.Store
	bot     *Notifier
	metrics *prometheus.Registry
	stop    func() // ends Run and closes the store
}

// newRig has a Slack with public channels of the given names, and a bot that isn't started.
func newRig(t *testing.T, rulesText string, channels ...string) *rig {
	t.Helper()
	options := fakeslack.Options{Token: testToken}
	for _, name := range channels {
		options.Channels = append(options.Channels, fakeslack.Channel{Name: name})
	}
	return newRigWith(t, rulesText, options)
}

func newRigWith(t *testing.T, rulesText string, options fakeslack.Options) *rig {
	t.Helper()
	r := &rig{t: t, slack: fakeslack.New(options), rules: rulesText, path: filepath.Join(t.TempDir(), "test.db"), log: &journal{}}
	r.api = r.slack.API()
	for _, c := range options.Channels[:min(len(options.Channels), 3)] {
		for _, odd := range fakeslack.OddMessages() { // a bot is not alone
			if len(odd) < 10_000 {
				r.slack.Others(c.Name, odd)
			}
		}
	}
	t.Cleanup(func() {
		if r.stop != nil {
			r.stop()
		}
		r.discreet()
		if t.Failed() {
			t.Log("the log ended with\n" + r.log.tail(40))
		}
		for _, wire := range r.wires {
			wire.Going.Wait()
		}
	})
	return r
}

func parseRules(t *testing.T, text string) *rules.File {
	t.Helper()
	f, err := rules.Parse("rules.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// open opens the store and makes a bot that doesn't run yet.
func (r *rig) open() {
	r.t.Helper()
	var err error
	if r.store, err = outbox.Open(r.t.Context(), "sqlite:"+r.path); err != nil {
		r.t.Fatal(err)
	}
	store := r.store
	r.stop = func() {
		r.stop = nil
		if err := store.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) { // a test may have closed it
			r.t.Errorf("closing the store: %v", err)
		}
	}
	r.metrics = prometheus.NewRegistry()
	r.metrics.MustRegister(NewQueueMetrics(store))
	r.wire = &direct.Transport{API: r.api}
	r.wires = append(r.wires, r.wire)
	client := slackapi.HTTPClient()
	client.Transport = slackapi.Transport(r.wire)
	if r.bot, err = New(r.t.Context(), Config{
		Store: store, Rules: parseRules(r.t, r.rules), Token: testToken, SlackURL: "http://slack.test/api/", HTTP: client, Limiter: always{}, Silence: r.silent, CallLink: r.callLink,
		Metrics: NewMetrics(r.metrics), Log: slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}); err != nil {
		r.t.Fatal(err)
	}
}

// start opens the store and runs the bot, until it has looked at its channels.
func (r *rig) start() *rig {
	r.t.Helper()
	r.open()
	r.run()
	synctest.Wait()
	return r
}

// run runs the bot that was opened, until stop.
func (r *rig) run() {
	r.t.Helper()
	closeStore := r.stop
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	done := make(chan error, 1)
	go func() { done <- r.bot.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("Run: %v", err)
		}
		closeStore()
	}
}

// crash ends the bot as kill -9 would: what is on disk at this moment is all that a new one finds. Nothing of the old one
// reaches Slack from now on.
func (r *rig) crash() {
	r.t.Helper()
	synctest.Wait()
	dir := r.t.TempDir()
	for _, end := range []string{"", "-wal"} {
		data, err := os.ReadFile(r.path + end)
		if err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "test.db"+end), data, 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	r.wire.Refuse(true)
	r.stop()
	r.path = filepath.Join(dir, "test.db")
}

// aCall is an answered call that can be told from others by its number.
func aCall(n int, tag string) string {
	return fmt.Sprintf(`{"topic":"CALL_RECEIVED","data":{"id":"call-%d","start_date":"2000-01-01T00:00:00Z","type":"INBOUND","result":"ANSWERED",
		"length_in_minutes":2,"from_number":%q,"from_name":%q,"to":%q,"tag":%q,"one_sentence_summary":"case %d"}}`,
		n, customerNo, customerName, ourNo, tag, n)
}

// accept hands an envelope to the bot, as the webhook does.
func (r *rig) accept(body string) (duplicate bool) {
	r.t.Helper()
	e := r.event(body)
	duplicate, err := r.bot.Accept(r.t.Context(), &e)
	if err != nil {
		r.t.Errorf("Accept: %v", err)
	}
	return duplicate
}

// event reads an envelope.
func (r *rig) event(body string) allo.Event {
	r.t.Helper()
	e, err := allo.Parse([]byte(body))
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

// calls accepts the calls from..to for a tag's channel.
func (r *rig) calls(tag string, from, to int) {
	r.t.Helper()
	for n := from; n <= to; n++ {
		r.accept(aCall(n, tag))
	}
}

var caseNo = regexp.MustCompile(`case (\d+)`)

// casesOf are the calls that a post shows, in order.
func casesOf(p fakeslack.Post) []int {
	var list []int
	for _, m := range caseNo.FindAllStringSubmatch(string(p.Blocks)+p.Text, -1) {
		if n, _ := strconv.Atoi(m[1]); !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	return list
}

// cases are the calls that a channel shows, in order, each as often as it stands there.
func (r *rig) cases(channel string) []int {
	var list []int
	for _, p := range r.slack.Posts(channel) {
		list = append(list, casesOf(p)...)
	}
	return list
}

// wantCases waits until a channel shows as many calls as were in from..to, and fails unless it shows those, in order, once
// each.
func (r *rig) wantCases(channel string, from, to int, within time.Duration) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), within)
	defer cancel()
	for len(r.cases(channel)) < to-from+1 {
		if _, err := r.slack.WaitPosts(ctx, channel, len(r.slack.Posts(channel))+1); err != nil {
			break
		}
	}
	synctest.Wait()
	r.exactly(channel, from, to)
}

// exactly fails unless a channel shows the calls from..to, in order, once each.
func (r *rig) exactly(channel string, from, to int) {
	r.t.Helper()
	var want []int
	for n := from; n <= to; n++ {
		want = append(want, n)
	}
	if got := r.cases(channel); !slices.Equal(got, want) {
		r.t.Errorf("#%s shows %v, want %d to %d", channel, got, from, to)
	}
}

// id is a channel's in Slack.
func (r *rig) id(name string) string { return r.slack.AddChannel(fakeslack.Channel{Name: name}).ID }

// polite fails if Slack had to ask for patience by itself.
func (r *rig) polite() {
	r.t.Helper()
	if n, m := r.slack.RateLimited(), r.slack.Impatient(); n != 0 || m != 0 {
		r.t.Errorf("%d calls were over the pace and %d came during a Retry-After, want none", n, m)
	}
}

// pass lets time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// count is what a counter or gauge stands at, of all its labels or of one label's value.
func (r *rig) count(name, label string) float64 {
	r.t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			if label == "" || len(m.GetLabel()) > 0 && m.GetLabel()[0].GetValue() == label {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// discreet fails if the log holds what no log may hold.
func (r *rig) discreet() {
	r.t.Helper()
	log := r.log.String()
	for what, words := range map[string]string{
		"the token": testToken, "a name": "Quagmire", "a message's text": "case ", "a customer's number": customerNo[3:], "our number": ourNo[4:],
	} {
		if at := strings.Index(log, words); at >= 0 {
			r.t.Errorf("the log holds %s: …%s…", what, log[max(0, at-200):min(len(log), at+100)])
		}
	}
}

// before has a function answer calls before Slack does: it reports whether it did.
func (r *rig) before(answer func(method string, form url.Values, w http.ResponseWriter) bool) {
	slack := r.slack.API()
	r.api = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		req.Body = io.NopCloser(strings.NewReader(string(body)))
		form, _ := url.ParseQuery(string(body))
		method := req.URL.Path[strings.LastIndexByte(req.URL.Path, '/')+1:]
		if !answer(method, form, w) {
			slack.ServeHTTP(w, req)
		}
	})
}

// failed lists what needs a person.
func (r *rig) failed() []outbox.Failed {
	r.t.Helper()
	list, err := r.store.Failed(r.t.Context(), time.Now().Add(-10*time.Minute), 100)
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

func bubbleIn(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { bubble(t, f) })
}

// replay has deliveries sent again by hand, and returns once that is carried out.
func replay(ctx context.Context, s *outbox.Store, sel outbox.Selection, now time.Time) (outbox.Replayed, error) {
	request, err := s.Request(ctx, sel, now)
	if err != nil {
		return outbox.Replayed{}, err
	}
	return s.CarryOut(ctx, request, now)
}
