package fakeslack

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Who the bot and its workspace are, in every answer.
const (
	teamID  = "T0FAKESLACK"
	appID   = "A0FAKESLACK"
	botID   = "B0FAKESLACK"
	botUser = "U0FAKESLACK"
	botName = "allo"
)

// What is kept at most. A list may grow a quarter over its limit before its oldest part is dropped.
const (
	keepPosts   = 10_000 // a channel
	keepCalls   = 20_000
	keepChanges = 4_000
)

// Options say what the workspace looks like at the start. The zero value is an empty workspace that takes any bot
// token, grants all scopes of the app and keeps Slack's pace by the real clock.
type Options struct {
	Token    string           // the only bot token taken; "" takes any that starts with xoxb-
	Channels []Channel        // to start with
	Posts    []Post           // the bot's that are there at the start, in order of ts, each with its Channel's ID
	Users    []User           // whom users.info and users.lookupByEmail know
	Clock    func() time.Time // of the workspace and its answers' Date; nil is time.Now. It may be far from the client's
	NoPace   bool             // leave out all limits but those that a Fault asks for
	Scopes   []string         // what the token was granted; nil is DefaultScopes

	// ShortPages is how many messages or channels a page has at most, whatever limit the call asks for; 0 is as many as
	// it asks for. As in Slack, only the cursor tells that there is more, not the length of a page.
	ShortPages int
}

// DefaultScopes are the scopes that the app's manifest asks for.
func DefaultScopes() []string {
	return []string{"chat:write", "channels:join", "channels:read", "groups:read", "channels:history", "groups:history",
		"users:read", "users:read.email"}
}

// Channel is a conversation. An empty ID is made up from the name, the same one each time.
type Channel struct {
	ID, Name    string
	Private     bool
	Archived    bool
	BotIsMember bool
}

// User is a person of the workspace.
type User struct {
	ID, Name, RealName, Email string
	Deleted                   bool
}

// Server is one workspace, seen through one app's bot token. Its methods may be called at any time from anywhere.
type Server struct {
	clock   func() time.Time
	noPace  bool
	longest int // of a page; 0 is as asked for
	scopes  []string
	users   []User
	methods map[string]method

	mu       sync.Mutex
	token    string
	channels []*channel // in the order they were added
	byID     map[string]*channel
	byName   map[string]*channel
	given    map[string]bool // all IDs that channels ever had
	calls    []*Call
	lastTS   int64
	pace     pace
	faults   []*Fault
	chaos    func(method, channel string) *Fault

	rev     int64         // grows with each change
	changes []change      // the latest ones
	changed chan struct{} // closed at each change, and replaced
}

// channel is a Channel and what was posted to it.
type channel struct {
	Channel
	posts    []*message // in order of ts
	byTS     map[string]*message
	lastPost time.Time // when the last message was accepted
}

// message is a post and what only the server needs to know of it.
type message struct {
	Post
	micros  int64
	parent  *message // what it replies to; nil at the top of the channel
	replies []*message
	raw     map[string]json.RawMessage // somebody else's message as it was put there; nil is the bot's own
	deleted bool                       // a tombstone: deleted, but its thread lives on
}

// change says which message changed, or that something else did (ts is "").
type change struct {
	rev         int64
	channel, ts string
}

// New makes a workspace. It starts nothing: see API and Listen.
func New(o Options) *Server {
	s := &Server{
		clock: o.Clock, noPace: o.NoPace, longest: o.ShortPages, scopes: o.Scopes, token: o.Token,
		users:   append([]User(nil), o.Users...),
		byID:    map[string]*channel{},
		byName:  map[string]*channel{},
		given:   map[string]bool{},
		changed: make(chan struct{}),
		methods: methods(),
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.scopes == nil {
		s.scopes = DefaultScopes()
	}
	s.pace.start(s.clock())
	for _, c := range o.Channels {
		s.AddChannel(c)
	}
	for _, p := range o.Posts {
		s.had(p)
	}
	return s
}

// API serves /api/{method}, at that path or under any prefix that ends in it.
func (s *Server) API() http.Handler { return http.HandlerFunc(s.serve) }

// stopKey is where a request's context has the channel that is closed when its listener stops.
type stopKey struct{}

// Listen serves the API on a free port of 127.0.0.1. The url ends in "/api/", as slack.OptionAPIURL wants it. Stop
// cuts what is under way.
func (s *Server) Listen() (url string, stop func(), err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	stopped := make(chan struct{})
	srv := &http.Server{
		Handler:           s.API(),
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
	return "http://" + ln.Addr().String() + "/api/", stop, nil
}

// AddChannel adds a channel and returns it with its ID, which no channel had before: one that was removed and is added
// again gets another ID, whatever it asks for. If there is one of that name already, that one is returned as it is:
// an archived channel keeps its name until it is renamed.
// Source: https://slack.com/help/articles/213185307-Archive-or-delete-a-channel
func (s *Server) AddChannel(c Channel) Channel {
	c.Name = bare(c.Name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.byName[c.Name]; old != nil {
		return old.Channel
	}
	if c.ID == "" {
		c.ID = madeUpID(c.Name)
	}
	for s.given[c.ID] {
		c.ID = madeUpID(c.ID)
	}
	s.given[c.ID] = true
	ch := &channel{Channel: c, byTS: map[string]*message{}}
	s.channels = append(s.channels, ch)
	s.byID[c.ID], s.byName[c.Name] = ch, ch
	s.note("", "")
	return c
}

func madeUpID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "C0" + base32.StdEncoding.EncodeToString(sum[:])[:9]
}

func bare(name string) string { return strings.TrimPrefix(name, "#") }

// find is the channel of that ID or name, with or without #; nil if there is none. The caller holds mu.
func (s *Server) find(channel string) *channel {
	if ch := s.byID[channel]; ch != nil {
		return ch
	}
	return s.byName[bare(channel)]
}

// SetChannel changes a channel, found by name or ID: archive it, remove the bot, rename it. Its ID stays, and
// so does its name if another channel has the new one. Nothing happens if there is no such channel.
func (s *Server) SetChannel(name string, change func(*Channel)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.find(name)
	if ch == nil {
		return
	}
	was := ch.Channel
	change(&ch.Channel)
	ch.ID, ch.Name = was.ID, bare(ch.Name)
	if s.byName[ch.Name] != nil {
		ch.Name = was.Name
	}
	if ch.Name != was.Name {
		delete(s.byName, was.Name)
		s.byName[ch.Name] = ch
		for _, m := range ch.posts {
			m.ChannelName = ch.Name
		}
	}
	s.note("", "")
}

// RemoveChannel takes a channel away, with all that was posted to it.
func (s *Server) RemoveChannel(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.find(name)
	if ch == nil {
		return
	}
	delete(s.byID, ch.ID)
	delete(s.byName, ch.Name)
	for i, c := range s.channels {
		if c == ch {
			s.channels = append(s.channels[:i], s.channels[i+1:]...)
			break
		}
	}
	s.note("", "")
}

// SetToken changes the only token that is taken: the one before is invalid_auth from now on.
func (s *Server) SetToken(tok string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = tok
}

// note wakes everyone who waits for a change. The caller holds mu.
func (s *Server) note(channel, ts string) {
	s.rev++
	s.changes = trim(append(s.changes, change{s.rev, channel, ts}), keepChanges)
	close(s.changed)
	s.changed = make(chan struct{})
}

// trim drops the oldest of a list that has grown a quarter over its limit.
func trim[T any](list []T, limit int) []T {
	if len(list) <= limit+limit/4 {
		return list
	}
	return append([]T(nil), list[len(list)-limit:]...)
}
