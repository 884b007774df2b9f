package notify

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"allo-slack/fakeslack"
)

// tamper changes what Slack answers.
func (r *rig) tamper(change func(method string, form url.Values, h http.Header, body string) string) {
	slack := r.slack.API()
	var recorded http.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		method := req.URL.Path[strings.LastIndexByte(req.URL.Path, '/')+1:]
		rec := httptest.NewRecorder()
		slack.ServeHTTP(rec, req)
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		body := change(method, req.Form, w.Header(), rec.Body.String())
		w.WriteHeader(rec.Code)
		_, _ = w.Write([]byte(body))
	})
	r.api = recorded
}

// beside are fields that make no answer less true.
var beside = []string{
	`"response_metadata":[]`, `"response_metadata":""`, `"response_metadata":{"next_cursor":0}`, `"response_metadata":{"messages":"x"}`,
	`"needed":[]`, `"error":0`, `"error":[]`, `"OK":1`, `"Ok":false`, `"Messages":null`, `"MESSAGES":7`, `"warning":7`, `"has_more":"yes"`,
	`"Message":7`, `"Channel":[]`, `"TS":7`, `"headers":{}`,
}

// What stands beside what Slack says makes it no less true, whatever method it answers.
func TestWhatStandsBeside(t *testing.T) {
	for _, odd := range beside {
		for _, behind := range []string{"", "\x00", `{"ok":false}`} {
			t.Run(odd+behind, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					r := newRigWith(t, mentionOwner, withUsers())
					r.tamper(func(_ string, _ url.Values, _ http.Header, body string) string {
						if strings.HasPrefix(body, `{`) {
							body = "\ufeff{" + odd + "," + body[1:]
						}
						return body + behind
					})
					r.start()
					r.accept(ownedCall(1, "ada@example.com"))
					pass(10 * time.Second)
					r.slack.Fault(fakeslack.Fault{Kind: fakeslack.DropAfterAccept})
					r.accept(aText(2, "INBOUND", customerNo, "case 2"))
					pass(20 * time.Second)
					r.slack.Fault(fakeslack.Fault{Kind: fakeslack.DropAfterAccept})
					r.accept(aText(3, "INBOUND", customerNo, "case 3"))
					pass(time.Minute)
					r.exactly("support", 1, 3)
					if posts := r.slack.Posts("support"); len(posts) == 3 && (len(posts[0].Pings) != 1 || posts[2].ThreadTS != posts[1].TS) {
						t.Errorf("got %+v, want Ada pinged, and the third as a reply to the second", posts)
					}
				})
			})
		}
	}
}

// A message that Slack says to have posted is posted, however odd its echo, and whether or not the history can be read.
func TestAnOddEcho(t *testing.T) {
	for _, odd := range []string{`"message":"x"`, `"message":{"attachments":[{"id":"1"}]}`, `"channel":7`, `"message":{"blocks":{"type":7}}`, `"message":null`} {
		bubbleIn(t, odd, func(t *testing.T) {
			scopes := slices.DeleteFunc(fakeslack.DefaultScopes(), func(s string) bool { return s == "channels:history" })
			r := newRigWith(t, toSupport, fakeslack.Options{Token: testToken, Scopes: scopes, Channels: []fakeslack.Channel{{Name: "support"}}})
			r.tamper(func(method string, _ url.Values, _ http.Header, body string) string {
				if method == "chat.postMessage" {
					return strings.TrimSuffix(strings.TrimSpace(body), "}") + "," + odd + "}"
				}
				return body
			})
			r.start()
			r.calls("", 1, 2)
			pass(10 * time.Minute)
			r.exactly("support", 1, 2)
		})
	}
}

// No Date that is off makes a lost answer double.
func TestDatesThatAreOff(t *testing.T) {
	shifted := func(d time.Duration) func(int) string {
		return func(int) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	}
	for name, date := range map[string]func(n int) string{
		"missing": func(int) string { return "" }, "garbage": func(int) string { return "yesterday" },
		"constant": func(int) string { return "Sat, 01 Jan 2000 00:00:00 GMT" }, "1970": func(int) string { return "Thu, 01 Jan 1970 00:00:00 GMT" },
		"9999":      func(int) string { return "Fri, 31 Dec 9999 23:59:59 GMT" },
		"5m behind": shifted(-5 * time.Minute), "5m ahead": shifted(5 * time.Minute),
		"one in seven ahead": func(n int) string {
			return time.Now().Add(time.Duration(n%7/6) * time.Hour).UTC().Format(http.TimeFormat)
		},
		"jumps back": func(n int) string {
			return time.Now().Add(-time.Duration(n%2) * time.Hour).UTC().Format(http.TimeFormat)
		},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			r := newRig(t, toSupport, "support")
			var n atomic.Int64
			r.tamper(func(_ string, _ url.Values, h http.Header, body string) string {
				h.Set("Date", date(int(n.Add(1))))
				return body
			})
			r.start()
			pass(10 * time.Minute)
			for i := range 6 {
				r.slack.Fault(fakeslack.Fault{Kind: fakeslack.DropAfterAccept})
				r.calls("", i, i)
				pass(time.Minute)
			}
			r.exactly("support", 0, 5)
		})
	}
}

