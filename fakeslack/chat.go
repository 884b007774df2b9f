package fakeslack

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// postMessage posts, after all that Slack checks first.
// Source: https://docs.slack.dev/reference/methods/chat.postMessage
func (s *Server) postMessage(f url.Values, now time.Time) answer {
	ch := s.find(f.Get("channel"))
	switch {
	case ch == nil, ch.Private && !ch.BotIsMember:
		return refuse("channel_not_found")
	case ch.Archived:
		return refuse("is_archived")
	case !ch.BotIsMember && !s.granted("chat:write.public"):
		return refuse("not_in_channel")
	}
	if wait := s.admitTo(ch, now); wait > 0 {
		return tooMany(wait)
	}
	if f.Get("attachments") != "" && f.Get("attachments") != "[]" {
		return refuse("invalid_attachments") // none are known here
	}
	if err := Check(f.Get("text"), f.Get("blocks"), f.Get("metadata")); err != nil {
		return refuseError(err)
	}
	thread := f.Get("thread_ts")
	if _, good := parseTS(thread); thread != "" && !good {
		return refuse("invalid_arguments")
	}

	m := &message{parent: ch.thread(thread), Post: Post{
		User:     botUser,
		Text:     f.Get("text"),
		Blocks:   raw(f.Get("blocks")),
		Metadata: raw(f.Get("metadata")),
		OverLong: length(f.Get("text")) > splitText,
		Unfurls:  !off(f.Get("unfurl_links")) || !off(f.Get("unfurl_media")),
		Pings:    pings(f.Get("text"), f.Get("blocks"), s.parsed(f, "none")),
	}}
	m.Broadcast = m.parent != nil && flag(f, "reply_broadcast")
	ch.lastPost = now
	s.put(ch, m, now)
	a := ok(map[string]any{"channel": ch.ID, "ts": m.TS, "message": m.json(true)})
	a.post = m
	return a
}

// put gives a message its ts and place, and keeps it. The caller holds mu.
func (s *Server) put(ch *channel, m *message, now time.Time) {
	m.micros = max(now.UnixMicro(), s.lastTS+1)
	s.lastTS = m.micros
	m.Channel, m.ChannelName, m.TS, m.At, m.VisibleAt = ch.ID, ch.Name, formatTS(m.micros), now, now
	if m.parent != nil {
		m.ThreadTS = m.parent.TS
		m.parent.replies = append(m.parent.replies, m)
		m.parent.Replies = len(m.parent.replies)
		s.note(ch.ID, m.parent.TS)
	}
	ch.keep(m)
	s.note(ch.ID, m.TS)
}

// had puts a message of the bot's where it was, at its own ts.
func (s *Server) had(p Post) {
	ch := s.find(p.Channel)
	micros, good := parseTS(p.TS)
	if ch == nil || !good {
		return
	}
	m := &message{Post: p, parent: ch.thread(p.ThreadTS)}
	m.User, m.ThreadTS, m.Replies = botUser, "", 0
	ch.lastPost = time.UnixMicro(micros)
	s.put(ch, m, ch.lastPost)
}

// thread is the message that a thread hangs on, by its ts or that of a reply; nil if there is none.
func (ch *channel) thread(ts string) *message {
	m := ch.byTS[ts]
	if m != nil && m.parent != nil {
		return ch.byTS[m.ThreadTS]
	}
	return m
}

// update changes a message. Blocks and metadata stay as they are unless given.
// Source: https://docs.slack.dev/reference/methods/chat.update
func (s *Server) update(f url.Values, now time.Time) answer {
	ch := s.byID[f.Get("channel")]
	switch {
	case ch == nil, ch.Private && !ch.BotIsMember:
		return refuse("channel_not_found")
	case ch.Archived:
		return refuse("is_archived")
	}
	m := ch.byTS[f.Get("ts")]
	switch {
	case m == nil, m.deleted: // what Slack says of a tombstone is not documented
		return refuse("message_not_found")
	case m.raw != nil:
		return refuse("cant_update_message")
	}
	text, blocks, metadata := m.Text, string(m.Blocks), string(m.Metadata)
	for field, to := range map[string]*string{"text": &text, "blocks": &blocks, "metadata": &metadata} {
		if f.Has(field) {
			*to = f.Get(field)
		}
	}
	if metadata == "{}" { // takes it away
		metadata = ""
	}
	if err := Check(text, blocks, metadata); err != nil {
		return refuseError(err)
	}
	m.Text, m.Blocks, m.Metadata = text, raw(blocks), raw(metadata)
	m.OverLong = length(text) > splitText
	m.Pings = pings(text, blocks, s.parsed(f, "client"))
	m.Edited, m.EditedTS = true, formatTS(max(now.UnixMicro(), m.micros))
	s.note(ch.ID, m.TS)
	return ok(map[string]any{"channel": ch.ID, "ts": m.TS, "text": m.Text, "message": m.json(true)})
}

