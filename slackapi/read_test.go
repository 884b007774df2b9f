package slackapi

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"allo-slack/fakeslack"
)

func TestUser(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, fakeslack.Options{Users: []fakeslack.User{{ID: "U0ADA", Email: "ada@example.com"}, {ID: "U0OLD", Email: "old@example.com", Deleted: true}}})
		for email, want := range map[string]string{"ada@example.com": "U0ADA", "old@example.com": "", "nobody@example.com": ""} {
			if id, o := r.User(t.Context(), Once, email); id != want || o.Kind != Sent {
				t.Errorf("%s: got %q, %s (%s), want %q, sent", email, id, o.Kind, o.Reason(), want)
			}
		}
		// Nothing is posted less for want of an answer, so that it begins no outage.
		r.slack.Fault(fakeslack.Fault{Method: "users.lookupByEmail", Kind: fakeslack.Status, Status: 503, Count: -1})
		for range 2 * awayAfter {
			if id, o := r.User(t.Context(), Once, "ada@example.com"); id != "" || o.Kind != Unsure || !o.Strange {
				t.Errorf("got %q, %s, strange %v, want none, unsure, true", id, o.Kind, o.Strange)
			}
		}
		if r.log.times(logAway) > 0 {
			t.Error("the log says that Slack is away")
		}
	})
}

// A missing scope is the trouble of the channels that can't be seen, not of the others.
func TestChannels(t *testing.T) {
	without := func(scopes ...string) []string {
		return slices.DeleteFunc(fakeslack.DefaultScopes(), func(s string) bool { return slices.Contains(scopes, s) })
	}
	for _, c := range []struct {
		name   string
		scopes []string
		before string
		want   []string
		hidden string
		kind   Kind
		calls  int
	}{
		{"all", nil, "", []string{"p", "q", "a"}, "", Sent, 1},
		{"no private ones", without(SeePrivate), "", []string{"p", "a"}, SeePrivate, Sent, 2},
		{"no private ones, as is known", without(SeePrivate), SeePrivate, []string{"p", "a"}, SeePrivate, Sent, 1},
		{"no public ones", without(SeePublic), "", []string{"q"}, SeePublic, Sent, 3},
		{"no public ones, as is known", without(SeePublic), SeePublic, []string{"q"}, SeePublic, Sent, 1},
		{"none", without(SeePublic, SeePrivate), "", nil, SeePublic, RefusedChannel, 3},
	} {
		bubbleIn(t, c.name, func(t *testing.T) {
			r := newRig(t, fakeslack.Options{Scopes: c.scopes, Channels: []fakeslack.Channel{
				{Name: "p", Archived: true}, {Name: "q", Private: true, BotIsMember: true}, {Name: "hidden", Private: true}}})
			all, hidden, o := r.Channels(t.Context(), Once, c.before)
			var names []string
			for _, channel := range all {
				names = append(names, channel.Name)
				if want := (Channel{ID: channel.ID, Name: channel.Name, Private: channel.Name == "q", Archived: channel.Name == "p", Member: channel.Name != "p"}); channel != want || channel.ID == "" {
					t.Errorf("got %+v, want %+v", channel, want)
				}
			}
			if n := len(r.slack.Calls("conversations.list")); !slices.Equal(names, c.want) || hidden != c.hidden || o.Kind != c.kind || n != c.calls {
				t.Errorf("got %v, hidden %q, %s in %d calls, want %v, %q, %s in %d", names, hidden, o.Kind, n, c.want, c.hidden, c.kind, c.calls)
			}
		})
	}
}

// A list comes in pages, has odd things on them, and may have no end.
func TestPagesOfChannels(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault fakeslack.FaultKind
		calls int
	}{
		{"in pages", "", 5}, {"odd pages", fakeslack.OddPage, 5}, {"a page that is empty", fakeslack.EmptyPage, 6},
		{"the same cursor", fakeslack.EndlessCursor, 7}, {"always another cursor", fakeslack.NewCursors, 10},
	} {
		bubbleIn(t, c.name, func(t *testing.T) {
			o := fakeslack.Options{ShortPages: 2}
			for i := range 9 {
				o.Channels = append(o.Channels, fakeslack.Channel{Name: fmt.Sprint("c", i)})
			}
			r := newRig(t, o)
			if f := c.fault; f != "" {
				var n int
				r.slack.Chaos(func(string, string) *fakeslack.Fault {
					n++
					if f == fakeslack.EmptyPage && n != 3 || n < 5 && (f == fakeslack.EndlessCursor || f == fakeslack.NewCursors) {
						return nil
					}
					return &fakeslack.Fault{Kind: f}
				})
			}
			all, _, got := r.Channels(t.Context(), Once, "")
			if n := len(r.slack.Calls("conversations.list")); got.Kind != Sent || len(all) != 10 || n > c.calls {
				t.Errorf("%s with %d channels in %d calls, want sent with 10 in %d at most", got.Kind, len(all), n, c.calls)
			}
		})
	}
}

func TestChannelAndJoin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, fakeslack.Options{Channels: []fakeslack.Channel{{ID: "C0B", Name: "b"}}})
		if c, o := r.Channel(t.Context(), Once, "C0B"); c != (Channel{ID: "C0B", Name: "b"}) || o.Kind != Sent {
			t.Errorf("got %+v, %s, want #b, sent", c, o.Kind)
		}
		if o := r.Join(t.Context(), Once, "C0B"); o.Kind != Sent {
			t.Errorf("joining: %s, want sent", o.Kind)
		}
		if c, _ := r.Channel(t.Context(), Once, "C0B"); !c.Member {
			t.Errorf("got %+v, want to be a member", c)
		}
		if c, o := r.Channel(t.Context(), Once, "C0NONE"); c.ID != "" || o.Kind != RefusedChannel {
			t.Errorf("got %+v, %s, want none, channel refused", c, o.Kind)
		}
	})
}

