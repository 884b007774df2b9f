package notify

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"allo-slack/fakeslack"
)

// stopNow tells a bot to stop and returns for how long it took.
func (r *rig) stopNow() time.Duration {
	began := time.Now()
	r.stop()
	return time.Since(began)
}

// A send that is in flight at SIGTERM is waited for, and recorded if it is answered in time. Otherwise the next start
// looks for it.
func TestAStopDuringASend(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault fakeslack.Fault
		stop  time.Duration // that it takes
		reads int           // of the history
	}{
		{"answered", fakeslack.Fault{Kind: fakeslack.Slow, Delay: 5 * time.Second}, 5 * time.Second, 0},
		{"taken, answered after the grace", fakeslack.Fault{Kind: fakeslack.Slow, Delay: 10 * time.Second}, grace, 2},
		{"taken, shown after the start", fakeslack.Fault{Kind: fakeslack.LateVisible, Delay: 3 * time.Second}, 0, 3},
		{"not taken, never answered", fakeslack.Fault{Kind: fakeslack.CutBefore, Delay: time.Minute}, grace, 2},
		{"surely not taken", fakeslack.Fault{Code: "request_timeout", Status: 200, Kind: fakeslack.SlackError, Delay: 3 * time.Second}, 3 * time.Second, 0},
		{"refused", fakeslack.Fault{Kind: fakeslack.RateLimit, RetryAfter: 20 * time.Second, Delay: 3 * time.Second}, 3 * time.Second, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, toSupport, "support").start()
				pass(time.Minute)
				r.slack.Fault(c.fault)
				r.calls("", 1, 1)
				pass(time.Millisecond)
				r.calls("", 2, 3) // wait behind it
				if took := r.stopNow(); took.Round(10*time.Millisecond) != c.stop {
					t.Errorf("the stop took %v, want %v", took, c.stop)
				}
				r.start()
				r.wantCases("support", 1, 3, time.Minute)
				if n := len(r.slack.Calls("conversations.history")); n != c.reads {
					t.Errorf("the history was read %d times, want %d", n, c.reads)
				}
				r.gaps("support")
				r.polite()
				pass(10 * time.Second)
				r.exactly("support", 1, 3)
			})
		})
	}
}

// What waits for anything else than an answer stops at once.
func TestAStopWhileWaiting(t *testing.T) {
	for name, wait := range map[string]func(r *rig){
		"for nothing":  func(r *rig) {},
		"for the pace": func(r *rig) { r.calls("a", 1, 9) },
		"for Retry-After": func(r *rig) {
			r.slack.Fault(fakeslack.Fault{Kind: fakeslack.RateLimit, RetryAfter: time.Hour})
			r.calls("a", 1, 9)
		},
		"for a backoff":     func(r *rig) { r.slack.Fault(fakeslack.Fault{Code: "request_timeout", Count: 20}); r.calls("a", 1, 9) },
		"for a second look": func(r *rig) { r.slack.Fault(fakeslack.Fault{Kind: fakeslack.CutBefore}); r.calls("a", 1, 9) },
		"for a channel": func(r *rig) {
			r.slack.SetChannel("a", func(c *fakeslack.Channel) { c.Archived = true })
			r.calls("a", 1, 9)
		},
		"for a name":    func(r *rig) { r.calls("b", 1, 9) },
		"for the token": func(r *rig) { r.slack.SetToken("xoxb-another"); r.calls("a", 1, 9) },
		"for Slack":     func(r *rig) { r.wire.Refuse(true); r.calls("a", 1, 9) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, byTag, "a").start()
				pass(time.Minute)
				wait(r)
				pass(2*time.Minute + time.Millisecond)
				if took := r.stopNow(); took != 0 {
					t.Errorf("the stop took %v, want none", took)
				}
			})
		})
	}
}

// After a crash in the middle of a send the next start looks first, and sends what isn't there.
func TestACrashDuringASend(t *testing.T) {
	for _, c := range []struct {
		name  string
		taken bool
		reads int
	}{
		{"before Slack had it", false, 2},
		{"after Slack had it", true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, toSupport, "support")
				slack := r.slack.API()
				hang := false
				r.api = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					posting := strings.HasSuffix(req.URL.Path, "chat.postMessage") && hang
					if !posting || c.taken {
						slack.ServeHTTP(w, req)
					}
					if posting {
						<-time.After(time.Minute)
						panic(http.ErrAbortHandler)
					}
				})
				r.start()
				pass(time.Minute)
				hang = true
				r.calls("", 1, 1)
				pass(time.Millisecond)
				r.calls("", 2, 3)
				r.crash()
				hang = false
				r.start()
				r.wantCases("support", 1, 3, time.Minute)
				if n := len(r.slack.Calls("conversations.history")); n != c.reads {
					t.Errorf("the history was read %d times, want %d", n, c.reads)
				}
				r.gaps("support")
			})
		})
	}
}

