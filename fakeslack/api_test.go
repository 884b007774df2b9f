package fakeslack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"
)

func delivery(id string) slack.MsgOption {
	return slack.MsgOptionMetadata(slack.SlackMetadata{EventType: "allo_delivery", EventPayload: map[string]any{"delivery_id": id}})
}

func TestPostAndRead(t *testing.T) {
	s := support(Options{NoPace: true, Clock: newClock().Now})
	api := start(t, s)
	var all []string
	for i := range 3 {
		ch, ts, err := api.PostMessage("#support", slack.MsgOptionText(fmt.Sprint("message ", i), false), delivery(fmt.Sprint("d", i)),
			slack.MsgOptionBlocks(slack.NewSectionBlock(slack.NewTextBlockObject("mrkdwn", "hello <!here>", false, true), nil, nil)),
			slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl())
		if err != nil {
			t.Fatal(err)
		}
		if ch != madeUpID("support") {
			t.Errorf("channel = %q", ch)
		}
		all = append(all, ts)
	}
	if want := []string{"1700000000.000000", "1700000000.000001", "1700000000.000002"}; !cmp.Equal(all, want) {
		t.Errorf("got %v, want %v", all, want)
	}

	posts := s.Posts("support")
	if len(posts) != 3 || posts[0].TS != all[0] || posts[0].ChannelName != "support" || posts[0].Unfurls || !cmp.Equal(posts[0].Pings, []string{"<!here>"}) {
		t.Errorf("posts = %+v", posts)
	}
	id := madeUpID("support")
	h, err := api.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: id, Limit: 2, IncludeAllMetadata: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Messages) != 2 || !h.HasMore || h.Messages[0].Timestamp != all[2] || h.Messages[0].Metadata.EventPayload["delivery_id"] != "d2" {
		t.Errorf("first page = %+v", h)
	}
	if len(h.Messages[0].Blocks.BlockSet) != 1 || h.Messages[0].Blocks.BlockSet[0].ID() == "" {
		t.Errorf("blocks = %+v, want one with an id", h.Messages[0].Blocks)
	}
	h, err = api.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: id, Limit: 2, Cursor: h.ResponseMetaData.NextCursor})
	if err != nil || len(h.Messages) != 1 || h.HasMore || h.Messages[0].Timestamp != all[0] {
		t.Errorf("second page = %+v, %v", h, err)
	}
	if h.Messages[0].Metadata.EventType != "" {
		t.Errorf("metadata = %+v without asking for it", h.Messages[0].Metadata)
	}
	for _, c := range []struct {
		oldest, latest string
		inclusive      bool
		want           int
	}{{all[0], "", false, 2}, {all[0], "", true, 3}, {all[0], all[2], false, 1}, {"", all[1], true, 2}, {"1700000000", "", false, 2}, {"1699999999", "1700000001.0", false, 3}} {
		h, err := api.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: id, Oldest: c.oldest, Latest: c.latest, Inclusive: c.inclusive})
		if err != nil || len(h.Messages) != c.want {
			t.Errorf("%+v: got %d messages, %v", c, len(h.Messages), err)
		}
	}
	_, err = api.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: id, Limit: 1000})
	wantCode(t, err, "invalid_limit")
	_, err = api.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: id, Oldest: "yesterday"})
	wantCode(t, err, "invalid_ts_oldest")
	_, err = api.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: "#support"})
	wantCode(t, err, "channel_not_found")

	link, err := api.GetPermalink(&slack.PermalinkParameters{Channel: id, Ts: all[0]})
	if err != nil || !strings.HasSuffix(link, "/p1700000000000000") {
		t.Errorf("link = %q, %v", link, err)
	}
}

