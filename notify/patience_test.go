package notify

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"allo-slack/fakeslack"
	"allo-slack/outbox"
	"allo-slack/slackapi"
)

// Whoever tries the token for all says how it went, whatever he was about: else nobody would try again.
func TestEveryTryOfTheTokenEnds(t *testing.T) {
	for _, c := range []struct {
		name, code string
		methods    []string
		about      func(r *rig, n int) // what calls Slack
	}{
		{"an update", "missing_scope", []string{"chat.postMessage", "chat.update"}, func(r *rig, n int) {
			r.accept(strings.Replace(aCall(1, "a"), `"tag"`, fmt.Sprintf(`"summary":"x%d","tag"`, n), 1))
		}},
		{"a channel that is made anew", "invalid_auth", []string{"conversations.list", "chat.postMessage"}, func(r *rig, n int) {
			r.bot.directory.inherit(r.id("a"), "#a")
			r.calls("a", 2+n, 2+n)
		}},
		{"rules that change", "invalid_auth", []string{"conversations.list", "chat.postMessage"}, func(r *rig, _ int) {
			r.bot.SetRules(parseRules(r.t, byTag))
		}},
	} {
		bubbleIn(t, c.name, func(t *testing.T) {
			r := newRig(t, byTag, "a", "b")
			var refused atomic.Bool
			r.before(func(method string, _ url.Values, w http.ResponseWriter) bool {
				if !refused.Load() || !strings.Contains(strings.Join(c.methods, " "), method) {
					return false
				}
				_, _ = fmt.Fprintf(w, `{"ok":false,"error":%q,"needed":"chat:write"}`, c.code)
				return true
			})
			r.start()
			r.calls("a", 1, 1)
			r.wantCases("a", 1, 1, 5*time.Second)
			pass(time.Minute)
			refused.Store(true)
			r.calls("b", 101, 101)
			for n := range 12 {
				c.about(r, n)
				pass(61 * time.Second)
			}
			refused.Store(false)
			r.wantCases("b", 101, 101, 2*time.Minute)
			pass(2 * time.Minute)
			if n := r.count("allo_slack_deliveries_waiting", ""); n != 0 {
				t.Errorf("%v still wait", n)
			}
		})
	}
}

// What Slack said a moment ago is not an answer now.
func TestAKnownListEndsNoOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, byTag, "a", "b", "c").start()
		r.wire.Refuse(true)
		pass(2 * time.Second)
		for range 3 {
			r.bot.slack.Answers(t.Context())
		}
		pass(slackapi.AwayTry)
		r.bot.directory.prepare(r.in(time.Second), []string{"#a"})
		if log := r.log.String(); !strings.Contains(log, "slack is away") || strings.Contains(log, "slack is back") {
			t.Error("the log says that Slack is back, which it didn't say")
		}
	})
}

// An attempt that was surely not taken says nothing of the one before it.
func TestTheDoubtOfAnEarlierAttempt(t *testing.T) {
	for _, f := range []fakeslack.Fault{
		{Kind: fakeslack.RateLimit, RetryAfter: time.Minute}, {Kind: fakeslack.Status, Status: 403, Count: 8}, {Code: "message_limit_exceeded", Count: 8},
		{Code: "invalid_blocks", Count: 2}, {Code: "is_archived"}, {Code: "token_revoked"}, {Code: "moon_in_the_way", Count: unknownMost},
	} {
		for _, digest := range []bool{false, true} {
			f := f
			t.Run(fmt.Sprint(f.Kind, f.Code, digest), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					r := newRig(t, byTag, "a", "b")
					r.open()
					last := 1
					if digest {
						last = 6
					}
					r.calls("a", 1, last)
					r.slack.Fault(fakeslack.Fault{Channel: "a", Kind: fakeslack.LateVisible, Delay: 7 * time.Second})
					f.Channel = "a"
					r.slack.Fault(f)
					if f.Code == "invalid_blocks" || f.Code == "is_archived" || f.Code == "moon_in_the_way" {
						// Nothing is waited for before the post is let go of: then it must show by then.
						r.slack.Fault(fakeslack.Fault{Method: "conversations.history", Channel: "a", Kind: fakeslack.Slow, Delay: 5 * time.Second, Count: 3})
					}
					r.run()
					pass(2 * time.Hour)
					r.exactly("a", 1, last)
				})
			})
		}
	}
}

