package fakeslack

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// FaultKind is a way in which Slack misbehaves.
type FaultKind string

// The ways. "Takes it" means that the message is posted, or for other methods that the call is carried out; such a
// fault waits for a call that would have been answered with ok.
const (
	RateLimit          FaultKind = "rate limit"            // 429 with Retry-After; with RetryAfter set it holds for the method until that has passed
	RateLimitNoHeader  FaultKind = "rate limit, no header" // 429 message_limit_exceeded, without Retry-After
	SlackError         FaultKind = "slack error"           // 200, ok false, Code
	Status             FaultKind = "status"                // Status (503) with a page of HTML; not taken
	CutBefore          FaultKind = "cut before"            // the connection closes; not taken
	DropAfterAccept    FaultKind = "drop after accept"     // takes it, then the connection closes without an answer
	StatusAfterAccept  FaultKind = "status after accept"   // takes it, answers Status (500)
	GarbageAfterAccept FaultKind = "garbage after accept"  // takes it, answers 200 with HTML
	Empty              FaultKind = "empty"                 // 200 with {}; not taken
	NoTS               FaultKind = "no ts"                 // takes it, answers ok without ts
	Slow               FaultKind = "slow"                  // waits for Delay, then goes on, even if the client has gone
	Redirect           FaultKind = "redirect"              // 307 to Body, or to /api/redirected.METHOD; not taken
	HalfAnswer         FaultKind = "half answer"           // takes it, sends half of the answer, cuts
	LateVisible        FaultKind = "late visible"          // takes it, cuts the answer, is in history only after Delay
	NotOK              FaultKind = "not ok"                // 200 with ok false and no error; not taken
	Endless            FaultKind = "endless"               // 200 with JSON that never ends, of Body (a space) again and again; not taken
)

// The ways of pages: those of conversations.history, conversations.replies and conversations.list.
const (
	EmptyPage     FaultKind = "empty page"     // nothing on it, has_more, and a cursor of what would have been
	EndlessCursor FaultKind = "endless cursor" // has_more and a cursor of the first page, always the same one
	NewCursors    FaultKind = "new cursors"    // has_more and a cursor of the first page, another one each time
	OddPage       FaultKind = "odd page"       // Body, which is JSON, for the list; or what is no message, and then the list
)

// An Endless answer is cut at these. What no listener of Listen serves, as a recorder, may be kept in memory whole.
const (
	endlessHeard    = 1 << 30
	endlessRecorded = 64 << 20
)

// Fault is one misbehaviour. The first that is queued and matches a call applies to it, and is used up after Count.
type Fault struct {
	Method     string // "" is chat.postMessage, "*" any
	Channel    string // ID or name; "" any
	Count      int    // 0 is once, -1 until cleared
	Kind       FaultKind
	Code       string        // for SlackError; also replaces the code of the rate limits
	Status     int           // for Status, StatusAfterAccept and SlackError (200)
	RetryAfter time.Duration // for RateLimit, and Status: sent as a header
	Delay      time.Duration // waited for before anything is done; LateVisible: until it shows
	Body       string        // replaces the answer's body

	tag string // the page's own, to take it back
}

// after reports whether the fault takes the call.
func (k FaultKind) after() bool {
	switch k {
	case DropAfterAccept, StatusAfterAccept, GarbageAfterAccept, NoTS, HalfAnswer, LateVisible,
		EmptyPage, EndlessCursor, NewCursors, OddPage:
		return true
	}
	return false
}

// Fault queues a misbehaviour.
func (s *Server) Fault(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue(f)
}

func (s *Server) queue(f Fault) {
	if f.Method == "" {
		f.Method = postMessage
	}
	if f.Count == 0 {
		f.Count = 1
	}
	s.faults = append(s.faults, &f)
	s.note("", "")
}

// ClearFaults ends all misbehaviour: what is queued, a Retry-After that runs because of a Fault, and Chaos.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.chaos = nil, nil
	for m, h := range s.pace.holds {
		if h.fault {
			delete(s.pace.holds, m)
		}
	}
	s.note("", "")
}

// Chaos asks a function about each call, with the channel as the caller named it: nil lets the call through to the
// queue of faults. The function may be called by several calls at once.
func (s *Server) Chaos(f func(method, channel string) *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chaos = f
}

// match is the first fault in the queue for a call. The caller holds mu.
func (s *Server) match(method, channel string) *Fault {
	ch := s.find(channel)
	for _, f := range s.faults {
		switch {
		case f.Method != "*" && f.Method != method:
		case f.Channel == "", f.Channel == channel, ch != nil && s.find(f.Channel) == ch:
			return f
		}
	}
	return nil
}

// use counts a fault of the queue down. The caller holds mu.
func (s *Server) use(f *Fault) {
	if f.Count < 0 {
		return
	}
	if f.Count--; f.Count > 0 {
		return
	}
	for i, q := range s.faults {
		if q == f {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
			s.note("", "")
			return
		}
	}
}

// oddities are what a page of messages shouldn't hold.
const oddities = `["a string",7,1e999,true,null,[],[{"ts":"1.000000"}],{},{"type":"message","text":"without ts"},` +
	`{"ts":1700000000.000100},{"ts":null},{"ts":{}},{"ts":"","metadata":null}]`

// page is an answer with its page as a fault wants it; n makes a cursor a new one. Other answers stay as they are.
func (k FaultKind) page(a answer, body, cursor string, n int64) {
	list := "messages"
	if a.body["channels"] != nil {
		list = "channels"
	}
	found, paged := a.body[list].([]any)
	if !paged {
		return
	}
	more := func(at, suffix string) {
		if list == "messages" {
			a.body["has_more"] = true
		}
		from, _ := fromCursor(at)
		a.body["response_metadata"] = map[string]any{"next_cursor": toCursor(from, suffix)}
	}
	again := "+" + strconv.FormatInt(n, 10)
	switch k {
	case EmptyPage:
		a.body[list] = []any{}
		more(cursor, again)
	case EndlessCursor:
		more("", "")
	case NewCursors:
		more("", again)
	case OddPage:
		if body != "" {
			a.body[list] = json.RawMessage(body)
			return
		}
		var odd []json.RawMessage
		_ = json.Unmarshal([]byte(oddities), &odd)
		page := []any{}
		for _, o := range odd {
			page = append(page, o)
		}
		a.body[list] = append(page, found...)
	}
}

// endless writes until the client has gone, the listener stops, or it is enough; then the connection is cut.
func endless(w http.ResponseWriter, r *http.Request, unit string) {
	left := endlessRecorded
	if r.Context().Value(stopKey{}) != nil {
		left = endlessHeard
	}
	if unit == "" {
		unit = " "
	}
	chunk := strings.Repeat(unit, max(1, 32<<10/len(unit)))
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, err := io.WriteString(w, `{"ok":true,"messages":[`)
	for n := 0; err == nil && left > 0; left -= n {
		n, err = io.WriteString(w, chunk)
	}
	panic(http.ErrAbortHandler)
}