func TestThreads(t *testing.T) {
	s := support(Options{NoPace: true})
	api := start(t, s)
	id := madeUpID("support")
	_, parent, err := api.PostMessage("#support", say("parent")...)
	if err != nil {
		t.Fatal(err)
	}
	reply := func(text, to string, more ...slack.MsgOption) string {
		_, ts, err := api.PostMessage(id, append(more, slack.MsgOptionText(text, false), slack.MsgOptionTS(to), delivery(text))...)
		if err != nil {
			t.Fatal(err)
		}
		return ts
	}
	first := reply("one", parent)
	reply("two", first) // to a reply: lands in the same thread
	reply("three", parent, slack.MsgOptionBroadcast())

	msgs, more, cursor, err := api.GetConversationReplies(&slack.GetConversationRepliesParameters{ChannelID: id, Timestamp: parent, Limit: 3, IncludeAllMetadata: true})
	if err != nil || len(msgs) != 3 || !more || msgs[0].Text != "parent" || msgs[0].ReplyCount != 3 || msgs[1].Metadata.EventPayload["delivery_id"] != "one" {
		t.Errorf("replies = %+v, %v, %v", msgs, more, err)
	}
	msgs, more, _, err = api.GetConversationReplies(&slack.GetConversationRepliesParameters{ChannelID: id, Timestamp: parent, Cursor: cursor})
	if err != nil || len(msgs) != 1 || more || msgs[0].Text != "three" || msgs[0].Metadata.EventType != "" {
		t.Errorf("second page = %+v, %v, %v", msgs, more, err)
	}
	h, err := api.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: id})
	if err != nil || len(h.Messages) != 2 || h.Messages[0].SubType != "thread_broadcast" {
		t.Errorf("history = %+v, %v: want the parent and the broadcast", h, err)
	}
	_, _, _, err = api.GetConversationReplies(&slack.GetConversationRepliesParameters{ChannelID: id, Timestamp: "1.000000"})
	wantCode(t, err, "thread_not_found")

	_, _, err = api.PostMessage("#support", append(say("x"), slack.MsgOptionTS("junk"))...)
	wantCode(t, err, "invalid_arguments")
}