// Where the workspace is busy all the time, what is in doubt has its turn like everything else.
func TestDoubtInABusyWorkspace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		text, names := manyChannels(45)
		r := newRig(t, text, names...).start()
		pass(5 * time.Minute)
		stop := make(chan struct{})
		go func() {
			for n := 1000; ; n += 44 {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Second):
				}
				for i := 1; i < 45; i++ {
					r.accept(aCall(n+i, names[i]))
				}
			}
		}()
		pass(2 * time.Minute)
		r.slack.Fault(fakeslack.Fault{Channel: names[0], Kind: fakeslack.CutBefore})
		r.calls(names[0], 1, 1)
		pass(2 * time.Minute)
		r.exactly(names[0], 1, 1)
		close(stop)
		pass(10 * time.Minute)
		r.polite()
	})
}

// While somebody is looked up another channel may be asked to wait: then nothing is posted there either.
func TestALookUpTakesNoTurn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRigWith(t, `rules:
  - {name: a, match: {tag: a}, channel: "#a", mention: owner}
  - {name: b, match: {tag: b}, channel: "#b"}`, fakeslack.Options{Token: testToken,
			Channels: []fakeslack.Channel{{Name: "a"}, {Name: "b"}}, Users: []fakeslack.User{{ID: "U1", Email: "anna@example.com"}}}).start()
		pass(time.Minute)
		r.slack.Fault(fakeslack.Fault{Method: "users.lookupByEmail", Kind: fakeslack.Slow, Delay: 10 * time.Second})
		r.accept(strings.Replace(aCall(1, "a"), `"data":{`, `"data":{"user_email":"anna@example.com",`, 1))
		pass(2 * time.Second)
		r.slack.Fault(fakeslack.Fault{Channel: "b", Kind: fakeslack.RateLimit, RetryAfter: time.Minute})
		r.calls("b", 2, 2)
		pass(5 * time.Minute)
		r.exactly("a", 1, 1)
		r.exactly("b", 2, 2)
		r.polite()
	})
}

// An outage spends nobody's patience, however long it is and in whatever way Slack is away: every owner is mentioned after
// it, and every update is made.
func TestAnOutageSpendsNoPatience(t *testing.T) {
	const many = 12
	for _, c := range []struct {
		name string
		away func(r *rig, yes bool)
	}{
		{"no connection", func(r *rig, yes bool) { r.wire.Refuse(yes) }},
		{"no answer", away(fakeslack.Fault{Kind: fakeslack.CutBefore})},
		{"answers that hang", away(fakeslack.Fault{Kind: fakeslack.Slow, Delay: time.Minute})},
		{"a proxy's 403", away(fakeslack.Fault{Kind: fakeslack.Status, Status: 403})},
		{"the token", func(r *rig, yes bool) { r.slack.SetToken(map[bool]string{true: "xoxb-another", false: testToken}[yes]) }},
		{"limits", away(fakeslack.Fault{Kind: fakeslack.RateLimit, RetryAfter: 10 * time.Minute})},
	} {
		bubbleIn(t, c.name, func(t *testing.T) {
			options := withUsers()
			for n := range many {
				options.Users = append(options.Users, fakeslack.User{ID: fmt.Sprint("U0P", n), Email: fmt.Sprintf("p%d@example.com", n)})
			}
			r := newRigWith(t, mentionOwner, options).start()
			for n := range many {
				r.accept(aCall(100+n, ""))
				r.posted("support", n+1)
			}
			pass(time.Minute)
			c.away(r, true)
			for n := range many {
				r.accept(ownedCall(n, fmt.Sprintf("p%d@example.com", n)))
				r.accept(strings.Replace(aCall(100+n, ""), "case", "the news: case", 1))
				pass(10 * time.Minute) // two hours in all
			}
			c.away(r, false)
			pass(15 * time.Minute)
			told, pinged := 0, 0
			for _, p := range r.slack.Posts("support") {
				if p.Edited && strings.Contains(string(p.Blocks), "the news") {
					told++
				}
				pinged += len(p.Pings)
			}
			if told != many || pinged != many {
				t.Errorf("%d of %d updates were made, %d of %d owners mentioned", told, many, pinged, many)
			}
		})
	}
}

