package fakeallo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
	err    error // of the request, or of reading its answer
}

// field is a value inside the answer's JSON, by keys with dots between them.
func (r reply) field(path string) string {
	var v any
	if json.Unmarshal([]byte(r.body), &v) != nil {
		return "no JSON"
	}
	for key := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return fmt.Sprint(v)
}

// client asks one server, and follows no redirect.
type client struct {
	t    *testing.T
	base string
	http http.Client
}

func listen(t *testing.T, s *Server) *client {
	t.Helper()
	base, stop, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	c := &client{t: t, base: base, http: http.Client{
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

// ask sends a request; header are names and values in turn.
func (c *client) ask(method, path, body string, header ...string) reply {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Api-Key "+DefaultKey)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(b), err}
}

func TestKeys(t *testing.T) {
	s := New(Options{NoPace: true, Keys: map[string]Key{
		"any": {}, "prefixed": {Form: Prefixed}, "bare": {Form: Bare}, "first": {Generation: 1}, "second": {Generation: 2}, "tags": {Scopes: []string{"TAGS_READ"}},
	}})
	c := listen(t, s)
	for _, test := range []struct {
		authorization string
		first, second int // the statuses of the two generations
	}{
		{"any", 200, 200}, {"Api-Key any", 200, 200}, {"Bearer any", 401, 401}, {"", 401, 401}, {"Api-Key wrong", 401, 401},
		{"prefixed", 401, 401}, {"Api-Key prefixed", 200, 200}, {"bare", 200, 200}, {"Api-Key bare", 401, 401},
		{"first", 200, 401}, {"second", 401, 200}, {"tags", 403, 403},
	} {
		first := c.ask("GET", "/v1/api/numbers", "", "Authorization", test.authorization)
		second := c.ask("GET", "/v2/api/numbers", "", "Authorization", test.authorization)
		if first.status != test.first || second.status != test.second {
			t.Errorf("%q: got %d and %d, want %d and %d", test.authorization, first.status, second.status, test.first, test.second)
		}
	}
	if got := s.Calls()[0].Authorization; got != "any" {
		t.Errorf("the log has the Authorization %q, want it as sent", got)
	}
	if got := c.ask("GET", "/v2/api/me", "", "Authorization", "tags").field("data.scopes"); got != "[TAGS_READ]" {
		t.Errorf("me: got the scopes %s, want [TAGS_READ]", got)
	}
	first, second := c.ask("GET", "/v1/api/calls", "", "Authorization", "tags"), c.ask("GET", "/v2/api/users", "", "Authorization", "tags")
	if first.field("code") != "API_KEY_INSUFFICIENT_SCOPE" || second.field("error.code") != "API_KEY_INSUFFICIENT_SCOPE" {
		t.Errorf("got %s and %s, want each generation's shape", first.body, second.body)
	}
}

func TestWebhooksAreHeldToAllosRules(t *testing.T) {
	s := New(Options{NoPace: true, Numbers: []Number{{Number: "+15550100"}}})
	c := listen(t, s)
	for _, test := range []struct {
		path, body string
		status     int
	}{
		{"/v1/api/webhooks", `{"allo_number":"+15550100","enabled":true,"url":"https://a.example/x","topics":["CALL_RECEIVED"]}`, 200},
		{"/v2/api/webhooks", `{"url":"https://a.example/x","topics":["call.completed"],"description":"d","enabled":false}`, 201},
		{"/v1/api/webhooks", `{"allo_number":"+15550199","url":"https://a.example/x","topics":["CALL_RECEIVED"]}`, 400},
		{"/v1/api/webhooks", `{"url":"https://a.example/x","topics":["CALL_RECEIVED"]}`, 400},
		{"/v1/api/webhooks", `{"allo_number":"+15550100","url":"https://a.example/x","topics":["call.completed"]}`, 400},
		{"/v2/api/webhooks", `{"url":"https://a.example/x","topics":["CALL_RECEIVED"]}`, 400},
		{"/v2/api/webhooks", `{"url":"http://a.example/x","topics":["call.completed"]}`, 400},
		{"/v2/api/webhooks", `{"url":"https://a.example/x","topics":[]}`, 400},
		{"/v2/api/webhooks", `{"url":"https://a.example/x","topics":["call.completed"],"allo_number":"+15550100"}`, 400},
		{"/v2/api/webhooks", `{"url":"https://a.example/x","topics":["call.completed"],"colour":"red"}`, 400},
		{"/v2/api/webhooks", `{`, 400},
	} {
		if got := c.ask("POST", test.path, test.body); got.status != test.status {
			t.Errorf("%s %s: got %d %s, want %d", test.path, test.body, got.status, got.body, test.status)
		}
	}
	if hooks := s.Webhooks(); len(hooks) != 2 || !hooks[0].Enabled || hooks[1].Enabled || hooks[1].SigningSecret == "" {
		t.Fatalf("got %+v, want two, the second not enabled and with a secret", hooks)
	}
	if got := c.ask("GET", "/v1/api/webhooks", "").body; !strings.Contains(got, "allo_number") || strings.Contains(got, "ep_") {
		t.Errorf("first list: got %s", got)
	}
	if got := c.ask("GET", "/v2/api/webhooks", "").body; strings.Contains(got, "signing_secret") || strings.Contains(got, "web-") {
		t.Errorf("second list: got %s", got)
	}
	if got := c.ask("GET", "/v2/api/webhooks/ep_2", "").field("data.signing_secret"); got != s.Webhooks()[1].SigningSecret {
		t.Errorf("by id: got the secret %s", got)
	}
	for _, want := range []int{204, 404} {
		if got := c.ask("DELETE", "/v2/api/webhooks/ep_2", ""); got.status != want {
			t.Errorf("delete: got %d, want %d", got.status, want)
		}
	}
	if got := c.ask("DELETE", "/v2/api/webhooks/web-1", ""); got.status != 404 {
		t.Errorf("deleting the other generation's: got %d, want 404", got.status)
	}
}

func TestAnIdempotencyKeyIsGoodForOneWrite(t *testing.T) {
	s := New(Options{NoPace: true})
	c := listen(t, s)
	const body, bad = `{"url":"https://a.example/x","topics":["call.completed"]}`, `{}`
	if got := c.ask("POST", "/v2/api/webhooks", bad, "Idempotency-Key", "k"); got.status != 400 {
		t.Fatalf("got %d, want 400, which doesn't use the key up", got.status)
	}
	first := c.ask("POST", "/v2/api/webhooks", body, "Idempotency-Key", "k")
	again := c.ask("POST", "/v2/api/webhooks", body, "Idempotency-Key", "k")
	if first.status != 201 || again.status != 201 || again.body != first.body || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("got %d and %d %s, want the same answer twice", first.status, again.status, again.body)
	}
	if got := c.ask("DELETE", "/v2/api/webhooks/ep_1", "", "Idempotency-Key", "k"); got.status != 409 {
		t.Errorf("for another request: got %d, want 409", got.status)
	}
	if got := len(s.Webhooks()); got != 1 {
		t.Errorf("got %d webhooks, want 1", got)
	}
}

func TestCallsArePaged(t *testing.T) {
	s := New(Options{NoPace: true, Numbers: []Number{{Number: "+15550100"}}})
	for i := range 25 {
		s.AddCalls("+15550100", PhoneCall{"id": i, "start_date": fmt.Sprintf("2026-01-%02dT00:00:00", i+1)})
	}
	c := listen(t, s)
	for _, test := range []struct {
		query  string
		status int
		ids    string
	}{
		{"allo_number=%2B15550100&size=3", 200, "[24 23 22]"},
		{"allo_number=%2B15550100&page=8&size=3", 200, "[0]"},
		{"allo_number=%2B15550100&page=9&size=3", 200, "[]"},
		{"allo_number=%2B15550100&size=101", 400, ""},
		{"allo_number=%2B15550100&size=0", 400, ""},
		{"allo_number=%2B15550100&page=-1", 400, ""},
		{"size=3", 400, ""},
		{"allo_number=%2B15550199", 404, ""},
	} {
		got := c.ask("GET", "/v1/api/calls?"+test.query, "")
		var page struct {
			Data struct {
				Results []struct {
					ID int `json:"id"`
				}
				Metadata struct {
					TotalPages int `json:"total_pages"`
				}
			}
		}
		_ = json.Unmarshal([]byte(got.body), &page)
		ids := []int{}
		for _, r := range page.Data.Results {
			ids = append(ids, r.ID)
		}
		if got.status != test.status || test.status == 200 && (fmt.Sprint(ids) != test.ids || page.Data.Metadata.TotalPages != 9) {
			t.Errorf("%s: got %d %v of %d pages, want %d %s", test.query, got.status, ids, page.Data.Metadata.TotalPages, test.status, test.ids)
		}
	}
}

func TestPace(t *testing.T) {
	now := time.Unix(1700000000, 0)
	s := New(Options{Clock: func() time.Time { return now }})
	c := listen(t, s)
	count := func(method, path string, n int) (limited int) {
		for range n {
			if got := c.ask(method, path, ""); got.status == 429 {
				limited++
				if got.header.Get("Retry-After") != "1" {
					t.Errorf("got Retry-After %q, want 1", got.header.Get("Retry-After"))
				}
			}
		}
		return limited
	}
	if reads, writes := count("GET", "/v2/api/tags", 23), count("DELETE", "/v1/api/webhooks/x", 7); reads != 3 || writes != 2 {
		t.Errorf("got %d reads and %d writes limited, want 3 and 2", reads, writes)
	}
	now = now.Add(time.Second)
	if got := count("GET", "/v2/api/tags", 20); got != 0 {
		t.Errorf("a second later: got %d limited, want none", got)
	}
	if got := s.RateLimited(); got != 5 {
		t.Errorf("RateLimited: got %d, want 5", got)
	}
}

func TestFaults(t *testing.T) {
	const body = `{"url":"https://a.example/x","topics":["call.completed"]}`
	for _, test := range []struct {
		fault  Fault
		made   int // webhooks
		status int // 0 is a broken connection
		logged int
	}{
		{Fault{Kind: Status}, 0, 503, 503},
		{Fault{Kind: Status, Status: 500, Code: "INTERNAL_SERVER_ERROR"}, 0, 500, 500},
		{Fault{Kind: Status, Status: 200, Body: "[]"}, 0, 200, 200},
		{Fault{Kind: RateLimit, RetryAfter: 7 * time.Second}, 0, 429, 429},
		{Fault{Kind: CutBefore}, 0, 0, 0},
		{Fault{Kind: CutAfter}, 1, 0, 0},
		{Fault{Kind: HalfAnswer}, 1, 0, 0},
		{Fault{Kind: Garbage}, 0, 200, 200},
		{Fault{Kind: Slow, Delay: time.Millisecond}, 1, 201, 201},
		{Fault{Kind: Redirect, Body: "https://elsewhere.example/"}, 0, 307, 307},
		{Fault{Kind: "odd"}, 0, 501, 501},
		{Fault{Kind: Status, Method: "GET"}, 1, 201, 201},
		{Fault{Kind: Status, Path: "/v1"}, 1, 201, 201},
	} {
		t.Run(string(test.fault.Kind), func(t *testing.T) {
			s := New(Options{})
			c := listen(t, s)
			s.Fault(test.fault)
			got := c.ask("POST", "/v2/api/webhooks", body)
			if got.status != test.status && got.err == nil || (got.err != nil) != (test.status == 0) {
				t.Errorf("got %d, %v, want %d", got.status, got.err, test.status)
			}
			if hooks := s.Webhooks(); len(hooks) != test.made {
				t.Errorf("got %d webhooks, want %d", len(hooks), test.made)
			}
			if calls := s.Calls(); calls[0].Status != test.logged || calls[0].Body != body {
				t.Errorf("the log has %+v, want status %d", calls[0], test.logged)
			}
			s.ClearFaults()
			if got := c.ask("POST", "/v2/api/webhooks", body); got.status != 201 {
				t.Errorf("afterwards: got %d, want 201", got.status)
			}
		})
	}
}

func TestARecordingCanBeAskedForInRanges(t *testing.T) {
	s := New(Options{})
	body := []byte("0123456789")
	s.AddRecording("/r/open", Recording{Body: body, Type: "audio/wav"})
	s.AddRecording("/r/key", Recording{Body: body, NeedsKey: true})
	s.AddRecording("/r/gone", Recording{Status: 410})
	s.AddRecording("/r/moved", Recording{Redirect: "/r/open"})
	s.AddRecording("/r/cut", Recording{Body: body, CutAt: 4})
	s.AddRecording("/r/slow", Recording{Body: body, Chunk: 3, Pause: time.Microsecond})
	c := listen(t, s)
	for _, test := range []struct {
		path   string
		header []string
		status int
		body   string // of a recording
	}{
		{"/r/open", nil, 200, "0123456789"},
		{"/r/open", []string{"Range", "bytes=2-4", "Authorization", ""}, 206, "234"},
		{"/r/open", []string{"Range", "bytes=2-4", "If-Range", `"another"`}, 200, "0123456789"},
		{"/r/open", []string{"Range", "bytes=20-"}, 416, ""},
		{"/r/key", nil, 200, "0123456789"},
		{"/r/key", []string{"Authorization", "no"}, 401, ""},
		{"/r/gone", nil, 410, ""},
		{"/r/moved", nil, 302, ""},
		{"/r/slow", nil, 200, "0123456789"},
		{"/r/never", nil, 404, ""},
	} {
		got := c.ask("GET", test.path, "", test.header...)
		if got.status != test.status || test.body != "" && got.body != test.body {
			t.Errorf("%s %v: got %d %q, want %d %q", test.path, test.header, got.status, got.body, test.status, test.body)
		}
	}
	if got := c.ask("GET", "/r/cut", ""); got.err == nil || errors.Is(got.err, io.EOF) || got.body != "0123" {
		t.Errorf("cut: got %q, %v, want 0123 and an error", got.body, got.err)
	}
}

func TestTheLogIsBounded(t *testing.T) {
	s := New(Options{NoPace: true})
	for i := range keepCalls + 10 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("/x?n=%d", i), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		s.ServeHTTP(nowhere{http.Header{}}, req)
	}
	calls := s.Calls()
	if last := calls[len(calls)-1].Query.Get("n"); len(calls) > keepCalls || last != fmt.Sprint(keepCalls+9) {
		t.Errorf("got %d calls, the last %s, want at most %d with the latest", len(calls), last, keepCalls)
	}
}

// nowhere is a ResponseWriter whose answer nobody reads.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n nowhere) WriteHeader(int)             {}

// TestASlowAnswerEndsWithTheServer: a test that ends waits for nobody.
func TestASlowAnswerEndsWithTheServer(t *testing.T) {
	s := New(Options{})
	base, stop, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	s.Fault(Fault{Kind: Slow})
	done := make(chan error, 1)
	go func() {
		resp, err := http.Get(base + "/v2/api/me")
		if err == nil {
			_ = resp.Body.Close()
		}
		done <- err
	}()
	for !slices.ContainsFunc(s.Calls(), func(c Call) bool { return c.Fault == Slow }) {
		<-time.After(time.Millisecond)
	}
	stop()
	if err := <-done; err == nil {
		t.Error("got an answer, want a broken connection")
	}
	if strings.HasSuffix(base, "/") {
		t.Errorf("the url %s ends in a slash", base)
	}
}
