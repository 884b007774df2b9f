package slackapi

import (
	"sync"
	"time"
)

// Method is one of Slack's methods that this program calls.
type Method string

// The methods.
const (
	Posting   Method = "chat.postMessage" // paced by its caller
	Updating  Method = "chat.update"
	listing   Method = "conversations.list"
	asking    Method = "conversations.info"
	joining   Method = "conversations.join"
	history   Method = "conversations.history"
	replies   Method = "conversations.replies"
	lookingUp Method = "users.lookupByEmail"
)

// most is how many calls are made in a minute, 0 being any number: a little less than Slack takes, whose clock and minute
// aren't ours. Source: https://docs.slack.dev/apis/web-api/rate-limits
func (m Method) most() int {
	switch m {
	case Posting:
		return 0
	case listing:
		return 17 // Tier 2
	}
	return 45 // Tier 3 and more
}

// minute is how long a call counts, and a little more.
const minute = time.Minute + time.Second

// limits knows when what was called in the last minute. Calls come in bursts rather than evenly, so that a restart with
// many busy channels is over in seconds.
type limits struct {
	mu    sync.Mutex
	calls map[Method][]time.Time // in order; by the monotonic clock, so that setting ours changes nothing
}

// newLimits begins with a share of what may be called in a minute: what the process before this one called isn't known.
func newLimits(share float64) *limits {
	l := &limits{calls: map[Method][]time.Time{}}
	now := time.Now()
	for _, m := range []Method{Updating, listing, asking, joining, history, lookingUp} {
		for range m.most() - int(share*float64(m.most())) {
			l.calls[m] = append(l.calls[m], now)
		}
	}
	return l
}

// take notes a call, or says how long to wait before asking again.
func (l *limits) take(m Method) time.Duration {
	if m == replies {
		m = history
	}
	most := m.most()
	if most == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	calls := l.calls[m]
	for len(calls) > 0 && now.Sub(calls[0]) >= minute {
		calls = calls[1:]
	}
	if len(calls) >= most {
		l.calls[m] = calls
		return calls[0].Add(minute).Sub(now)
	}
	l.calls[m] = append(calls, now)
	return 0
}

// Start is a process's.
type Start struct {
	At    time.Time
	Share float64 // of a minute's calls, with which it began
}

// Begin is the start of a process after those before it, oldest first. It returns those of the last minute, this one last. The
// first ever begins with all of a minute's calls, a restart with half of them, and one of several restarts within a minute with
// half of what those before left. So restarts within a minute begin with one minute's calls together at most; with those of a
// process that lived before them it may be twice as many.
func Begin(before []Start, now time.Time) (lately []Start) {
	left := 1.0
	for _, s := range before {
		if s.At.After(now) {
			s.At = now // the clock was set back
		}
		if now.Sub(s.At) < minute {
			lately = append(lately, s)
			if s.Share < 1 {
				left -= s.Share
			}
		}
	}
	if len(before) > 0 {
		left = max(left, 0) / 2
	}
	return append(lately, Start{now, left})
}
