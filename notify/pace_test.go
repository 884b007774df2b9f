package notify

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"allo-slack/outbox"
)

func TestPaceOfAChannelAndOfTheWorkspace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(always{}, outbox.Pace{}, time.Now())
		began := time.Now()
		var mu sync.Mutex
		last := map[string]time.Time{}
		var all []time.Time
		var group sync.WaitGroup
		for c := range 30 {
			group.Go(func() {
				channel := fmt.Sprint(c)
				for range 3 {
					if _, err := p.wait(t.Context(), channel); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if gap := time.Since(last[channel]); gap < channelPace {
						t.Errorf("channel %s was written to after %v", channel, gap)
					}
					all = append(all, time.Now())
					mu.Unlock()
					<-time.After(100 * time.Millisecond) // Slack's own time
					p.answered(channel)
					mu.Lock()
					last[channel] = time.Now()
					mu.Unlock()
				}
			})
		}
		group.Wait()
		for i, at := range all {
			if most := bucketSize + at.Sub(began).Seconds()*bucketRate + 1e-3; float64(i+1) > most {
				t.Errorf("message %d after %v, want at most %.1f by then", i+1, at.Sub(began), most)
			}
		}
		if took, want := time.Since(began), 18*time.Second; took > want {
			t.Errorf("90 messages took %v, want %v at most: 70 of them at 4 a second", took, want)
		}
	})
}

func TestPaceGoesOnAfterARestart(t *testing.T) {
	for name, tc := range map[string]struct {
		before func(now time.Time) outbox.Pace
		want   time.Duration
	}{
		"nothing before": {func(time.Time) outbox.Pace { return outbox.Pace{} }, 0},
		"just written to": {func(now time.Time) outbox.Pace {
			return outbox.Pace{Channels: map[string]time.Time{"C": now.Add(-time.Second)}}
		}, 50 * time.Millisecond},
		"an empty bucket":      {func(now time.Time) outbox.Pace { return outbox.Pace{Workspace: outbox.Tick{At: now}} }, 250 * time.Millisecond},
		"a bucket that filled": {func(now time.Time) outbox.Pace { return outbox.Pace{Workspace: outbox.Tick{At: now.Add(-time.Minute)}} }, 0},
		"paused":               {func(now time.Time) outbox.Pace { return outbox.Pace{Paused: now.Add(30 * time.Second)} }, 30 * time.Second},
		"the clock was set back": {func(now time.Time) outbox.Pace {
			return outbox.Pace{Channels: map[string]time.Time{"C": now.Add(24 * time.Hour)}, Workspace: outbox.Tick{At: now.Add(24 * time.Hour), Tokens: 5}}
		}, channelPace},
		"and a pause with it": {func(now time.Time) outbox.Pace { return outbox.Pace{Paused: now.Add(1000 * time.Hour)} }, maxWait},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				p := newPacer(always{}, tc.before(began), began)
				if _, err := p.wait(t.Context(), "C"); err != nil {
					t.Fatal(err)
				}
				if got := time.Since(began); got < tc.want || got > tc.want+5*time.Millisecond {
					t.Errorf("waited %v, want %v", got, tc.want)
				}
			})
		})
	}
}

func TestWaitingForThePaceEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(always{}, outbox.Pace{Paused: time.Now().Add(time.Hour)}, time.Now())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.wait(ctx, "C"); err == nil {
			t.Error("waited to the end")
		}
		if _, err := p.wait(ctx, "D"); err == nil { // whose turn at the bucket it is must not be kept for good
			t.Error("waited to the end")
		}
	})
}

// go-limiter reads the real clock, so its adapter is tried in real milliseconds.
func TestLimiter(t *testing.T) {
	l, err := NewLimiter()
	if err != nil {
		t.Fatal(err)
	}
	ok, _, err := l.Take(t.Context(), "C")
	if !ok || err != nil {
		t.Fatalf("first: %v, %v", ok, err)
	}
	ok, reset, err := l.Take(t.Context(), "C")
	if ok || err != nil || time.Until(reset) > channelPace {
		t.Errorf("second: %v until %v, %v; want to be told to wait a window at most", ok, reset, err)
	}
	if ok, _, err := l.Take(t.Context(), "D"); !ok || err != nil {
		t.Errorf("another channel: %v, %v", ok, err)
	}
}

func TestAGateLetsOneTryForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		if !g.shutFor(5 * time.Second) {
			t.Fatal("the gate was shut before")
		}
		began := time.Now()
		var mu sync.Mutex
		tries, through := 0, 0
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				for {
					trying, err := g.enter(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if !trying {
						through++
						mu.Unlock()
						return
					}
					tries++
					n := tries
					mu.Unlock()
					switch n {
					case 1:
						g.left() // learned nothing: another may try at once
					case 2, 3:
						g.shutFor(5 * time.Second)
					default:
						g.passed()
					}
				}
			})
		}
		group.Wait()
		if took := time.Since(began); tries != 4 || through != 10 || took != 15*time.Second {
			t.Errorf("%d tries and %d let through after %v, want 4, 10 and 15 s", tries, through, took)
		}
	})
}