func TestUpdate(t *testing.T) {
	s := support(Options{NoPace: true})
	api := start(t, s)
	blocks := slack.MsgOptionBlocks(slack.NewDividerBlock())
	ch, ts, err := api.PostMessage("#support", slack.MsgOptionText("before", false), blocks, delivery("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := api.UpdateMessage(ch, ts, say("after")...); err != nil {
		t.Fatal(err)
	}
	p := s.Posts("")[0]
	if p.Text != "after" || !p.Edited || p.Blocks == nil || p.Metadata == nil {
		t.Errorf("post = %+v, want blocks and metadata as they were", p)
	}
	_, _, _, err = api.UpdateMessage(ch, "1.000000", say("x")...)
	wantCode(t, err, "message_not_found")
	_, _, _, err = api.UpdateMessage("#support", ts, say("x")...)
	wantCode(t, err, "channel_not_found")
	_, _, _, err = api.UpdateMessage(ch, ts, slack.MsgOptionText("x", false), slack.MsgOptionBlocks(slack.NewHeaderBlock(slack.NewTextBlockObject("plain_text", "", false, false))))
	wantCode(t, err, "invalid_blocks")
}

// An update without parse is read as people's own words are: names of channels and people become mentions.
func TestUpdateParses(t *testing.T) {
	s := support(Options{NoPace: true, Users: []User{{ID: "U1", Name: "ada"}, {ID: "U2", Name: "bob.d", Deleted: true}}})
	api := start(t, s)
	id, ts, err := api.PostMessage("#support", say("@here #support")...)
	if err != nil || s.Posts("")[0].Pings != nil {
		t.Fatalf("%v; a message pings %q, want nobody", err, s.Posts("")[0].Pings)
	}
	for _, c := range []struct{ text, more, want string }{
		{"plain words, call #1 from a@here.example, see https://e.com/#open, (@nobody) #nowhere", "", ""},
		{"<https://e.com|@channel> <!date^1^{date}|#open>", "", ""},
		{"@Here @channel, (@everyone) #support/#open. @ada. @ada @bob.d", "", "@Here @channel @everyone @ada #support"},
		{"<!here> #secret", "", "<!here> #secret"},
		{"@here #support @ada", "&parse=none", ""},
		{"@here #nowhere https://e.com", "&parse=full", "@here #nowhere https://e.com"},
		{"@here #nowhere", "&parse=none&link_names=1", "@here #nowhere"},
	} {
		if got := call(t, s, "chat.update", "channel="+id+"&ts="+ts+c.more+"&text="+url.QueryEscape(c.text)); got["ok"] != true {
			t.Fatalf("%s: %v", c.text, got)
		}
		if got := strings.Join(s.Posts("")[0].Pings, " "); got != c.want {
			t.Errorf("%s%s pings %q, want %q", c.text, c.more, got, c.want)
		}
	}
	call(t, s, postMessage, "channel=%23support&parse=client&text=@here")
	if p := s.Posts(""); !cmp.Equal(p[1].Pings, []string{"@here"}) {
		t.Errorf("a message with parse=client pings %q", p[1].Pings)
	}
}

func TestRefusals(t *testing.T) {
	s := support(Options{NoPace: true})
	api := start(t, s)
	post := func(channel string) error { _, _, err := api.PostMessage(channel, say("x")...); return err }
	wantCode(t, post("#nowhere"), "channel_not_found")
	wantCode(t, post("#board"), "channel_not_found") // private, without the bot
	wantCode(t, post("#open"), "not_in_channel")
	wantCode(t, post("#secret"), "")
	s.SetChannel("#support", func(c *Channel) { c.Archived = true })
	wantCode(t, post("#support"), "is_archived")
	s.SetChannel("support", func(c *Channel) { c.Archived, c.Name, c.ID = false, "help", "C1" })
	wantCode(t, post("#support"), "channel_not_found")
	wantCode(t, post("#help"), "")
	wantCode(t, post(madeUpID("support")), "") // the id stays
	s.RemoveChannel("help")
	wantCode(t, post(madeUpID("support")), "channel_not_found")
	if again := s.AddChannel(Channel{Name: "#secret", ID: "C2"}); again.ID != madeUpID("secret") {
		t.Errorf("a channel that is there already became %+v", again)
	}

	_, _, err := api.PostMessage("#secret", slack.MsgOptionText("", false))
	wantCode(t, err, "no_text")
	_, _, err = api.PostMessage("#secret", say(words(4001))...)
	wantCode(t, err, "")
	if p := s.Posts("secret"); !p[len(p)-1].OverLong {
		t.Error("a text of 4,001 characters is not marked")
	}
	_, _, err = api.PostMessage("#secret", slack.MsgOptionBlocks(slack.NewSectionBlock(nil, nil, nil)))
	var refused slack.SlackErrorResponse
	if !errors.As(err, &refused) || len(refused.ResponseMetadata.Messages) != 1 || !strings.HasPrefix(refused.ResponseMetadata.Messages[0], "[ERROR] missing required field") {
		t.Errorf("got %#v, want invalid_blocks with a message", err)
	}

	s.SetToken("xoxb-other")
	wantCode(t, post("#secret"), "invalid_auth")
	_, err = api.AuthTest()
	wantCode(t, err, "invalid_auth")
}

// A channel that was removed and made anew is another one, and a name belongs to one channel, archived or not.
func TestNamesAndIDs(t *testing.T) {
	s := support(Options{NoPace: true})
	api := start(t, s)
	post := func(channel string) (id string, err error) {
		id, _, err = api.PostMessage(channel, say("x")...)
		return id, err
	}
	first := madeUpID("support")
	given := map[string]bool{first: true}
	for range 3 {
		s.RemoveChannel("support")
		again := s.AddChannel(Channel{Name: "support", BotIsMember: true})
		if given[again.ID] {
			t.Errorf("the id %s was given again", again.ID)
		}
		given[again.ID] = true
		if id, err := post("#support"); err != nil || id != again.ID || len(s.Posts("support")) != 1 {
			t.Errorf("posted to %s, %v; want %s and nothing of before", id, err, again.ID)
		}
		_, err := post(first)
		wantCode(t, err, "channel_not_found")
		_, err = api.GetConversationInfo(&slack.GetConversationInfoInput{ChannelID: first})
		wantCode(t, err, "channel_not_found")
		_, err = api.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: first})
		wantCode(t, err, "channel_not_found")
		_, _, _, err = api.UpdateMessage(first, "1700000000.000000", say("x")...)
		wantCode(t, err, "channel_not_found")
	}
	s.AddChannel(Channel{Name: "fixed", ID: "C0FIXED"})
	s.RemoveChannel("C0FIXED")
	if again := s.AddChannel(Channel{Name: "fixed", ID: "C0FIXED"}); again.ID == "C0FIXED" {
		t.Error("an id that was chosen was given again")
	}

	s.SetChannel("secret", func(c *Channel) { c.Archived = true })
	was := madeUpID("secret")
	if c := s.AddChannel(Channel{Name: "secret", BotIsMember: true}); c.ID != was || !c.Archived {
		t.Errorf("the name of an archived channel was given to %+v", c)
	}
	s.SetChannel("secret", func(c *Channel) { c.Name = "#secret-old" })
	if c := s.AddChannel(Channel{Name: "secret", BotIsMember: true}); c.ID == was || c.Archived {
		t.Errorf("after the archived one was renamed: %+v, want a new one", c)
	}
	_, err := post("#secret")
	wantCode(t, err, "")
	_, err = post(was)
	wantCode(t, err, "is_archived")
	s.SetChannel("secret-old", func(c *Channel) { c.Archived, c.Name = false, "secret" })
	if id, err := post("#secret-old"); err != nil || id != was {
		t.Errorf("posted to %s, %v; want %s, as the name it was to have is taken", id, err, was)
	}
}

