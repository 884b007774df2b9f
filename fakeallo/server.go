package fakeallo

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// DefaultKey is the key of a Server whose Options name none.
const DefaultKey = "ak_live_fakeallo"

// Form is how a key has to stand in the header Authorization.
type Form string

// The forms.
const (
	AnyForm  Form = ""
	Prefixed Form = "Api-Key KEY"
	Bare     Form = "KEY"
)

// Key says what a key opens. The zero value opens all, in any form.
type Key struct {
	Generation int      // 1 or 2; 0 is both
	Form       Form     // any other is 401
	Scopes     []string // nil is DefaultScopes
}

// DefaultScopes are all that this stand-in knows.
func DefaultScopes() []string {
	return []string{"CONVERSATIONS_READ", "PHONE_NUMBERS_READ", "TAGS_READ", "USERS_READ", "WEBHOOKS_READ_WRITE"}
}

// Options say what the workspace looks like. The zero value is an empty one that takes DefaultKey and keeps Allo's pace
// by the real clock.
type Options struct {
	Keys    map[string]Key
	Numbers []Number
	Users   []User
	Tags    []string
	Clock   func() time.Time // nil is time.Now
	NoPace  bool             // leave out all limits but those that a Fault asks for
}

// Number is one of the workspace's numbers; with an empty Number it is a sender's name.
type Number struct{ Number, Name, Country string }

// User is a person of the workspace.
type User struct {
	ID, Name, Email, Role string
	Blocked               bool // not listed unless asked for
}

// Call is one request that came in.
type Call struct {
	At            time.Time
	Method        string
	Path          string
	Query         url.Values
	Header        http.Header
	Authorization string // as sent
	Body          string
	Status        int       // of the answer; 0 while there is none, and if the connection was cut instead
	Fault         FaultKind // what was done to it; "" is nothing
}

const (
	keepCalls = 10_000
	maxBody   = 1 << 20
	workspace = "Fake Allo"
)

// Server is one workspace. It is an http.Handler; its methods may be called at any time from anywhere.
type Server struct {
	options Options
	mux     *http.ServeMux

	mu         sync.Mutex
	keys       map[string]Key
	calls      []*Call
	faults     []*Fault
	pace       map[string]*second
	limited    int
	webhooks   []Webhook
	made       int // webhooks, for their ids
	phoneCalls map[string][]PhoneCall
	recordings map[string]Recording
	replays    map[string]replay
}

// New makes a workspace. It starts nothing: see Listen.
func New(o Options) *Server {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	s := &Server{
		options: o, keys: o.Keys, pace: map[string]*second{}, phoneCalls: map[string][]PhoneCall{},
		recordings: map[string]Recording{}, replays: map[string]replay{},
	}
	if s.keys == nil {
		s.keys = map[string]Key{DefaultKey: {}}
	}
	s.mux = s.routes()
	return s
}

// stopKey is where a request's context has the channel that is closed when its listener stops.
type stopKey struct{}

// Listen serves on a free port of 127.0.0.1. The url has no slash at its end. Stop cuts what is under way.
func (s *Server) Listen() (url string, stop func(), err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	stopped := make(chan struct{})
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: time.Minute,
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), stopKey{}, (<-chan struct{})(stopped))
		},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln) // always ends with an error: that of Close
	}()
	stop = sync.OnceFunc(func() {
		close(stopped)
		_ = srv.Close()
		<-done
	})
	return "http://" + ln.Addr().String(), stop, nil
}

// Calls lists what was asked, the oldest first.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Call, 0, len(s.calls))
	for _, c := range s.calls {
		all = append(all, *c)
	}
	return all
}

// SetKeys changes which keys are taken.
func (s *Server) SetKeys(keys map[string]Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
}

// ServeHTTP takes one request: it is noted, held to the pace, then faults have their turn, then what was asked for.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	c := &Call{
		At: s.options.Clock(), Method: r.Method, Path: r.URL.Path, Query: r.URL.Query(), Header: r.Header.Clone(),
		Authorization: r.Header.Get("Authorization"), Body: string(body),
	}
	s.mu.Lock()
	if s.calls = append(s.calls, c); len(s.calls) > keepCalls {
		s.calls = slices.Clone(s.calls[len(s.calls)-keepCalls/2:])
	}
	fault := s.use(r)
	s.mu.Unlock()

	noted := &noting{ResponseWriter: w, server: s, call: c}
	if fault.Kind != "" {
		noted.note(func() { c.Fault = fault.Kind })
		noted = s.misbehave(noted, r, fault)
		if noted == nil {
			return
		}
	}
	if strings.Contains(r.URL.Path, "/api/") && !s.admit(noted, r) {
		return
	}
	s.mux.ServeHTTP(noted, r)
	noted.finish()
}

// noting is a ResponseWriter that notes the status of the answer and can cut it.
type noting struct {
	http.ResponseWriter
	server *Server
	call   *Call
	cut    FaultKind // CutAfter or HalfAnswer
	held   bytes.Buffer
	status int
}

func (n *noting) note(change func()) {
	n.server.mu.Lock()
	defer n.server.mu.Unlock()
	change()
}

// WriteHeader notes the status, unless the answer is going to be lost.
func (n *noting) WriteHeader(status int) {
	n.status = status
	if n.cut == "" {
		n.note(func() { n.call.Status = status })
		n.ResponseWriter.WriteHeader(status)
	}
}

// Write passes the answer on, or holds it until it is cut.
func (n *noting) Write(p []byte) (int, error) {
	if n.status == 0 {
		n.WriteHeader(http.StatusOK)
	}
	if n.cut != "" {
		return n.held.Write(p)
	}
	return n.ResponseWriter.Write(p)
}

// Flush sends what was written so far.
func (n *noting) Flush() {
	if f, ok := n.ResponseWriter.(http.Flusher); ok && n.cut == "" {
		f.Flush()
	}
}

// finish cuts an answer that is to be lost, after what was asked for was done.
func (n *noting) finish() {
	switch n.cut {
	case HalfAnswer:
		n.cut = ""
		n.Header().Set("Content-Length", strconv.Itoa(n.held.Len()))
		n.ResponseWriter.WriteHeader(max(n.status, http.StatusOK))
		_, _ = n.ResponseWriter.Write(n.held.Bytes()[:n.held.Len()/2])
		n.Flush()
		panic(http.ErrAbortHandler)
	case CutAfter:
		panic(http.ErrAbortHandler)
	}
}
