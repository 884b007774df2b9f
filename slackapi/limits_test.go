package slackapi

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// taken calls as often as it may at once, and returns how often that was and how long the next has to wait.
func taken(l *limits, m Method) (n int, next time.Duration) {
	for ; n < 1000; n++ {
		if next = l.take(m); next > 0 {
			break
		}
	}
	return n, next
}

func TestLimits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for share, want := range map[float64]map[Method]int{
			1:    {listing: 17, Updating: 45, asking: 45, joining: 45, history: 45, lookingUp: 45, Posting: 1000},
			0.5:  {listing: 8, Updating: 22, asking: 22, joining: 22, history: 22, lookingUp: 22, Posting: 1000},
			0.25: {listing: 4, replies: 11},
			0:    {listing: 0, history: 0, Posting: 1000},
		} {
			l := newLimits(share)
			for m, want := range want {
				n, next := taken(l, m)
				if n != want {
					t.Errorf("share %v: %d calls of %s at once, want %d", share, n, m, want)
				}
				if wait := minute; m == Posting && next != 0 || m != Posting && next != wait {
					t.Errorf("share %v: the next call of %s waits %v, want %v", share, m, next, wait)
				}
			}
		}
		// What was called counts for a minute, each call by itself.
		l := newLimits(1)
		for range 40 {
			l.take(asking)
		}
		pass(20 * time.Second)
		if n, next := taken(l, asking); n != 5 || next != minute-20*time.Second {
			t.Errorf("%d more calls, the next after %v, want 5, and %v", n, next, minute-20*time.Second)
		}
		pass(minute - 20*time.Second)
		if n, next := taken(l, asking); n != 40 || next != 20*time.Second {
			t.Errorf("%d more calls, the next after %v, want 40, and 20 s", n, next)
		}
	})
}

// History and replies are one limit.
func TestHistoryAndRepliesShareALimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLimits(1)
		for range 30 {
			l.take(history)
		}
		if n, _ := taken(l, replies); n != 15 {
			t.Errorf("%d calls of replies after 30 of history, want 15", n)
		}
		if d := l.take(history); d != minute {
			t.Errorf("the next of history waits %v, want %v", d, minute)
		}
	})
}

func TestBegin(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(d time.Duration, share float64) Start { return Start{now.Add(d), share} }
	for _, c := range []struct {
		name   string
		before []Start
		want   []Start // the last of them is this one
	}{
		{"the first ever", nil, []Start{at(0, 1)}},
		{"long after the first", []Start{at(-time.Hour, 1)}, []Start{at(0, 0.5)}},
		{"long after a restart", []Start{at(-2*time.Minute, 0.5)}, []Start{at(0, 0.5)}},
		{"right after the first", []Start{at(-time.Second, 1)}, []Start{at(-time.Second, 1), at(0, 0.5)}},
		{"right after a restart", []Start{at(-time.Second, 0.5)}, []Start{at(-time.Second, 0.5), at(0, 0.25)}},
		{"the third within a minute", []Start{at(-50*time.Second, 0.5), at(-10*time.Second, 0.25)},
			[]Start{at(-50*time.Second, 0.5), at(-10*time.Second, 0.25), at(0, 0.125)}},
		{"one of them longer ago", []Start{at(-70*time.Second, 0.5), at(-10*time.Second, 0.25)}, []Start{at(-10*time.Second, 0.25), at(0, 0.375)}},
		{"just within a minute", []Start{at(-minute+1, 0.5)}, []Start{at(-minute+1, 0.5), at(0, 0.25)}},
		{"just after a minute", []Start{at(-minute, 0.5)}, []Start{at(0, 0.5)}},

		// The clock was set back. What began later than now may have begun just now.
		{"in a year", []Start{at(365*24*time.Hour, 0.5)}, []Start{at(0, 0.5), at(0, 0.25)}},
		{"more than all", []Start{at(time.Hour, 0.75), at(time.Hour, 0.5)}, []Start{at(0, 0.75), at(0, 0.5), at(0, 0)}},
	} {
		before := slices.Clone(c.before)
		if got := Begin(c.before, now); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		if !slices.Equal(before, c.before) {
			t.Errorf("%s: what is known of those before was changed", c.name)
		}
	}
}

