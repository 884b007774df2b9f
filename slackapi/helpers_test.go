package slackapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"allo-slack/fakeslack"
)

const testToken = "xoxb-17-of-the-tests"

// bubble runs a test inside a bubble of its own, beside others: there time passes when all wait for it.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

func bubbleIn(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { bubble(t, f) })
}

// pass lets time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// journal keeps what was logged.
type journal struct {
	mu  sync.Mutex
	all strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.all.Write(p)
}

// times is how often a text was logged.
func (j *journal) times(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.all.String(), text)
}

// What is logged when an outage begins and ends.
const (
	logAway = "slack is away"
	logBack = "slack is back"
)

// rig is a client, and a Slack in this process. It is made inside a bubble.
type rig struct {
	*Client
	slack *fakeslack.Server
	wire  *direct
	log   *journal
}

// newRig has a Slack with the public channel #a, whose id is C0A, and more as the options have it.
func newRig(t *testing.T, options fakeslack.Options) *rig {
	t.Helper()
	return newRigWith(t, options, Config{})
}

func newRigWith(t *testing.T, options fakeslack.Options, config Config) *rig {
	t.Helper()
	options.Token = testToken
	options.Channels = append(options.Channels, fakeslack.Channel{ID: "C0A", Name: "a", BotIsMember: true})
	r := &rig{slack: fakeslack.New(options), log: &journal{}}
	r.wire = &direct{api: r.slack.API()}
	config.Token, config.URL = testToken, "http://slack.test/api/"
	config.HTTP = HTTPClient()
	config.HTTP.Transport = Transport(r.wire)
	config.Log = slog.New(slog.NewTextHandler(r.log, nil))
	r.Client = New(config)
	t.Cleanup(r.wire.going.Wait)
	return r
}

// direct is a transport that hands requests to a handler in this process, without a socket: inside a bubble of
// synctest a goroutine that waits for a socket would hold up the clock. It tells a request's trace what a real one does.
type direct struct {
	api http.Handler

	going sync.WaitGroup // what Slack does

	mu      sync.Mutex
	refused bool // no connection comes about
	called  []time.Time
}

func (d *direct) refuse(yes bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused = yes
}

var errRefused = errors.New("connection refused")

func (d *direct) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	refused := d.refused
	d.called = append(d.called, time.Now())
	d.mu.Unlock()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if refused {
		return nil, errRefused
	}
	if trace := httptrace.ContextClientTrace(ctx); trace != nil && trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{})
	}
	answers := make(chan *http.Response, 1)
	d.going.Go(func() { answers <- d.answer(req, body) }) // Slack goes on when its client has gone
	select {
	case resp := <-answers:
		if resp == nil {
			return nil, io.ErrUnexpectedEOF
		}
		return resp, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answer is the handler's; nil if it cut the connection before it said anything.
func (d *direct) answer(req *http.Request, body []byte) *http.Response {
	w := httptest.NewRecorder()
	r := req.Clone(context.Background())
	r.Body = io.NopCloser(bytes.NewReader(body))
	cut := func() (cut bool) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				cut = true
			default:
				panic(p)
			}
		}()
		d.api.ServeHTTP(w, r)
		return false
	}()
	if cut && w.Body.Len() == 0 {
		return nil
	}
	resp := w.Result()
	if cut {
		resp.Body = io.NopCloser(io.MultiReader(w.Body, broken{}))
	}
	return resp
}

// broken is the rest of an answer whose connection broke.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// tries are when Slack was called, whether it answered or not.
func (d *direct) tries(since time.Time) []time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []time.Duration
	for _, at := range d.called {
		if !at.Before(since) {
			list = append(list, at.Sub(since))
		}
	}
	return list
}

// goesAway has the client find out that Slack is away: calls weren't answered, auth.test among them.
func (r *rig) goesAway() {
	r.breaker.silent = true
	for range awayAfter {
		r.report(context.Background(), turn{}, lost)
	}
}

// noAuthTest has something else answer auth.test, so that what a caller wants is the try for all.
func (r *rig) noAuthTest() {
	r.slack.Fault(fakeslack.Fault{Method: "auth.test", Kind: fakeslack.Status, Status: 404, Count: -1})
}
