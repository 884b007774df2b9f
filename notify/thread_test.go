package notify

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"allo-slack/fakeslack"
)

// aText is a text in a conversation with one of our numbers.
func aText(id int, direction, theirs, words string) string {
	topic, from, to := "SMS_RECEIVED", theirs, ourNo
	if direction == "OUTBOUND" {
		topic, from, to = "SMS_SENT", ourNo, theirs
	}
	return fmt.Sprintf(`{"topic":%q,"data":{"id":"sms-%d","direction":%q,"type":"SMS","from_number":%q,"to_number":%q,"content":%q}}`,
		topic, id, direction, from, to, words)
}

// posted waits until a channel has n messages and everything rests, and returns them.
func (r *rig) posted(channel string, n int) []fakeslack.Post {
	r.t.Helper()
	for range 600 {
		if len(r.slack.Posts(channel)) >= n {
			break
		}
		pass(500 * time.Millisecond)
	}
	pass(time.Second)
	posts := r.slack.Posts(channel)
	if len(posts) != n {
		for _, p := range posts {
			r.t.Logf("%s thread=%q broadcast=%v: %s", p.TS, p.ThreadTS, p.Broadcast, p.Text)
		}
		r.t.Fatalf("#%s has %d messages, want %d", channel, len(posts), n)
	}
	return posts
}

func TestAConversationIsOneThread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		r.accept(aText(1, "INBOUND", customerNo, "one"))
		first := r.posted("support", 1)[0]
		r.accept(aText(2, "OUTBOUND", customerNo, "two"))
		r.posted("support", 2)
		r.accept(aText(3, "INBOUND", "+4915112345678", "somebody else"))
		r.posted("support", 3)
		r.stop()
		r.start() // across a restart
		r.accept(aText(4, "INBOUND", customerNo, "three"))
		posts := r.posted("support", 4)
		for i, want := range []struct {
			thread    string
			broadcast bool
		}{{"", false}, {first.TS, false}, {"", false}, {first.TS, true}} {
			if posts[i].ThreadTS != want.thread || posts[i].Broadcast != want.broadcast {
				t.Errorf("message %d: thread %q, shown in the channel %v; want %q, %v", i, posts[i].ThreadTS, posts[i].Broadcast, want.thread, want.broadcast)
			}
		}
		r.stop()
		pass(8 * 24 * time.Hour)
		r.start()
		r.accept(aText(5, "INBOUND", customerNo, "a week later"))
		if p := r.posted("support", 5)[4]; p.ThreadTS != "" {
			t.Errorf("after eight silent days: thread = %q, want a new one", p.ThreadTS)
		}
		r.polite()
	})
}

func TestAnAnswerLostInAThreadIsFoundThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		r.accept(aText(1, "OUTBOUND", customerNo, "one"))
		r.posted("support", 1)
		r.slack.Fault(fakeslack.Fault{Method: "chat.postMessage", Kind: fakeslack.DropAfterAccept, Count: 1})
		r.accept(aText(2, "OUTBOUND", customerNo, "two"))
		pass(20 * time.Second)
		r.posted("support", 2)
		if n := len(r.slack.Calls("conversations.replies")); n == 0 {
			t.Error("the thread was not looked at")
		}
		if got := r.count("allo_slack_unsure_total", "found"); got != 1 {
			t.Errorf("found = %v, want 1", got)
		}
	})
}

func TestAReplyToADeletedMessageOpensTheThreadAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		r.accept(aText(1, "OUTBOUND", customerNo, "one"))
		r.slack.DeletePost("support", r.posted("support", 1)[0].TS)
		r.accept(aText(2, "OUTBOUND", customerNo, "two"))
		second := r.posted("support", 1)[0]
		r.accept(aText(3, "OUTBOUND", customerNo, "three"))
		if third := r.posted("support", 2)[1]; second.ThreadTS != "" || third.ThreadTS != second.TS {
			t.Errorf("threads are %q and %q, want the top and %q", second.ThreadTS, third.ThreadTS, second.TS)
		}
	})
}

func TestAThreadThatRefusesIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		r.accept(aText(1, "OUTBOUND", customerNo, "one"))
		r.posted("support", 1)
		r.slack.Fault(fakeslack.Fault{Method: "chat.postMessage", Kind: fakeslack.SlackError, Code: "restricted_action_thread_locked", Count: 1})
		r.accept(aText(2, "OUTBOUND", customerNo, "two"))
		if p := r.posted("support", 2)[1]; p.ThreadTS != "" || !strings.Contains(p.Text, "two") {
			t.Errorf("posted in %q: %s; want it at the top", p.ThreadTS, p.Text)
		}
	})
}

