package fakeslack

import (
	"net/url"
	"time"
)

// maxPage is the largest page of history.
// Source: https://docs.slack.dev/reference/methods/conversations.history
const maxPage = 999

// span is which part of a conversation a call asks for.
type span struct {
	oldest, latest int64
	inclusive      bool
	limit          int
	cursor         int64 // history: below this ts; replies: from it on. 0 is from the start
	metadata       bool
}

func (s *Server) spanOf(f url.Values) (span, *answer) {
	sp := span{latest: 1 << 62, inclusive: flag(f, "inclusive"), metadata: flag(f, "include_all_metadata")}
	no := func(code string) (span, *answer) { a := refuse(code); return sp, &a }
	var good bool
	if v := f.Get("oldest"); v != "" && v != "0" {
		if sp.oldest, good = parseTS(v); !good {
			return no("invalid_ts_oldest")
		}
	}
	if v := f.Get("latest"); v != "" && v != "now" && v != "0" {
		if sp.latest, good = parseTS(v); !good {
			return no("invalid_ts_latest")
		}
	}
	if sp.limit, good = s.limitOf(f, 100, maxPage); !good {
		return no("invalid_limit")
	}
	if v := f.Get("cursor"); v != "" {
		if sp.cursor, good = fromCursor(v); !good {
			return no("invalid_cursor")
		}
	}
	return sp, nil
}

func (sp span) has(micros int64) bool {
	if sp.inclusive {
		return micros >= sp.oldest && micros <= sp.latest
	}
	return micros > sp.oldest && micros < sp.latest
}

// member is a channel whose messages the bot may read.
func (s *Server) member(f url.Values) (*channel, *answer) {
	ch, no := s.readable(f, "channels:history", "groups:history")
	if no == nil && !ch.BotIsMember {
		a := refuse("not_in_channel")
		return nil, &a
	}
	return ch, no
}

// history pages through a channel, newest first: what stands in the channel itself, so replies only if they were
// broadcast. Metadata is in it only if asked for.
// Source: https://docs.slack.dev/reference/methods/conversations.history
func (s *Server) history(f url.Values, now time.Time) answer {
	ch, no := s.member(f)
	if no != nil {
		return *no
	}
	sp, no := s.spanOf(f)
	if no != nil {
		return *no
	}
	page, next := []any{}, ""
	for i := len(ch.posts) - 1; i >= 0; i-- {
		m := ch.posts[i]
		if m.micros < sp.oldest {
			break
		}
		if m.ThreadTS != "" && !m.Broadcast || m.VisibleAt.After(now) || !sp.has(m.micros) {
			continue
		}
		if sp.cursor != 0 && m.micros > sp.cursor {
			continue
		}
		if len(page) == sp.limit {
			next = toCursor(m.micros, "")
			break
		}
		page = append(page, m.json(sp.metadata))
	}
	return ok(map[string]any{"messages": page, "has_more": next != "", "pin_count": 0,
		"response_metadata": map[string]any{"next_cursor": next}})
}

// replies pages through a thread, its first message first on the first page whatever the span, then the replies,
// oldest first.
// Source: https://docs.slack.dev/reference/methods/conversations.replies
func (s *Server) replies(f url.Values, now time.Time) answer {
	ch, no := s.member(f)
	if no != nil {
		return *no
	}
	sp, no := s.spanOf(f)
	if no != nil {
		return *no
	}
	parent := ch.byTS[f.Get("ts")]
	if parent == nil {
		return refuse("thread_not_found")
	}
	page, next := []any{}, ""
	for _, m := range append([]*message{parent}, parent.replies...) {
		if m.micros < sp.cursor || m != parent && (m.VisibleAt.After(now) || !sp.has(m.micros)) {
			continue
		}
		if len(page) == sp.limit {
			next = toCursor(m.micros, "")
			break
		}
		page = append(page, m.json(sp.metadata))
	}
	return ok(map[string]any{"messages": page, "has_more": next != "",
		"response_metadata": map[string]any{"next_cursor": next}})
}
