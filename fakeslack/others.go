package fakeslack

import (
	"encoding/json"
	"strings"
)

// Others puts messages by somebody else into a channel, by name or ID, and returns the ts of each. Each is a JSON
// object, which conversations.history and conversations.replies give back as it is, but for its ts, which is the moment
// of this call (all ts ascend, the bot's too), its type, which is message where there is none, its metadata, which has
// to be asked for as always, and what Slack adds to a message that gets replies. One whose thread_ts names a message of
// the channel lands in that thread.
//
// They are not the bot's: Posts, WaitPosts and the page don't list them, and chat.update refuses them as
// cant_update_message. What is not a JSON object is left out, and its ts is ""; without such a channel there is none.
func (s *Server) Others(channel string, messages ...json.RawMessage) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.find(channel)
	if ch == nil {
		return nil
	}
	all := make([]string, len(messages))
	for i, raw := range messages {
		m := &message{}
		if json.Unmarshal(raw, &m.raw) != nil || m.raw == nil {
			continue
		}
		text := func(field string) (s string) { _ = json.Unmarshal(m.raw[field], &s); return s }
		if m.raw["type"] == nil {
			m.raw["type"] = json.RawMessage(`"message"`)
		}
		m.User = text("user")
		m.parent = ch.thread(text("thread_ts"))
		m.Broadcast = m.parent != nil && text("subtype") == "thread_broadcast"
		s.put(ch, m, s.clock())
		all[i] = m.TS
	}
	return all
}

// OddMessages are messages for Others as workspaces hold them, or may hold them: with slack-go many of them make a
// whole page of history unreadable, and the others tempt a reader to go wrong. None is the bot's, though some look
// like it.
func OddMessages() []json.RawMessage {
	const deep = 400
	nest := func(open, inner, end string) string {
		return strings.Repeat(open, deep) + inner + strings.Repeat(end, deep)
	}
	const usual = `{"type":"message","user":"U0SOMEBODY","text":"said by somebody else","app_id":"A0OTHER",` // the last of a name counts
	var all []json.RawMessage
	for _, fields := range []string{
		// What comes from apps that were not held to a type.
		`"attachments":[{"id":"1","fallback":"x"}]`,
		`"attachments":[{"id":1,"color":123}]`,
		`"attachments":[{"id":1,"fields":[{"title":"Duration","value":42,"short":true}]}]`,
		`"attachments":{"id":1}`,
		`"attachments":["x",null]`,
		`"files":"F1"`,
		`"files":[{"id":"F1","size":"12","mode":"tombstone"},null]`,
		`"reactions":{"eyes":1}`,
		`"reactions":[{"name":"eyes","users":"U0SOMEBODY","count":"1"}]`,
		`"edited":"1700000000.000000"`,
		`"reply_count":1e999`,
		`"pinned_to":"C1","is_starred":"no","bot_id":null,"icons":[]`,
		// What is newer than the library.
		`"blocks":[{"type":"actions","elements":[{"type":"hologram","action_id":"a"}]}]`,
		`"blocks":[{"type":"context","elements":[{"type":"hologram"}]}]`,
		`"blocks":[{"type":"section","text":{"type":"mrkdwn","text":"x"},"accessory":{"type":"hologram"}}]`,
		`"blocks":[{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"hologram","x":1}]}]}]`,
		`"blocks":[{"type":"rich_text","elements":[{"type":"rich_text_hologram"}]}]`,
		`"blocks":[{"type":"hologram","projection":[1,2,3]}]`,
		`"blocks":{"type":"divider"}`,
		`"blocks":[null]`,
		// Metadata of somebody else's.
		`"metadata":"allo_delivery"`,
		`"metadata":["allo_delivery",{"delivery_id":"x"}]`,
		`"metadata":null`,
		`"metadata":{"event_type":"allo_delivery","event_payload":{"delivery_id":7}}`,
		`"metadata":{"event_type":"allo_delivery","event_payload":{"delivery_id":{"delivery_id":"x"}}}`,
		`"metadata":{"event_type":"allo_delivery","event_payload":{"delivery_id":["x"]}}`,
		`"metadata":{"event_type":"allo_delivery","event_payload":"x"}`,
		`"metadata":{"event_type":"allo_delivery"}`,
		`"metadata":{"event_type":["allo_delivery"],"event_payload":{"delivery_id":"x"}}`,
		`"metadata":{"event_type":"deployed","event_payload":{"delivery_id":"somebody else's"}}`,
		// Odd as messages.
		`"thread_ts":1700000000.000100`,
		`"thread_ts":"never"`,
		`"ts":1700000000.000100`,
		`"ts":"tomorrow"`,
		`"text":null`,
		`"text":["x"]`,
		`"text":"half a pair \ud800, a NUL \u0000"`,
		`"type":7,"user":{"id":"U0SOMEBODY"}`,
		`"text":"` + strings.Repeat("long ", 60_000) + `"`,
		`"subtype":"tombstone","hidden":true,"user":"USLACKBOT","text":"This message was deleted."`,
		`"subtype":"channel_join","inviter":7`,
		`"unheard_of":` + nest(`{"a":[`, `1`, `]}`),
		`"attachments":` + nest(`[{"attachments":`, `[]`, `}]`),
		`"blocks":[{"type":"rich_text","elements":[` + nest(`{"type":"rich_text_list","style":"bullet","elements":[`, ``, `]}`) + `]}]`,
	} {
		all = append(all, json.RawMessage(usual+fields+`}`))
	}
	return append(all, json.RawMessage(`{}`))
}