// However often the process begins anew, no minute has more calls than a bound.
//
// A restart has a share of a minute's calls, and those of all restarts within a minute are 1 together at most. So where each
// process makes its calls as soon as it may, and lives for less than a minute, no minute has more than a single process could
// make. Otherwise one minute has the calls of the process that lived as it began, or of the first ever, which are as many as
// one may make, and of those that began within it, which share as many: twice as many at most.
func TestACrashLoopIsNoFasterThanOneProcess(t *testing.T) {
	between := func(random *rand.Rand, from, to time.Duration) time.Duration {
		return from + time.Duration(random.Int64N(int64(to-from)+1))
	}
	for _, c := range []struct {
		name    string
		late    bool          // a process may begin to call at any time of its life
		longest time.Duration // that one lives
		gap     time.Duration // at most between an end and the next start
		times   int           // of what one process may call in a minute
	}{
		{"at once", false, 30 * time.Second, 30 * time.Second, 1},
		{"at once, with pauses", false, 30 * time.Second, 3 * time.Minute, 1},
		{"without a pause", false, 30 * time.Second, 0, 1},
		{"late", true, 30 * time.Second, 30 * time.Second, 2},
		{"late, without a pause", true, 30 * time.Second, 0, 2},
		{"long lives", true, 5 * time.Minute, time.Minute, 2},
	} {
		for _, m := range []Method{listing, history} {
			bubbleIn(t, fmt.Sprint(c.name, " ", m), func(t *testing.T) {
				for seed := range uint64(60) {
					random := rand.New(rand.NewPCG(seed, 0))
					starts := []Start{{At: time.Now().Add(-time.Hour), Share: 1}}
					if c.times > 1 && seed%2 == 0 {
						starts = nil // the first ever
					}
					var calls []time.Time
					for range 30 {
						starts = Begin(starts, time.Now())
						l := newLimits(starts[len(starts)-1].Share)
						ends := time.Now().Add(between(random, 100*time.Millisecond, c.longest))
						if c.late {
							<-time.After(between(random, 0, time.Until(ends)))
						}
						for {
							d := l.take(m)
							if d > 0 {
								<-time.After(min(d, time.Until(ends)))
							} else {
								calls = append(calls, time.Now())
							}
							if !time.Now().Before(ends) {
								break
							}
						}
						<-time.After(time.Until(ends))
						<-time.After(between(random, 0, c.gap))
					}
					first := 0
					for i, at := range calls {
						for at.Sub(calls[first]) >= time.Minute {
							first++
						}
						if n := i - first + 1; n > c.times*m.most() {
							t.Fatalf("seed %d: %d calls in the minute until %v, want at most %d", seed, n, at, c.times*m.most())
						}
					}
					if len(calls) < m.most()/2 {
						t.Fatalf("seed %d: %d calls in all, want %d at least: those of the first restart", seed, len(calls), m.most()/2)
					}
					<-time.After(time.Hour)
				}
				synctest.Wait()
			})
		}
	}
}

// The budget of calls goes by a clock that nobody sets.
func TestLimitsGoByTheMonotonicClock(t *testing.T) {
	l := newLimits(0.5)
	if d := l.take(history); d != 0 {
		t.Fatalf("the first call waits %v", d)
	}
	if n := len(l.calls[history]); n != 24 {
		t.Errorf("%d calls are known, want 24: those that the process before may have made, and one", n)
	}
	for _, at := range l.calls[history] {
		if !strings.Contains(at.String(), " m=") {
			t.Errorf("%v has no monotonic time", at)
		}
	}
}

// A share of nothing is nothing.
func TestAShareOfNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := New(Config{Token: testToken, Used: 1})
		if n, _ := taken(c.limits, history); n != 0 {
			t.Errorf("%d calls at once, want 0: the process before may have made all", n)
		}
	})
}
