package notify

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"allo-slack/outbox"
)

// taken calls as often as it may at once, and returns how often that was.
func taken(t *testing.T, all *tiers, one tier) (n int) {
	t.Helper()
	for began := time.Now(); ; n++ {
		if err := all.wait(t.Context(), one); err != nil {
			t.Fatal(err)
		}
		if time.Since(began) > 0 {
			return n
		}
	}
}

func TestTiers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		all := newTiers()
		for one, want := range map[tier]int{listing: 17, joining: 45, reading: 45} {
			began := time.Now()
			if got := taken(t, all, one); got != want {
				t.Errorf("%s: %d calls at once, want %d", one, got, want)
			}
			if d := time.Since(began); d != minute {
				t.Errorf("%s: the next after %v, want %v", one, d, minute)
			}
		}
		taken(t, all, asking)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		more := 0
		for all.wait(ctx, asking) == nil {
			more++
		}
		if err := all.wait(ctx, asking); more != 44 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d more, then %v, want 44, then to be told that time is over", more, err)
		}
	})
}

// What was called counts in the next process too, for a minute at most, also if the clock was set back.
func TestTiersGoOnAfterARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support")
		r.open()
		before := newTiers()
		if err := before.goOn(t.Context(), r.store); err != nil {
			t.Fatal(err)
		}
		for range 40 {
			if err := before.wait(t.Context(), reading); err != nil {
				t.Fatal(err)
			}
		}
		after := newTiers()
		if err := after.goOn(t.Context(), r.store); err != nil {
			t.Fatal(err)
		}
		if got := taken(t, after, reading); got != 5 {
			t.Errorf("%d calls at once, want the 5 that were left", got)
		}
		if err := r.store.SetFact(t.Context(), reading.fact(), []byte("[4102444800000,4102444800000]")); err != nil {
			t.Fatal(err)
		}
		back := newTiers()
		if err := back.goOn(t.Context(), r.store); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if got := taken(t, back, reading); got != 43 || time.Since(began) > minute {
			t.Errorf("%d calls at once, the next after %v, want 43, and %v at most", got, time.Since(began), minute)
		}
	})
}

// The budget of calls goes by a clock that nobody sets.
func TestTiersGoByTheMonotonicClock(t *testing.T) {
	store, err := outbox.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.SetFact(t.Context(), reading.fact(), fmt.Appendf(nil, "[%d]", time.Now().UnixMilli())); err != nil {
		t.Fatal(err)
	}
	all := newTiers()
	if err := all.goOn(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	if err := all.wait(t.Context(), reading); err != nil {
		t.Fatal(err)
	}
	if n := len(all.calls[reading]); n != 2 {
		t.Errorf("%d calls are known, want 2", n)
	}
	for _, at := range all.calls[reading] {
		if !strings.Contains(at.String(), " m=") {
			t.Errorf("%v has no monotonic time", at)
		}
	}
}
