package notify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"allo-slack/outbox"
	"allo-slack/slackapi"
)

// about tells whether a time is another, but for the rounding of the bucket.
func about(a, b time.Duration) bool { return a >= b-time.Millisecond && a <= b+5*time.Millisecond }

// mustWait waits for the pace and returns for how long that was.
func mustWait(t *testing.T, p *pacer, channel string) time.Duration {
	t.Helper()
	began := time.Now()
	if _, err := p.wait(t.Context(), channel); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

// unpaused is a Slack that has asked nobody to wait.
func unpaused() time.Duration { return 0 }

// pausing is a Slack that asks to wait.
type pausing struct{ until atomic.Pointer[time.Time] }

func (p *pausing) pause(d time.Duration) {
	until := time.Now().Add(d)
	p.until.Store(&until)
}

func (p *pausing) left() time.Duration {
	until := p.until.Load()
	if until == nil {
		return 0
	}
	return time.Until(*until)
}

func freshPacer() *pacer { return newPacer(always{}, outbox.Pace{}, unpaused, time.Now()) }

func TestPaceOfAChannel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := freshPacer()
		if got := mustWait(t, p, "C1"); got != 0 {
			t.Errorf("the first waited %v, want 0", got)
		}
		for _, took := range []time.Duration{0, 300 * time.Millisecond, 3 * time.Second, 25 * time.Second} {
			pass(took)
			p.touch("C1")
			if got := mustWait(t, p, "C1"); got != 1050*time.Millisecond {
				t.Errorf("after an answer that took %v the next waited %v, want 1.05 s", took, got)
			}
		}
		// One that was never answered is followed at the same distance.
		if got := mustWait(t, p, "C1"); got != 1050*time.Millisecond {
			t.Errorf("without an answer the next waited %v, want 1.05 s", got)
		}
		if got := mustWait(t, p, "C2"); got != 0 {
			t.Errorf("another channel waited %v, want 0", got)
		}
	})
}

func TestPaceOfTheWorkspace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := freshPacer()
		pass(time.Hour) // gathers no more than the bucket holds
		began := time.Now()
		times := make(chan time.Duration, 40)
		for i := range 40 {
			go func() {
				mustWait(t, p, fmt.Sprint("C", i))
				times <- time.Since(began)
			}()
		}
		for i := range 40 {
			want := time.Duration(max(0, i-19)) * 250 * time.Millisecond
			if got := <-times; !about(got, want) {
				t.Errorf("message %d went after %v, want %v", i+1, got, want)
			}
		}
	})
}

func TestPaceOfAChannelAndOfTheWorkspace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPacer(always{}, outbox.Pace{}, unpaused, time.Now())
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
					p.touch(channel)
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

func TestATokenThatWasNotNeeded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := freshPacer()
		for i := range 20 {
			mustWait(t, p, fmt.Sprint("C", i))
		}
		old := outbox.Tick{At: time.Now()}
		p.giveBack(old)
		if got := mustWait(t, p, "next"); got != 0 {
			t.Errorf("waited %v for the token that was given back, want 0", got)
		}
		if got := mustWait(t, p, "after"); !about(got, 250*time.Millisecond) {
			t.Errorf("waited %v for the next, want 250 ms", got)
		}
		pass(time.Minute)
		p.giveBack(outbox.Tick{At: time.Now()}) // of a full bucket
		times := 0
		for i := range 25 {
			if mustWait(t, p, fmt.Sprint("D", i)) == 0 {
				times++
			}
		}
		if times != 20 {
			t.Errorf("%d went at once, want 20", times)
		}
		p.giveBack(old) // the bucket has filled since
		if got := mustWait(t, p, "late"); got == 0 {
			t.Error("a token that was kept for a minute was taken back")
		}
	})
}

func TestPauseHoldsAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var slack pausing
		p := newPacer(always{}, outbox.Pace{}, slack.left, time.Now())
		began := time.Now()
		slack.pause(30 * time.Second)
		var all sync.WaitGroup
		for _, channel := range []string{"C1", "C2", "C3"} {
			all.Go(func() {
				mustWait(t, p, channel)
				if got := time.Since(began); got != 45*time.Second {
					t.Errorf("%s went after %v, want 45 s", channel, got)
				}
			})
		}
		pass(20 * time.Second)
		slack.pause(25 * time.Second) // while they wait
		all.Wait()
	})
}

func TestPaceGoesOnAfterARestart(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(now time.Time) outbox.Pace
		want   time.Duration // until a message to C1 goes
	}{
		{"never ran", func(time.Time) outbox.Pace { return outbox.Pace{} }, 0},
		{"paused before the first message", func(now time.Time) outbox.Pace {
			return outbox.Pace{Workspace: outbox.Tick{At: time.UnixMilli(0)}, Paused: now.Add(7 * time.Second)}
		}, 7 * time.Second},
		{"the channel was just written to", channelAt(0), 1050 * time.Millisecond},
		{"0.8 s ago", channelAt(-800 * time.Millisecond), 250 * time.Millisecond},
		{"a minute ago", channelAt(-time.Minute), 0},
		{"an empty bucket", tokens(0, 0), 250 * time.Millisecond},
		{"an empty bucket, 0.1 s ago", tokens(0, -100*time.Millisecond), 150 * time.Millisecond},
		{"half a token", tokens(0.5, 0), 125 * time.Millisecond},
		{"a full bucket", tokens(20, 0), 0},
		{"paused", func(now time.Time) outbox.Pace { return outbox.Pace{Paused: now.Add(40 * time.Second)} }, 40 * time.Second},
		{"paused until before", func(now time.Time) outbox.Pace { return outbox.Pace{Paused: now.Add(-time.Second)} }, 0},

		// The clock was set back, or was wrong when it was written down.
		{"written to in a year", channelAt(365 * 24 * time.Hour), 1050 * time.Millisecond},
		{"an empty bucket, in a year", tokens(0, 365*24*time.Hour), 250 * time.Millisecond},
		{"paused for a year", func(now time.Time) outbox.Pace { return outbox.Pace{Paused: now.Add(365 * 24 * time.Hour)} }, time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				before := c.before(time.Now())
				slack := slackapi.New(slackapi.Config{Paused: before.Paused})
				p := newPacer(always{}, before, slack.Paused, time.Now())
				if got := mustWait(t, p, "C1"); !about(got, c.want) {
					t.Errorf("the first message went after %v, want %v", got, c.want)
				}
			})
		})
	}
}

