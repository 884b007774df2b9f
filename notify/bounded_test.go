package notify

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"allo-slack/fakeslack"
	"allo-slack/outbox"
)

// What never settles is told like all that waits: listed with its reason, counted, and the ops channel hears of it.
// Other channels don't notice.
func TestAPostThatNeverSettlesIsTold(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  fakeslack.Fault
		reason string
		todo   string
	}{
		{"403", fakeslack.Fault{Kind: fakeslack.Status, Status: 403}, "HTTP 403", "SLACK_API_URL"},
		{"400", fakeslack.Fault{Kind: fakeslack.Status, Status: 400}, "HTTP 400", "SLACK_API_URL"},
		{"500", fakeslack.Fault{Kind: fakeslack.Status, Status: 500}, "HTTP 500", "slack-status.com"},
		{"the limit of a plan", fakeslack.Fault{Code: "message_limit_exceeded"}, "message_limit_exceeded", "limit of its plan"},
		{"an empty object", fakeslack.Fault{Kind: fakeslack.Empty}, "an answer that can't be read", "SLACK_API_URL"},
		{"an internal error", fakeslack.Fault{Code: "internal_error"}, "internal_error", "tried again by itself"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, "ops_channel: \"#ops\"\n"+byTag, "a", "b", "ops").start()
				pass(time.Minute)
				c.fault.Channel, c.fault.Count = "a", -1
				r.slack.Fault(c.fault)
				r.calls("a", 1, 2)
				pass(30 * time.Second)
				if failed := r.failed(); len(failed) != 2 || failed[0].Aside || failed[0].Channel != "#a" || !strings.HasPrefix(failed[0].Reason, c.reason) {
					t.Errorf("failed lists %+v, want both that wait, and %q", failed, c.reason)
				}
				if n := r.count("allo_slack_oldest_waiting_seconds", ""); n != 30 {
					t.Errorf("the oldest is told to wait for %v s, want 30", n)
				}
				if n := r.count("allo_slack_deliveries_waiting", ""); n != 2 {
					t.Errorf("%v are told to wait, want 2", n)
				}
				r.calls("b", 11, 12)
				r.wantCases("b", 11, 12, 2*time.Second)

				pass(12 * time.Minute)
				notes := strings.Join(r.notes(), "\n")
				for _, want := range []string{"#a", c.reason, c.todo} {
					if !strings.Contains(notes, want) {
						t.Errorf("the ops channel shows %q, want one with %q", notes, want)
					}
				}
				sent := 0
				for range 30 { // what Slack may have can go elsewhere once it was looked for
					done, err := replay(t.Context(), r.store, outbox.Selection{From: "#a", To: "#b"}, time.Now())
					if err != nil {
						t.Fatal(err)
					}
					if sent += done.Sent; sent == 2 {
						break
					}
					pass(3 * time.Second)
				}
				if sent != 2 {
					t.Errorf("replayed %d, want both", sent)
				}
				pass(10 * time.Second)
				if got := r.cases("b"); len(got) != 4 || !slices.Equal(got[:2], []int{11, 12}) {
					t.Errorf("#b shows %v, want 11 and 12, then what was sent there by hand", got)
				}
				pass(5 * time.Minute)
				if failed := r.failed(); len(failed) != 0 {
					t.Errorf("failed still lists %+v", failed)
				}
				r.polite()
			})
		})
	}
}

// What something between us and Slack refuses is not tried for ever, while Slack answers others. When nothing gets
// through, nothing is set aside.
func TestAnAnswerThatIsNotOfSlackIsBounded(t *testing.T) {
	for _, fault := range []fakeslack.Fault{
		{Kind: fakeslack.Status, Status: 400}, {Kind: fakeslack.Status, Status: 403}, {Kind: fakeslack.Status, Status: 404}, {Kind: fakeslack.Status, Status: 413},
		{Kind: fakeslack.Empty}, {Kind: fakeslack.SlackError, Code: "x", Body: "<html>not Slack</html>"}, {Kind: fakeslack.SlackError, Code: "x", Body: `{"ok":false}`},
	} {
		for _, everything := range []bool{false, true} {
			fault := fault
			t.Run(fmt.Sprint(fault.Kind, fault.Status, fault.Body, everything), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					r := newRig(t, toSupport, "support").start()
					pass(time.Minute)
					fault.Count = -1
					if everything {
						fault.Method = "*"
					}
					r.slack.Fault(fault)
					r.calls("", 1, 1)
					pass(20 * time.Minute)
					if strings.Contains(r.log.String(), "slack is away") {
						t.Error("the log says that Slack is away, which nobody can know")
					}
					if everything {
						if n := r.count("allo_slack_deliveries_waiting", ""); n != 1 {
							t.Errorf("%v wait, want the one", n)
						}
						r.slack.ClearFaults()
						r.wantCases("support", 1, 1, 10*time.Minute)
						return
					}
					r.wantAside(1)
					if n := len(r.slack.Calls("chat.postMessage")); n != strangeMost {
						t.Errorf("%d attempts, want %d", n, strangeMost)
					}
					r.slack.ClearFaults()
					r.calls("", 2, 2)
					r.wantCases("support", 2, 2, 2*time.Second)
				})
			})
		}
	}
}