// permalink is the address of a message.
// Source: https://docs.slack.dev/reference/methods/chat.getPermalink
func (s *Server) permalink(f url.Values, _ time.Time) answer {
	ch := s.byID[f.Get("channel")]
	if ch == nil || ch.Private && !ch.BotIsMember {
		return refuse("channel_not_found")
	}
	m := ch.byTS[f.Get("message_ts")]
	if m == nil {
		return refuse("message_not_found")
	}
	link := "https://fakeslack.slack.com/archives/" + ch.ID + "/p" + strings.ReplaceAll(m.TS, ".", "")
	if m.ThreadTS != "" {
		link += "?thread_ts=" + m.ThreadTS + "&cid=" + ch.ID
	}
	return ok(map[string]any{"channel": ch.ID, "permalink": link})
}

// refuseError is a refusal by Check, told twice as Slack does: in errors and in response_metadata.messages.
func refuseError(err error) answer {
	var e *Error
	if !errors.As(err, &e) {
		return refuse("internal_error")
	}
	a := refuse(e.Code)
	if len(e.Messages) > 0 {
		marked := make([]string, len(e.Messages))
		for i, m := range e.Messages {
			marked[i] = "[ERROR] " + m
		}
		a.body["errors"] = e.Messages
		a.body["response_metadata"] = map[string]any{"messages": marked}
	}
	return a
}

// json is a message as Slack tells it, with its metadata only if that is asked for.
func (m *message) json(metadata bool) map[string]any {
	o := m.words(metadata)
	switch {
	case m.parent != nil && m.raw == nil:
		o["thread_ts"] = m.ThreadTS
		o["parent_user_id"] = m.parent.User
		if m.Broadcast {
			o["subtype"] = "thread_broadcast"
		}
	case len(m.replies) > 0:
		users := []string{}
		for _, r := range m.replies {
			if !slices.Contains(users, r.User) {
				users = append(users, r.User)
			}
		}
		o["thread_ts"] = m.TS
		o["reply_count"] = len(m.replies)
		o["reply_users_count"] = len(users)
		o["reply_users"] = users
		o["latest_reply"] = m.replies[len(m.replies)-1].TS
		o["subscribed"] = false
		o["is_locked"] = false
	}
	return o
}

// words is what a message says, without what its thread adds.
func (m *message) words(metadata bool) map[string]any {
	if m.deleted {
		return map[string]any{"type": "message", "subtype": "tombstone", "hidden": true, "user": m.User, "ts": m.TS,
			"text": "This message was deleted."}
	}
	if m.raw != nil {
		o := map[string]any{}
		for field, v := range m.raw {
			if metadata || field != "metadata" {
				o[field] = v
			}
		}
		o["ts"] = m.TS
		return o
	}
	o := map[string]any{
		"type": "message", "user": botUser, "ts": m.TS, "bot_id": botID, "app_id": appID, "team": teamID, "text": m.Text,
		"bot_profile": map[string]any{"id": botID, "app_id": appID, "user_id": botUser, "name": botName, "deleted": false,
			"updated": 1600000000, "team_id": teamID, "icons": map[string]any{}},
	}
	if b := named(m.Blocks, m.TS); len(b) > 0 {
		o["blocks"] = b
	}
	if metadata && m.Metadata != nil {
		o["metadata"] = m.Metadata
	}
	if m.Edited {
		o["edited"] = map[string]any{"user": botUser, "ts": m.EditedTS}
	}
	return o
}

// named is blocks with an id each, as Slack gives one to those that came without.
func named(blocks json.RawMessage, ts string) []any {
	v, err := decode(string(blocks))
	if err != nil {
		return nil
	}
	list, _ := v.([]any)
	for i, b := range list {
		if o, isObject := b.(map[string]any); isObject {
			if id, _ := o["block_id"].(string); id == "" {
				o["block_id"] = fmt.Sprintf("b%s.%d", ts[max(0, len(ts)-6):], i)
			}
		}
	}
	return list
}

func raw(s string) json.RawMessage {
	if emptyBlocks(s) {
		return nil
	}
	return json.RawMessage(s)
}

func off(v string) bool {
	v = strings.ToLower(v)
	return v == "0" || v == "false"
}

// formatTS writes a ts, "1700000000.000100".
func formatTS(micros int64) string {
	return fmt.Sprintf("%d.%06d", micros/1e6, micros%1e6)
}

// parseTS reads a ts. Slack takes them with fewer digits behind the dot, or none, too.
func parseTS(ts string) (int64, bool) {
	whole, part, _ := strings.Cut(ts, ".")
	if whole == "" || len(whole) > 11 || len(part) > 6 {
		return 0, false
	}
	var n int64
	for _, d := range whole + part + strings.Repeat("0", 6-len(part)) {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + int64(d-'0')
	}
	return n, true
}
