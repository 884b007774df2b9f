package webhook_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"allo-slack/allo"
	"allo-slack/webhook"
)

const (
	accepted  = `{"status":"accepted"}`
	duplicate = `{"status":"duplicate"}`
)

func TestAnswers(t *testing.T) {
	tests := []struct {
		name   string
		method string
		secret string
		body   string
		status int
		answer string
		stored bool
	}{
		{"an event", "POST", secret, text, 200, accepted, true},
		{"a ping", "POST", secret, `{"topic":"PING"}`, 200, accepted, true},
		{"an unknown topic", "POST", secret, `{"topic":"VOICEMAIL_LEFT","data":{}}`, 200, accepted, true},
		{"data of unexpected types", "POST", secret, `{"topic":"CALL_RECEIVED","data":{"id":[],"start_date":{},"transcriptions":7}}`, 200, accepted, true},
		{"invalid UTF-8", "POST", secret, "{\"topic\":\"SMS_SENT\",\"data\":{\"content\":\"\xff\"}}", 200, accepted, true},
		{"a wrong secret", "POST", wrong, text, 404, `{"error":"not found"}`, false},
		{"a secret and more", "POST", secret + "x", text, 404, `{"error":"not found"}`, false},
		{"most of a secret", "POST", secret[:22], text, 404, `{"error":"not found"}`, false},
		{"a secret in another case", "POST", strings.ToUpper(secret), text, 404, `{"error":"not found"}`, false},
		{"a wrong secret, to look", "GET", wrong, "", 404, `{"error":"not found"}`, false},
		{"GET", "GET", secret, "", 405, `{"error":"only POST is answered here"}`, false},
		{"HEAD", "HEAD", secret, "", 405, "", false},
		{"PUT", "PUT", secret, text, 405, `{"error":"only POST is answered here"}`, false},
		{"DELETE", "DELETE", secret, "", 405, `{"error":"only POST is answered here"}`, false},
		{"OPTIONS", "OPTIONS", secret, "", 405, `{"error":"only POST is answered here"}`, false},
		{"nothing", "POST", secret, "", 400, `{"error":"the body is empty; an envelope looks like {\"topic\": \"CALL_RECEIVED\", \"data\": {…}}"}`, false},
		{"words", "POST", secret, "The blue folder, please.", 400, `{"error":"not JSON: invalid character 'T' looking for beginning of value"}`, false},
		{"half an event", "POST", secret, text[:len(text)/2], 400, `{"error":"not JSON: it ends in the middle"}`, false},
		{"an event and more", "POST", secret, text + "}", 400, `{"error":"not JSON: there is more after the JSON value"}`, false},
		{"a list", "POST", secret, "[" + text + "]", 400, `{"error":"not an envelope: an object with topic and data is needed, this is a list"}`, false},
		{"no topic", "POST", secret, `{"data":{"from_name":"Rosalind Doe"}}`, 400, `{"error":"not an envelope: topic must be a string that is not empty"}`, false},
		{"no data", "POST", secret, `{"topic":"SMS_SENT"}`, 400, `{"error":"not an envelope: data must be an object, this is null or missing"}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stored atomic.Int32
			url, log := serve(t, webhook.Config{Acceptor: taker(func(_ context.Context, e *allo.Event) (bool, error) {
				if want, err := allo.Parse([]byte(tt.body)); err != nil || !cmp.Equal(want, *e) {
					t.Errorf("got an event that differs from what was sent:\n%s", cmp.Diff(want, *e))
				}
				stored.Add(1)
				return false, nil
			})})
			r := send(t, tt.method, url+tt.secret, nil, strings.NewReader(tt.body))
			wantAnswer(t, r, tt.status, tt.answer)
			if got := stored.Load() == 1; got != tt.stored {
				t.Errorf("got stored %v, want %v", got, tt.stored)
			}
			allow := ""
			if tt.status == http.StatusMethodNotAllowed {
				allow = "POST"
			}
			if got := r.Header.Get("Allow"); got != allow {
				t.Errorf("got Allow %q, want %q", got, allow)
			}
			if refused := tt.status == 400 || tt.status == 404; refused != strings.Contains(log.String(), "webhook refused") {
				t.Errorf("got log %q, want a refusal in it: %v", log, refused)
			}
		})
	}
}

func TestARepeatIsAnsweredAsOne(t *testing.T) {
	seen := map[string]bool{}
	url, _ := serve(t, webhook.Config{Acceptor: taker(func(_ context.Context, e *allo.Event) (bool, error) {
		was := seen[e.ID]
		seen[e.ID] = true
		return was, nil
	})})
	wantAnswer(t, send(t, "POST", url+secret, nil, strings.NewReader(text)), 200, accepted)
	wantAnswer(t, send(t, "POST", url+secret, nil, strings.NewReader(text)), 200, duplicate)
}

// What a sender or a proxy says about the body doesn't matter: it is JSON or it isn't.
func TestHeadersOfTheBodyDontMatter(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte(text)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		header http.Header
		body   string
		status int
	}{
		{"none", http.Header{}, text, 200},
		{"JSON", http.Header{"Content-Type": {"application/json; charset=utf-8"}}, text, 200},
		{"another Content-Type", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, text, 200},
		{"a Content-Type that is none", http.Header{"Content-Type": {";"}}, text, 200},
		{"a Content-Encoding that changes nothing", http.Header{"Content-Encoding": {"identity"}}, text, 200},
		{"a Content-Encoding that is a charset", http.Header{"Content-Encoding": {"utf-8"}}, text, 200},
		{"a Content-Encoding that isn't true", http.Header{"Content-Encoding": {"gzip"}}, text, 200},
		{"a compressed body, which Allo never sends", http.Header{"Content-Encoding": {"gzip"}}, zipped.String(), 400},
		{"Expect", http.Header{"Expect": {"100-continue"}}, text, 200},
	}
	url, _ := serve(t, webhook.Config{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantStatus(t, send(t, "POST", url+secret, tt.header, strings.NewReader(tt.body)), tt.status)
		})
	}
}

// sized is an event of n bytes.
func sized(n int) string {
	const before, after = `{"topic":"SMS_RECEIVED","data":{"content":"`, `"}}`
	return before + strings.Repeat("x", n-len(before)-len(after)) + after
}

func TestABodyOverTheLimit(t *testing.T) {
	const limit = 10 << 20
	const refused = `{"error":"the body is over 10 MiB"}`
	// chunked hides its length, so that the limit is met while reading.
	chunked := func(body string) io.Reader { return io.MultiReader(strings.NewReader(body)) }
	whole := func(body string) io.Reader { return strings.NewReader(body) }
	tests := []struct {
		name   string
		body   io.Reader
		status int
		answer string
	}{
		{"10 MiB", whole(sized(limit)), 200, accepted},
		{"10 MiB, chunked", chunked(sized(limit)), 200, accepted},
		{"a byte more", whole(sized(limit + 1)), 413, refused},
		{"a byte more, chunked", chunked(sized(limit + 1)), 413, refused},
		{"11 MiB", whole(sized(11 << 20)), 413, refused},
		{"11 MiB, chunked", chunked(sized(11 << 20)), 413, refused},
		{"an event, and white space over the limit", whole(text + strings.Repeat(" ", limit)), 413, refused},
	}
	var stored atomic.Int32
	url, _ := serve(t, webhook.Config{Acceptor: taker(func(context.Context, *allo.Event) (bool, error) {
		stored.Add(1)
		return false, nil
	})})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stored.Store(0)
			wantAnswer(t, send(t, "POST", url+secret, nil, tt.body), tt.status, tt.answer)
			if got := stored.Load() == 1; got != (tt.status == 200) {
				t.Errorf("got stored %v, want %v", got, tt.status == 200)
			}
			wantAnswer(t, send(t, "POST", url+secret, nil, strings.NewReader(text)), 200, accepted)
		})
	}
	t.Run("not read with a wrong secret", func(t *testing.T) {
		h, _ := mount(t, webhook.Config{})
		r := post(t, wrong, "")
		r.Body = io.NopCloser(iotest.ErrReader(io.ErrNoProgress))
		wantStatus(t, ask(h, r), 404)
	})
}

func TestABodyThatEndsTooSoonIsNotStored(t *testing.T) {
	h, log := mount(t, webhook.Config{Acceptor: taker(func(context.Context, *allo.Event) (bool, error) {
		t.Error("got it stored, want it refused")
		return false, nil
	})})
	r := post(t, secret, "")
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader(text), iotest.ErrReader(io.ErrUnexpectedEOF)))
	wantAnswer(t, ask(h, r), 400, `{"error":"the body could not be read to its end"}`)
	if !strings.Contains(log.String(), "could not be read") {
		t.Errorf("got log %q, want the reason in it", log)
	}
}

func TestManyAtOnce(t *testing.T) {
	var stored atomic.Int32
	h, _ := mount(t, webhook.Config{Acceptor: taker(func(context.Context, *allo.Event) (bool, error) {
		return stored.Add(1)%2 == 0, nil
	})})
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() { wantStatus(t, ask(h, post(t, secret, text)), 200) })
		group.Go(func() { ask(h, post(t, wrong, text)) })
	}
	group.Wait()
	if stored.Load() != 64 {
		t.Errorf("got %d stored, want 64", stored.Load())
	}
}
