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
	mu   sync.Mutex // held over changes of lost and the gate together
	lost int        // calls in a row that Slack did not answer
}

// entry is which gates the caller tries for all. Each entry ends with report, once there was a call, or with leave.
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

// enterRested enters while no Retry-After runs: it is for one method, and kept by all. One may begin at the gates.
func (n *Notifier) enterRested(ctx context.Context) (entry, error) {
	for {
		if err := n.pace.rest(ctx); err != nil {
			return entry{}, err
		}
		e, err := n.enter(ctx)
		if err != nil || !n.pace.pausing() {
			return e, err
		}
		n.leave(e)
	}
}

// leave ends an entry of which nothing was learned.
func (n *Notifier) leave(e entry) {
	if e.token {
		n.token.left()
	}
	if e.health {
		n.health.gate.left()
	}
}

// report ends an entry with a call's outcome, which shuts the gates or opens them for all.
func (n *Notifier) report(ctx context.Context, e entry, o Outcome) {
	if o.Local {
		n.leave(e)
		return
	}
	switch {
	case !o.Answered:
		n.leave(entry{token: e.token})
	case o.Kind != RefusedToken:
		n.token.passed()
	case n.token.shutFor(tokenTry):
		n.log.ErrorContext(ctx, "slack refuses the token; everything is kept and nothing is posted until it works",
			"err", o.Reason(), "todo", "reinstall the app in Slack and set SLACK_BOT_TOKEN to the new xoxb- token")
	}
	n.health.mu.Lock()
	defer n.health.mu.Unlock()
	switch {
	case o.Answered:
		n.health.lost = 0
		if n.health.gate.passed() {
			n.log.InfoContext(ctx, "slack is back")
		}
		return
	case o.Strange:
		// It takes an answer of Slack's to end an outage, and none at all to begin one.
	default:
		n.health.lost++
	}
	switch {
	case n.health.lost >= awayAfter:
		if n.health.gate.shutFor(awayTry) {
			n.log.WarnContext(ctx, "slack is away; what comes in is kept, and one channel tries every 5 s for all", "err", o.Reason())
		}
	default:
		n.leave(entry{health: e.health})
	}
}

// patience is how often something is tried whose outcome is not final: with outcomes that aren't believed for ever, and
// with others. Tries while Slack as a whole is away are free, and so are waits that Slack asks for. 0 is for ever.
type patience struct{ odd, lost int }

// ask makes a call, again and again, until its outcome is final or patience is spent. It waits for Slack to be back, for
// the token and for Retry-After, however long that is. failed is told of each outcome that is tried again. The error is
// ctx's.
func (n *Notifier) ask(ctx context.Context, p patience, failed func(o Outcome, attempt int), call func(context.Context) Outcome) (Outcome, error) {
	odd, lost, away := 0, 0, false
	var last Outcome
	for attempt := 1; ; attempt++ {
		trying, err := n.enterRested(ctx)
		if err != nil {
			return last, err
		}
		// Once patience is spent Slack is asked for anything else: it may be away. When it is back the call has one more try.
		spent := p.lost > 0 && lost >= p.lost
		o := Outcome{}
		if spent {
			o = n.directory.hello(ctx)
		} else {
			o = call(ctx)
		}
		if ctx.Err() != nil {
			n.leave(trying)
			return o, context.Cause(ctx)
		}
		n.report(ctx, trying, o)
		switch {
		case o.Kind == Wait, o.Kind == RefusedToken:
			continue // entering says when to try again
		case spent && o.Answered && away:
			lost, away = p.lost-1, false
			continue
		case spent && o.Answered:
			return last, nil
		case spent:
			away = true
		case o.Kind != Later && o.Kind != Unsure:
			return o, nil
		case o.Local:
		case o.Bounded:
			if odd++; odd == p.odd {
				return o, nil
			}
		default:
			lost++
		}
		if !spent {
			last = o
			failed(o, attempt)
		}
		if err := n.retry(ctx, o, attempt); err != nil {
			return o, err
		}
	}
}

// answers reports whether Slack answers anything now.
func (n *Notifier) answers(ctx context.Context) bool {
	o := n.directory.hello(ctx)
	n.report(ctx, entry{}, o)
	return o.Answered
}

// limited pauses all posting for as long as Slack asks, whatever it was asked for.
func (n *Notifier) limited(ctx context.Context, o Outcome) {
	until := n.pace.pause(o.RetryAfter)
	n.log.WarnContext(ctx, "slack asks to wait; nothing is posted until then", "wait", o.RetryAfter.String(), "err", o.Reason())
	if err := n.store.Pause(context.WithoutCancel(ctx), until); err != nil {
		// It is kept in memory; only a restart would not know of it.
		n.log.WarnContext(ctx, "the pause could not be stored", "err", err)
	}
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