// A name that goes to another channel which then can't be found leaves what waits with the old one.
func TestAnHeirThatIsNotThere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, byTag, "a")
		var gone atomic.Bool
		r.before(func(method string, _ url.Values, w http.ResponseWriter) bool {
			if !gone.Load() || method != "conversations.list" {
				return false
			}
			_, _ = io.WriteString(w, `{"ok":true,"channels":[]}`)
			return true
		})
		r.start()
		r.calls("a", 1, 1)
		r.wantCases("a", 1, 1, 5*time.Second)
		pass(time.Minute)
		gone.Store(true)
		r.bot.directory.inherit(r.id("a"), "#a")
		r.calls("a", 2, 2)
		r.wantCases("a", 1, 2, 2*time.Minute)
	})
}

// What is neither Slack's answer nor an error of HTTP is bounded as well.
func TestOtherStatusesAreBounded(t *testing.T) {
	for _, status := range []int{201, 204, 302, 307} {
		bubbleIn(t, fmt.Sprint(status), func(t *testing.T) {
			r := newRig(t, toSupport, "support")
			r.before(func(method string, form url.Values, w http.ResponseWriter) bool {
				bad := method == "chat.postMessage" && strings.Contains(form.Get("text"), "case 1")
				if bad {
					w.WriteHeader(status)
				}
				return bad
			})
			r.start()
			pass(time.Minute)
			r.calls("", 1, 2)
			pass(15 * time.Minute)
			r.exactly("support", 2, 2)
			r.wantAside(1)
			if strings.Contains(r.log.String(), "slack is away") {
				t.Error("the log says that Slack is away")
			}
		})
	}
}

// A reply whose thread is gone stands at the top. Where it was found there it opens the conversation's thread anew.
func TestAReplyThatIsFoundAtTheTop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		r.accept(aText(1, "INBOUND", customerNo, "case 1"))
		first := r.posted("support", 1)[0]
		r.slack.DeletePost("support", first.TS)
		r.slack.Fault(fakeslack.Fault{Kind: fakeslack.DropAfterAccept})
		r.accept(aText(2, "INBOUND", customerNo, "case 2"))
		pass(time.Minute)
		r.accept(aText(3, "INBOUND", customerNo, "case 3"))
		posts := r.posted("support", 2)
		if posts[0].ThreadTS != "" || posts[1].ThreadTS != posts[0].TS {
			t.Errorf("in threads %q and %q, want the second in that of the first, %q", posts[0].ThreadTS, posts[1].ThreadTS, posts[0].TS)
		}
	})
}

// What an outage, or a limit, took in attempts is not spent when Slack says something that nobody knows.
func TestAnOutageSpendsNoTries(t *testing.T) {
	for _, f := range []fakeslack.Fault{{Kind: fakeslack.CutBefore}, {Kind: fakeslack.Status, Status: 500}, {Code: "message_limit_exceeded"},
		{Method: "*", Kind: fakeslack.Status, Status: 403}} {
		t.Run(fmt.Sprint(f.Kind, f.Status, f.Code), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, byTag, "a").start()
				pass(time.Minute)
				f.Count = -1
				r.slack.Fault(f)
				r.calls("a", 1, 1)
				pass(2 * time.Hour)
				r.slack.ClearFaults()
				r.slack.Fault(fakeslack.Fault{Code: "moon_in_the_way"})
				r.wantCases("a", 1, 1, 10*time.Minute)
			})
		})
	}
}