func TestChannels(t *testing.T) {
	s := support(Options{NoPace: true})
	s.AddChannel(Channel{Name: "old", Archived: true})
	api := start(t, s)
	var names []string
	cursor := ""
	for {
		page, next, err := api.GetConversations(&slack.GetConversationsParameters{Cursor: cursor, Limit: 2, ExcludeArchived: true, Types: []string{"public_channel", "private_channel"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page {
			names = append(names, c.Name)
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	if want := []string{"support", "open", "secret"}; !cmp.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}

	c, err := api.GetConversationInfo(&slack.GetConversationInfoInput{ChannelID: madeUpID("secret")})
	if err != nil || !c.IsPrivate || !c.IsMember {
		t.Errorf("info = %+v, %v", c, err)
	}
	_, err = api.GetConversationInfo(&slack.GetConversationInfoInput{ChannelID: madeUpID("board")})
	wantCode(t, err, "channel_not_found")

	_, err = api.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: madeUpID("open")})
	wantCode(t, err, "not_in_channel")
	if c, warning, _, err := api.JoinConversation(madeUpID("open")); err != nil || !c.IsMember || warning != "" {
		t.Errorf("join = %+v, %q, %v", c, warning, err)
	}
	if _, warning, _, err := api.JoinConversation(madeUpID("open")); err != nil || warning != "already_in_channel" {
		t.Errorf("join again = %q, %v", warning, err)
	}
	_, err = api.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: madeUpID("open")})
	wantCode(t, err, "")
	_, _, _, err = api.JoinConversation(madeUpID("board"))
	wantCode(t, err, "channel_not_found")
	_, _, _, err = api.JoinConversation(madeUpID("secret"))
	wantCode(t, err, "method_not_supported_for_channel_type")
	_, _, _, err = api.JoinConversation(madeUpID("old"))
	wantCode(t, err, "is_archived")
}

func TestPeople(t *testing.T) {
	s := support(Options{NoPace: true, Users: []User{{ID: "U1", Name: "ada", RealName: "Ada L", Email: "ada@example.com"}, {ID: "U2", Email: "gone@example.com", Deleted: true}}})
	api := start(t, s)
	u, err := api.GetUserByEmail("Ada@example.com")
	if err != nil || u.ID != "U1" || u.RealName != "Ada L" || u.Profile.Email != "ada@example.com" {
		t.Errorf("user = %+v, %v", u, err)
	}
	_, err = api.GetUserByEmail("gone@example.com")
	wantCode(t, err, "users_not_found")
	if u, err := api.GetUserInfo("U2"); err != nil || !u.Deleted {
		t.Errorf("user = %+v, %v", u, err)
	}
	_, err = api.GetUserInfo("U3")
	wantCode(t, err, "user_not_found")
	who, err := api.AuthTest()
	if err != nil || who.BotID != botID || !strings.Contains(who.Header.Get("X-OAuth-Scopes"), "chat:write") {
		t.Errorf("auth.test = %+v, %v", who, err)
	}
}

func TestScopes(t *testing.T) {
	s := support(Options{NoPace: true, Scopes: []string{"chat:write", "channels:read", "chat:write.public"}})
	api := start(t, s)
	_, err := api.GetUserByEmail("a@example.com")
	wantCode(t, err, "missing_scope")
	_, _, err = api.GetConversations(&slack.GetConversationsParameters{Types: []string{"public_channel"}})
	wantCode(t, err, "")
	_, _, err = api.GetConversations(&slack.GetConversationsParameters{Types: []string{"private_channel"}})
	wantCode(t, err, "missing_scope")
	_, err = api.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: madeUpID("support")})
	wantCode(t, err, "missing_scope")
	_, _, err = api.PostMessage("#open", say("x")...)
	wantCode(t, err, "") // chat:write.public
	mute := support(Options{NoPace: true, Scopes: []string{"channels:read"}})
	for _, method := range []string{postMessage, "chat.update"} {
		got := call(t, mute, method, "channel="+madeUpID("support")+"&text=x&ts=1.000000")
		if got["error"] != "missing_scope" || got["needed"] != "chat:write" || got["provided"] != "channels:read" {
			t.Errorf("%s without chat:write: %v", method, got)
		}
	}
	got := call(t, s, "conversations.join", "channel="+madeUpID("open"))
	if got["needed"] != "channels:join" || !strings.Contains(fmt.Sprint(got["provided"]), "chat:write") {
		t.Errorf("got %v", got)
	}
}

