package webhook_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"allo-slack/allo"
	"allo-slack/webhook"
)

const (
	secret  = "k3yThatAlloHasInItsURL1"
	retired = "k3yThatAlloHadBeforeIt2"
	wrong   = "n0tAKeyOfOursAtAll00000"
	// text is an event full of what must stay out of logs.
	text = `{"topic":"SMS_RECEIVED","data":{"id":"sms_abc123","direction":"INBOUND","content":"The blue folder, please.",` +
		`"from_number":"+14155550199","from_name":"Rosalind Doe","to_number":"+14155550100"}}`
)

// private is what no line of the log may hold: secrets, where they stand, and the words of text.
var private = []string{secret, retired, wrong, "/webhook/", "blue folder", "4155550199", "Rosalind", "sms_abc123"}

// taker is an Acceptor.
type taker func(ctx context.Context, e *allo.Event) (duplicate bool, err error)

func (take taker) Accept(ctx context.Context, e *allo.Event) (bool, error) { return take(ctx, e) }

// takes is an Acceptor that has room for everything.
func takes(context.Context, *allo.Event) (bool, error) { return false, nil }

// logged is what was logged.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// mount is a Handler where it belongs. When the test ends nothing private may have been logged.
func mount(t *testing.T, c webhook.Config) (http.Handler, *logged) {
	t.Helper()
	log := &logged{}
	c.Log = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if c.Secrets == nil {
		c.Secrets = []string{secret}
	}
	if c.Acceptor == nil {
		c.Acceptor = taker(takes)
	}
	h, err := webhook.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		for _, word := range private {
			if strings.Contains(log.String(), word) {
				t.Errorf("got %q in the log, want it kept out:\n%s", word, log)
			}
		}
	})
	mux := http.NewServeMux()
	mux.Handle(webhook.Pattern, h)
	return mux, log
}

// serve is a server of its own for a Handler, and the address of its webhook but for the secret.
func serve(t *testing.T, c webhook.Config) (url string, log *logged) {
	t.Helper()
	h, log := mount(t, c)
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.NewJSONHandler(log, nil), slog.LevelWarn)
	s.Start()
	t.Cleanup(s.Close)
	return s.URL + "/webhook/", log
}

// post is a request without a network.
func post(t *testing.T, secret, body string) *http.Request {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhook/"+secret, strings.NewReader(body))
}

// ask answers a request without a network.
func ask(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// send makes a request to a server.
func send(t *testing.T, method, url string, header http.Header, body io.Reader) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

func wantStatus(t *testing.T, r *http.Response, status int) {
	t.Helper()
	if r.StatusCode != status {
		t.Errorf("got %s, want %d", r.Status, status)
	}
}

// wantAnswer fails the test unless the answer is this, to the byte.
func wantAnswer(t *testing.T, r *http.Response, status int, body string) {
	t.Helper()
	wantStatus(t, r, status)
	got, err := io.ReadAll(r.Body)
	if err != nil || string(got) != body {
		t.Errorf("got %q (%v), want %q", got, err, body)
	}
	if kind := r.Header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("got Content-Type %q, want application/json", kind)
	}
	if cache := r.Header.Get("Cache-Control"); cache != "no-store" {
		t.Errorf("got Cache-Control %q, want no-store", cache)
	}
}