func TestFind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, fakeslack.Options{ShortPages: 5, Channels: []fakeslack.Channel{{ID: "C0B", Name: "b"}}})
		began := time.Now()
		post := func(id, thread string) Outcome {
			t.Helper()
			pass(2 * time.Second)
			o := r.Ask(t.Context(), Posting, Once, func(ctx context.Context) Outcome {
				return r.Post(ctx, Place{Channel: "C0A", Thread: thread}, Message{ID: id, Text: "hello"})
			})
			if o.Kind != Sent || o.Thread != thread {
				t.Fatalf("got %s (%s) in thread %q, want sent in %q", o.Kind, o.Reason(), o.Thread, thread)
			}
			return o
		}
		first := post("first", "")
		reply := post("reply", first.TS)
		for i := range 12 { // more than a page
			post(fmt.Sprint("more", i), "")
			r.slack.Others("a", json.RawMessage(`{"type":"message","user":"U0ADA","text":"hello"}`))
		}
		last := post("last", "")
		for _, c := range []struct {
			name       string
			in         Place
			id         string
			from, to   time.Duration // since it began
			kind       Kind
			ts, thread string
			calls      int
		}{
			{"the last", Place{Channel: "C0A"}, "last", 0, time.Hour, Sent, last.TS, "", 1},
			{"the first, on the last page", Place{Channel: "C0A"}, "first", 0, time.Hour, Sent, first.TS, "", 6},
			{"a reply", Place{Channel: "C0A", Thread: first.TS}, "reply", 0, time.Hour, Sent, reply.TS, first.TS, 1},
			{"a reply, at the top", Place{Channel: "C0A"}, "reply", 0, time.Hour, Missing, "", "", 6},
			{"before its time", Place{Channel: "C0A"}, "last", 0, 10 * time.Second, Missing, "", "", 2},
			{"no id", Place{Channel: "C0A"}, "", 0, time.Hour, Missing, "", "", 6},
			{"another channel", Place{Channel: "C0B"}, "last", 0, time.Hour, RefusedChannel, "", "", 1},
			{"a thread that isn't there", Place{Channel: "C0A", Thread: "1.000001"}, "last", 0, time.Hour, RefusedThread, "", "", 1},
		} {
			calls := len(r.wire.Tries(time.Time{}))
			o := r.Find(t.Context(), Once, c.in, c.id, began.Add(c.from), began.Add(c.to))
			if n := len(r.wire.Tries(time.Time{})) - calls; o.Kind != c.kind || o.Kind == Sent && o.TS != c.ts || o.Thread != c.thread || n > c.calls {
				t.Errorf("%s: got %s %q in %q in %d calls, want %s %q in %q in at most %d", c.name, o.Kind, o.TS, o.Thread, n, c.kind, c.ts, c.thread, c.calls)
			}
		}
	})
}

// A history without an end is not read for ever.
func TestAHistoryWithoutAnEnd(t *testing.T) {
	for _, c := range []struct {
		fault fakeslack.FaultKind
		calls int
	}{{fakeslack.EndlessCursor, 2}, {fakeslack.NewCursors, historyPages}} {
		bubbleIn(t, string(c.fault), func(t *testing.T) {
			r := newRig(t, fakeslack.Options{})
			r.slack.Fault(fakeslack.Fault{Method: "conversations.history", Kind: c.fault, Count: -1})
			o := r.Find(t.Context(), Patience{For: usually}, Place{Channel: "C0A"}, "1", time.Now(), time.Now())
			if n := len(r.slack.Calls("conversations.history")); o.Kind != RefusedMessage || n != c.calls {
				t.Errorf("got %s (%s) after %d calls, want message refused after %d", o.Kind, o.Reason(), n, c.calls)
			}
		})
	}
}

// What is too long is asked for in shorter pages.
func TestAnswersThatAreTooLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, fakeslack.Options{})
		r.slack.Fault(fakeslack.Fault{Method: "conversations.history", Kind: fakeslack.Endless, Count: 3})
		o := r.Find(t.Context(), Once, Place{Channel: "C0A"}, "1", time.Now(), time.Now())
		var limits []string
		for _, call := range r.slack.Calls("conversations.history") {
			limits = append(limits, call.Form.Get("limit"))
		}
		if o.Code != tooLong || !slices.Equal(limits, []string{"999", "124", "15"}) {
			t.Errorf("got %s (%s), asking for %v messages, want one that is too long of 999, 124 and 15", o.Kind, o.Reason(), limits)
		}
	})
}

// An answer that is too long is too long each time: fewer messages are asked for at once.
func TestAnswersThatAreTooLongAreAskedForOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, fakeslack.Options{})
		r.slack.Fault(fakeslack.Fault{Method: "conversations.history", Kind: fakeslack.Endless, Count: 1})
		began := time.Now()
		o := r.Find(t.Context(), Patience{For: usually}, Place{Channel: "C0A"}, "1", began, began)
		var limits []string
		for _, call := range r.slack.Calls("conversations.history") {
			limits = append(limits, call.Form.Get("limit"))
		}
		if o.Kind != Missing || len(limits) != 2 || limits[1] != "124" {
			t.Errorf("got %s, asking for %v messages, want missing, 999, 124", o.Kind, limits)
		}
	})
}

// What isn't found has no ts.
func TestWhatIsMissingHasNoTS(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, fakeslack.Options{})
		if o := r.Find(t.Context(), Once, Place{Channel: "C0A"}, "1", time.Now(), time.Now()); o.Kind != Missing || o.TS != "" {
			t.Errorf("got %s with the ts %q, want missing without one", o.Kind, o.TS)
		}
	})
}
