package allo_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"allo-slack/allo"
	"allo-slack/fakeallo"
)

const secondLine = "+33612345678"

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// phoneCalls makes calls, one a minute, backwards from noon.
func phoneCalls(prefix string, n int) []fakeallo.PhoneCall {
	var all []fakeallo.PhoneCall
	for i := range n {
		all = append(all, fakeallo.PhoneCall{
			"id": fmt.Sprintf("%s-%d", prefix, i), "start_date": noon.Add(-time.Duration(i) * time.Minute).Format("2006-01-02T15:04:05"),
			"from_number": "+15551230000", "to_number": ourLine, "type": "INBOUND",
		})
	}
	return all
}

// ids collects the calls' ids and the errors' texts.
func ids(t testing.TB, api *allo.API, since time.Time, numbers ...string) (ids []string, errs []error) {
	t.Helper()
	for e, err := range api.RecentCalls(t.Context(), numbers, since) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ids = append(ids, e.ID)
	}
	return ids, errs
}

func TestACallOfTheAPIIsTheEventOfAWebhook(t *testing.T) {
	fake := withKey(fakeallo.Key{})
	fake.AddCalls(ourLine, fakeallo.PhoneCall{
		"id": "call_abc123", "from_number": "+15551234567", "to_number": ourLine, "length_in_minutes": 5.5, "type": "INBOUND",
		"result": "ANSWERED", "summary": "Asked about an order.", "tag": "support", "recording_url": "https://api.withallo.com/v1/assets/recordings/abc",
		"start_date": "2026-03-01T10:30:00",
		"transcript": []any{
			map[string]any{"source": "AGENT", "text": "Hello?", "time": "2026-03-01T10:30:05", "start_seconds": 5, "end_seconds": 8.5},
			map[string]any{"source": "EXTERNAL", "text": "Hi!", "time": "2026-03-01T10:30:10"},
		},
	})
	page, err := apiOf(t, fake).Calls(t.Context(), ourLine, 0, 10)
	if err != nil || len(page.Events) != 1 || page.Pages != 1 {
		t.Fatalf("got %+v, %v, want one call on one page", page, err)
	}
	e := page.Events[0]
	again, err := allo.Parse(e.Raw)
	if err != nil || again.ID != e.ID || again.Identity() != e.Identity() {
		t.Errorf("Raw is read as %+v, %v, want the same event", again, err)
	}
	if e.Topic != allo.CallReceived || e.ID != "call_abc123" || len(e.Odd) != 0 {
		t.Errorf("got %s %s, odd %v, want CALL_RECEIVED call_abc123", e.Topic, e.ID, e.Odd)
	}
	c := e.Call
	if c.From.Number != "+15551234567" || c.To.Number != ourLine || c.Direction != allo.Inbound || c.Minutes != 5.5 ||
		c.Result != "ANSWERED" || c.Summary != "Asked about an order." || !slices.Equal(c.Tags, []string{"support"}) ||
		c.RecordingURL == "" || !c.Start.Equal(time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)) {
		t.Errorf("got %+v, want all that the API says", c)
	}
	if len(c.Transcript) != 2 || c.Transcript[0].Text != "Hello?" || c.Transcript[1].Source != "EXTERNAL" {
		t.Errorf("got the transcript %+v, want its two lines", c.Transcript)
	}
	if _, twice := e.Data.Get("transcript"); twice {
		t.Error("the transcript is in data under the API's name too, want the webhook's only")
	}
	webhook := []byte(`{"topic":"CALL_RECEIVED","data":{"id":"call_abc123"}}`)
	if told, err := allo.Parse(webhook); err != nil || told.Identity().Key != e.Identity().Key {
		t.Errorf("a webhook's call of this id is another event")
	}
}

func TestRecentCalls(t *testing.T) {
	for _, test := range []struct {
		name  string
		calls int
		since time.Duration // before noon
		want  int
		pages int // that were read
	}{
		{"none", 0, time.Hour, 0, 1},
		{"one page", 10, time.Hour, 10, 1},
		{"a full page", 25, time.Hour, 25, 1},
		{"all of three pages", 60, 2 * time.Hour, 60, 3},
		{"up to a call that is old", 60, 9 * time.Minute, 10, 2},
		{"only old ones", 60, -time.Minute, 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := workspace(fakeallo.Options{NoPace: true})
			fake.AddCalls(ourLine, phoneCalls("call", test.calls)...)
			got, errs := ids(t, apiOf(t, fake), noon.Add(-test.since), ourLine)
			if len(errs) > 0 || len(got) != test.want {
				t.Errorf("got %d calls, %v, want %d", len(got), errs, test.want)
			}
			if pages := len(fake.Calls()); pages != test.pages {
				t.Errorf("read %d pages, want %d", pages, test.pages)
			}
			for i, id := range got {
				if want := fmt.Sprintf("call-%d", i); id != want {
					t.Fatalf("call %d is %s, want %s", i, id, want)
				}
			}
		})
	}
}