// transferred is a call of a chain whose first call is chain-1.
func transferred(n int, minute int, to, name string) string {
	original := `"transfer_original_call_id":"chain-1",`
	if n == 1 {
		original = ""
	}
	return fmt.Sprintf(`{"topic":"CALL_RECEIVED","data":{"id":"chain-%d",%s"start_date":"2000-01-01T00:%02d:00Z","direction":"INBOUND","result":"ANSWERED",
		"length_in_minutes":1,"from_number":%q,"to_number":%q,"to_name":%q,"one_sentence_summary":"case %d"}}`, n, original, minute, customerNo, to, name, n)
}

func TestTransfersAreOneThreadWhateverTheirOrder(t *testing.T) {
	for _, order := range [][]int{{1, 2, 3}, {3, 1, 2}, {2, 3, 1}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, toSupport, "support").start()
				calls := map[int]string{
					1: transferred(1, 1, ourNo, "Main Line"),
					2: transferred(2, 2, "+33612340002", "Sales"),
					3: transferred(3, 3, "+33612340003", "Billing"),
				}
				for _, n := range order {
					r.accept(calls[n])
					pass(3 * time.Second)
				}
				r.posted("support", 3)
				pass(10 * time.Second)
				posts := r.posted("support", 3)
				for i, p := range posts[1:] {
					if p.ThreadTS != posts[0].TS {
						t.Errorf("reply %d is in thread %q, want %q", i, p.ThreadTS, posts[0].TS)
					}
				}
				if text := posts[0].Text; !strings.Contains(text, "Main Line → Sales → Billing") {
					t.Errorf("the first message doesn't show the path: %s", text)
				}
			})
		})
	}
}

func TestATranscriptFollowsInTheThread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, `rules: [{name: all, match: {}, channel: "#support", transcript: thread}]`, "support").start()
		var lines []string
		for i := range 60 {
			lines = append(lines, fmt.Sprintf(`{"source":"AGENT","text":"line %02d %s"}`, i, strings.Repeat("word ", 30)))
		}
		body := strings.Replace(aCall(1, ""), `"data":{`, `"data":{"transcriptions":[`+strings.Join(lines, ",")+`],`, 1)
		r.slack.Fault(fakeslack.Fault{Method: "chat.postMessage", Kind: fakeslack.DropAfterAccept, Count: 1})
		r.accept(body)
		pass(40 * time.Second)
		all := ""
		posts := r.slack.Posts("support")
		for i, p := range posts {
			if i > 0 && p.ThreadTS != posts[0].TS {
				t.Errorf("part %d is in thread %q, want %q", i, p.ThreadTS, posts[0].TS)
			}
			all += string(p.Blocks)
		}
		if len(posts) < 3 {
			t.Fatalf("%d messages, want the call and several parts", len(posts))
		}
		for i := range 60 {
			if n := strings.Count(all, fmt.Sprintf("line %02d ", i)); n != 1 {
				t.Errorf("line %d stands there %d times", i, n)
			}
		}
		r.polite()
	})
}

func TestAMissedCallSaysThatItWasAnswered(t *testing.T) {
	missed := fmt.Sprintf(`{"topic":"CALL_RECEIVED","data":{"id":"m","start_date":"2000-01-01T00:00:00Z","direction":"INBOUND","result":"MISSED","length_in_minutes":0,"from_number":%q,"to_number":%q}}`, customerNo, ourNo)
	call := func(direction, result, from, to string) string {
		return fmt.Sprintf(`{"topic":"CALL_RECEIVED","data":{"id":"b","start_date":"2000-01-01T00:12:00Z","direction":%q,"result":%q,"length_in_minutes":2,"from_number":%q,"to_number":%q,"user_email":"ada@example.com"}}`, direction, result, from, to)
	}
	for name, tc := range map[string]struct {
		after string
		want  string // in the missed call's message; "" is nothing
	}{
		"called back":           {call("OUTBOUND", "ANSWERED", ourNo, customerNo), "Called back after 12 min by ada@example.com"},
		"in vain":               {call("OUTBOUND", "NO_ANSWER", ourNo, customerNo), ""},
		"called again":          {call("INBOUND", "ANSWERED", customerNo, ourNo), "Called again and got through after 12 min"},
		"texted back":           {aText(1, "OUTBOUND", customerNo, "sorry"), "Texted back"},
		"somebody else":         {call("OUTBOUND", "ANSWERED", ourNo, "+14155550999"), ""},
		"a text from them":      {aText(1, "INBOUND", customerNo, "hello?"), ""},
		"called in another way": {call("OUTBOUND", "ANSWERED", ourNo, "1 (415) 555-0123"), "Called back after 12 min"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, toSupport, "support").start()
				r.accept(missed)
				r.posted("support", 1)
				pass(12 * time.Minute)
				r.accept(tc.after)
				pass(5 * time.Second)
				p := r.slack.Posts("support")[0]
				if p.Edited != (tc.want != "") || tc.want != "" && !strings.Contains(p.Text, tc.want) {
					t.Errorf("edited %v: %s; want %q", p.Edited, p.Text, tc.want)
				}
			})
		})
	}
}