func channelAt(d time.Duration) func(time.Time) outbox.Pace {
	return func(now time.Time) outbox.Pace {
		return outbox.Pace{Channels: map[string]time.Time{"C1": now.Add(d)}}
	}
}

func tokens(n float64, d time.Duration) func(time.Time) outbox.Pace {
	return func(now time.Time) outbox.Pace { return outbox.Pace{Workspace: outbox.Tick{At: now.Add(d), Tokens: n}} }
}

// A bucket that goes back in time neither fills up nor waits for the time to come again.
func TestABucketWhoseClockIsSetBack(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := bucket{size: 20, rate: 4, tokens: 1, at: now}
	if d := b.take(now.Add(-time.Hour)); d != 0 {
		t.Errorf("an hour before: waits %v for a token that is there, want 0", d)
	}
	if d := b.take(now.Add(-time.Hour)); !about(d, 250*time.Millisecond) {
		t.Errorf("the next: waits %v, want 250 ms", d)
	}
	if d := b.take(now.Add(-time.Hour + 251*time.Millisecond)); d != 0 {
		t.Errorf("251 ms later: waits %v, want 0", d)
	}
}

// Of many channels that always have something to say none is favoured, whatever the others have.
func TestEachReadyChannelHasItsTurn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := freshPacer()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		sent := make([]int, 40)
		var all sync.WaitGroup
		for i := range sent {
			all.Go(func() {
				for {
					if _, err := p.wait(ctx, fmt.Sprint("C", i)); err != nil {
						return
					}
					sent[i]++
					p.touch(fmt.Sprint("C", i))
				}
			})
		}
		all.Wait()
		for i, n := range sent { // 20 and 4 a second, over 40 channels
			if n < 10 || n > 11 {
				t.Errorf("channel %d sent %d messages in 100 s, want 10 or 11", i, n)
			}
		}
	})
}

// Whoever stops waiting is in nobody's way.
func TestPaceOfThoseWhoLeave(t *testing.T) {
	bubble(t, func(t *testing.T) {
		why := errors.New("why")
		var slack pausing
		p := newPacer(always{}, outbox.Pace{}, slack.left, time.Now())
		for i := range 20 {
			mustWait(t, p, fmt.Sprint("C", i))
		}
		slack.pause(time.Minute)
		ctx, cancel := context.WithCancelCause(t.Context())
		var all sync.WaitGroup
		for _, channel := range []string{"C0", "A", "B"} { // its own pace, the pause, its turn
			all.Go(func() {
				if _, err := p.wait(ctx, channel); !errors.Is(err, why) {
					t.Errorf("%s: got %v, want why", channel, err)
				}
			})
		}
		synctest.Wait()
		cancel(why)
		all.Wait()
		if got := mustWait(t, p, "D"); got != time.Minute {
			t.Errorf("who stayed waited %v, want a minute", got)
		}
	})
}

// strict lets through one message in each window of ten seconds.
type strict struct{ began time.Time }

func (s *strict) Take(_ context.Context, _ string) (bool, time.Time, error) {
	if now := time.Now(); !now.Before(s.began) {
		s.began = now.Add(10 * time.Second)
		return true, s.began, nil
	}
	return false, s.began, nil
}

// failing is a limiter that fails.
type failing struct{ err error }

func (f failing) Take(context.Context, string) (bool, time.Time, error) {
	return false, time.Time{}, f.err
}

func TestTheLimiterHasAWord(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPacer(&strict{}, outbox.Pace{}, unpaused, time.Now())
		mustWait(t, p, "C1")
		if got := mustWait(t, p, "C1"); got != 10*time.Second {
			t.Errorf("waited %v, want the limiter's 10 s", got)
		}
		err := errors.New("no")
		p = newPacer(failing{err}, outbox.Pace{}, unpaused, time.Now())
		if _, got := p.wait(t.Context(), "C1"); !errors.Is(got, err) {
			t.Errorf("got %v, want the limiter's error", got)
		}
	})
}

// The real limiter reads the real clock.
func TestNewLimiter(t *testing.T) {
	l, err := NewLimiter()
	if err != nil {
		t.Fatal(err)
	}
	take := func(key string) (bool, time.Duration) {
		t.Helper()
		ok, reset, err := l.Take(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		return ok, time.Until(reset)
	}
	if ok, _ := take("C1"); !ok {
		t.Error("the first was not let through")
	}
	ok, reset := take("C1")
	if ok || reset <= 0 || reset > channelPace {
		t.Errorf("the second: got %v, until %v, want false, within %v", ok, reset, channelPace)
	}
	if ok, _ := take("C2"); !ok {
		t.Error("another channel was not let through")
	}
	<-time.After(reset)
	if ok, _ := take("C1"); !ok {
		t.Error("not let through after the time that it named")
	}
}
