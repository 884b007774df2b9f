package fakeslack

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxBody is what a request may weigh; more is refused.
const maxBody = 4 << 20

// answer is what a method says: a body with or without ok, and for a 429 how long to wait.
type answer struct {
	body       map[string]any
	retryAfter time.Duration
	post       *message // what the call posted
}

func ok(body map[string]any) answer {
	if body == nil {
		body = map[string]any{}
	}
	body["ok"] = true
	return answer{body: body}
}

func refuse(code string) answer {
	return answer{body: map[string]any{"ok": false, "error": code}}
}

func tooMany(wait time.Duration) answer {
	a := refuse("ratelimited")
	a.retryAfter = wait
	return a
}

func (a answer) err() string { code, _ := a.body["error"].(string); return code }

// serve takes one call: first a Retry-After that is running, then faults, then the method itself.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Path
	if i := strings.LastIndex(name, "/api/"); i >= 0 {
		name = name[i+len("/api/"):]
	}
	s.stamp(w)
	form, token, err := read(w, r)
	if err != nil {
		writeJSON(w, http.StatusOK, refuse("invalid_form_data").body)
		return
	}
	s.mu.Lock()
	chaos := s.chaos
	s.mu.Unlock()
	var fault *Fault
	if chaos != nil {
		if f := chaos(name, form.Get("channel")); f != nil {
			own := *f // never the caller's
			fault = &own
		}
	}
	queued := false

	s.mu.Lock()
	now := s.clock()
	call := &Call{At: now, Method: name, Form: form}
	s.calls = trim(append(s.calls, call), keepCalls)
	if wait := s.held(name, now); wait > 0 {
		a := tooMany(wait)
		s.answered(call, http.StatusTooManyRequests, a.err(), "")
		s.mu.Unlock()
		writeAnswer(w, a)
		return
	}
	if fault == nil {
		if fault = s.match(name, form.Get("channel")); fault != nil {
			queued = true
			s.use(fault)
			own := *fault
			fault = &own
		}
	}
	s.mu.Unlock()
	if fault == nil {
		fault = &Fault{}
	}
	if fault.Kind == "" && fault.Code != "" {
		fault.Kind = SlackError
	}
	if fault.Kind != LateVisible && !pause(r, fault.Delay) {
		panic(http.ErrAbortHandler)
	}
	if fault.Kind != "" && fault.Kind != Slow && !fault.Kind.after() {
		s.stamp(w)
		s.misbehave(w, r, call, *fault)
		return
	}

	s.mu.Lock()
	now = s.clock()
	a := s.run(name, token, form, now)
	kind := fault.Kind
	if kind.after() && a.err() != "" {
		if queued { // it waits for a call that succeeds
			s.queueFirst(*fault)
		}
		kind = ""
	}
	if kind == LateVisible && a.post != nil {
		a.post.VisibleAt = now.Add(fault.Delay)
	}
	kind.page(a, fault.Body, form.Get("cursor"), s.rev)
	status := a.status()
	switch kind {
	case StatusAfterAccept:
		status = orStatus(fault.Status, http.StatusInternalServerError)
	case DropAfterAccept, HalfAnswer, LateVisible:
		status = 0
	}
	s.answered(call, status, a.err(), kind)
	scopes := strings.Join(s.scopes, ",")
	s.mu.Unlock()

	s.stamp(w)
	w.Header().Set("X-OAuth-Scopes", scopes)
	switch kind {
	case DropAfterAccept, LateVisible:
		panic(http.ErrAbortHandler)
	case StatusAfterAccept:
		writeHTML(w, status, fault.Body)
	case GarbageAfterAccept:
		writeHTML(w, http.StatusOK, fault.Body)
	case NoTS:
		writeJSON(w, http.StatusOK, map[string]any{"ok": true, "channel": a.body["channel"]})
	case HalfAnswer:
		halve(w, a.body)
	default:
		writeAnswer(w, a)
	}
}

// stamp dates an answer by the server's own clock, as Slack's answers are, also where no listener of net/http does it.
func (s *Server) stamp(w http.ResponseWriter) {
	s.mu.Lock()
	now := s.clock()
	s.mu.Unlock()
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
}

// queueFirst puts a fault that was used up too early back to the front of the queue. The caller holds mu.
func (s *Server) queueFirst(f Fault) {
	if f.Count < 0 {
		return // never left the queue
	}
	f.Count = 1
	s.faults = append([]*Fault{&f}, s.faults...)
}

