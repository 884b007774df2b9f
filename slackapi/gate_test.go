package slackapi

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// mustEnter enters a gate and returns whether it is to try.
func mustEnter(t *testing.T, g *gate) bool {
	t.Helper()
	trying, err := g.enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return trying
}

func TestAnOpenGate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		began := time.Now()
		for range 3 {
			if mustEnter(t, g) {
				t.Error("got a try, want to go through")
			}
		}
		if g.passed() {
			t.Error("passed says that it was shut")
		}
		g.left()
		if d := time.Since(began); d != 0 {
			t.Errorf("going through took %v", d)
		}
	})
}

func TestOneTriesForAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const every, callers, fails = 5 * time.Second, 10, 7
		g := newGate()
		if !g.shutFor(every, true) {
			t.Error("shutting it says that it was shut before")
		}
		began := time.Now()
		var mu sync.Mutex
		var tries []time.Duration
		opened := 0
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				for {
					if !mustEnter(t, g) {
						break
					}
					mu.Lock()
					tries = append(tries, time.Since(began))
					failed := len(tries) <= fails
					mu.Unlock()
					<-time.After(time.Second) // as long as a try takes
					if !failed {
						if !g.passed() {
							t.Error("opening it says that it was open")
						}
						break
					}
					if g.shutFor(every, true) {
						t.Error("keeping it shut says that it was open")
					}
				}
				mu.Lock()
				defer mu.Unlock()
				opened++
				if got, want := time.Since(began), (fails+1)*(every+time.Second); got != want {
					t.Errorf("went on after %v, want all at once after %v", got, want)
				}
			})
		}
		all.Wait()
		if opened != callers || len(tries) != fails+1 {
			t.Errorf("%d went through after %d tries, want %d after %d", opened, len(tries), callers, fails+1)
		}
		for i, at := range tries {
			if want := every + time.Duration(i)*(every+time.Second); at != want {
				t.Errorf("try %d began after %v, want %v", i+1, at, want)
			}
		}
	})
}

// Somebody whose try takes long is not joined by a second one.
func TestALongTry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		g.shutFor(time.Second, true)
		if !mustEnter(t, g) {
			t.Fatal("no try")
		}
		began := time.Now()
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if mustEnter(t, g) || time.Since(began) != time.Hour {
					t.Errorf("went on after %v, want to go through after an hour", time.Since(began))
				}
			})
		}
		pass(time.Hour)
		g.passed()
		all.Wait()
	})
}

func TestWhoLeavesMakesRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		g.shutFor(5*time.Second, true)
		began := time.Now()
		if !mustEnter(t, g) {
			t.Fatal("no try")
		}
		second := make(chan time.Duration)
		go func() {
			if !mustEnter(t, g) {
				t.Error("went through a shut gate")
			}
			second <- time.Since(began)
		}()
		pass(3 * time.Second)
		g.left()
		if got := <-second; got != 8*time.Second {
			t.Errorf("the second tried after %v, want at once after the first left, 8 s", got)
		}
		g.shutFor(5*time.Second, true)
		g.left() // nobody tries: nothing changes
		began = time.Now()
		if !mustEnter(t, g) || time.Since(began) != 5*time.Second {
			t.Errorf("the third tried after %v, want 5 s after the second", time.Since(began))
		}
	})
}

// What fails while the gate is shut, though it did not ask to try, puts the next try off.
func TestShutAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		g.shutFor(5*time.Second, true)
		began := time.Now()
		go func() {
			<-time.After(3 * time.Second)
			g.shutFor(5*time.Second, true)
		}()
		if !mustEnter(t, g) || time.Since(began) != 8*time.Second {
			t.Errorf("tried after %v, want 8 s", time.Since(began))
		}
	})
}

func TestCancelAtTheGate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		g.shutFor(time.Hour, true)
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(t.Context())
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if trying, err := g.enter(ctx); trying || !errors.Is(err, why) {
					t.Errorf("got %v, %v, want false, why", trying, err)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		cancel(why)
		all.Wait()
		if d := time.Since(began); d != 0 {
			t.Errorf("leaving took %v", d)
		}
		if !mustEnter(t, g) || time.Since(began) != time.Hour {
			t.Errorf("who came later tried after %v, want an hour", time.Since(began))
		}
	})
}

// Who waits before another try of its own goes to the gate as soon as it is shut, where the first success wakes it.
func TestSleepingUntilTheGateShuts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := newGate()
		began := time.Now()
		slept := func(ctx context.Context, d time.Duration) (time.Duration, error) {
			err := g.sleep(ctx, d)
			return time.Since(began), err
		}
		if got, err := slept(t.Context(), 10*time.Second); got != 10*time.Second || err != nil {
			t.Errorf("beside an open gate: slept %v, %v, want 10 s", got, err)
		}
		go func() {
			<-time.After(3 * time.Second)
			g.shutFor(5*time.Second, true)
		}()
		if got, err := slept(t.Context(), time.Minute); got != 13*time.Second || err != nil {
			t.Errorf("until %v, %v, want until it was shut, 13 s", got, err)
		}
		if got, err := slept(t.Context(), time.Minute); got != 13*time.Second || err != nil {
			t.Errorf("beside a shut gate until %v, %v, want no sleep", got, err)
		}
		g.passed()
		why := errors.New("why")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, why)
		defer cancel()
		if got, err := slept(ctx, time.Minute); got != 15*time.Second || !errors.Is(err, why) {
			t.Errorf("until %v, %v, want until it was told why, 15 s", got, err)
		}
	})
}