// A 429 pauses all posting, whatever drew it.
func TestAnyLimitPausesAll(t *testing.T) {
	for _, c := range []struct {
		method string
		after  fakeslack.Fault // of a message in another channel, which has the method called
		in     time.Duration
	}{
		{"conversations.list", fakeslack.Fault{Code: "is_archived"}, channelTry},
		{"conversations.info", fakeslack.Fault{Code: "not_in_channel"}, 0},
		{"conversations.join", fakeslack.Fault{Code: "not_in_channel"}, 0},
		{"auth.test", fakeslack.Fault{Kind: fakeslack.Status, Status: 403}, 0},
	} {
		bubbleIn(t, c.method, func(t *testing.T) {
			r := newRig(t, byTag, "a", "b").start()
			pass(time.Minute)
			r.slack.Fault(fakeslack.Fault{Method: c.method, Kind: fakeslack.RateLimit, RetryAfter: 30 * time.Second})
			c.after.Channel = "a"
			r.slack.Fault(c.after)
			r.calls("a", 1, 1)
			pass(c.in + 3*time.Second)
			r.calls("b", 2, 2)
			pass(3 * time.Second)
			if got := r.cases("b"); len(got) > 0 {
				t.Errorf("#b shows %v during the Retry-After of %s", got, c.method)
			}
			r.wantCases("b", 2, 2, time.Minute)
			r.wantCases("a", 1, 1, 5*time.Minute)
			r.polite()
		})
	}
}

// A call that several share is one call.
func TestOneFailedCallIsNoOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, byTag, "a", "b", "c")
		r.slack.Fault(fakeslack.Fault{Method: "conversations.list", Kind: fakeslack.Status, Status: 500})
		r.open()
		for n, tag := range []string{"a", "b", "c"} {
			r.calls(tag, n, n)
		}
		r.run()
		pass(10 * time.Second)
		if strings.Contains(r.log.String(), "slack is away") {
			t.Error("the log says that Slack is away after one call that failed")
		}
	})
}

// A reply in doubt is looked for in its thread before it goes to the top.
func TestAReplyInDoubtWhoseThreadIsLocked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		r.accept(aText(1, "INBOUND", customerNo, "case 1"))
		pass(time.Minute)
		r.slack.Fault(fakeslack.Fault{Kind: fakeslack.LateVisible, Delay: 20 * time.Second})
		r.slack.Fault(fakeslack.Fault{Code: "restricted_action_thread_locked"})
		r.slack.Fault(fakeslack.Fault{Code: "internal_error", Count: 5})
		r.accept(aText(2, "OUTBOUND", customerNo, "case 2"))
		pass(10 * time.Minute)
		r.exactly("support", 1, 2)
	})
}

// Whoever asks whether Slack is there takes any answer of it.
func TestAnyAnswerIsAnAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRigWith(t, mentionOwner, withUsers())
		r.before(func(method string, _ url.Values, w http.ResponseWriter) bool {
			switch method {
			case "users.lookupByEmail":
				w.WriteHeader(http.StatusBadGateway)
			case "auth.test":
				_, _ = io.WriteString(w, `{"ok":false,"error":"moon_in_the_way"}`)
			default:
				return false
			}
			return true
		})
		r.start()
		r.accept(ownedCall(1, "ada@example.com"))
		r.wantCases("support", 1, 1, time.Minute)
	})
}

// What is in doubt in a channel that is gone for good can be sent elsewhere.
func TestDoubtInADeletedChannelCanGoElsewhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, byTag, "a", "b").start()
		pass(time.Minute)
		r.slack.Fault(fakeslack.Fault{Channel: "a", Kind: fakeslack.CutBefore})
		r.calls("a", 1, 1)
		pass(0)
		r.calls("a", 2, 2)
		r.slack.RemoveChannel("a")
		pass(10 * time.Minute)
		for range 10 {
			if _, err := replay(t.Context(), r.store, outbox.Selection{From: "#a", To: "#b"}, time.Now()); err != nil {
				t.Fatal(err)
			}
			pass(20 * time.Second)
		}
		if got := r.cases("b"); len(got) != 2 {
			t.Errorf("#b shows %v, want both", got)
		}
	})
}

