package slackapi

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// awayAfter is how many calls in a row must go unanswered before Slack as a whole counts as away. Fewer could be
	// one message's bad luck, which is to delay no other channel.
	awayAfter = 3
	// AwayTry is how often one caller tries for all while Slack is away.
	AwayTry = 5 * time.Second
	// tokenTry is how often a token that Slack refused is tried again.
	tokenTry = time.Minute
	// answersFor is how long an answer of Slack's shows that it isn't away, and answersMost how long one is waited for.
	answersFor  = time.Second
	answersMost = 10 * time.Second
)

// Patience is what a caller puts up with before it goes without an answer. The zero value makes one call.
//
// Nothing is spent while Slack as a whole is away, refuses the token or has asked to wait, nor by waiting for a method's
// limit: an outage, however long, leaves all patience for what comes after it.
type Patience struct {
	For    time.Duration // how long Slack may answer badly, or not at all while it answers other calls
	Limits int           // how many answers in a row may ask to wait; 0: any number
	// Failed is told of each outcome after which the call is made again; nil isn't.
	Failed func(o Outcome, try int)
}

// Once makes one call.
var Once = Patience{}

// Ask makes a call to Slack, and makes it again until it has its last word or patience is spent. Before each it waits for
// Slack to be back, for the token, for Retry-After and for the method's limit a minute, however long that is, and after
// each it lets all other callers know what was learned of these.
//
// The call makes one request. It may also find, once it is its turn, that it has nothing to ask, and say so with NotAsked.
// When ctx ends first the outcome is Stopped.
func (c *Client) Ask(ctx context.Context, m Method, p Patience, call func(context.Context) Outcome) Outcome {
	s := spending{left: p.For}
	for try := 1; ; try++ {
		turn, err := c.enter(ctx, m)
		if err != nil {
			return stopped(err)
		}
		within := s.left
		if turn.breaker && p.For > 0 {
			within = max(within, answersMost) // it tries for all, at nobody's expense
		}
		began := time.Now()
		o := callWithin(ctx, within, call)
		o.At = time.Now()
		switch {
		case o.Kind == NotAsked:
			c.leave(turn)
			return o
		case ctx.Err() != nil && !o.Answered:
			c.leave(turn)
			return stopped(context.Cause(ctx))
		}
		c.report(ctx, turn, o)
		switch {
		case p.For == 0:
			if o.Strange || !o.Answered && c.suspect() {
				answers := c.Answers(ctx)
				o.Bounded = o.Bounded && answers // what refuses everything may do so for hours
			}
			return o
		case o.Kind == Wait:
			if s.limits++; s.limits == p.Limits {
				return o
			}
			continue
		case o.Kind == RefusedToken:
			s.limits = 0
			continue
		case o.Kind != Later && o.Kind != Unsure:
			return o
		}
		pause, spent := s.failed(o.Answered || c.Answers(ctx), !turn.breaker, began)
		if spent {
			return o
		}
		if p.Failed != nil {
			p.Failed(o, try)
		}
		if err := c.Sleep(ctx, pause, o); err != nil {
			return stopped(err)
		}
	}
}

// spending is what of a caller's patience is spent.
type spending struct {
	left   time.Duration
	limits int  // answers in a row that asked to wait
	tries  int  // in a row that failed in the same way
	away   bool // the last one failed as Slack answered nobody
}

// failed spends patience for a try that began at a time, unless Slack answers nobody. It returns how long to wait before
// the next one, and whether patience is spent. The time of a try that was made for all is free.
func (s *spending) failed(answers, ownTime bool, began time.Time) (pause time.Duration, spent bool) {
	if s.away == answers {
		s.away, s.tries = !answers, 0
	}
	s.limits, s.tries = 0, s.tries+1
	pause = backoff(s.tries)
	if !answers {
		return pause, false
	}
	s.left -= pause
	if ownTime {
		s.left -= time.Since(began)
	}
	return pause, s.left <= 0
}

func stopped(err error) Outcome { return Outcome{Kind: Stopped, Code: "stopped", Err: err} }

// callWithin makes a call that is given up after a time; 0 is no time of its own.
func callWithin(ctx context.Context, d time.Duration, call func(context.Context) Outcome) Outcome {
	if d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	return call(ctx)
}

// Sleep waits before something is tried again whose outcome was o. If it wasn't answered that ends as soon as Slack is
// known to be away: then asking says when to try.
func (c *Client) Sleep(ctx context.Context, d time.Duration, o Outcome) error {
	if o.Answered {
		return sleep(ctx, d)
	}
	return c.breaker.gate.sleep(ctx, d)
}

// Backoff says how long to wait after so many tries: a random time below 1 s, 2 s, 4 s, … 1 min (full jitter). A minute is
// how long people wait, at most, once Slack is back.
func Backoff(tries int) time.Duration { return backoff(tries) }

func backoff(tries int) time.Duration {
	limit := min(time.Minute, time.Second<<min(max(tries-1, 0), 6))
	return time.Duration(rand.Int64N(int64(limit))) + time.Millisecond
}

// breaker knows whether Slack as a whole is away: awayAfter calls in a row weren't answered, auth.test among them.
type breaker struct {
	gate     *gate
	mu       sync.Mutex // held over changes of the rest and the gate together
	lost     int        // calls in a row that Slack did not answer
	silent   bool       // auth.test was one of them
	answered time.Time  // when it answered last
}

// turn is which gates the caller tries for all. Each ends with report, once there was a call, or with leave.
type turn struct{ breaker, token bool }

// enter returns when a method may be called, or when it is the caller's turn to try for all.
func (c *Client) enter(ctx context.Context, m Method) (turn, error) {
	for {
		if err := sleep(ctx, c.Paused()); err != nil {
			return turn{}, err
		}
		t, err := c.gates(ctx)
		if err != nil {
			return turn{}, err
		}
		// A Retry-After may begin at the gates. It is for one method, and kept by all.
		d := c.Paused()
		if d == 0 {
			d = c.limits.take(m)
		}
		if d == 0 {
			return t, nil
		}
		c.leave(t)
		if err := sleep(ctx, d); err != nil {
			return turn{}, err
		}
	}
}

// gates returns when Slack and the token can be worked with, or when it is the caller's turn to try.
func (c *Client) gates(ctx context.Context) (t turn, err error) {
	for {
		if t.token, err = c.token.enter(ctx); err != nil {
			return turn{}, err
		}
		if t.breaker, err = c.breaker.gate.enter(ctx); err != nil {
			c.leave(t)
			return turn{}, err
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
		b.lost, b.silent, b.answered = 0, false, time.Now()
		if b.gate.passed() {
			c.log.InfoContext(ctx, "slack is back")
		}
		return
	case o.Strange:
		// It takes an answer of Slack's to end an outage, and none at all to begin one.
	default:
		b.lost++
	}
	if b.lost < awayAfter || !b.silent {
		c.leave(turn{breaker: t.breaker})
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
	lately, away := b.lost == 0 && time.Since(b.answered) < answersFor, b.lost >= awayAfter && b.silent
	b.mu.Unlock()
	switch {
	case away:
		return false
	case lately, c.Paused() > 0: // it is Slack that asks to wait
		return true
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

// sleep waits, or returns why it was not to.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
