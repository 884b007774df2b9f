package slackapi

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// wire notes what happened to one request below slack-go.
type wire struct {
	written    atomic.Bool // all of it was handed to the connection
	status     int         // 0: no answer
	retryAfter string
	date       string // what the other side's clock said
	cut        bool   // the connection broke within the answer
	most       int    // the answer may be so long
	long       bool   // it was longer
	answer     answer // what it says; nil if that can't be read
}

type wireKey struct{}

// watch returns a context whose one request is noted in the wire. Its answer may be as long as most.
func watch(ctx context.Context, most int) (context.Context, *wire) {
	w := &wire{most: most}
	return context.WithValue(ctx, wireKey{}, w), w
}

const (
	// smallAnswer bounds an answer: the longest holds one of our messages.
	smallAnswer = 256 << 10
	// maxAnswer bounds a page of a list or a history. One with 999 messages may be longer: then shorter pages are asked
	// for. Of those that are longer than usualPage few are read at a time, and not for longer than largeTime, so that
	// answers without an end in many channels don't fill the memory.
	maxAnswer   = 8 << 20
	usualPage   = 1 << 20
	largeAtOnce = 2
	largeTime   = 5 * time.Second
)

// watcher is the transport of the client for Slack. It notes what happens on the wire, and reads answers to their end:
// slack-go takes an answer of {} for a success.
type watcher struct {
	next  http.RoundTripper
	large chan struct{} // held by who reads a long answer
}

// Transport is what a Client's calls go through on top of the next transport.
func Transport(next http.RoundTripper) http.RoundTripper {
	return watcher{next, make(chan struct{}, largeAtOnce)}
}

func (t watcher) RoundTrip(req *http.Request) (*http.Response, error) {
	w, watched := req.Context().Value(wireKey{}).(*wire)
	if !watched {
		return t.next.RoundTrip(req)
	}
	trace := &httptrace.ClientTrace{WroteRequest: func(info httptrace.WroteRequestInfo) {
		// After an error the server can't have had all of it.
		w.written.Store(info.Err == nil)
	}}
	resp, err := t.next.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err != nil {
		return nil, err
	}
	w.status, w.retryAfter, w.date = resp.StatusCode, resp.Header.Get("Retry-After"), resp.Header.Get("Date")
	said, done, err := t.read(req.Context(), resp.Body, w.most)
	switch {
	case err != nil:
		w.cut = true
	case len(said) > w.most:
		w.long, said = true, nil
	default:
		w.answer = readAnswer(said)
	}
	resp.Body = &body{Reader: io.MultiReader(bytes.NewReader(said), ending{err}), done: done}
	return resp, nil
}

// read reads an answer of at most most bytes and one, and closes it. done is to be called once it isn't needed any more.
func (t watcher) read(ctx context.Context, from io.ReadCloser, most int) (said []byte, done func(), err error) {
	defer from.Close()
	done = func() {}
	first := min(most, usualPage)
	said, err = io.ReadAll(io.LimitReader(from, int64(first)+1))
	if err != nil || len(said) <= first || most == first {
		return said, done, err
	}
	select {
	case t.large <- struct{}{}:
	case <-ctx.Done():
		return said, done, context.Cause(ctx)
	}
	slow := time.AfterFunc(largeTime, func() { from.Close() })
	defer slow.Stop()
	rest, err := io.ReadAll(io.LimitReader(from, int64(most-first)))
	return append(said, rest...), func() { <-t.large }, err
}

// body is an answer that was read.
type body struct {
	io.Reader
	once sync.Once
	done func()
}

func (b *body) Close() error {
	b.once.Do(b.done)
	return nil
}

// ending ends an answer with the error that broke it, if one did.
type ending struct{ err error }

func (e ending) Read([]byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	return 0, io.EOF
}

// HTTPClient is the client that Slack is called with: it follows no redirect (one could carry the token elsewhere)
// and has a time-out. One connection a busy channel is kept.
func HTTPClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32
	transport.ResponseHeaderTimeout = 25 * time.Second
	return &http.Client{
		Transport:     Transport(transport),
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
