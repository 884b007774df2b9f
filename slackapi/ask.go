package slackapi

import (
	"context"
	"math/rand/v2"
	"time"
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
	var last Outcome
	for try := 1; ; try++ {
		turn, full, err := c.enter(ctx, m, s.limit())
		if err != nil {
			return stopped(err)
		}
		if full {
			return last
		}
		began := time.Now()
		o := callWithin(ctx, s.call(), call)
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
		last = o
		pause, spent := s.failed(o.Answered || c.Answers(ctx), began)
		if spent {
			o.Spent = p.For - s.left
			return o
		}
		last.Spent = p.For - s.left
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

// limit is how long the method's limit may be waited for: what failed is not worth more than what is left; 0 is however long.
func (s *spending) limit() time.Duration {
	if s.tries == 0 || s.away {
		return 0
	}
	return s.left
}

// call is how long a call may take: not all that is left, as one that nobody answers may have been made in an outage that is
// over.
func (s *spending) call() time.Duration {
	return max(s.left/2, min(s.left, time.Second))
}

// failed spends patience for a try that began at a time, unless Slack answers nobody. It returns how long to wait before
// the next one, and whether patience is spent.
func (s *spending) failed(answers bool, began time.Time) (pause time.Duration, spent bool) {
	if s.away == answers {
		s.away, s.tries = !answers, 0
	}
	s.limits, s.tries = 0, s.tries+1
	pause = Backoff(s.tries)
	if !answers {
		return pause, false
	}
	s.left -= pause + time.Since(began)
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
		return Sleep(ctx, d)
	}
	return c.breaker.gate.sleep(ctx, d)
}

// Backoff says how long to wait after so many tries: a random time below 1 s, 2 s, 4 s, … 1 min (full jitter). A minute is
// how long people wait, at most, once Slack is back.
func Backoff(tries int) time.Duration {
	limit := min(time.Minute, time.Second<<min(max(tries-1, 0), 6))
	return time.Duration(rand.Int64N(int64(limit))) + time.Millisecond
}

// Sleep waits, or returns why it was not to.
func Sleep(ctx context.Context, d time.Duration) error {
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
