package fakeslack

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"
)

// readPage is the messages of an answer, and all of it.
func readPage(t *testing.T, s *Server, method, form string) (messages []map[string]any, whole map[string]any) {
	t.Helper()
	whole = call(t, s, method, "channel="+madeUpID("support")+form)
	if whole["ok"] != true {
		t.Fatalf("%s: %v", method, whole)
	}
	for _, m := range whole["messages"].([]any) {
		messages = append(messages, m.(map[string]any))
	}
	return messages, whole
}

func TestOthers(t *testing.T) {
	s := support(Options{NoPace: true, Clock: newClock().Now})
	api := start(t, s)
	id := madeUpID("support")
	_, first, err := api.PostMessage("#support", say("the bot's")...)
	if err != nil {
		t.Fatal(err)
	}
	put := s.Others("#support",
		json.RawMessage(`{"text":"top","user":"U1","ts":5,"odd":[1e999],"metadata":"x"}`),
		json.RawMessage(`{"type":"other","thread_ts":"`+first+`","user":"U1"}`),
		json.RawMessage(`[]`), json.RawMessage(`null`), json.RawMessage(`{`),
		json.RawMessage(`{"thread_ts":"`+first+`","subtype":"thread_broadcast"}`))
	_, last, err := api.PostMessage("#support", append(say("reply"), slack.MsgOptionTS(put[0]))...)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"1700000000.000001", "1700000000.000002", "", "", "", "1700000000.000003"}; !cmp.Equal(put, want) || last != "1700000000.000004" {
		t.Errorf("got %v and %s, want %v and the next", put, last, want)
	}

	h, _ := readPage(t, s, "conversations.history", "&include_all_metadata=1")
	if len(h) != 3 || h[0]["ts"] != put[5] || h[1]["ts"] != put[0] || h[2]["ts"] != first {
		t.Fatalf("history = %v", h)
	}
	top := h[1]
	if top["type"] != "message" || top["metadata"] != "x" || top["reply_count"] != json.Number("1") || top["thread_ts"] != put[0] {
		t.Errorf("somebody else's, with a reply: %v", top)
	}
	if without, _ := readPage(t, s, "conversations.history", ""); without[1]["metadata"] != nil || without[1]["user"] != "U1" {
		t.Errorf("without metadata: %v", without[1])
	}
	thread, _ := readPage(t, s, "conversations.replies", "&ts="+first)
	if len(thread) != 3 || thread[0]["reply_count"] != json.Number("2") || thread[0]["reply_users_count"] != json.Number("2") || thread[1]["type"] != "other" || thread[2]["ts"] != put[5] {
		t.Errorf("thread = %v", thread)
	}
	if thread, _ := readPage(t, s, "conversations.replies", "&ts="+put[0]); len(thread) != 2 || thread[1]["parent_user_id"] != "U1" {
		t.Errorf("thread = %v", thread)
	}

	if p := s.Posts(""); len(p) != 2 || p[0].Replies != 2 || p[1].ThreadTS != put[0] {
		t.Errorf("posts = %+v, want the bot's two", p)
	}
	if p, err := s.WaitPosts(t.Context(), "support", 2); err != nil || len(p) != 2 {
		t.Errorf("posts = %+v, %v", p, err)
	}
	for _, rev := range []int64{0, 1} {
		messages, _, _, _, _ := s.live(rev)
		if len(messages) != 2 {
			t.Errorf("the page has %+v, want the bot's two", messages)
		}
	}
	_, _, _, err = api.UpdateMessage(id, put[0], say("mine now")...)
	wantCode(t, err, "cant_update_message")
	if got := s.Others("#nowhere", json.RawMessage(`{}`)); got != nil {
		t.Errorf("in a channel that isn't there: %v", got)
	}
}

// The list is no harmless one: the library refuses a whole page because of one message.
func TestOddMessagesAreOdd(t *testing.T) {
	refused := 0
	for _, m := range OddMessages() {
		s := support(Options{NoPace: true})
		api := start(t, s)
		if _, _, err := api.PostMessage("#support", append(say("the bot's"), delivery("x"))...); err != nil {
			t.Fatal(err)
		}
		ts := s.Others("support", m)[0]
		if _, err := api.GetConversationHistoryContext(t.Context(), &slack.GetConversationHistoryParameters{
			ChannelID: madeUpID("support"), IncludeAllMetadata: true}); err != nil {
			refused++
		}
		h, _ := readPage(t, s, "conversations.history", "&include_all_metadata=1")
		if len(h) != 2 || h[0]["ts"] != ts || h[1]["ts"] != s.Posts("")[0].TS {
			t.Errorf("%.100s: the page is %.300v", m, h)
		}
	}
	if refused < 20 {
		t.Errorf("the library refuses %d of the messages, want 20 or more", refused)
	}
}

