package fakeallo

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// FaultKind is a way in which Allo misbehaves.
type FaultKind string

// The ways.
const (
	Status     FaultKind = "status"      // Status (503), an error in the generation's shape or Body; nothing is done
	RateLimit  FaultKind = "rate limit"  // 429 with RetryAfter (1 s); nothing is done
	CutBefore  FaultKind = "cut before"  // the connection closes; nothing is done
	CutAfter   FaultKind = "cut after"   // does what was asked for, then the connection closes without an answer
	HalfAnswer FaultKind = "half answer" // does it, sends half of the answer, cuts
	Garbage    FaultKind = "garbage"     // 200 with Body, or a page of HTML; nothing is done
	Slow       FaultKind = "slow"        // waits for Delay, or until the client has gone, then goes on
	Redirect   FaultKind = "redirect"    // Status (307) to Body; nothing is done
)

// Fault is one misbehaviour. The first that is queued and matches a request applies to it, and is used up after Count.
type Fault struct {
	Method     string // "" any
	Path       string // what the path begins with; "" any
	Count      int    // 0 is once, -1 until cleared
	Kind       FaultKind
	Status     int
	Code       string        // Allo's code of Status and RateLimit
	RetryAfter time.Duration // for RateLimit and Status, in whole seconds
	Delay      time.Duration // for Slow; 0 is until the client or the server has gone
	Body       string
}

// Fault queues a misbehaviour.
func (s *Server) Fault(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Count == 0 {
		f.Count = 1
	}
	s.faults = append(s.faults, &f)
}

// ClearFaults ends all misbehaviour.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// use takes the first fault that matches a request, and counts it down. The caller holds mu.
func (s *Server) use(r *http.Request) Fault {
	for i, f := range s.faults {
		if f.Method != "" && f.Method != r.Method || !strings.HasPrefix(r.URL.Path, f.Path) {
			continue
		}
		if f.Count > 0 {
			if f.Count--; f.Count == 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
		}
		return *f
	}
	return Fault{}
}

// misbehave carries out a fault. It returns what is to be written to if the request is to be served all the same, nil
// if it was answered.
func (s *Server) misbehave(w *noting, r *http.Request, f Fault) *noting {
	switch f.Kind {
	case CutAfter, HalfAnswer:
		w.cut = f.Kind
		return w
	case Slow:
		if !pause(r, f.Delay) {
			panic(http.ErrAbortHandler)
		}
		return w
	case CutBefore:
		panic(http.ErrAbortHandler)
	case Redirect:
		w.Header().Set("Location", f.Body)
		w.WriteHeader(cmp.Or(f.Status, http.StatusTemporaryRedirect))
	case Garbage:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, cmp.Or(f.Body, "<!DOCTYPE html><title>Allo</title><h1>We'll be back</h1>"))
	case RateLimit:
		tooMany(w, r, max(f.RetryAfter, time.Second), f.Code)
	case Status:
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())))
		}
		status := cmp.Or(f.Status, http.StatusServiceUnavailable)
		if f.Body != "" {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, f.Body)
			break
		}
		refuse(w, r, status, cmp.Or(f.Code, "INTERNAL_SERVER_ERROR"), "asked for by a fault")
	default:
		refuse(w, r, http.StatusNotImplemented, "UNKNOWN_FAULT", string(f.Kind))
	}
	return nil
}

// pause waits in real time; 0 is for ever. It is false if the client or the server went first.
func pause(r *http.Request, d time.Duration) bool {
	stopped, _ := r.Context().Value(stopKey{}).(<-chan struct{})
	var passed <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		passed = t.C
	}
	select {
	case <-passed:
		return true
	case <-stopped:
	case <-r.Context().Done():
	}
	return false
}

// Allo's pace.
// Source: https://help.withallo.com/en/v2/api-reference/guides/rate-limits
const (
	readsPerSecond  = 20
	writesPerSecond = 5
)

// second counts what a key asked for in one second.
type second struct {
	begins        time.Time
	reads, writes int
}

// admit counts a request against its key, and answers it with 429 if there were too many.
func (s *Server) admit(w *noting, r *http.Request) bool {
	limit, key := readsPerSecond, strings.TrimPrefix(r.Header.Get("Authorization"), "Api-Key ")
	s.mu.Lock()
	now := s.options.Clock()
	p := s.pace[key]
	if p == nil || now.Sub(p.begins) >= time.Second || now.Before(p.begins) {
		p = &second{begins: now}
		s.pace[key] = p
	}
	count := &p.reads
	if r.Method != http.MethodGet {
		limit, count = writesPerSecond, &p.writes
	}
	*count++
	over := *count > limit && !s.options.NoPace
	if over {
		s.limited++
	}
	left := max(limit-*count, 0)
	s.mu.Unlock()
	w.Header().Set("X-RateLimit-Limit", strconv.Itoa(limit))
	w.Header().Set("X-RateLimit-Remaining", strconv.Itoa(left))
	w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(p.begins.Add(time.Second).Unix(), 10))
	if over {
		tooMany(w, r, time.Second, "")
	}
	return !over
}

// RateLimited is how many 429s were given because of pace. Those that a Fault asked for do not count.
func (s *Server) RateLimited() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limited
}

func tooMany(w http.ResponseWriter, r *http.Request, wait time.Duration, code string) {
	seconds := int(wait.Round(time.Second).Seconds())
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	if isFirst(r) {
		refuse(w, r, http.StatusTooManyRequests, cmp.Or(code, "API_KEY_QUOTA_EXCEEDED"), fmt.Sprintf("reset_in=%d", seconds))
		return
	}
	refuse(w, r, http.StatusTooManyRequests, cmp.Or(code, "RATE_LIMIT_EXCEEDED"), "You have exceeded the rate limit.")
}
