package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"allo-slack/outbox"
)

// tier is methods of Slack's that share a limit of calls in a minute.
// Source: https://docs.slack.dev/apis/web-api/rate-limits
type tier string

// The tiers. Posting has a pace of its own: see pacer.
const (
	listing   tier = "conversations.list"
	asking    tier = "conversations.info"
	joining   tier = "conversations.join"
	reading   tier = "conversations.history" // and conversations.replies
	updating  tier = "chat.update"
	lookingUp tier = "users.lookupByEmail"
	greeting  tier = "auth.test"
)

// most is how many calls are made in a minute: a little less than Slack takes, whose clock and minute aren't ours.
func (t tier) most() int {
	switch t {
	case listing:
		return 17 // Tier 2
	case greeting:
		return 200 // several hundred
	}
	return 45 // Tier 3 and more
}

// minute is how long a call counts, and a little more.
const minute = time.Minute + time.Second

// tiers knows when what was called in the last minute. Calls come in bursts rather than evenly, so that a restart with
// many busy channels is over in seconds, and are remembered across restarts, so that a crash loop is no faster than
// one process.
type tiers struct {
	store *outbox.Store // nil remembers nothing

	mu    sync.Mutex
	calls map[tier][]time.Time // in order; by the monotonic clock, so that setting ours changes nothing
}

func newTiers() *tiers { return &tiers{calls: map[tier][]time.Time{}} }

// goOn continues where the process before this one ended, and remembers from now on.
func (t *tiers) goOn(ctx context.Context, store *outbox.Store) error {
	t.store = store
	now := time.Now()
	for _, one := range []tier{listing, asking, joining, reading, updating, lookingUp} {
		known, err := store.Fact(ctx, one.fact())
		if err != nil {
			return err
		}
		var calls []int64
		if json.Unmarshal(known, &calls) != nil {
			continue // none yet
		}
		for _, at := range calls {
			age := max(now.Sub(time.UnixMilli(at)), 0) // a clock that was set back must not stop it
			t.calls[one] = append(t.calls[one], now.Add(-age))
		}
	}
	return nil
}

func (t tier) fact() string { return "calls of " + string(t) }

// wait returns when a call may be made, which is on disk then. The error is ctx's, or the store's.
func (t *tiers) wait(ctx context.Context, one tier) error {
	for {
		calls, d := t.take(one)
		if d > 0 {
			if err := sleep(ctx, d); err != nil {
				return err
			}
			continue
		}
		if t.store == nil || one == greeting {
			return nil // many are allowed, and the time must be told on a full disk too
		}
		value, err := json.Marshal(calls)
		if err != nil {
			return err
		}
		if err := t.store.SetFact(ctx, one.fact(), value); err != nil {
			return fmt.Errorf("recording a call to slack: %w", err)
		}
		return nil
	}
}

// lately reports whether a method was called in the last minute, also before a restart.
func (t *tiers) lately(one tier) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	calls := t.calls[one]
	return len(calls) > 0 && time.Since(calls[len(calls)-1]) < time.Minute
}

// take notes a call and returns when all of the last minute were made, in milliseconds since 1970, or says how long to
// wait before asking again.
func (t *tiers) take(one tier) ([]int64, time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	calls := t.calls[one]
	for len(calls) > 0 && now.Sub(calls[0]) >= minute {
		calls = calls[1:]
	}
	t.calls[one] = calls
	if len(calls) >= one.most() {
		return nil, calls[0].Add(minute).Sub(now)
	}
	t.calls[one] = append(calls, now)
	noted := make([]int64, len(t.calls[one]))
	for i, at := range t.calls[one] {
		noted[i] = at.UnixMilli()
	}
	return noted, 0
}
