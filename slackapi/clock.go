package slackapi

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// slackClock tells the time as Slack has it. What is looked for in a channel's history has Slack's times, and no clock
// can be trusted to be right: the ts of a message that Slack took is exact, the Date of its answers may be a proxy's, and
// ours may be off. All go on by the monotonic clock, which nobody sets.
type slackClock struct {
	mu   sync.Mutex
	ts   clockReading // of the last message that Slack took
	date clockReading // of the last answer
}

// clockReading is what a clock said, and when.
type clockReading struct{ said, at time.Time }

// strayed is how far our wall clock and the monotonic one may come apart before a reading counts no more: the machine was
// suspended, which stops the one, or ours was set.
const strayed = 10 * time.Second

// now is what the clock says now; ok is false if that isn't known.
func (r clockReading) now(now time.Time) (at time.Time, ok bool) {
	passed := now.Sub(r.at)
	if r.said.IsZero() || (now.Round(0).Sub(r.at.Round(0))-passed).Abs() > strayed {
		return now, false
	}
	return r.said.Add(passed), true
}

// farOff is how far from ours a Date may be that is believed to be somebody's clock at all.
const farOff = 10 * 365 * 24 * time.Hour

// heardDate notes the Date of an answer. It has whole seconds, cut off.
func (c *slackClock) heardDate(date string) {
	if said, err := http.ParseTime(date); err == nil && time.Until(said).Abs() < farOff {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.date = clockReading{said.Add(time.Second / 2), time.Now()}
	}
}

// heardTS notes the ts of a message that Slack took just now.
func (c *slackClock) heardTS(ts string) {
	if said, ok := TimeOf(ts); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ts = clockReading{said, time.Now()}
	}
}

// TimeOf returns when Slack took a message, by its ts; it is false for what is none.
func TimeOf(ts string) (time.Time, bool) {
	if seconds, err := strconv.ParseFloat(ts, 64); err == nil && seconds > 0 && seconds < 1e11 {
		return time.UnixMicro(int64(seconds * 1e6)), true
	}
	return time.Time{}, false
}

// now returns between which times Slack's clock is. It is false as long as Slack hasn't told anything: then it is ours.
func (c *slackClock) now() (early, late time.Time, told bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if at, ok := c.ts.now(now); ok {
		return at, at, true
	}
	if at, ok := c.date.now(now); ok {
		if at.Before(now) {
			return at, now, true
		}
		return now, at, true
	}
	return now, now, false
}