// An update is nobody's way: whatever Slack says to it, what waits goes out.
func TestAnUpdateHoldsUpNothing(t *testing.T) {
	for _, fault := range []fakeslack.Fault{
		{Kind: fakeslack.SlackError, Code: "message_not_found"}, {Kind: fakeslack.SlackError, Code: "edit_window_closed"},
		{Kind: fakeslack.Status, Status: 500}, {Kind: fakeslack.CutBefore}, {Kind: fakeslack.SlackError, Code: "something_new"},
	} {
		t.Run(string(fault.Kind)+fault.Code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, toSupport, "support").start()
				r.accept(transferred(1, 1, ourNo, "Main Line"))
				r.posted("support", 1)
				fault.Method, fault.Count = "chat.update", 1000
				r.slack.Fault(fault)
				r.accept(transferred(2, 2, "+33612340002", "Sales"))
				r.calls("", 3, 5)
				r.posted("support", 5)
				pass(15 * time.Minute)
				if got := len(r.slack.Calls("chat.update")); got == 0 || got > 20 {
					t.Errorf("%d updates were tried, want some, and an end to it", got)
				}
			})
		})
	}
}

func TestAContactSaysWhatChanged(t *testing.T) {
	contact := func(topic, last, mail string) string {
		return fmt.Sprintf(`{"topic":%q,"data":{"id":"c1","name":"Ada","last_name":%q,"emails":[%s],"numbers":[]}}`, topic, last, mail)
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		r.accept(contact("CONTACT_UPDATED", "Doe", `"a@example.com"`))
		if text := r.posted("support", 1)[0]; !strings.Contains(string(text.Blocks)+text.Text, "irst sight of this contact") {
			t.Errorf("the first sight isn't said: %s", text.Text)
		}
		pass(time.Hour)
		r.accept(contact("CONTACT_UPDATED", "Doe", `"a@example.com"`))
		if got, want := r.fates(), "routed 1, muted 0, unrouted 0, duplicate 1"; got != want {
			t.Errorf("counted %s; want %s: an update that changes nothing is a repeat", got, want)
		}
		r.accept(contact("CONTACT_UPDATED", "Smith", `"a@example.com","jane@example.com"`))
		text := r.posted("support", 2)[1].Text
		for _, want := range []string{"Doe", "Smith", "jane@example.com"} {
			if !strings.Contains(text, want) {
				t.Errorf("the change doesn't say %q: %s", want, text)
			}
		}
	})
}

func TestMentions(t *testing.T) {
	users := []fakeslack.User{{ID: "U111111111", Email: "ada@example.com"}, {ID: "U222222222", Email: "bob@example.com"}}
	owned := func(n int, email string) string {
		return strings.Replace(aCall(n, ""), `"data":{`, fmt.Sprintf(`"data":{"user_email":%q,`, email), 1)
	}
	for name, tc := range map[string]struct {
		mention, email string
		want           []string
		lookups        int
	}{
		"owner":         {"owner", "Ada@Example.com", []string{"<@U111111111>"}, 1},
		"owner unknown": {"owner", "eve@example.com", nil, 1},
		"no owner":      {"owner", "", nil, 0},
		"email":         {"bob@example.com", "ada@example.com", []string{"<@U222222222>"}, 1},
		"here":          {`"@here"`, "ada@example.com", []string{"<!here>"}, 0},
		"user":          {"U333333333", "ada@example.com", []string{"<@U333333333>"}, 0},
		"group":         {"S444444444", "ada@example.com", []string{"<!subteam^S444444444>"}, 0},
		"two":           {"[owner, U333333333]", "ada@example.com", []string{"<@U111111111>", "<@U333333333>"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRigWith(t, `rules: [{name: all, match: {}, channel: "#support", mention: `+tc.mention+`}]`,
					fakeslack.Options{Token: testToken, Users: users, Channels: []fakeslack.Channel{{Name: "support"}}}).start()
				for n := range 3 {
					r.accept(owned(n, tc.email))
					r.posted("support", n+1)
				}
				for _, p := range r.slack.Posts("support") {
					if !slices.Equal(p.Pings, tc.want) && len(p.Pings)+len(tc.want) > 0 {
						t.Errorf("pings %q, want %q", p.Pings, tc.want)
					}
				}
				if got := len(r.slack.Calls("users.lookupByEmail")); got != tc.lookups {
					t.Errorf("%d look-ups, want %d", got, tc.lookups)
				}
			})
		})
	}
}

func TestAMentionIsNotWorthAQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, `rules: [{name: all, match: {}, channel: "#support", mention: bob@example.com}]`, "support").start()
		r.slack.Fault(fakeslack.Fault{Method: "users.lookupByEmail", Kind: fakeslack.Status, Status: 500, Count: 1000})
		r.calls("", 1, 3)
		r.wantCases("support", 1, 3, time.Minute)
	})
}
