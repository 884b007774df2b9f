package notify

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"allo-slack/fakeslack"
	"allo-slack/slackapi"
)

// looks fails unless the history was read so many times, and the looks told what is wanted of them.
func (r *rig) looks(reads int, found, missing, unreadable float64) {
	r.t.Helper()
	if n := len(r.slack.Calls("conversations.history")) + len(r.slack.Calls("conversations.replies")); n != reads {
		r.t.Errorf("the history was read %d times, want %d", n, reads)
	}
	for look, want := range map[string]float64{"found": found, "missing": missing, "unreadable": unreadable} {
		if got := r.count("allo_slack_unsure_total", look); got != want {
			r.t.Errorf("%v posts were counted as %s, want %v", got, look, want)
		}
	}
}

// attempts are when messages were posted, or tried to be, since a time.
func (r *rig) attempts(since time.Time) []time.Duration {
	var list []time.Duration
	for _, c := range r.slack.Calls("chat.postMessage") {
		list = append(list, c.At.Sub(since))
	}
	return list
}

// What Slack took, though it didn't say so, is found and not posted again.
func TestTakenWithoutAnAnswer(t *testing.T) {
	for _, f := range []fakeslack.Fault{
		{Kind: fakeslack.DropAfterAccept}, {Kind: fakeslack.StatusAfterAccept}, {Kind: fakeslack.GarbageAfterAccept},
		{Kind: fakeslack.NoTS}, {Kind: fakeslack.HalfAnswer},
	} {
		t.Run(string(f.Kind), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, toSupport, "support").start()
				r.slack.Fault(f)
				began := time.Now()
				r.calls("", 1, 2)
				r.wantCases("support", 1, 2, 10*time.Second)
				if got := r.attempts(began); !slices.Equal(got, []time.Duration{0, channelPace}) {
					t.Errorf("attempts at %v, want 0 and %v", got, channelPace)
				}
				r.looks(1, 1, 0, 0)
				r.gaps("support")
				r.polite()
			})
		})
	}
}

// What isn't in the history at once, nor 5 s after the attempt, is posted again.
func TestNotTakenWithoutAnAnswer(t *testing.T) {
	for _, f := range []fakeslack.Fault{
		{Kind: fakeslack.CutBefore}, {Kind: fakeslack.Status}, {Kind: fakeslack.Empty}, {Kind: fakeslack.Redirect},
		{Code: "internal_error"}, {Code: "fatal_error"}, {Code: "service_unavailable"},
		{Kind: fakeslack.CutBefore, Delay: 3 * time.Second},
	} {
		t.Run(string(f.Kind)+f.Code, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, toSupport, "support").start()
				r.slack.Fault(f)
				began := time.Now()
				r.calls("", 1, 2)
				r.wantCases("support", 1, 2, 20*time.Second)
				again := f.Delay + 5*time.Second
				if got, want := r.attempts(began), []time.Duration{0, again, again + channelPace}; !slices.Equal(got, want) {
					t.Errorf("attempts at %v, want %v", got, want)
				}
				looks := r.slack.Calls("conversations.history")
				if len(looks) == 2 && (looks[0].At.Sub(began) != f.Delay || looks[1].At.Sub(began) != again) {
					t.Errorf("looked after %v and %v, want %v and %v", looks[0].At.Sub(began), looks[1].At.Sub(began), f.Delay, again)
				}
				r.looks(2, 0, 1, 0)
				r.polite()
			})
		})
	}
}

func TestShownLate(t *testing.T) {
	for _, c := range []struct {
		late                  time.Duration
		posts                 int
		reads, found, missing int
	}{
		{time.Second, 1, 2, 1, 0},
		{5 * time.Second, 1, 2, 1, 0},
		// The known limit: it shows later than the last look. It is counted.
		{6 * time.Second, 2, 2, 0, 1},
	} {
		t.Run(fmt.Sprint(c.late), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, toSupport, "support").start()
				r.slack.Fault(fakeslack.Fault{Kind: fakeslack.LateVisible, Delay: c.late})
				r.calls("", 1, 1)
				pass(time.Minute)
				if n := len(r.slack.Posts("support")); n != c.posts {
					t.Errorf("%d messages, want %d", n, c.posts)
				}
				r.looks(c.reads, float64(c.found), float64(c.missing), 0)
			})
		})
	}
}

