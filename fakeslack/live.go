package fakeslack

import (
	"encoding/json"
	"time"
)

// recentPosts is how many messages of a channel the page is given when it opens.
const recentPosts = 200

// liveMessage is a message as the page gets it. Gone says that it was deleted; nothing else is set then.
type liveMessage struct {
	Channel   string          `json:"channel"`
	TS        string          `json:"ts"`
	ThreadTS  string          `json:"thread_ts,omitempty"`
	Text      string          `json:"text"`
	Blocks    json.RawMessage `json:"blocks,omitempty"`
	Metadata  json.RawMessage `json:"metadata,omitempty"`
	Edited    bool            `json:"edited,omitempty"`
	Broadcast bool            `json:"broadcast,omitempty"`
	Pings     []string        `json:"pings,omitempty"`
	At        int64           `json:"at"` // Unix milliseconds
	Gone      bool            `json:"gone,omitempty"`
}

// liveState is what the page shows around the messages.
type liveState struct {
	Channels     []liveChannel `json:"channels"`
	Outage       bool          `json:"outage"`
	Losing       bool          `json:"losing"`        // the next answer will be lost
	Limiting     bool          `json:"limiting"`      // the next message will get a 429
	LimitedUntil int64         `json:"limited_until"` // Unix milliseconds; 0 is not limited
	Calls        []liveCall    `json:"calls"`         // the latest, newest last
}

type liveChannel struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Private  bool   `json:"private"`
	Archived bool   `json:"archived"`
	Member   bool   `json:"member"`
}

type liveCall struct {
	At      int64  `json:"at"`
	Method  string `json:"method"`
	Channel string `json:"channel"`
	Status  int    `json:"status"`
	Err     string `json:"err"`
	Fault   string `json:"fault"`
}

// live is what happened after revision rev, for the page: the messages that changed, each once, and the state as it
// is now. Only the bot's messages are shown. For rev 0, and for one so old that it is not known what changed, fresh is true and the messages are the
// latest of each channel. Changed is closed when there is more.
func (s *Server) live(rev int64) (messages []liveMessage, state liveState, now int64, fresh bool, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	messages = []liveMessage{}
	fresh = rev == 0 || rev > s.rev || len(s.changes) > 0 && s.changes[0].rev > rev+1
	if fresh {
		for _, ch := range s.channels {
			for _, m := range ch.posts[max(0, len(ch.posts)-recentPosts):] {
				if m.own() {
					messages = append(messages, m.live())
				}
			}
		}
	} else {
		seen := map[change]bool{}
		from := len(s.changes) - int(s.rev-rev)
		for _, c := range s.changes[max(0, from):] {
			c.rev = 0
			if c.ts == "" || seen[c] {
				continue
			}
			seen[c] = true
			ch := s.byID[c.channel]
			if ch == nil {
				continue
			}
			switch m := ch.byTS[c.ts]; {
			case m == nil || m.deleted:
				messages = append(messages, liveMessage{Channel: c.channel, TS: c.ts, Gone: true})
			case m.own():
				messages = append(messages, m.live())
			}
		}
	}
	return messages, s.liveState(), s.rev, fresh, s.changed
}

func (m *message) live() liveMessage {
	return liveMessage{Channel: m.Channel, TS: m.TS, ThreadTS: m.ThreadTS, Text: m.Text, Blocks: m.Blocks,
		Metadata: m.Metadata, Edited: m.Edited, Broadcast: m.Broadcast, Pings: m.Pings, At: m.At.UnixMilli()}
}

func (s *Server) liveState() liveState {
	st := liveState{Channels: []liveChannel{}, Calls: []liveCall{}}
	for _, ch := range s.channels {
		st.Channels = append(st.Channels, liveChannel{ch.ID, ch.Name, ch.Private, ch.Archived, ch.BotIsMember})
	}
	for _, f := range s.faults {
		switch f.tag {
		case "outage":
			st.Outage = true
		case "lose":
			st.Losing = true
		case "limit":
			st.Limiting = true
		}
	}
	if h, there := s.pace.holds[postMessage]; there && h.until.After(s.clock()) {
		st.LimitedUntil = h.until.UnixMilli()
	}
	for _, c := range s.calls[max(0, len(s.calls)-8):] {
		name := c.Form.Get("channel")
		if ch := s.find(name); ch != nil {
			name = "#" + ch.Name
		}
		st.Calls = append(st.Calls, liveCall{c.At.UnixMilli(), c.Method, name, c.Status, c.Err, string(c.Fault)})
	}
	return st
}

// toggle queues a fault of the page under a tag, or takes back what is queued under it.
func (s *Server) toggle(tag string, on bool, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.faults[:0:0]
	for _, q := range s.faults {
		if q.tag != tag {
			kept = append(kept, q)
		}
	}
	s.faults = kept
	if on {
		f.tag = tag
		s.queue(f)
		return
	}
	s.note("", "")
}

// The faults that the page's buttons ask for.
func outage() Fault   { return Fault{Method: "*", Kind: Status, Status: 503, Count: -1} }
func loseNext() Fault { return Fault{Kind: DropAfterAccept} }
func limit10() Fault  { return Fault{Kind: RateLimit, RetryAfter: 10 * time.Second} }
