package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"allo-slack/allo"
	"allo-slack/webhook"
)

const (
	key = "0123456789abcdefghijklmn"
	// second is an event of the second generation; text is one of the first.
	second = `{"topic":"sms.received","version":"2.0","timestamp":"2024-01-15T10:30:00Z","data":{"id":"sms_abc123","content":"The blue folder, please."}}`
)

// sign makes the headers of Standard Webhooks.
func sign(key, body string, sent time.Time) http.Header {
	stamp := strconv.FormatInt(sent.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "msg_1.%s.%s", stamp, body)
	header := http.Header{}
	header.Set("webhook-id", "msg_1")
	header.Set("webhook-timestamp", stamp)
	header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return header
}

func verifier(t *testing.T) *allo.Verifier {
	t.Helper()
	v, err := allo.NewVerifier("whsec_" + base64.StdEncoding.EncodeToString([]byte(key)))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSignatures(t *testing.T) {
	now := time.Now()
	half := sign(key, text, now)
	half.Del("webhook-signature")
	const unchecked, checked, required = "unchecked", "checked", "required"
	tests := []struct {
		name     string
		how      string
		body     string
		header   http.Header
		status   int
		delivery string
	}{
		{"first generation, nothing is checked", unchecked, text, nil, 200, ""},
		{"second generation, nothing is checked", unchecked, second, nil, 200, ""},
		{"a wrong signature, nothing is checked", unchecked, second, sign("another", second, now), 200, ""},
		{"first generation has none", checked, text, nil, 200, ""},
		{"second generation, signed", checked, second, sign(key, second, now), 200, "msg_1"},
		{"second generation, not signed", checked, second, nil, 401, ""},
		{"second generation by its version alone", checked, `{"topic":"SMS_RECEIVED","version":2,"data":{}}`, nil, 401, ""},
		{"second generation by its topic alone", checked, `{"topic":"sms.received","data":{}}`, nil, 401, ""},
		{"second generation, signed by another", checked, second, sign("another", second, now), 401, ""},
		{"second generation, signed long ago", checked, second, sign(key, second, now.Add(-6*time.Minute)), 401, ""},
		{"second generation, changed on its way", checked, second + " ", sign(key, second, now), 401, ""},
		{"first generation, signed by another", checked, text, sign("another", text, now), 401, ""},
		{"first generation, half signed", checked, text, half, 401, ""},
		{"first generation, signed", checked, text, sign(key, text, now), 200, "msg_1"},
		{"first generation, when all must be signed", required, text, nil, 401, ""},
		{"second generation, when all must be signed", required, second, sign(key, second, now), 200, "msg_1"},
		{"a ping, when all must be signed", required, `{"topic":"PING"}`, nil, 401, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stored := false
			c := webhook.Config{RequireSigned: tt.how == required, Acceptor: taker(func(_ context.Context, e *allo.Event) (bool, error) {
				if e.Delivery != tt.delivery {
					t.Errorf("got delivery %q, want %q", e.Delivery, tt.delivery)
				}
				stored = true
				return false, nil
			})}
			if tt.how != unchecked {
				c.Verifier = verifier(t)
			}
			h, log := mount(t, c)
			r := post(t, secret, tt.body)
			for name, values := range tt.header {
				r.Header[name] = values
			}
			if tt.status == 200 {
				wantAnswer(t, ask(h, r), 200, accepted)
			} else {
				wantAnswer(t, ask(h, r), 401, `{"error":"the signature is missing or wrong"}`)
				if !strings.Contains(log.String(), "webhook refused: signature") {
					t.Errorf("got log %q, want the reason in it", log)
				}
			}
			if stored != (tt.status == 200) {
				t.Errorf("got stored %v, want %v", stored, tt.status == 200)
			}
			if signature := tt.header.Get("webhook-signature"); signature != "" && strings.Contains(log.String(), signature[3:]) {
				t.Errorf("got the signature in the log, want it kept out:\n%s", log)
			}
		})
	}
}

func TestSignaturesCantBeRequiredWithoutAKey(t *testing.T) {
	if h, err := webhook.New(webhook.Config{Secrets: []string{secret}, RequireSigned: true}); err == nil {
		h.Close()
		t.Error("got a handler, want an error")
	}
}
