package fakeslack

import (
	"time"
)

// Slack's pace. One message a second a channel and "several hundred a minute" for a workspace are documented; the
// bucket is a guess at the latter, a little more generous than a careful client's own. Others are tiers.
// Source: https://docs.slack.dev/apis/web-api/rate-limits
const (
	channelEvery    = time.Second
	workspaceBurst  = 30.0
	workspaceRefill = 5.0 // a second
	window          = time.Minute
)

// pace is what the limits need to remember.
type pace struct {
	bucket    float64
	filled    time.Time
	recent    map[string][]time.Time // by method: accepted calls of the last minute
	holds     map[string]hold        // by method
	limited   int
	impatient int
}

// hold is a Retry-After that is running.
type hold struct {
	until time.Time
	fault bool // a Fault asked for it
}

func (p *pace) start(now time.Time) {
	p.bucket, p.filled = workspaceBurst, now
	p.recent, p.holds = map[string][]time.Time{}, map[string]hold{}
}

// RateLimited is how many 429s were given because of pace: a client that keeps Slack's pace has none. As the Retry-After
// of such a 429 holds its method for all channels, what comes meanwhile counts too. Those that a Fault asked for do not.
func (s *Server) RateLimited() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pace.limited
}

// Impatient is how many calls came while a Retry-After for their method was running, whatever its reason.
func (s *Server) Impatient() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pace.impatient
}

// held is how long a method is held yet. The caller holds mu.
func (s *Server) held(method string, now time.Time) time.Duration {
	h, there := s.pace.holds[method]
	if !there {
		return 0
	}
	wait := h.until.Sub(now)
	if wait <= 0 {
		delete(s.pace.holds, method)
		return 0
	}
	s.pace.impatient++
	if !h.fault {
		s.pace.limited++
	}
	return wait
}

// admit is how long a call of a method that may be called perMinute times is to wait: 0 lets it through.
func (s *Server) admit(method string, perMinute int, now time.Time) time.Duration {
	if s.noPace {
		return 0
	}
	p := &s.pace
	if method == postMessage {
		if gone := now.Sub(p.filled).Seconds(); gone > 0 {
			p.bucket = min(workspaceBurst, p.bucket+gone*workspaceRefill)
			p.filled = now
		}
		if p.bucket < 1 {
			return s.tooFast(method, time.Duration((1-p.bucket)/workspaceRefill*float64(time.Second)), now)
		}
		p.bucket--
		return 0
	}
	recent := p.recent[method]
	for len(recent) > 0 && now.Sub(recent[0]) >= window {
		recent = recent[1:]
	}
	if perMinute > 0 && len(recent) >= perMinute {
		p.recent[method] = recent
		return s.tooFast(method, window-now.Sub(recent[0]), now)
	}
	p.recent[method] = append(recent, now)
	return 0
}

// admitTo is admit for one more message to a channel.
func (s *Server) admitTo(ch *channel, now time.Time) time.Duration {
	if s.noPace || ch.lastPost.IsZero() || now.Sub(ch.lastPost) >= channelEvery {
		return 0
	}
	return s.tooFast(postMessage, channelEvery, now)
}

// tooFast counts a 429 and holds the method for its Retry-After, as that is for method, workspace and app.
func (s *Server) tooFast(method string, wait time.Duration, now time.Time) time.Duration {
	wait = time.Duration(seconds(wait)) * time.Second
	s.pace.limited++
	s.pace.holds[method] = hold{until: now.Add(wait)}
	return wait
}

// seconds is a Retry-After: whole, at least 1.
func seconds(d time.Duration) int {
	return max(1, int((d+time.Second-1)/time.Second))
}