// What a person is told to do is about what is wrong, also where the history isn't read for it.
func TestWhatToDo(t *testing.T) {
	for reason, want := range map[string]string{
		"HTTP 403": "SLACK_API_URL", "HTTP 502": "slack-status.com", "no answer": "slack-status.com", "an answer that broke off": "SLACK_API_URL",
		"token_revoked": "SLACK_BOT_TOKEN", "missing_scope: the scope chat:write is needed": "scope", "is_archived": "unarchive",
		"channel_not_found: no public channel has this name": "create the channel", "restricted_action": "let the app post",
		slackapi.HistoryUnread + "HTTP 403": "SLACK_API_URL", slackapi.HistoryUnread + "HTTP 503": "slack-status.com", slackapi.HistoryUnread + "not_in_channel": "/invite",
		slackapi.HistoryUnread + "missing_scope: the scope channels:history is needed": "scope",
	} {
		if got := slackapi.ChannelTodo(reason); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q in it", reason, got, want)
		}
	}
}

// What Slack answers badly after an outage, while it answers all else, is waited for as long as without one, and no longer.
func TestAnOutageThatLeavesOneMethodBroken(t *testing.T) {
	for _, c := range []struct {
		method string
		within time.Duration
	}{{"users.lookupByEmail", 40 * time.Second}, {"conversations.history", 8 * time.Minute}, {"chat.update", 45 * time.Second}, {"conversations.list", 45 * time.Second}} {
		for _, f := range []fakeslack.Fault{{Kind: fakeslack.Status, Status: 503}, {Kind: fakeslack.CutBefore}, {Kind: fakeslack.Slow, Delay: time.Minute}} {
			bubbleIn(t, fmt.Sprint(c.method, " ", f.Kind), func(t *testing.T) {
				r := newRigWith(t, mentionOwner, withUsers()).start()
				r.accept(aCall(1, ""))
				r.posted("support", 1)
				pass(time.Minute)
				f.Method, f.Count = "*", -1
				r.slack.Fault(f)
				r.accept(strings.Replace(aCall(1, ""), "case", "the news: case", 1))
				r.accept(ownedCall(2, "ada@example.com"))
				pass(10 * time.Minute)
				if !strings.Contains(r.log.String(), "slack is away") {
					t.Error("the log doesn't say that Slack is away")
				}
				r.slack.ClearFaults()
				f.Method = c.method
				r.slack.Fault(f)
				r.wantCases("support", 1, 2, c.within)
				pass(10 * time.Minute)
				if n := strings.Count(r.log.String(), "slack is away"); n != 1 {
					t.Errorf("the log says %d times that Slack is away, want once", n)
				}
			})
		}
	}
}

// An update that fails for long holds no other up.
func TestAnUpdateThatFailsHoldsNoOtherUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support")
		var bad atomic.Bool
		r.before(func(method string, form url.Values, w http.ResponseWriter) bool {
			refuse := bad.Load() && method == "chat.update" && strings.Contains(form.Get("text")+form.Get("blocks"), "case 1")
			if refuse {
				_, _ = io.WriteString(w, `{"ok":false,"error":"moon_in_the_way"}`)
			}
			return refuse
		})
		r.start()
		for n := 1; n <= 3; n++ {
			r.accept(aCall(n, ""))
			r.posted("support", n)
		}
		pass(time.Minute)
		bad.Store(true)
		for n := 1; n <= 3; n++ {
			r.accept(strings.Replace(aCall(n, ""), "case", "the news: case", 1))
			pass(2 * time.Second)
		}
		for n, p := range r.slack.Posts("support") {
			if p.Edited != (n > 0) {
				t.Errorf("message %d is updated: %v", n+1, p.Edited)
			}
		}
		pass(10 * time.Minute)
		if !strings.Contains(r.log.String(), "update dropped") {
			t.Error("the log doesn't tell of the one that failed")
		}
	})
}
