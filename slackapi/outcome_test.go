package slackapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// verdict is what of an Outcome decides what is done next.
type verdict struct {
	kind     Kind
	answered bool // by Slack: it isn't away
	bounded  bool // not for ever
	strange  bool // something answered, but not as Slack does
	wait     time.Duration
}

// named are Slack's own errors, by what they mean for a post.
var named = map[Kind][]string{
	Wait:   {"ratelimited", "rate_limited"},
	Later:  {"request_timeout", "team_added_to_org", "org_login_required", "message_limit_exceeded", "accesslimited"},
	Unsure: {"internal_error", "fatal_error", "service_unavailable"},
	RefusedChannel: {"channel_not_found", "not_in_channel", "is_archived", "restricted_action", "restricted_action_read_only_channel",
		"restricted_action_thread_only_channel", "restricted_action_of_tomorrow", "messages_tab_disabled", "ekm_access_denied", "no_permission", "access_denied", "team_not_found"},
	RefusedThread: {"cannot_reply_to_message", "restricted_action_non_threadable_channel", "restricted_action_thread_locked"},
	RefusedMessage: {"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "no_text", "invalid_attachments",
		"invalid_metadata_format", "metadata_too_large", "invalid_arguments",
		// of chat.update
		"message_not_found", "cant_update_message", "edit_window_closed", "block_mismatch", "is_inactive",
		// of users.lookupByEmail
		"users_not_found"},
	RefusedToken: {"not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired", "missing_scope", "not_allowed_token_type",
		"team_access_not_granted"},
}

// usual is as long as a message is with its blocks. Of one that fits into a buffer of 4 KiB net/http says that it was
// written before it was; then it is looked for, although it can't be there.
var usual = strings.Repeat("hello ", 1000)

