package notify

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"allo-slack/fakeslack"
)

// gaps fails unless a channel's messages are as far apart as the pace asks, to the millisecond that a restart may lose.
func (r *rig) gaps(channel string) {
	r.t.Helper()
	posts := r.slack.Posts(channel)
	for i := 1; i < len(posts); i++ {
		if d := posts[i].At.Sub(posts[i-1].At); d < channelPace-time.Millisecond {
			r.t.Errorf("message %d of #%s came %v after the one before it, want at least %v", i+1, channel, d, channelPace)
		}
	}
}

func TestABurstIsShownTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		r.calls("", 1, 300)
		r.wantCases("support", 1, 300, 15*time.Second)
		r.gaps("support")
		r.polite()
		if n := len(r.slack.Posts("support")); n > 15 {
			t.Errorf("they are %d messages, want digests", n)
		}
		if got := r.count("allo_slack_deliveries_sent_total", ""); got != 300 {
			t.Errorf("%v were counted as sent, want 300", got)
		}
		if got := r.count("allo_slack_deliveries_waiting", ""); got != 0 {
			t.Errorf("%v are counted as waiting, want 0", got)
		}
	})
}

func TestMoreThanFourGoTogether(t *testing.T) {
	for waiting, want := range map[int][]int{
		1: {1}, 4: {1, 1, 1, 1}, 5: {5}, 12: {12},
	} {
		t.Run(fmt.Sprint(waiting), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, toSupport, "support")
				r.open()
				r.calls("", 1, waiting)
				r.run()
				r.wantCases("support", 1, waiting, 10*time.Second)
				r.gaps("support")
				var got []int
				for _, p := range r.slack.Posts("support") {
					got = append(got, len(casesOf(p)))
				}
				if !slices.Equal(got, want) {
					t.Errorf("messages with %v events, want %v", got, want)
				}
			})
		})
	}
}

func TestAChannelWithoutABacklogIsServedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, byTag, "a", "b").start()
		pass(time.Second)
		r.calls("a", 1, 100)
		began := time.Now()
		r.calls("b", 200, 200)
		r.wantCases("b", 200, 200, time.Second)
		if d := r.slack.Posts("b")[0].At.Sub(began); d != 0 {
			t.Errorf("shown after %v, want at once", d)
		}
		r.wantCases("a", 1, 100, 10*time.Second)
		r.polite()
	})
}

// Whatever goes wrong on the way, each event is shown once, in order.
func TestOrderThroughFaults(t *testing.T) {
	faults := []fakeslack.Fault{
		{Code: "request_timeout"}, {Code: "internal_error"}, {Code: "ratelimited"}, {Code: "nobody_knows_this_one"},
		{Kind: fakeslack.RateLimit, RetryAfter: 3 * time.Second}, {Kind: fakeslack.RateLimitNoHeader},
		{Kind: fakeslack.Status}, {Kind: fakeslack.Status, Status: 403}, {Kind: fakeslack.CutBefore}, {Kind: fakeslack.Empty}, {Kind: fakeslack.Redirect},
		{Kind: fakeslack.DropAfterAccept}, {Kind: fakeslack.StatusAfterAccept}, {Kind: fakeslack.GarbageAfterAccept},
		{Kind: fakeslack.NoTS}, {Kind: fakeslack.HalfAnswer}, {Kind: fakeslack.LateVisible, Delay: 4 * time.Second},
		{Kind: fakeslack.Slow, Delay: 20 * time.Second},
	}
	t.Run("one by one", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, toSupport, "support").start()
			for i, f := range faults {
				r.slack.Fault(f)
				r.calls("", 2*i+1, 2*i+2)
				r.wantCases("support", 1, 2*i+2, 5*time.Minute)
			}
			r.gaps("support")
			r.polite()
		})
	})
	t.Run("at random", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, byTag, "a", "b", "c").start()
			r.slack.Chaos(func(method, _ string) *fakeslack.Fault {
				f := faults[rand.IntN(len(faults))]
				if method == "chat.postMessage" && rand.IntN(2) == 0 || method == "conversations.history" && f.Kind != fakeslack.NoTS && rand.IntN(10) == 0 {
					return &f
				}
				return nil
			})
			for n := 1; n <= 50; n++ {
				for i, tag := range []string{"a", "b", "c"} {
					r.accept(aCall(1000*i+n, tag))
				}
				pass(rand.N(6 * time.Second))
			}
			for i, channel := range []string{"a", "b", "c"} {
				r.wantCases(channel, 1000*i+1, 1000*i+50, 6*time.Hour)
				r.gaps(channel)
			}
			if n := r.count("allo_slack_deliveries_set_aside_total", ""); n != 0 {
				t.Errorf("%v were set aside, want none", n)
			}
		})
	})
}

func TestA429PausesAllAndIsNoAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, byTag, "a", "b", "c").start()
		pass(time.Second) // until the channels are known
		r.slack.Fault(fakeslack.Fault{Channel: "a", Kind: fakeslack.RateLimit, RetryAfter: 30 * time.Second})
		r.calls("a", 1, 1)
		pass(0)
		began := time.Now()
		r.calls("b", 2, 2)
		r.calls("c", 3, 3)
		pass(29 * time.Second)
		if n := len(r.slack.Posts("")); n != 0 {
			t.Errorf("%d messages during the Retry-After, want none", n)
		}
		post, err := r.store.OpenPost(t.Context(), r.id("a"))
		if err != nil || post == nil {
			t.Fatalf("got post %v, %v, want the one that waits", post, err)
		}
		if post.Attempts != 0 || post.Doubt {
			t.Errorf("it counts as %d attempts, in doubt: %v; want 0, false", post.Attempts, post.Doubt)
		}
		for i, channel := range []string{"a", "b", "c"} {
			r.wantCases(channel, i+1, i+1, 2*time.Second)
		}
		if d := r.slack.Posts("")[0].At.Sub(began); d != 30*time.Second {
			t.Errorf("the first went after %v, want 30 s", d)
		}
		if n := len(r.slack.Calls("chat.postMessage")); n != 4 {
			t.Errorf("%d calls, want 4", n)
		}
		if n := len(r.slack.Calls("conversations.history")); n != 0 {
			t.Errorf("the history was read %d times, want 0: a 429 is no doubt", n)
		}
		r.polite()
	})
}

func TestABrokenChannelDelaysNoOther(t *testing.T) {
	for _, f := range []fakeslack.Fault{
		{Code: "request_timeout"}, {Code: "fatal_error"}, {Code: "is_archived"}, {Code: "invalid_blocks"}, {Code: "nobody_knows_this_one"},
		{Kind: fakeslack.Status}, {Kind: fakeslack.CutBefore}, {Kind: fakeslack.Empty}, {Kind: fakeslack.NoTS}, {Kind: fakeslack.Slow, Delay: 20 * time.Second},
	} {
		t.Run(string(f.Kind)+f.Code, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, byTag, "a", "b").start()
				f.Channel, f.Count = "a", -1
				r.slack.Fault(f)
				r.calls("a", 1, 20)
				for n := 101; n <= 110; n++ {
					began := time.Now()
					r.calls("b", n, n)
					r.wantCases("b", 101, n, 2*time.Second)
					if posts := r.slack.Posts("b"); len(posts) == 0 || posts[len(posts)-1].At.Sub(began) > channelPace {
						t.Errorf("call %d was not shown within %v", n, channelPace)
					}
					pass(10 * time.Second)
				}
				if f.Code == "invalid_blocks" {
					return // they are aside by now
				}
				r.slack.ClearFaults()
				r.wantCases("a", 1, 20, 10*time.Minute)
			})
		})
	}
}
