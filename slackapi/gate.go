package slackapi

import (
	"context"
	"sync"
	"time"
)

// gate is open while Slack can be worked with. While it is shut, one at a time tries for all, every so often; the
// first success opens it for everybody at once.
type gate struct {
	mu      sync.Mutex
	shut    bool
	every   time.Duration // between tries while it is shut
	last    time.Time     // when the last try ended
	trying  bool
	changed chan struct{} // closed when any of the above changes
}

func newGate() *gate { return &gate{changed: make(chan struct{})} }

// enter returns when the gate is open, or when it is this caller's turn to try. Who tries must call passed, shutFor
// or left.
func (g *gate) enter(ctx context.Context) (trying bool, err error) {
	for {
		g.mu.Lock()
		if !g.shut {
			g.mu.Unlock()
			return false, nil
		}
		d := time.Until(g.last.Add(g.every))
		if !g.trying && d <= 0 {
			g.trying = true
			g.mu.Unlock()
			return true, nil
		}
		changed := g.changed
		g.mu.Unlock()

		// While somebody else tries, changed tells how it went.
		if d <= 0 {
			d = time.Minute
		}
		timer := time.NewTimer(d)
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
			timer.Stop()
			return false, context.Cause(ctx)
		}
		timer.Stop()
	}
}

func (g *gate) change(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
	close(g.changed)
	g.changed = make(chan struct{})
}

// passed opens the gate; it reports whether it was shut.
func (g *gate) passed() (was bool) {
	g.mu.Lock()
	was = g.shut
	g.mu.Unlock()
	if was {
		g.change(func() { g.shut, g.trying = false, false })
	}
	return was
}

// shutFor shuts the gate, or keeps it shut, with a try every so often; it reports whether it was open. With tried it ends
// the caller's try.
func (g *gate) shutFor(every time.Duration, tried bool) (was bool) {
	g.change(func() {
		was = !g.shut
		g.shut, g.every, g.last = true, every, time.Now()
		if tried {
			g.trying = false
		}
	})
	return was
}

func (g *gate) isShut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut
}

// left says that whoever tried learned nothing.
func (g *gate) left() {
	g.mu.Lock()
	trying := g.trying
	g.mu.Unlock()
	if trying {
		g.change(func() { g.trying = false })
	}
}

// sleep waits before another try of something that was not answered. Once the gate is shut that is at an end: then enter
// says when to try.
func (g *gate) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		g.mu.Lock()
		shut, changed := g.shut, g.changed
		g.mu.Unlock()
		if shut {
			return nil
		}
		select {
		case <-timer.C:
			return nil
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