// TestOutcomes sends a message through the real client to real servers and listeners, and asks what became of it.
func TestOutcomes(t *testing.T) {
	type row struct {
		name string
		at   setting
		want verdict
	}
	var rows []row
	for kind, codes := range named {
		for _, code := range codes {
			want := verdict{kind: kind, answered: true}
			if kind == Wait {
				want.wait = time.Minute
			}
			rows = append(rows, row{code, says(fmt.Sprintf(`{"ok":false,"error":%q}`, code)), want})
		}
	}
	unsure, later := verdict{kind: Unsure}, verdict{kind: Later}
	// An answer that isn't Slack's says nothing of Slack as a whole, and is not believed for ever.
	unreadable, between := verdict{kind: Unsure, bounded: true, strange: true}, verdict{kind: Later, bounded: true, strange: true}
	wait := func(d time.Duration) verdict { return verdict{kind: Wait, answered: true, wait: d} }
	rows = append(rows, []row{
		{"sent", says(`{"ok":true,"channel":"C1","ts":"1.000001","message":{"ts":"1.000001"}}`), verdict{kind: Sent, answered: true}},
		{"an error that nobody knows", says(`{"ok":false,"error":"moon_in_the_way"}`), verdict{kind: Later, answered: true, bounded: true}},

		// Below HTTP: before all of the request was written Slack can't have it.
		{"no connection: refused", nobody, later},
		{"no connection: no such host", noHost, later},
		{"no connection: no answer to the dial", noDial, later},
		{"TLS: unknown authority", untrusted, later},
		{"TLS: not spoken", notTLS, later},
		{"TLS: no answer to the handshake", noHandshake, later},
		{"a proxy refuses to connect", proxyRefuses, later},
		{"reset before anything was written", resetAfter(handled, 0), later},
		{"reset before anything was written, HTTP/2", resetAfter(http2, 0), later},
		{"reset within the head", resetAfter(handled, 100), later},
		{"reset within the message", resetAfter(handled, 5000), later},
		{"reset within the message, HTTP/2", resetAfter(http2, 3000), later},
		{"reset after the request", handled(reset), unsure},
		{"closed after the request", handled(hangUp), unsure},
		{"closed after the request, HTTP/2", http2(hangUp), unsure},
		{"given up after the request", giveUp(handled), unsure},
		{"given up after the request, HTTP/2", giveUp(http2), unsure},
		{"no answer in time", late(handled), unsure},
		{"no answer in time, HTTP/2", late(http2), unsure},

		// Answers that don't say what became of it.
		{"cut within the answer", handled(half(http.StatusOK, `{"ok":true,"channel":"C1","ts":"1.000001"}`)), unreadable},
		{"cut within an error's answer", handled(half(http.StatusOK, `{"ok":false,"error":"invalid_blocks"}`)), unreadable},
		{"nothing", says(``), unreadable},
		{"a page", says(`<!DOCTYPE html><html><body>Slack</body></html>`), unreadable},
		{"{}", says(`{}`), unreadable},
		{"null", says(`null`), unreadable},
		{"ok without ts", says(`{"ok":true,"channel":"C1"}`), unreadable},
		{"ok, and a message that can't be decoded", says(`{"ok":true,"channel":"C1","ts":"1.000001","message":{"blocks":{"type":7}}}`), verdict{kind: Sent, answered: true}},
		{"ok, and what is odd beside it", says("\ufeff" + `{"ok":true,"OK":7,"error":7,"channel":7,"warning":[],"ts":"1.000001","message":"x"}{"ok":false}`), verdict{kind: Sent, answered: true}},
		{"neither ok nor an error", says(`{"ok":false}`), unreadable},
		{"an empty error", says(`{"ok":false,"error":""}`), unreadable},
		{"a list", says(`[]`), unreadable},
		{"a ts and no ok", says(`{"channel":"C1","ts":"1.000001"}`), unreadable},
		{"an answer without an end", handled(endless), unreadable},

		{"429, 3 s", limit("3"), wait(3 * time.Second)},
		{"429, spaces around", limit(" 3 "), wait(3 * time.Second)},
		{"429, 0 s", limit("0"), wait(time.Second)},
		{"429, a day", limit("86400"), wait(time.Hour)},
		{"429, more than an int holds", limit("99999999999999999999"), wait(time.Minute)},
		{"429, more than a Duration holds", limit("9223372036854775807"), wait(time.Hour)},
		{"429, negative", limit("-5"), wait(time.Minute)},
		{"429, garbage", limit("soon"), wait(time.Minute)},
		{"429, a fraction", limit("1.5"), wait(time.Minute)},
		{"429, a date", limit("Wed, 21 Oct 2065 07:28:00 GMT"), wait(time.Minute)},
		{"429, without a time", limit(""), wait(time.Minute)},

		{"500", status(500), unsure},
		{"502", status(502), unsure},
		{"503", status(503), unsure},
		{"504", status(504), unsure},
		{"503 in Slack's words", handled(reply(503, `{"ok":false,"error":"service_unavailable"}`)), unsure},
		{"400", status(400), between},
		{"403 of a proxy", status(403), between},
		{"404", status(404), between},
		{"407 of a proxy", status(407), between},
		{"413 of a proxy", status(413), between},
		{"204", status(204), unreadable},
		{"201", status(201), unreadable},
		{"302", status(302), unreadable},
	}...)
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			client, url, ctx := HTTPClient(), "", t.Context()
			url, ctx = r.at(t, ctx, client)
			o := New(Config{Token: testToken, URL: url, HTTP: client}).Post(ctx, Place{Channel: "C1"}, Message{ID: "the-id", Text: usual})
			got := verdict{o.Kind, o.Answered, o.Bounded, o.Strange, o.RetryAfter}
			if got != r.want {
				t.Errorf("got %s %+v (%s, %v), want %s %+v", got.kind, got, o.Reason(), o.Err, r.want.kind, r.want)
			}
			if o.Kind != Sent && (o.Code == "" || o.Err == nil) {
				t.Errorf("got code %q and error %v, want both", o.Code, o.Err)
			}
			if strings.Contains(fmt.Sprint(o.Reason(), o.Err), testToken) {
				t.Errorf("the error holds the token: %v", o.Err)
			}
		})
	}
}

// endless answers with spaces until nobody reads them any more, or a gigabyte was sent.
func endless(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	spaces := []byte(strings.Repeat(" ", 1<<16))
	for range 1 << 14 {
		if _, err := w.Write(spaces); err != nil {
			return
		}
	}
}

