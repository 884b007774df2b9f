package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"allo-slack/allo"
	"allo-slack/outbox"
)

const (
	// reconcileEvery is how often recent calls are looked through.
	reconcileEvery = 10 * time.Minute
	// reconcileBack is how far back at most, after a downtime.
	reconcileBack = 24 * time.Hour
	// reconcileAgain is how long a call is looked at again, for a tag or a summary that came late.
	reconcileAgain = 2 * time.Hour
	// eventTime is how long the event of a call that has ended is given to come.
	eventTime = 15 * time.Minute
	// reconciled is the fact that says until when calls were looked through.
	reconciled = "calls looked through until"
)

// calls is Allo's API, as far as calls are looked for.
type calls interface {
	Numbers(ctx context.Context) ([]allo.OurNumber, error)
	RecentCalls(ctx context.Context, numbers []string, since time.Time) iter.Seq2[allo.Event, error]
}

// recoverer takes calls whose event never came.
type recoverer interface {
	Recover(ctx context.Context, e *allo.Event) (duplicate bool, err error)
}

// reconciler looks through recent calls for those whose event never came, and for what came to be known of others
// after theirs.
type reconciler struct {
	calls calls
	bot   recoverer
	store *outbox.Store
	back  time.Duration // how far back at most: no farther than repeats are recognised
	log   *slog.Logger
}

func newReconciler(calls calls, bot recoverer, store *outbox.Store, retention time.Duration, log *slog.Logger) *reconciler {
	return &reconciler{calls, bot, store, min(reconcileBack+reconcileAgain, retention/2), log}
}

// run looks through calls until ctx ends.
func (r *reconciler) run(ctx context.Context) error {
	ticker := time.NewTicker(reconcileEvery)
	defer ticker.Stop()
	for {
		if err := r.once(ctx, time.Now()); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "recent calls could not be looked through, will retry", "err", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// once looks through the calls since the last look that was completed. The first look ever only notes the time: what
// was before the bot was set up is not its business.
func (r *reconciler) once(ctx context.Context, now time.Time) error {
	fact, err := r.store.Fact(ctx, reconciled)
	if err != nil {
		return err
	}
	until, err := time.Parse(time.RFC3339, string(fact))
	if err != nil {
		return r.store.SetFact(ctx, reconciled, []byte(now.UTC().Format(time.RFC3339)))
	}
	first, err := r.first(ctx, until)
	if err != nil {
		return err
	}
	since := until.Add(-reconcileAgain)
	for _, bound := range []time.Time{now.Add(-r.back), first} {
		if since.Before(bound) {
			since = bound
		}
	}
	numbers, err := r.numbers(ctx)
	if err != nil {
		return err
	}
	var failed []error
	looked, found := 0, 0
	for e, err := range r.calls.RecentCalls(ctx, numbers, since) {
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if !due(&e, now) {
			continue
		}
		looked++
		duplicate, err := r.bot.Recover(ctx, &e)
		if err != nil {
			return err
		}
		if !duplicate {
			found++
		}
	}
	if found > 0 {
		r.log.InfoContext(ctx, "calls recovered or brought up to date", "calls", found, "looked_at", looked)
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	return r.store.SetFact(ctx, reconciled, []byte(now.UTC().Format(time.RFC3339)))
}

// first is when the bot looked for the first time.
func (r *reconciler) first(ctx context.Context, until time.Time) (time.Time, error) {
	const fact = "calls looked through since"
	known, err := r.store.Fact(ctx, fact)
	if err != nil {
		return time.Time{}, err
	}
	if at, err := time.Parse(time.RFC3339, string(known)); err == nil {
		return at, nil
	}
	return until, r.store.SetFact(ctx, fact, []byte(until.UTC().Format(time.RFC3339)))
}

func (r *reconciler) numbers(ctx context.Context) ([]string, error) {
	ours, err := r.calls.Numbers(ctx)
	if err != nil {
		return nil, fmt.Errorf("our numbers at allo: %w", err)
	}
	numbers := make([]string, 0, len(ours))
	for _, n := range ours {
		numbers = append(numbers, n.Number)
	}
	return numbers, nil
}

// due reports whether a call ended so long ago that its event had its time to come.
func due(e *allo.Event, now time.Time) bool {
	if e.Call == nil || e.ID == "" || e.Call.Start.IsZero() {
		return false
	}
	ended := e.Call.Start.Add(time.Duration(e.Call.Minutes * float64(time.Minute)))
	return now.Sub(ended) >= eventTime
}
