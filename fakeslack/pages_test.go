package fakeslack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"
)

// walk reads all pages of a method, at most ten, and returns the ts or names on each and the cursors between them.
func walk(t *testing.T, s *Server, method, form string) (pages [][]string, cursors []string) {
	t.Helper()
	for cursor := ""; len(pages) < 10; {
		a := call(t, s, method, form+"&cursor="+url.QueryEscape(cursor))
		items, _ := a["messages"].([]any)
		if channels, there := a["channels"].([]any); there {
			items = channels
		}
		page := []string{}
		for _, item := range items {
			o, _ := item.(map[string]any)
			for _, key := range []string{"ts", "name"} {
				if v, there := o[key]; there {
					page = append(page, fmt.Sprint(v))
				}
			}
		}
		pages = append(pages, page)
		meta, _ := a["response_metadata"].(map[string]any)
		cursor, _ = meta["next_cursor"].(string)
		if more, there := a["has_more"]; there && more != (cursor != "") {
			t.Errorf("has_more is %v with the cursor %q", more, cursor)
		}
		if cursor == "" {
			break
		}
		cursors = append(cursors, cursor)
	}
	return pages, cursors
}

// thread is a workspace with a thread of four messages, all of which the channel shows too, and their ts.
func thread(t *testing.T, o Options) (s *Server, all []string) {
	t.Helper()
	o.NoPace, o.Clock = true, newClock().Now
	s = support(o)
	api := start(t, s)
	for range 4 {
		options := say("x")
		if len(all) > 0 {
			options = append(options, slack.MsgOptionTS(all[0]), slack.MsgOptionBroadcast())
		}
		_, ts, err := api.PostMessage("#support", options...)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ts)
	}
	return s, all
}

const (
	history = "conversations.history"
	replies = "conversations.replies"
	list    = "conversations.list"
)

// reads are the calls that page, each with its form.
func reads(all []string) map[string]string {
	channel := "limit=50&channel=" + madeUpID("support")
	return map[string]string{history: channel, replies: channel + "&ts=" + all[0], list: "limit=50&types=public_channel,private_channel"}
}

func TestShortPages(t *testing.T) {
	s, all := thread(t, Options{ShortPages: 2})
	want := map[string][][]string{
		history: {{all[3], all[2]}, {all[1], all[0]}},
		replies: {{all[0], all[1]}, {all[2], all[3]}},
		list:    {{"support", "open"}, {"secret"}},
	}
	for method, form := range reads(all) {
		if pages, _ := walk(t, s, method, form); !cmp.Equal(pages, want[method]) {
			t.Errorf("%s: %v, want %v", method, pages, want[method])
		}
		if pages, _ := walk(t, s, method, strings.Replace(form, "limit=50", "limit=1", 1)); len(pages[0]) != 1 {
			t.Errorf("%s: %v, want no more than asked for", method, pages)
		}
	}
}

func TestEmptyPage(t *testing.T) {
	s, all := thread(t, Options{ShortPages: 3})
	for method, form := range reads(all) {
		whole, _ := walk(t, s, method, form)
		s.Fault(Fault{Method: method, Kind: EmptyPage, Count: 2})
		pages, cursors := walk(t, s, method, form)
		if !cmp.Equal(pages, append([][]string{{}, {}}, whole...)) || cursors[0] == cursors[1] {
			t.Errorf("%s: %v by %v, want two empty pages and %v", method, pages, cursors, whole)
		}
	}

	// In the middle the cursor goes on where it was.
	form := reads(all)[history]
	_, cursors := walk(t, s, history, form)
	middle := form + "&cursor=" + url.QueryEscape(cursors[0])
	s.Fault(Fault{Method: history, Kind: EmptyPage})
	empty := call(t, s, history, middle)
	next := empty["response_metadata"].(map[string]any)["next_cursor"].(string)
	got, want := call(t, s, history, form+"&cursor="+url.QueryEscape(next)), call(t, s, history, middle)
	if len(empty["messages"].([]any)) != 0 || next == cursors[0] || !cmp.Equal(got, want) {
		t.Errorf("after an empty page: %v, want %v", got, want)
	}
}

func TestEndlessPages(t *testing.T) {
	for _, kind := range []FaultKind{EndlessCursor, NewCursors} {
		s, all := thread(t, Options{})
		s.Fault(Fault{Method: "*", Kind: kind, Count: -1})
		for method, form := range reads(all) {
			pages, cursors := walk(t, s, method, form)
			seen := map[string]bool{}
			for _, c := range cursors {
				seen[c] = true
			}
			if len(pages) != 10 || len(pages[9]) == 0 || len(cursors) != 10 || len(seen) != map[FaultKind]int{EndlessCursor: 1, NewCursors: 10}[kind] {
				t.Errorf("%s, %s: %d pages, the cursors %v", kind, method, len(pages), cursors)
			}
		}
		if got := call(t, s, "auth.test", ""); got["has_more"] != nil || got["ok"] != true {
			t.Errorf("%s: what has no pages became %v", kind, got)
		}
	}
}

