package webhook_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"allo-slack/allo"
	"allo-slack/webhook"
)

// One event that the bot can't work with is answered, and those beside and after it are taken.
func TestAPanicIsAnswered(t *testing.T) {
	tests := []struct {
		name  string
		panic func(e *allo.Event)
		logAs string
	}{
		{"a mistake that the runtime finds", func(e *allo.Event) { _ = e.ID[len(e.ID):][0] }, "index out of range [0] with length 0"},
		{"nothing where something is needed", func(*allo.Event) { var e *allo.Event; e.ID = "" }, "nil pointer dereference"},
		{"an error that holds what its sender wrote", func(e *allo.Event) { panic(errors.New(e.ID + " Rosalind")) }, "*errors.errorString"},
		{"a text that holds what its sender wrote", func(*allo.Event) { panic("the blue folder") }, `"panic":"string"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url, log := serve(t, webhook.Config{Acceptor: taker(func(_ context.Context, e *allo.Event) (bool, error) {
				if e.ID == "sms_abc123" {
					tt.panic(e)
				}
				return false, nil
			})})
			want503(t, send(t, "POST", url+secret, nil, strings.NewReader(text)))
			for _, want := range []string{`"level":"ERROR"`, "sends it again", tt.logAs, `allo-slack/webhook_test.TestAPanicIsAnswered`, "panic_test.go:", `allo-slack/webhook.(*Handler).ServeHTTP webhook.go:`} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("got log %q, want %q in it", log, want)
				}
			}
			if got := strings.Count(log.String(), "\n"); got != 1 {
				t.Errorf("got %d lines of log, want 1:\n%s", got, log)
			}
			wantAnswer(t, send(t, "POST", url+secret, nil, strings.NewReader(strings.Replace(text, "sms_abc123", "sms_abc124", 1))), 200, accepted)
		})
	}
}