// answered notes the outcome of a call. The caller holds mu.
func (s *Server) answered(c *Call, status int, code string, fault FaultKind) {
	c.Status, c.Err, c.Fault = status, code, fault
	s.note("", "")
}

// pause waits in real time. It is false if the listener stopped meanwhile; a client that has gone changes nothing.
func pause(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	stopped, _ := r.Context().Value(stopKey{}).(<-chan struct{})
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-stopped:
		return false
	}
}

// misbehave carries out a fault that doesn't take the call.
func (s *Server) misbehave(w http.ResponseWriter, r *http.Request, call *Call, f Fault) {
	status, body := http.StatusTooManyRequests, refuse(orCode(f.Code, "ratelimited")).body
	switch f.Kind {
	case RateLimit:
		w.Header().Set("Retry-After", strconv.Itoa(seconds(f.RetryAfter)))
	case RateLimitNoHeader:
		body = refuse(orCode(f.Code, "message_limit_exceeded")).body
	case SlackError:
		status = orStatus(f.Status, http.StatusOK)
		body = refuse(orCode(f.Code, "internal_error")).body
	case Empty:
		status, body = http.StatusOK, map[string]any{}
	case NotOK:
		status, body = http.StatusOK, map[string]any{"ok": false}
	case Endless:
		status, body = http.StatusOK, nil
	case Status:
		status, body = orStatus(f.Status, http.StatusServiceUnavailable), nil
	case Redirect:
		status, body = http.StatusTemporaryRedirect, nil
	case CutBefore:
		status, body = 0, nil
	default:
		status, body = http.StatusNotImplemented, map[string]any{"ok": false, "error": "unknown fault kind: " + string(f.Kind)}
	}
	code, _ := body["error"].(string)

	s.mu.Lock()
	if f.Kind == RateLimit && f.RetryAfter > 0 {
		s.pace.holds[call.Method] = hold{until: s.clock().Add(f.RetryAfter), fault: true}
	}
	s.answered(call, status, code, f.Kind)
	s.mu.Unlock()

	switch {
	case f.Kind == CutBefore:
		panic(http.ErrAbortHandler)
	case f.Kind == Endless:
		endless(w, r, f.Body)
	case f.Kind == Redirect:
		target := f.Body
		if target == "" {
			target = "/api/redirected." + call.Method
		}
		w.Header().Set("Location", target)
		w.WriteHeader(status)
	case f.Kind == Status:
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(seconds(f.RetryAfter)))
		}
		writeHTML(w, status, f.Body)
	case f.Body != "":
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, f.Body)
	default:
		writeJSON(w, status, body)
	}
}

func orStatus(status, other int) int {
	if status != 0 {
		return status
	}
	return other
}

func orCode(code, other string) string {
	if code != "" {
		return code
	}
	return other
}

// read takes a call's arguments from the query and from a body of either kind, and the token from wherever it is.
func read(w http.ResponseWriter, r *http.Request) (form url.Values, token string, err error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch kind {
	case "application/json":
		var fields map[string]json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&fields); err != nil {
			return nil, "", err
		}
		form = r.URL.Query()
		for k, v := range fields {
			var text string
			if json.Unmarshal(v, &text) != nil {
				text = string(v)
			}
			form.Set(k, text)
		}
	case "multipart/form-data":
		if err := r.ParseMultipartForm(maxBody); err != nil {
			return nil, "", err
		}
		form = r.Form
	default:
		if err := r.ParseForm(); err != nil {
			return nil, "", err
		}
		form = r.Form
	}
	token = form.Get("token")
	form.Del("token")
	if bearer, there := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); there && token == "" {
		token = bearer
	}
	return form, token, nil
}

func (a answer) status() int {
	if a.retryAfter > 0 {
		return http.StatusTooManyRequests
	}
	return http.StatusOK
}

func writeAnswer(w http.ResponseWriter, a answer) {
	if a.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds(a.retryAfter)))
	}
	writeJSON(w, a.status(), a.body)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that has gone is its own business
}

func writeHTML(w http.ResponseWriter, status int, body string) {
	if body == "" {
		body = "<!DOCTYPE html>\n<html><head><title>Slack</title></head><body><h1>Server Error</h1></body></html>\n"
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// halve promises the whole answer, sends half of it and cuts the connection.
func halve(w http.ResponseWriter, body any) {
	whole, _ := json.Marshal(body)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(whole[:len(whole)/2])
	if f, there := w.(http.Flusher); there {
		f.Flush()
	}
	panic(http.ErrAbortHandler)
}
