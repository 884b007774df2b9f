package fakeslack

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"sort"
	"time"
)

// Post is a message as the server took it.
type Post struct {
	Channel     string // ID
	ChannelName string // without #
	TS          string
	ThreadTS    string // "" at the top of the channel, and for the message that a thread hangs on
	Text        string
	Blocks      json.RawMessage // as sent; nil if there were none
	Metadata    json.RawMessage // as sent; nil if there was none
	User        string          // who posted: the bot
	Edited      bool            // chat.update changed it
	EditedTS    string
	Broadcast   bool // a reply that the channel shows too
	Replies     int
	OverLong    bool      // the text is over 4,000 characters: Slack itself would split it
	Unfurls     bool      // links would be unfurled: unfurl_links and unfurl_media weren't both false
	Pings       []string  // see Pings; here the text is parsed as the call had it (parse, link_names)
	At          time.Time // when it was taken
	VisibleAt   time.Time // from when on history has it
}

// Call is one API call that came in.
type Call struct {
	At     time.Time
	Method string
	Form   url.Values // without the token
	Status int        // of the answer; 0 while there is none, and if the connection was cut instead
	Err    string     // Slack's error code; "" is ok
	Fault  FaultKind  // what was done to it; "" is nothing
}

// Posts lists the bot's messages in a channel, by name (with or without #) or ID, or of all channels for "", in order of
// ts. It has those that history does not show yet too, but not those that were deleted.
func (s *Server) Posts(channel string) []Post {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.posts(channel)
}

func (s *Server) posts(channel string) []Post {
	list := s.channels
	if channel != "" {
		list = nil
		if ch := s.find(channel); ch != nil {
			list = append(list, ch)
		}
	}
	var all []*message
	for _, ch := range list {
		for _, m := range ch.posts {
			if m.own() {
				all = append(all, m)
			}
		}
	}
	if len(list) > 1 {
		sort.Slice(all, func(i, j int) bool { return all[i].micros < all[j].micros })
	}
	out := make([]Post, len(all))
	for i, m := range all {
		out[i] = m.Post
	}
	return out
}

// count is how many messages posts would list.
func (s *Server) count(channel string) int {
	list := s.channels
	if channel != "" {
		list = nil
		if ch := s.find(channel); ch != nil {
			list = append(list, ch)
		}
	}
	n := 0
	for _, ch := range list {
		for _, m := range ch.posts {
			if m.own() {
				n++
			}
		}
	}
	return n
}

// WaitPosts waits until a channel (or all, for "") has at least n messages and returns them; if ctx ends first, those
// that are there and ctx's error.
func (s *Server) WaitPosts(ctx context.Context, channel string, n int) ([]Post, error) {
	for {
		s.mu.Lock()
		if s.count(channel) >= n {
			defer s.mu.Unlock()
			return s.posts(channel), nil
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return s.Posts(channel), context.Cause(ctx)
		}
	}
}

// Calls lists the calls of a method, of all methods for "", in the order they came in.
func (s *Server) Calls(method string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Call
	for _, c := range s.calls {
		if method == "" || c.Method == method {
			out = append(out, *c)
		}
	}
	return out
}

// WaitCalls waits until at least n calls of a method (of any, for "") were answered or cut, and returns all of them.
func (s *Server) WaitCalls(ctx context.Context, method string, n int) ([]Call, error) {
	for {
		s.mu.Lock()
		done := 0
		for _, c := range s.calls {
			if (method == "" || c.Method == method) && (c.Status != 0 || c.Fault != "") {
				done++
			}
		}
		changed := s.changed
		s.mu.Unlock()
		if done >= n {
			return s.Calls(method), nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s.Calls(method), context.Cause(ctx)
		}
	}
}

// DeletePost deletes a message as a person in Slack would. One with replies leaves a tombstone, on which its thread
// lives on and can be replied to; the tombstone goes with the last reply. One without replies is gone, and a reply to
// it is posted at the top of the channel.
func (s *Server) DeletePost(channel, ts string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.find(channel)
	if ch == nil || ch.byTS[ts] == nil {
		return
	}
	m := ch.byTS[ts]
	if len(m.replies) > 0 {
		m.deleted, m.User = true, "USLACKBOT"
		s.note(ch.ID, ts)
		return
	}
	ch.drop(m)
	s.note(ch.ID, ts)
	if parent := m.parent; parent != nil {
		parent.replies = without(parent.replies, m)
		parent.Replies = len(parent.replies)
		if parent.deleted && parent.Replies == 0 {
			ch.drop(parent)
		}
		s.note(ch.ID, parent.TS)
	}
}

// own reports whether a message is the bot's and still there.
func (m *message) own() bool { return m.raw == nil && !m.deleted }

func (ch *channel) drop(m *message) {
	delete(ch.byTS, m.TS)
	ch.posts = without(ch.posts, m)
}

func without(list []*message, m *message) []*message {
	return slices.DeleteFunc(list, func(other *message) bool { return other == m })
}

// keep puts a message at the end of its channel and drops what is over the limit.
func (ch *channel) keep(m *message) {
	ch.byTS[m.TS] = m
	before := len(ch.posts) + 1
	old := append(ch.posts, m)
	ch.posts = trim(old, keepPosts)
	for _, gone := range old[:before-len(ch.posts)] {
		delete(ch.byTS, gone.TS)
	}
}