// What one method, or one channel, is not for is not the token's trouble: others don't notice.
func TestATokenThatIsNotForOneMethod(t *testing.T) {
	for _, method := range []string{"conversations.history", "conversations.info", "conversations.join", "chat.update", "users.lookupByEmail"} {
		for _, code := range []string{"team_access_not_granted", "not_allowed_token_type", "enterprise_is_restricted", "method_deprecated"} {
			t.Run(method+" "+code, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					r := newRigWith(t, `rules:
  - {name: a, match: {tag: a}, channel: C000OTHER, mention: owner}
  - {name: b, match: {tag: b}, channel: "#b"}`, fakeslack.Options{Token: testToken, Channels: []fakeslack.Channel{{Name: "a", ID: "C000OTHER"}, {Name: "b"}}})
					if method != "conversations.info" && method != "conversations.join" {
						r.start()
						pass(time.Minute)
					}
					f := fakeslack.Fault{Method: method, Code: code, Count: -1}
					if method != "users.lookupByEmail" {
						f.Channel = "a"
					}
					r.slack.Fault(f)
					if r.bot == nil {
						r.start()
					}
					r.slack.Fault(fakeslack.Fault{Channel: "a", Kind: fakeslack.CutBefore})
					r.accept(strings.Replace(aCall(1, "a"), `"data":{`, `"data":{"user_email":"ada@example.com",`, 1))
					pass(20 * time.Second)
					r.accept(strings.Replace(aCall(1, "a"), "case 1", "case 1 and more", 1))
					for n := 11; n < 21; n++ {
						r.calls("b", n, n)
						pass(2 * time.Second)
						r.exactly("b", 11, n)
						pass(30 * time.Second)
					}
					if strings.Contains(r.log.String(), "refuses the token") {
						t.Error("the log says that Slack refuses the token")
					}
					r.polite()
				})
			})
		}
	}
}

// People who can't be looked up hold nothing up for long, however many they are, and nobody else at all.
func TestLookUpsThatFail(t *testing.T) {
	for _, f := range []fakeslack.Fault{{Kind: fakeslack.Slow, Delay: 40 * time.Second}, {Kind: fakeslack.Status, Status: 500}, {Kind: fakeslack.CutBefore}, {Code: "fatal_error"}} {
		t.Run(fmt.Sprint(f.Kind, f.Code), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, `rules:
  - {name: a, match: {tag: a}, channel: "#a", mention: owner}
  - {name: b, match: {tag: b}, channel: "#b"}`, "a", "b").start()
				pass(time.Minute)
				f.Method, f.Count = "users.lookupByEmail", -1
				r.slack.Fault(f)
				for n := 1; n <= 30; n++ {
					r.accept(strings.Replace(aCall(n, "a"), `"data":{`, fmt.Sprintf(`"data":{"user_email":"p%d@example.com",`, n), 1))
				}
				for n := 101; n < 111; n++ {
					pass(10 * time.Second)
					r.calls("b", n, n)
					pass(6 * time.Second)
					r.exactly("b", 101, n)
				}
				pass(2 * time.Minute)
				r.exactly("a", 1, 30)
			})
		})
	}
}

// What is in doubt in a channel that is closed to the bot stays in doubt until it can be known.
func TestDoubtInAClosedChannel(t *testing.T) {
	for _, c := range []struct {
		name        string
		close, open func(*fakeslack.Channel)
	}{
		{"private, and the bot is removed", func(c *fakeslack.Channel) { c.Private, c.BotIsMember = true, false }, func(c *fakeslack.Channel) { c.BotIsMember = true }},
		{"archived", func(c *fakeslack.Channel) { c.Archived = true }, func(c *fakeslack.Channel) { c.Archived = false }},
	} {
		bubbleIn(t, c.name, func(t *testing.T) {
			r := newRig(t, byTag, "a").start()
			pass(time.Minute)
			r.slack.Fault(fakeslack.Fault{Kind: fakeslack.DropAfterAccept, Delay: time.Second})
			r.slack.Fault(fakeslack.Fault{Method: "conversations.history", Kind: fakeslack.Status, Status: 503, Count: 2})
			r.calls("a", 1, 1)
			pass(time.Second)
			r.slack.SetChannel("a", c.close)
			r.calls("a", 2, 3)
			pass(10 * time.Minute)
			if n := r.count("allo_slack_deliveries_waiting", ""); n < 2 {
				t.Errorf("%v wait, want what came later at least", n)
			}
			r.slack.SetChannel("a", c.open)
			pass(5 * time.Minute)
			r.exactly("a", 1, 3)
		})
	}
}

// A list of channels may have many short pages, and fields that can't be read.
func TestAnOddListOfChannels(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var many []fakeslack.Channel
		for i := range 700 {
			many = append(many, fakeslack.Channel{Name: fmt.Sprint("x", i)})
		}
		many = append(many, fakeslack.Channel{Name: "support"})
		r := newRigWith(t, toSupport, fakeslack.Options{Token: testToken, ShortPages: 20, Channels: many})
		r.tamper(func(method string, _ url.Values, _ http.Header, body string) string {
			if method == "conversations.list" {
				body = strings.NewReplacer(`"is_private":false`, `"is_private":0`, `"is_group":false`, `"is_group":"no"`, `"creator":"U0CREATOR"`, `"creator":[]`).Replace(body)
				body = strings.Replace(body, `"channels":[`, `"channels":[7,null,"C1",{},{"id":7,"name":"support"},`, 1)
			}
			return body
		})
		r.start()
		r.calls("", 1, 1)
		r.wantCases("support", 1, 1, 10*time.Minute)
	})
}