// What was put there is given back as it was.
func TestOthersVerbatim(t *testing.T) {
	s := support(Options{NoPace: true})
	odd := OddMessages()
	all := s.Others("support", odd...)
	h := map[string]map[string]any{}
	page, _ := readPage(t, s, "conversations.history", "&include_all_metadata=1&limit=999")
	for _, m := range page {
		h[m["ts"].(string)] = m
	}
	for i, m := range odd {
		v, err := decode(string(m))
		if err != nil {
			t.Fatal(err)
		}
		want := v.(map[string]any)
		want["ts"] = all[i]
		if want["type"] == nil {
			want["type"] = "message"
		}
		if got := h[all[i]]; !reflect.DeepEqual(got, want) {
			t.Errorf("%.200s came back as %.200v", m, got)
		}
	}
}

func TestATombstoneKeepsItsThread(t *testing.T) {
	s := support(Options{NoPace: true})
	api := start(t, s)
	id := madeUpID("support")
	post := func(text, to string) (ts, thread string) {
		_, ts, m, err := api.PostMessageWithResponseContext(t.Context(), id, slack.MsgOptionText(text, false), slack.MsgOptionTS(to), delivery(text),
			slack.MsgOptionBlocks(slack.NewDividerBlock()))
		if err != nil {
			t.Fatal(err)
		}
		return ts, m.ThreadTimestamp
	}
	parent, _ := post("parent", "")
	one, _ := post("one", parent)
	theirs := s.Others("support", json.RawMessage(`{"thread_ts":"`+parent+`","user":"U1"}`))[0]
	_, _, rev, _, _ := s.live(0)
	s.DeletePost("support", parent)
	s.DeletePost("support", parent) // again changes nothing

	if p := s.Posts("support"); len(p) != 1 || p[0].TS != one {
		t.Errorf("posts = %+v, want the reply", p)
	}
	if messages, _, _, _, _ := s.live(rev); len(messages) != 1 || !messages[0].Gone || messages[0].TS != parent {
		t.Errorf("the page has %+v, want the parent gone", messages)
	}
	want := map[string]any{"type": "message", "subtype": "tombstone", "text": "This message was deleted.", "hidden": true,
		"user": "USLACKBOT", "ts": parent, "thread_ts": parent, "reply_count": json.Number("2"), "reply_users_count": json.Number("2"),
		"reply_users": []any{botUser, "U1"}, "latest_reply": theirs, "subscribed": false, "is_locked": false}
	if h, _ := readPage(t, s, "conversations.history", "&include_all_metadata=1"); len(h) != 1 || !cmp.Equal(h[0], want) {
		t.Errorf("history = %v", h)
	}
	two, thread := post("two", parent)
	if thread != parent {
		t.Errorf("a reply to a tombstone is in thread %q, want %s", thread, parent)
	}
	if m, _ := readPage(t, s, "conversations.replies", "&ts="+parent); len(m) != 4 || m[0]["subtype"] != "tombstone" || m[3]["parent_user_id"] != "USLACKBOT" {
		t.Errorf("thread = %v", m)
	}
	_, _, _, err := api.UpdateMessage(id, parent, say("x")...)
	wantCode(t, err, "message_not_found")

	for _, ts := range []string{one, theirs, two} {
		s.DeletePost("support", ts)
	}
	if h, _ := readPage(t, s, "conversations.history", ""); len(h) != 0 {
		t.Errorf("history = %v, want the tombstone gone with its last reply", h)
	}
	_, _, _, err = api.GetConversationReplies(&slack.GetConversationRepliesParameters{ChannelID: id, Timestamp: parent})
	wantCode(t, err, "thread_not_found")
	if _, thread := post("three", parent); thread != "" {
		t.Errorf("a reply to what is gone is in thread %q, want the top", thread)
	}
}

func TestPostsOfBefore(t *testing.T) {
	id := madeUpID("support")
	s := support(Options{NoPace: true, Clock: newClock().Now, Posts: []Post{
		{Channel: id, TS: "1600000000.000100", Text: "question", Metadata: json.RawMessage(`{"event_type":"x","event_payload":{}}`), Edited: true, EditedTS: "1600000001.000000"},
		{Channel: id, TS: "1600000000.000200", ThreadTS: "1600000000.000100", Text: "answer", Broadcast: true},
		{Channel: "C0NONE", TS: "1600000000.000300", Text: "nowhere"},
		{Channel: id, TS: "then", Text: "never"},
	}})
	api := start(t, s)
	if _, _, _, err := api.UpdateMessage(id, "1600000000.000200", say("better")...); err != nil {
		t.Fatal(err)
	}
	if _, ts, err := api.PostMessage(id, append(say("more"), slack.MsgOptionTS("1600000000.000200"))...); err != nil || ts != "1700000000.000000" {
		t.Errorf("the next has %s, %v; want it to be of now", ts, err)
	}
	thread, _ := readPage(t, s, "conversations.replies", "&include_all_metadata=1&ts=1600000000.000100")
	if len(thread) != 3 || thread[0]["metadata"] == nil || thread[0]["edited"] == nil || thread[0]["reply_count"] != json.Number("2") || thread[1]["text"] != "better" || thread[1]["user"] != botUser {
		t.Errorf("thread = %v", thread)
	}
	if h, _ := readPage(t, s, "conversations.history", ""); len(h) != 2 || h[0]["ts"] != "1600000000.000200" {
		t.Errorf("history = %v", h)
	}
	if all := s.Posts(""); len(all) != 3 {
		t.Errorf("%d posts, want 3", len(all))
	}
}