// The reading of a history may go wrong too.
func TestHistoryThatIsNotReadAtOnce(t *testing.T) {
	for _, c := range []struct {
		fault fakeslack.Fault
		reads int
	}{
		{fakeslack.Fault{Kind: fakeslack.Status, Count: 2}, 3},
		{fakeslack.Fault{Kind: fakeslack.CutBefore, Count: 2}, 3},
		{fakeslack.Fault{Kind: fakeslack.Empty}, 2},
		{fakeslack.Fault{Kind: fakeslack.HalfAnswer}, 2},
		{fakeslack.Fault{Kind: fakeslack.GarbageAfterAccept}, 2},
		{fakeslack.Fault{Kind: fakeslack.RateLimit, RetryAfter: 20 * time.Second}, 2},
		{fakeslack.Fault{Kind: fakeslack.Slow, Delay: 20 * time.Second}, 1},
		{fakeslack.Fault{Code: "fatal_error", Count: 3}, 4},
		{fakeslack.Fault{Code: "nobody_knows_this_one"}, 2},
	} {
		t.Run(string(c.fault.Kind)+c.fault.Code, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, toSupport, "support").start()
				r.slack.Fault(fakeslack.Fault{Kind: fakeslack.DropAfterAccept})
				c.fault.Method = "conversations.history"
				r.slack.Fault(c.fault)
				r.calls("", 1, 1)
				pass(time.Minute)
				r.calls("", 2, 2)
				r.wantCases("support", 1, 2, time.Minute)
				r.looks(c.reads, 1, 0, 0)
				r.polite()
			})
		})
	}
}

// Where the history can't be read, what may be there already is sent again. That is counted, and holds up nothing.
func TestHistoryThatCannotBeRead(t *testing.T) {
	without := func(scope string, more ...string) []string {
		return append(slices.DeleteFunc(fakeslack.DefaultScopes(), func(s string) bool { return s == scope }), more...)
	}
	for _, c := range []struct {
		name   string
		scopes []string
	}{
		{"no scope", without("channels:history")},
		{"not a member", without("channels:join", "chat:write.public")},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRigWith(t, byTag, fakeslack.Options{Token: testToken, Scopes: c.scopes,
					Channels: []fakeslack.Channel{{Name: "a"}, {Name: "b"}, {Name: "c"}}}).start()
				for _, f := range []fakeslack.Fault{{Kind: fakeslack.CutBefore}, {Kind: fakeslack.DropAfterAccept}} {
					r.slack.Fault(f)
				}
				began := time.Now()
				r.calls("a", 1, 1)
				r.wantCases("a", 1, 1, 10*time.Second)
				r.calls("b", 2, 2)
				r.wantCases("b", 2, 2, time.Second)
				pass(10 * time.Second)
				if n := len(r.slack.Posts("a")); n != 2 { // the second attempt was taken as well
					t.Errorf("%d messages in #a, want 2", n)
				}
				if n := len(r.attempts(began)); n != 4 {
					t.Errorf("%d attempts, want 3 in #a and 1 in #b", n)
				}
				r.looks(2, 0, 0, 2)
				r.calls("a", 3, 3)
				if _, err := r.slack.WaitPosts(r.in(5*time.Second), "a", 3); err != nil {
					t.Error("what came later was not posted")
				}
			})
		})
	}
}

// in is a context for so long.
func (r *rig) in(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(r.t.Context(), d)
	r.t.Cleanup(cancel)
	return ctx
}

// Slack's clock isn't ours.
func TestClocksThatDiffer(t *testing.T) {
	for _, d := range []time.Duration{-55 * time.Second, 110 * time.Second} {
		t.Run(fmt.Sprint(d), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRigWith(t, toSupport, fakeslack.Options{Token: testToken, Channels: []fakeslack.Channel{{Name: "support"}},
					Clock: func() time.Time { return time.Now().Add(d) }}).start()
				r.slack.Fault(fakeslack.Fault{Kind: fakeslack.DropAfterAccept})
				r.calls("", 1, 2)
				r.wantCases("support", 1, 2, 10*time.Second)
				r.looks(1, 1, 0, 0)
			})
		})
	}
}