func TestOddPage(t *testing.T) {
	s, all := thread(t, Options{})
	for method, form := range reads(all) {
		field := "messages"
		if method == list {
			field = "channels"
		}
		usual := len(call(t, s, method, form)[field].([]any))
		s.Fault(Fault{Method: method, Kind: OddPage})
		page := call(t, s, method, form)[field].([]any)
		if len(page) < usual+10 || page[0] != "a string" || page[1] != json.Number("7") {
			t.Errorf("%s: %v", method, page)
		}
		for _, body := range []string{`{}`, `null`, `"x"`, `7`, `[null]`} {
			s.Fault(Fault{Method: method, Kind: OddPage, Body: body})
			want, _ := decode(body)
			if got := call(t, s, method, form); !cmp.Equal(got[field], want) || got["ok"] != true {
				t.Errorf("%s: %v instead of %s", method, got, body)
			}
		}
	}
}

// Whatever the method, a code that nobody has heard of, no code at all and odd states come as they were asked for.
func TestFaultsOfAllMethods(t *testing.T) {
	for method := range methods() {
		s := support(Options{NoPace: true})
		s.Fault(Fault{Method: method, Code: "nobody_knows_this_one"})
		if got := call(t, s, method, ""); got["ok"] != false || got["error"] != "nobody_knows_this_one" {
			t.Errorf("%s: %v", method, got)
		}
		s.Fault(Fault{Method: method, Kind: NotOK})
		if got := call(t, s, method, ""); !cmp.Equal(got, map[string]any{"ok": false}) {
			t.Errorf("%s: %v", method, got)
		}
		for _, status := range []int{400, 403, 404, 413} {
			s.Fault(Fault{Method: method, Kind: Status, Status: status})
			if w := recorded(s, method); w.Code != status {
				t.Errorf("%s: %d, want %d", method, w.Code, status)
			}
		}
	}
}

// recorded is the answer to a call without a listener, or as much of it as there was before it was cut.
func recorded(s *Server, method string) (w *httptest.ResponseRecorder) {
	w = httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/api/"+method, strings.NewReader("channel=%23support&text=x"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "Bearer "+token)
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			panic(p)
		}
	}()
	s.API().ServeHTTP(w, r)
	return w
}

func TestEndless(t *testing.T) {
	s := support(Options{NoPace: true})
	base, stop, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	s.Fault(Fault{Kind: Endless, Count: -1})
	s.Fault(Fault{Method: history, Kind: Endless, Body: `{"ts":"1.0"},`})
	for method, want := range map[string]string{postMessage: `{"ok":true,"messages":[     `, history: `{"ok":true,"messages":[{"ts":"1.0"},{"ts"`} {
		r, err := http.Post(base+method, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 4<<20) // far more than a listener keeps by itself
		n := 0
		for n < len(got) && err == nil {
			var m int
			m, err = r.Body.Read(got[n:])
			n += m
		}
		if err != nil || r.StatusCode != 200 || !strings.HasPrefix(string(got), want) || json.Valid(got) {
			t.Errorf("%s: %d, %.60q after %d bytes, %v", method, r.StatusCode, got, n, err)
		}
		_ = r.Body.Close()
	}
	if len(s.Posts("")) != 0 {
		t.Error("the message was taken")
	}

	r, err := http.Post(base+postMessage, "", nil) // and nobody reads it
	if err != nil {
		t.Fatal(err)
	}
	stop()
	_ = r.Body.Close()

	if w := recorded(s, postMessage); w.Body.Len() > endlessRecorded+64<<10 {
		t.Errorf("a recorder was given %d bytes", w.Body.Len())
	}
}

func TestAnswersAreDated(t *testing.T) {
	now := &clock{now: time.Date(2031, 2, 3, 4, 5, 6, 7e8, time.FixedZone("east", 7200))}
	s := support(Options{Clock: now.Now})
	for _, f := range []Fault{
		{Kind: Slow}, {Kind: Slow, Delay: time.Millisecond}, {Kind: RateLimit, RetryAfter: time.Second}, {Kind: RateLimitNoHeader}, {Code: "fatal_error"}, {Kind: Status},
		{Kind: Redirect}, {Kind: Empty}, {Kind: NotOK}, {Kind: NoTS}, {Kind: GarbageAfterAccept}, {Kind: StatusAfterAccept},
		{Kind: HalfAnswer}, {Kind: Endless}, {Kind: "odd"},
	} {
		s.ClearFaults()
		now.Add(time.Minute)
		at := now.Now().UTC().Format(http.TimeFormat)
		s.Fault(f)
		if got := recorded(s, postMessage).Header().Get("Date"); got != at {
			t.Errorf("%s: %q, want %q", f.Kind, got, at)
		}
		if f.Kind == RateLimit { // it runs
			if w := recorded(s, postMessage); w.Code != 429 || w.Header().Get("Date") != at {
				t.Errorf("%d at %q, want 429 at %q", w.Code, w.Header().Get("Date"), at)
			}
		}
	}
	s.ClearFaults()
	const want = "Mon, 03 Feb 2031 02:20:06 GMT"
	if got := recorded(s, "chat.nothing").Header().Get("Date"); got != want {
		t.Errorf("%q, want %q", got, want)
	}

	base, stop, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	for _, body := range []string{"token=" + token, "%"} {
		r, err := http.Post(base+"auth.test", "application/x-www-form-urlencoded", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if got := r.Header["Date"]; !cmp.Equal(got, []string{want}) {
			t.Errorf("over a socket: %q, want %q", got, want)
		}
	}
}
