package notify

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// wire notes what happened to one request below slack-go.
type wire struct {
	written    atomic.Bool // all of it was handed to the connection
	status     int         // 0: no answer
	retryAfter string
}

type wireKey struct{}

// watch returns a context whose one request is noted in the wire.
func watch(ctx context.Context) (context.Context, *wire) {
	w := &wire{}
	return context.WithValue(ctx, wireKey{}, w), w
}

// watcher is the transport of the client for Slack: it notes what happens on the wire, and bounds answers.
type watcher struct{ next http.RoundTripper }

func (t watcher) RoundTrip(req *http.Request) (*http.Response, error) {
	w, watched := req.Context().Value(wireKey{}).(*wire)
	if watched {
		trace := &httptrace.ClientTrace{WroteRequest: func(info httptrace.WroteRequestInfo) {
			// After an error the server can't have had all of it.
			w.written.Store(info.Err == nil)
		}}
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if watched {
		w.status, w.retryAfter = resp.StatusCode, resp.Header.Get("Retry-After")
	}
	resp.Body = bounded{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	return resp, nil
}

// maxAnswer bounds how much of an answer is read. A page of 999 messages of history is the largest.
const maxAnswer = 32 << 20

type bounded struct {
	io.Reader
	io.Closer
}

// HTTPClient is the client that Slack is called with: it follows no redirect (one could carry the token elsewhere)
// and has a time-out. One connection a busy channel is kept.
func HTTPClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32
	transport.ResponseHeaderTimeout = 25 * time.Second
	return &http.Client{
		Transport:     watcher{transport},
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
