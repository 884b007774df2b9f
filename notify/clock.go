package notify

import (
	"net/http"
	"sync"
	"time"
)

// slackClock tells the time as Slack has it, by the Date of its answers. What is looked for in a channel's history has
// Slack's times, and neither clock can be trusted to be right. It goes on by the monotonic clock, which nobody sets.
type slackClock struct {
	mu   sync.Mutex
	said time.Time // by Slack
	at   time.Time // when it said so
}

// heard notes the Date of an answer of Slack's. It has whole seconds, cut off.
func (c *slackClock) heard(date string) {
	said, err := http.ParseTime(date)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said, c.at = said.Add(time.Second/2), time.Now()
}

// strayed is how far our wall clock and the monotonic one may come apart before Slack is asked again: the machine was
// suspended, which stops the one, or ours was set.
const strayed = 10 * time.Second

// now returns the time by Slack's clock; ours, and false, as long as Slack hasn't told it.
func (c *slackClock) now() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	passed := now.Sub(c.at)
	if c.said.IsZero() || (now.Round(0).Sub(c.at.Round(0))-passed).Abs() > strayed {
		return now, false
	}
	return c.said.Add(passed), true
}
