package webhook_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"allo-slack/allo"
	"allo-slack/webhook"
)

const notStored = `{"error":"the event could not be stored; send it again"}`

// want503 fails the test unless Allo is asked to send the event again, in a while.
func want503(t *testing.T, r *http.Response) {
	t.Helper()
	wantAnswer(t, r, http.StatusServiceUnavailable, notStored)
	if got := r.Header.Get("Retry-After"); got != "10" {
		t.Errorf("got Retry-After %q, want 10", got)
	}
}

func TestAStoreThatFails(t *testing.T) {
	tests := []struct {
		name  string
		body  string
		logAs string
	}{
		{"a text", text, `"event_kind":"SMS_RECEIVED"`},
		{"a topic of either generation", `{"topic":"call.completed","data":{}}`, `"event_kind":"CALL_RECEIVED"`},
		{"a topic that holds what its sender wrote", `{"topic":"Rosalind wants the blue folder","data":{}}`, `"event_kind":"unknown"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, log := mount(t, webhook.Config{Acceptor: taker(func(context.Context, *allo.Event) (bool, error) {
				return true, errors.New("the disk is full")
			})})
			want503(t, ask(h, post(t, secret, tt.body)))
			for _, want := range []string{`"level":"ERROR"`, "the disk is full", tt.logAs} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("got log %q, want %q in it", log, want)
				}
			}
		})
	}
}

func TestAStoreThatTakesTooLong(t *testing.T) {
	tests := []struct {
		name  string
		takes time.Duration
		after time.Duration
		fails bool
	}{
		{"just in time", 10*time.Second - 1, 10*time.Second - 1, false},
		{"too long", 11 * time.Second, 10 * time.Second, true},
		{"for ever", time.Hour, 10 * time.Second, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, log := mount(t, webhook.Config{Acceptor: taker(func(ctx context.Context, _ *allo.Event) (bool, error) {
					select {
					case <-time.After(tt.takes):
						return false, nil
					case <-ctx.Done():
						return false, context.Cause(ctx)
					}
				})})
				start := time.Now()
				r := ask(h, post(t, secret, text))
				if took := time.Since(start); took != tt.after {
					t.Errorf("got an answer after %v, want it after %v", took, tt.after)
				}
				if !tt.fails {
					wantAnswer(t, r, 200, accepted)
					return
				}
				want503(t, r)
				if want := `"duration":"10s"`; !strings.Contains(log.String(), want) {
					t.Errorf("got log %q, want %s in it", log, want)
				}
			})
		})
	}
}

// Whoever sent an event whole may hang up: it is stored all the same, or a repeat of it would be the first that counts.
func TestHangingUpDoesNotStopTheStore(t *testing.T) {
	type key struct{}
	for _, when := range []string{"before it is stored", "while it is stored"} {
		t.Run(when, func(t *testing.T) {
			ctx, hangUp := context.WithCancel(context.WithValue(t.Context(), key{}, "kept"))
			defer hangUp()
			stored := false
			h, _ := mount(t, webhook.Config{Acceptor: taker(func(ctx context.Context, _ *allo.Event) (bool, error) {
				hangUp()
				if err := ctx.Err(); err != nil {
					t.Errorf("got %v, want the store to go on", err)
				}
				if ctx.Value(key{}) != "kept" {
					t.Error("got a context without the request's values")
				}
				if _, limited := ctx.Deadline(); !limited {
					t.Error("got a store that may take for ever")
				}
				stored = true
				return false, nil
			})})
			if when == "before it is stored" {
				hangUp()
			}
			wantAnswer(t, ask(h, post(t, secret, text).WithContext(ctx)), 200, accepted)
			if !stored {
				t.Error("got nothing stored")
			}
		})
	}
}