// A history is read to its end: what others post meanwhile may fill pages.
func TestALongHistory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRigWith(t, toSupport, fakeslack.Options{Token: testToken, NoPace: true, Channels: []fakeslack.Channel{{Name: "support"}}}).start()
		r.slack.Fault(fakeslack.Fault{Kind: fakeslack.DropAfterAccept})
		r.slack.Fault(fakeslack.Fault{Method: "conversations.history", Kind: fakeslack.Slow, Delay: 20 * time.Second})
		r.calls("", 1, 1)
		pass(time.Second)
		others := slackapi.New(slackapi.Config{Token: testToken, URL: "http://slack.test/api/", HTTP: &http.Client{Transport: slackapi.Transport(r.wire)}})
		for i := range 2100 {
			if o := others.Post(t.Context(), slackapi.Place{Channel: r.id("support")}, slackapi.Message{ID: fmt.Sprint("other ", i), Text: "hello"}); o.Kind != slackapi.Sent {
				t.Fatal(o.Err)
			}
		}
		pass(time.Minute)
		r.exactly("support", 1, 1)
		r.looks(3, 1, 0, 0)
	})
}

// A text in a conversation is looked for in its thread.
func TestAReplyIsLookedForInItsThread(t *testing.T) {
	for _, f := range []fakeslack.Fault{{Kind: fakeslack.CutBefore}, {Kind: fakeslack.LateVisible, Delay: 3 * time.Second}} {
		t.Run(string(f.Kind), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, toSupport, "support").start()
				r.accept(aText(1, "INBOUND", customerNo, "case 1"))
				r.wantCases("support", 1, 1, 2*time.Second)
				r.slack.Fault(f)
				r.accept(aText(2, "INBOUND", customerNo, "case 2"))
				pass(10 * time.Second)
				r.accept(aText(3, "INBOUND", customerNo, "case 3"))
				r.wantCases("support", 1, 3, 20*time.Second)
				posts := r.slack.Posts("support")
				if len(posts) == 3 && (posts[0].ThreadTS != "" || posts[1].ThreadTS != posts[0].TS || posts[2].ThreadTS != posts[0].TS) {
					t.Errorf("in threads %q, %q, %q, want the second and third in the first's, %q", posts[0].ThreadTS, posts[1].ThreadTS, posts[2].ThreadTS, posts[0].TS)
				}
				if n := len(r.slack.Calls("conversations.history")); n != 0 {
					t.Errorf("the channel's history was read %d times, want 0", n)
				}
			})
		})
	}
}

// History may be read 50 times a minute, also right after a start with many posts that may or may not be there. What the
// process before called is not known: half of the limit is left for it, and Slack asks to wait where it called more.
func TestManyDoubtsAtOnce(t *testing.T) {
	for _, c := range []struct {
		name     string
		channels int
		fault    fakeslack.Fault
		crashes  bool
		within   time.Duration
		polite   bool
	}{
		{"taken", 50, fakeslack.Fault{Kind: fakeslack.DropAfterAccept, Count: 50}, false, 70 * time.Second, true},
		{"not taken", 50, fakeslack.Fault{Kind: fakeslack.CutBefore, Count: 50}, false, 3 * time.Minute, true},
		{"not taken, and crashes", 15, fakeslack.Fault{Kind: fakeslack.CutBefore, Count: 15}, true, 3 * time.Minute, true},
		{"more than half of the limit, and crashes", 50, fakeslack.Fault{Kind: fakeslack.CutBefore, Count: 50}, true, 5 * time.Minute, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				text, channels := manyChannels(c.channels)
				r := newRig(t, text, channels...).start()
				pass(5 * time.Minute) // the channels were joined at Slack's pace
				r.slack.Fault(c.fault)
				before := r.slack.RateLimited()
				for i, name := range channels {
					r.accept(aCall(i, name))
				}
				for range 3 {
					if c.crashes {
						pass(7 * time.Second)
						r.crash()
						r.start()
					}
				}
				pass(c.within)
				for i, name := range channels {
					r.exactly(name, i, i)
				}
				if n := r.slack.RateLimited() - before; n != 0 && c.polite {
					t.Errorf("%d calls were over Slack's pace, want none", n)
				}
			})
		})
	}
}
