// Package direct hands HTTP requests to a handler in the same process, for tests inside a bubble of synctest.
package direct

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"sync"
	"time"
)

// Transport is a transport that hands requests to a handler in this process, without a socket: inside a bubble of
// synctest a goroutine that waits for a socket would hold up the clock. It tells a request's trace what a real one does.
type Transport struct {
	API http.Handler

	Going sync.WaitGroup // what Slack does

	mu      sync.Mutex
	refused bool // no connection comes about
	called  []time.Time
}

// Refuse has no connection come about, or come about again.
func (d *Transport) Refuse(yes bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused = yes
}

var errRefused = errors.New("connection refused")

// RoundTrip implements http.RoundTripper.
func (d *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
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
	d.Going.Go(func() { answers <- d.answer(req, body) }) // Slack goes on when its client has gone
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
func (d *Transport) answer(req *http.Request, body []byte) *http.Response {
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
		d.API.ServeHTTP(w, r)
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

// Tries are when Slack was called, whether it answered or not.
func (d *Transport) Tries(since time.Time) []time.Duration {
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