// A redirect could carry the token elsewhere.
func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			asked := 0
			elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
			defer elsewhere.Close()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, elsewhere.URL+r.URL.Path, code)
			}))
			defer server.Close()
			o := New(Config{Token: testToken, URL: server.URL, HTTP: HTTPClient()}).Post(t.Context(), Place{Channel: "C1"}, Message{ID: "the-id", Text: "hello"})
			if o.Kind != Unsure || o.Answered {
				t.Errorf("got %s, answered %v, want unsure and not answered", o.Kind, o.Answered)
			}
			if asked != 0 {
				t.Errorf("the redirect was followed %d times", asked)
			}
		})
	}
}

// What explains a refusal is told.
func TestReasons(t *testing.T) {
	for _, c := range []struct{ answer, want string }{
		{`{"ok":false,"error":"is_archived"}`, "is_archived"},
		{`{"ok":false,"error":"invalid_blocks","errors":["must be shorter"],"response_metadata":{"messages":["[ERROR] must be shorter [json-pointer:/blocks/0/text]","[ERROR] no"]}}`,
			"invalid_blocks: [ERROR] must be shorter [json-pointer:/blocks/0/text]; [ERROR] no"},
		{`{"ok":false,"error":"missing_scope","needed":"chat:write","provided":"users:read"}`,
			"missing_scope: the scope chat:write is needed; reinstall the app with slack-app.yaml"},
	} {
		client := HTTPClient()
		url, ctx := says(c.answer)(t, t.Context(), client)
		o := New(Config{Token: testToken, URL: url, HTTP: client}).Post(ctx, Place{Channel: "C1"}, Message{ID: "the-id", Text: "hello"})
		if o.Reason() != c.want {
			t.Errorf("got %q, want %q", o.Reason(), c.want)
		}
	}
}

// Of a reply it is told whether it became one: where the parent was deleted Slack posts at the top and says ok.
func TestReplies(t *testing.T) {
	for _, c := range []struct{ answer, want string }{
		{`{"ok":true,"ts":"2.000001","message":{"ts":"2.000001","thread_ts":"1.000001"}}`, "1.000001"},
		{`{"ok":true,"ts":"2.000001","message":{"ts":"2.000001"}}`, ""},
	} {
		client := HTTPClient()
		url, ctx := says(c.answer)(t, t.Context(), client)
		o := New(Config{Token: testToken, URL: url, HTTP: client}).Post(ctx, Place{Channel: "C1", Thread: "1.000001"}, Message{ID: "the-id", Text: "hello"})
		if o.Kind != Sent || o.TS != "2.000001" || o.Thread != c.want {
			t.Errorf("got %s %q in thread %q, want sent 2.000001 in %q", o.Kind, o.TS, o.Thread, c.want)
		}
	}
}

// What goes out with each message: nothing is unfurled, its id can be found again, and nothing invites a proxy or
// net/http to send it twice.
func TestRequest(t *testing.T) {
	var got *http.Request
	client := HTTPClient()
	url, ctx := handled(func(w http.ResponseWriter, r *http.Request) {
		got = r
		reply(http.StatusOK, `{"ok":true,"ts":"1.000001"}`)(w, r)
	})(t, t.Context(), client)
	New(Config{Token: testToken, URL: url, HTTP: client}).Post(ctx, Place{Channel: "C1", Thread: "0.5"}, Message{ID: "the-id", Text: "hello", Broadcast: true})
	if got == nil {
		t.Fatal("nothing came")
	}
	for field, want := range map[string]string{
		"token": testToken, "channel": "C1", "text": "hello", "thread_ts": "0.5", "reply_broadcast": "true",
		"unfurl_links": "false", "unfurl_media": "false", "link_names": "", "parse": "", "blocks": "", "attachments": "",
		"metadata": `{"event_type":"allo_delivery","event_payload":{"delivery_id":"the-id"}}`,
	} {
		if got := got.PostFormValue(field); got != want {
			t.Errorf("%s = %q, want %q", field, got, want)
		}
	}
	if strings.Contains(got.URL.String(), testToken) {
		t.Error("the address holds the token")
	}
	for _, header := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if got.Header.Get(header) != "" {
			t.Errorf("%s is set: net/http would repeat the request by itself", header)
		}
	}
}