// A digest that draws an error that nobody knows is split: only the event that it is for is set aside.
func TestADigestWithAnUnknownErrorIsSplit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support")
		r.before(func(method string, form url.Values, w http.ResponseWriter) bool {
			bad := method == "chat.postMessage" && slices.Contains(casesOf(fakeslack.Post{Text: form.Get("text"), Blocks: []byte(form.Get("blocks"))}), 7)
			if bad {
				_, _ = io.WriteString(w, `{"ok":false,"error":"moon_in_the_way"}`)
			}
			return bad
		})
		r.open()
		r.calls("", 1, 20)
		r.run()
		pass(2 * time.Hour)
		var want []int
		for n := 1; n <= 20; n++ {
			if n != 7 {
				want = append(want, n)
			}
		}
		if got := r.cases("support"); !slices.Equal(got, want) {
			t.Errorf("#support shows %v, want all but 7", got)
		}
		r.wantAside(7)
		r.polite()
	})
}

// 200 {} is nobody's success.
func TestAnEmptyObjectIsNoAnswer(t *testing.T) {
	empty := func(method string) fakeslack.Fault { return fakeslack.Fault{Method: method, Kind: fakeslack.Empty} }
	t.Run("when channels are looked up", func(t *testing.T) {
		for _, method := range []string{"conversations.list", "conversations.info", "conversations.join"} {
			bubbleIn(t, method, func(t *testing.T) {
				r := newRig(t, toSupport, "support")
				if method == "conversations.info" {
					r.rules = strings.Replace(toSupport, "#support", r.id("support"), 1)
				}
				r.slack.Fault(empty(method))
				r.start()
				r.calls("", 1, 2)
				r.wantCases("support", 1, 2, time.Minute)
				known, err := r.store.Channels(t.Context())
				if err != nil || len(known) != 1 || known[0].ID != r.id("support") {
					t.Errorf("the store knows %+v (%v), want the channel's id", known, err)
				}
			})
		}
	})
	for _, reply := range []bool{false, true} {
		bubbleIn(t, fmt.Sprint("when a message is looked for, in a thread: ", reply), func(t *testing.T) {
			r := newRig(t, toSupport, "support").start()
			if reply {
				r.accept(aText(1, "INBOUND", customerNo, "case 1"))
				pass(10 * time.Second)
			}
			r.slack.Fault(fakeslack.Fault{Kind: fakeslack.DropAfterAccept})
			f := empty("conversations.history")
			if reply {
				f = empty("conversations.replies")
			}
			f.Count = 3
			r.slack.Fault(f)
			r.accept(aText(2, "INBOUND", customerNo, "case 2"))
			pass(2 * time.Minute)
			if got := r.cases("support"); len(got) != 1 && !reply || len(got) != 2 && reply {
				t.Errorf("#support shows %v, want each once", got)
			}
		})
	}
	bubbleIn(t, "when somebody is looked up", func(t *testing.T) {
		r := newRigWith(t, `rules: [{name: all, match: {}, channel: "#support", mention: owner}]`, fakeslack.Options{Token: testToken,
			Channels: []fakeslack.Channel{{Name: "support"}}, Users: []fakeslack.User{{ID: "U1", Email: "anna@example.com"}}}).start()
		r.slack.Fault(empty("users.lookupByEmail"))
		r.accept(strings.Replace(aCall(1, ""), `"data":{`, `"data":{"user_email":"anna@example.com",`, 1))
		pass(time.Minute)
		if posts := r.slack.Posts("support"); len(posts) != 1 || !strings.Contains(string(posts[0].Blocks)+posts[0].Text, "U1") {
			t.Errorf("got %+v, want one message that mentions U1", posts)
		}
	})
}

// A panic over one event, whatever draws it, is that event's trouble.
func TestAPanicOverOneEvent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support")
		r.open()
		r.bot.messages.callLink = func(event int64, _ string, _ time.Time) string {
			if event == 3 {
				panic(fmt.Sprint("case ", event))
			}
			return "https://bot.test/"
		}
		r.calls("", 1, 6)
		r.run()
		pass(time.Minute)
		r.calls("", 7, 8)
		pass(time.Minute)
		if got, want := r.cases("support"), []int{1, 2, 4, 5, 6, 7, 8}; !slices.Equal(got, want) {
			t.Errorf("#support shows %v, want %v", got, want)
		}
		r.wantAside(3)
	})
}