func TestRecentCallsOfSeveralNumbers(t *testing.T) {
	fake := workspace(fakeallo.Options{NoPace: true})
	shared := phoneCalls("shared", 30)
	fake.AddCalls(ourLine, shared...)
	fake.AddCalls(secondLine, shared...)
	fake.AddCalls(secondLine, phoneCalls("own", 3)...)
	got, errs := ids(t, apiOf(t, fake), noon.Add(-time.Hour), ourLine, "+19999999999", secondLine)
	slices.Sort(got)
	if len(got) != 33 || len(slices.Compact(got)) != 33 {
		t.Errorf("got %d calls, want 33, each once", len(got))
	}
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "ends in 9999: ") || strings.Contains(errs[0].Error(), "+1999") {
		t.Errorf("got %v, want one error, of the number that isn't ours", errs)
	}
}

func TestACallThatComesInMeanwhileIsNoRepeat(t *testing.T) {
	fake := workspace(fakeallo.Options{NoPace: true})
	fake.AddCalls(ourLine, phoneCalls("call", 40)...)
	var got []string
	for e, err := range apiOf(t, fake).RecentCalls(t.Context(), []string{ourLine}, noon.Add(-time.Hour)) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e.ID); len(got) == 1 {
			fake.AddCalls(ourLine, fakeallo.PhoneCall{"id": "new", "start_date": noon.Add(time.Minute).Format("2006-01-02T15:04:05")})
		}
	}
	slices.Sort(got)
	if len(got) != 40 || len(slices.Compact(got)) != 40 {
		t.Errorf("got %d calls, want 40, each once", len(got))
	}
}

func TestRecentCallsEnd(t *testing.T) {
	pages := 0
	counting := func(h http.HandlerFunc) http.Handler {
		pages = 0
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { pages++; h(w, r) })
	}
	t.Run("when every page is the same", func(t *testing.T) {
		api := apiOf(t, counting(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"data":{"results":[{"id":"a"},{"id":"b"}]}}`)
		}))
		if got, errs := ids(t, api, noon, ourLine); len(got) != 2 || len(errs) != 0 || pages != 2 {
			t.Errorf("got %v, %v on %d pages, want 2 calls", got, errs, pages)
		}
	})
	t.Run("when there is no end", func(t *testing.T) {
		api := apiOf(t, counting(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"data":{"results":[{"id":"%s"}],"metadata":{"total_pages":1000000}}}`, r.URL.Query().Get("page"))
		}))
		got, errs := ids(t, api, noon, ourLine)
		if len(got) != 400 || len(errs) != 1 || !strings.Contains(errs[0].Error(), "look back less far") {
			t.Errorf("got %d calls, %v, want 400 and an error", len(got), errs)
		}
	})
	t.Run("when nothing can be read", func(t *testing.T) {
		api := apiOf(t, counting(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"data":{"results":[null,1,"x",[]],"metadata":{"total_pages":9}}}`)
		}))
		if got, errs := ids(t, api, noon, ourLine); len(got) != 0 || len(errs) != 0 || pages != 1 {
			t.Errorf("got %v, %v on %d pages, want nothing", got, errs, pages)
		}
	})
	t.Run("when the reader has enough", func(t *testing.T) {
		fake := workspace(fakeallo.Options{})
		fake.AddCalls(ourLine, phoneCalls("call", 100)...)
		for range apiOf(t, fake).RecentCalls(t.Context(), []string{ourLine, secondLine}, noon.Add(-24*time.Hour)) {
			break
		}
		if got := len(fake.Calls()); got != 1 {
			t.Errorf("read %d pages, want 1", got)
		}
	})
	t.Run("when the key is refused", func(t *testing.T) {
		fake := workspace(fakeallo.Options{Keys: map[string]fakeallo.Key{}})
		_, errs := ids(t, apiOf(t, fake), noon, ourLine, secondLine)
		if len(errs) != 1 {
			t.Errorf("got %v, want one error for all numbers", errs)
		}
	})
	t.Run("when the context does", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		seen := 0
		for _, err := range apiOf(t, workspace(fakeallo.Options{})).RecentCalls(ctx, []string{ourLine, secondLine}, noon) {
			seen++
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want it canceled", err)
			}
		}
		if seen != 1 {
			t.Errorf("got %d errors, want 1", seen)
		}
	})
}