// The pace outlives a restart: that of a channel, that of the workspace, and a Retry-After.
func TestARestartKeepsThePace(t *testing.T) {
	t.Run("of a channel", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, toSupport, "support").start()
			for n := 1; n <= 10; n++ {
				r.calls("", n, n)
				r.wantCases("support", 1, n, 2*time.Second)
				r.stop()
				r.start()
			}
			r.gaps("support")
			r.polite()
		})
	})
	t.Run("of the workspace", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			text, channels := manyChannels(30)
			r := newRig(t, text, channels...).start()
			pass(time.Minute)
			began := time.Now()
			for i, name := range channels {
				r.accept(aCall(i, name))
			}
			pass(100 * time.Millisecond) // 20 are out
			r.crash()
			r.start()
			if _, err := r.slack.WaitPosts(r.in(time.Minute), "", 30); err != nil {
				t.Error(err)
			}
			for i, p := range r.slack.Posts("") {
				if d, want := p.At.Sub(began), time.Duration(max(0, i-19))*250*time.Millisecond; d < want-5*time.Millisecond {
					t.Errorf("message %d went after %v, want %v at least", i+1, d, want)
				}
			}
			r.polite()
		})
	})
	t.Run("of a Retry-After", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, byTag, "a", "b").start()
			pass(time.Minute)
			r.slack.Fault(fakeslack.Fault{Kind: fakeslack.RateLimit, RetryAfter: 40 * time.Second})
			began := time.Now()
			r.calls("a", 1, 1)
			pass(time.Second)
			r.crash()
			r.start()
			r.calls("b", 2, 2)
			r.wantCases("a", 1, 1, time.Minute)
			r.wantCases("b", 2, 2, time.Minute)
			if d := r.slack.Posts("")[0].At.Sub(began); d != 40*time.Second {
				t.Errorf("the first went after %v, want 40 s", d)
			}
			r.polite()
		})
	})
}

// Crashes at any time, with a Slack that is faulty besides: nothing is lost, nothing is shown twice, all is in order.
func TestCrashes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, byTag, "a", "b").start()
		faults := []fakeslack.Fault{
			{Kind: fakeslack.DropAfterAccept}, {Kind: fakeslack.CutBefore}, {Kind: fakeslack.Status}, {Kind: fakeslack.StatusAfterAccept},
			{Kind: fakeslack.Slow, Delay: 3 * time.Second}, {Kind: fakeslack.RateLimit, RetryAfter: 2 * time.Second}, {Code: "request_timeout"},
		}
		r.slack.Chaos(func(method, _ string) *fakeslack.Fault {
			if f := faults[rand.IntN(len(faults))]; method == "chat.postMessage" && rand.IntN(2) == 0 {
				return &f
			}
			return nil
		})
		n := 0
		for range 15 {
			for range rand.IntN(8) {
				n++
				r.accept(aCall(n, "a"))
				r.accept(aCall(1000+n, "b"))
			}
			pass(rand.N(8 * time.Second))
			r.crash()
			r.start()
		}
		r.wantCases("a", 1, n, 2*time.Hour)
		r.wantCases("b", 1001, 1000+n, 2*time.Hour)
		r.gaps("a")
		r.gaps("b")
	})
}

// What was accepted and never begun is there after a crash.
func TestACrashBeforeTheSend(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support")
		r.open()
		r.calls("", 1, 3)
		if got := r.count("allo_slack_deliveries_waiting", ""); got != 3 {
			t.Errorf("%v wait, want 3", got)
		}
		r.crash()
		r.start()
		r.wantCases("support", 1, 3, 5*time.Second)
		if n := len(r.slack.Calls("conversations.history")); n != 0 {
			t.Errorf("the history was read %d times, want 0: nothing was in doubt", n)
		}
		if !r.accept(aCall(2, "")) {
			t.Error("a repeat after the crash was not recognised")
		}
		if slices.Contains(r.cases("support"), 4) {
			t.Error("something was shown that never came")
		}
	})
}

// What Slack answered can't be stored: nothing else is done in the channel, a stop is not held up, and the next start
// finds the message in the history.
func TestAnAnswerThatCannotBeStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		pass(time.Minute)
		r.slack.Fault(fakeslack.Fault{Kind: fakeslack.Slow, Delay: 5 * time.Second})
		r.calls("", 1, 1)
		pass(time.Second)
		r.calls("", 2, 3)
		if err := r.store.Close(); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Minute)
		r.exactly("support", 1, 1)
		if n := strings.Count(r.log.String(), `"sent"`); n != 0 {
			t.Errorf("the log says %d times that something was sent", n)
		}
		if took := r.stopNow(); took > time.Second {
			t.Errorf("the stop took %v", took)
		}
		r.start()
		r.wantCases("support", 1, 3, 10*time.Second)
		if n := len(r.slack.Calls("conversations.history")); n != 1 {
			t.Errorf("the history was read %d times, want once", n)
		}
	})
}
