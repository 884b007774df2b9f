package slackapi

import (
	"context"
	"sync"
	"time"
)

const (
	// awayAfter is how many calls in a row must go unanswered before Slack as a whole counts as away. Fewer could be
	// one message's bad luck, which is to delay no other channel.
	awayAfter = 3
	// AwayTry is how often one caller tries for all while Slack is away, with auth.test.
	AwayTry = 5 * time.Second
	// tokenTry is how often a token that Slack refused is tried again.
	tokenTry = time.Minute
	// answersFor is how long an answer of Slack's shows that it isn't away, and answersMost how long one is waited for.
	answersFor  = time.Second
	answersMost = 10 * time.Second
)

// breaker knows whether Slack as a whole is away: awayAfter calls in a row weren't answered, auth.test among them.
type breaker struct {
	gate     *gate
	mu       sync.Mutex // held over changes of the rest and the gate together
	lost     int        // calls in a row that Slack did not answer
	silent   bool       // auth.test was one of them
	answered time.Time  // when it answered last
	tried    int        // how often somebody tried for all since it went away
}

// ownTry is which of the tries for all is what the caller wants: auth.test alone may stay broken.
const ownTry = 12

// own reports whether the caller's try for all is what it wants.
func (b *breaker) own() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tried++
	return b.tried%ownTry == 0
}

// turn is which gates the caller tries for all. Each ends with report, once there was a call, or with leave.
type turn struct{ breaker, token bool }

// enter returns when a method may be called, or when it is the caller's turn to try for all.
//
// It is full, and no turn, if the method's limit is to be waited for longer than most; 0 is however long.
func (c *Client) enter(ctx context.Context, m Method, most time.Duration) (t turn, full bool, err error) {
	for {
		if err := Sleep(ctx, c.Paused()); err != nil {
			return turn{}, false, err
		}
		t, err := c.gates(ctx)
		if err != nil {
			return turn{}, false, err
		}
		// A Retry-After may begin at the gates. It is for one method, and kept by all.
		d := c.Paused()
		limit := d == 0
		if limit {
			d = c.limits.take(m)
		}
		if d == 0 {
			return t, false, nil
		}
		c.leave(t)
		if limit && most > 0 && d > most {
			return turn{}, true, nil
		}
		if err := Sleep(ctx, d); err != nil {
			return turn{}, false, err
		}
	}
}

// gates returns when Slack and the token can be worked with, or when it is the caller's turn to try for all. While Slack is
// away that is to ask auth.test: what the caller wants may fail although Slack is back. Where something else answers that
// in its place, and once a minute, what the caller wants is the try.
func (c *Client) gates(ctx context.Context) (t turn, err error) {
	for {
		if t.token, err = c.token.enter(ctx); err != nil {
			return turn{}, err
		}
		if t.breaker, err = c.breaker.gate.enter(ctx); err != nil {
			c.leave(t)
			return turn{}, err
		}
		if t.breaker {
			if c.breaker.own() {
				return t, nil
			}
			o := callWithin(ctx, answersMost, c.hello)
			switch {
			case ctx.Err() != nil && !o.Answered:
				c.leave(t)
				return turn{}, context.Cause(ctx)
			case o.Strange:
				return t, nil
			}
			c.report(ctx, t, o)
			continue
		}
		if t.token || !c.token.isShut() {
			return t, nil
		}
		c.leave(t)
	}
}

// leave ends a turn in which nothing was learned.
func (c *Client) leave(t turn) {
	if t.token {
		c.token.left()
	}
	if t.breaker {
		c.breaker.gate.left()
	}
}

// report ends a turn with a call's outcome, which shuts the gates or opens them for all.
func (c *Client) report(ctx context.Context, t turn, o Outcome) {
	switch {
	case !o.Answered:
		c.leave(turn{token: t.token})
	case o.Kind != RefusedToken:
		c.token.passed()
	case c.token.shutFor(tokenTry, t.token):
		c.log.ErrorContext(ctx, "slack refuses the token; everything is kept and nothing is posted until it works",
			"err", o.Reason(), "todo", "reinstall the app in Slack and set SLACK_BOT_TOKEN to the new xoxb- token")
	}
	b := &c.breaker
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case o.Answered:
		b.lost, b.silent, b.answered, b.tried = 0, false, time.Now(), 0
		if b.gate.passed() {
			c.log.InfoContext(ctx, "slack is back")
		}
		return
	case o.Strange:
		// It takes an answer of Slack's to end an outage, and none at all to begin one.
	default:
		b.lost++
	}
	if !t.breaker && (b.lost < awayAfter || !b.silent) {
		return
	}
	if b.gate.shutFor(AwayTry, t.breaker) {
		c.log.WarnContext(ctx, "slack is away; what comes in is kept, and one channel tries every 5 s for all", "err", o.Reason())
	}
}

// suspect reports whether so many calls went unanswered that Slack may be away.
func (c *Client) suspect() bool {
	c.breaker.mu.Lock()
	defer c.breaker.mu.Unlock()
	return c.breaker.lost >= awayAfter
}

// Answers reports whether Slack answers anything now. Those who want to know at one time share the answer.
func (c *Client) Answers(ctx context.Context) bool {
	b := &c.breaker
	b.mu.Lock()
	lately, away := time.Since(b.answered) < answersFor, b.lost >= awayAfter && b.silent
	if lately {
		b.lost = 0
	}
	b.mu.Unlock()
	switch {
	case lately, c.Paused() > 0: // it is Slack that asks to wait
		return true
	case away:
		return false
	}
	answer := c.asked.DoChan("auth.test", func() (any, error) {
		o := callWithin(ctx, answersMost, c.hello)
		if ctx.Err() != nil && !o.Answered {
			return false, nil
		}
		if !o.Answered && !o.Strange {
			b.mu.Lock()
			b.silent = true
			b.mu.Unlock()
		}
		c.report(ctx, turn{}, o)
		return o.Answered, nil
	})
	select {
	case a := <-answer:
		return a.Val.(bool)
	case <-ctx.Done():
		return false
	}
}

// pauses is until when nothing is asked of Slack.
type pauses struct {
	mu    sync.Mutex
	until time.Time
}

// Paused is how long nothing may be asked of Slack yet: it asked to wait.
func (c *Client) Paused() time.Duration {
	c.pauses.mu.Lock()
	defer c.pauses.mu.Unlock()
	return max(0, time.Until(c.pauses.until))
}

// pause lets nothing be asked for a time. It returns until when.
func (c *Client) pause(d time.Duration) time.Time {
	c.pauses.mu.Lock()
	defer c.pauses.mu.Unlock()
	if until := time.Now().Add(d); until.After(c.pauses.until) {
		c.pauses.until = until
	}
	return c.pauses.until
}

// limited has everybody wait for as long as an answer asks, whatever drew it.
func (c *Client) limited(ctx context.Context, o Outcome) {
	until := c.pause(o.RetryAfter)
	c.log.WarnContext(ctx, "slack asks to wait; nothing is posted until then", "wait", o.RetryAfter.String(), "err", o.Reason())
	if c.keepPause == nil {
		return
	}
	if err := c.keepPause(context.WithoutCancel(ctx), until); err != nil {
		// It is kept in memory; only a restart would not know of it.
		c.log.WarnContext(ctx, "the pause could not be stored", "err", err)
	}
}
