package notify

import (
	"context"
	"sync"
	"time"
)

const (
	// awayAfter is how many calls in a row must go unanswered before Slack as a whole counts as away. Fewer could be
	// one message's bad luck, which is to delay no other channel.
	awayAfter = 3
	// awayTry is how often one channel tries for all while Slack is away.
	awayTry = 5 * time.Second
	// tokenTry is how often a token that Slack refused is tried again.
	tokenTry = time.Minute
)

// health knows whether Slack as a whole is away.
type health struct {
	gate *gate
	mu   sync.Mutex
	lost int // calls in a row that Slack did not answer
}

// report tells health of each call's outcome.
func (n *Notifier) report(ctx context.Context, o Outcome) {
	if o.Local {
		n.token.left()
		n.health.gate.left()
		return
	}
	n.health.mu.Lock()
	switch {
	case o.Answered:
		n.health.lost = 0
	case o.Strange:
		// It takes an answer of Slack's to end an outage, and none at all to begin one.
	default:
		n.health.lost++
	}
	away := n.health.lost >= awayAfter
	n.health.mu.Unlock()
	switch {
	case !o.Answered:
		n.token.left() // whoever tried the token learned nothing
	case o.Kind != RefusedToken:
		n.token.passed()
	}
	switch {
	case o.Answered:
		if n.health.gate.passed() {
			n.log.InfoContext(ctx, "slack is back")
		}
	case away:
		if n.health.gate.shutFor(awayTry) {
			n.log.WarnContext(ctx, "slack is away; what comes in is kept, and one channel tries every 5 s for all", "err", o.Reason())
		}
	}
}

// entry is which gates the caller tries for.
type entry struct{ health, token bool }

// enter returns when Slack and the token can be worked with, or when it is the caller's turn to try.
func (n *Notifier) enter(ctx context.Context) (e entry, err error) {
	if e.token, err = n.token.enter(ctx); err != nil {
		return e, err
	}
	if e.health, err = n.health.gate.enter(ctx); err != nil {
		n.leave(e)
		return entry{}, err
	}
	return e, nil
}

func (n *Notifier) leave(e entry) {
	if e.token {
		n.token.left()
	}
	if e.health {
		n.health.gate.left()
	}
}

// tokenRefused holds everything until the token works; it returns when it is time to try.
func (n *Notifier) tokenRefused(ctx context.Context, o Outcome) error {
	if n.token.shutFor(tokenTry) {
		n.log.ErrorContext(ctx, "slack refuses the token; everything is kept and nothing is posted until it works",
			"err", o.Reason(), "todo", "reinstall the app in Slack and set SLACK_BOT_TOKEN to the new xoxb- token")
	}
	return ctx.Err()
}

// wait keeps the peace that Slack asks for, in the whole workspace.
func (n *Notifier) wait(ctx context.Context, o Outcome) error {
	until := n.pace.pause(o.RetryAfter)
	n.log.WarnContext(ctx, "slack asks to wait; nothing is posted until then", "wait", o.RetryAfter.String(), "err", o.Reason())
	if err := n.store.Pause(context.WithoutCancel(ctx), until); err != nil {
		// It is kept in memory; only a restart would not know of it.
		n.log.WarnContext(ctx, "the pause could not be stored", "err", err)
	}
	return sleep(ctx, time.Until(until))
}

// retry waits before another try, the longer the more there were.
func (n *Notifier) retry(ctx context.Context, o Outcome, attempts int) error {
	if o.Answered || o.Strange || o.Local {
		return sleep(ctx, backoff(attempts))
	}
	return n.health.gate.sleep(ctx, backoff(attempts))
}

// cause says what broke below HTTP. net/http's errors name the URL, which holds no secret at Slack.
func cause(err error) string { return err.Error() }