// call makes a call without the library.
func call(t *testing.T, s *Server, method, form string) map[string]any {
	t.Helper()
	url, stop, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	kind := "application/x-www-form-urlencoded"
	if strings.HasPrefix(form, "{") {
		kind = "application/json; charset=utf-8"
	}
	req, _ := http.NewRequestWithContext(t.Context(), "POST", url+method, strings.NewReader(form))
	req.Header.Set("Content-Type", kind)
	if !strings.Contains(form, "token") {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	raw, _ := io.ReadAll(r.Body)
	v, err := decode(string(raw))
	out, _ := v.(map[string]any)
	if err != nil || out == nil {
		t.Fatalf("%.300s: %v", raw, err)
	}
	return out
}

func TestCallsByHand(t *testing.T) {
	s := support(Options{NoPace: true})
	for _, c := range []struct{ name, method, form, want string }{
		{"unknown method", "chat.nothing", "", "unknown_method"},
		{"no token", "auth.test", "token=", "not_authed"},
		{"a user's token", "auth.test", "token=xoxp-1", "invalid_auth"},
		{"form", "chat.postMessage", "channel=%23support&text=x", "<nil>"},
		{"JSON", "chat.postMessage", `{"channel":"#support","blocks":[{"type":"divider"}],"metadata":{"event_type":"a","event_payload":{}}}`, "<nil>"},
		{"not JSON", "chat.postMessage", `{"channel`, "invalid_form_data"},
		{"attachments", "chat.postMessage", "channel=%23support&text=x&attachments=[{}]", "invalid_attachments"},
		{"odd types", "conversations.list", "types=public", "invalid_types"},
		{"odd cursor", "conversations.list", "cursor=x", "invalid_cursor"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := fmt.Sprint(call(t, s, c.method, c.form)["error"]); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	for _, c := range s.Calls("") {
		if c.Form.Has("token") || c.Status != 200 {
			t.Errorf("call = %+v", c)
		}
	}
	if p := s.Posts("support"); len(p) != 2 || string(p[1].Blocks) != `[{"type":"divider"}]` || p[1].Metadata == nil {
		t.Errorf("posts = %+v", p)
	}
}

func TestWait(t *testing.T) {
	s := support(Options{NoPace: true})
	api := start(t, s)
	var wg sync.WaitGroup
	for _, channel := range []string{"#support", ""} {
		wg.Go(func() {
			if p, err := s.WaitPosts(t.Context(), channel, 3); err != nil || len(p) != 3 {
				t.Errorf("%q: got %d posts, %v", channel, len(p), err)
			}
		})
	}
	wg.Go(func() {
		if c, err := s.WaitCalls(t.Context(), "chat.postMessage", 3); err != nil || len(c) != 3 {
			t.Errorf("got %d calls, %v", len(c), err)
		}
	})
	for range 3 {
		if _, _, err := api.PostMessage("#support", say("x")...); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if p, err := s.WaitPosts(ctx, "support", 4); !errors.Is(err, context.DeadlineExceeded) || len(p) != 3 {
		t.Errorf("got %d posts, %v", len(p), err)
	}
}

func TestKeepsALimitedNumber(t *testing.T) {
	s := support(Options{NoPace: true})
	ch := s.find("support")
	for i := range int64(keepPosts * 3) {
		ch.keep(&message{Post: Post{TS: formatTS(i)}, micros: i})
	}
	if n := len(s.Posts("support")); n < keepPosts || n > keepPosts+keepPosts/4 || len(ch.byTS) != n {
		t.Errorf("%d messages, %d by ts", n, len(ch.byTS))
	}
	if last := ch.posts[len(ch.posts)-1]; last.micros != keepPosts*3-1 {
		t.Errorf("the last is %d", last.micros)
	}
}

func TestManyAtOnce(t *testing.T) {
	s := support(Options{NoPace: true})
	api := start(t, s)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for range 10 {
				if _, _, err := api.PostMessage("#support", say(fmt.Sprint(i))...); err != nil {
					t.Error(err)
				}
				_, _ = s.Posts(""), s.Calls("")
			}
		})
	}
	wg.Wait()
	posts := s.Posts("")
	for i := 1; i < len(posts); i++ {
		if posts[i].TS <= posts[i-1].TS {
			t.Fatalf("ts %s after %s", posts[i].TS, posts[i-1].TS)
		}
	}
	if len(posts) != 200 {
		t.Errorf("%d posts, want 200", len(posts))
	}
}
