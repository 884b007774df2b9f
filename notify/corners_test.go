package notify

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"allo-slack/fakeslack"
	"allo-slack/outbox"
)

// before has a function answer calls before Slack does: it reports whether it did.
func (r *rig) before(answer func(method string, form url.Values, w http.ResponseWriter) bool) {
	slack := r.slack.API()
	r.api = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		req.Body = io.NopCloser(strings.NewReader(string(body)))
		form, _ := url.ParseQuery(string(body))
		method := req.URL.Path[strings.LastIndexByte(req.URL.Path, '/')+1:]
		if !answer(method, form, w) {
			slack.ServeHTTP(w, req)
		}
	})
}

// failed lists what needs a person.
func (r *rig) failed() []outbox.Failed {
	r.t.Helper()
	list, err := r.store.Failed(r.t.Context(), time.Now().Add(-10*time.Minute), 100)
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

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
					done, err := r.store.Replay(t.Context(), outbox.Selection{From: "#a", To: "#b"}, time.Now())
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

// A message that shows late is seen by the look after the wait, however long that was.
func TestTheLastLookComesAfterAllWaiting(t *testing.T) {
	for _, c := range []struct {
		name string
		wait func(r *rig)
	}{
		{"a limit", func(r *rig) {
			r.slack.Fault(fakeslack.Fault{Channel: "b", Kind: fakeslack.RateLimit, RetryAfter: time.Minute})
			r.calls("b", 2, 2)
		}},
		{"an outage", func(r *rig) {
			r.wire.refuse(true)
			time.AfterFunc(5*time.Minute, func() { r.wire.refuse(false) })
			r.calls("b", 2, 2)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, byTag, "a", "b").start()
				pass(time.Minute)
				r.slack.Fault(fakeslack.Fault{Channel: "a", Kind: fakeslack.LateVisible, Delay: 20 * time.Second})
				r.calls("a", 1, 1)
				pass(2 * time.Second)
				c.wait(r)
				pass(20 * time.Minute)
				r.exactly("a", 1, 1)
				r.exactly("b", 2, 2)
				r.polite()
			})
		})
	}
}

// An answer to a look that can't be believed is asked for again, a while.
func TestOddAnswersToALook(t *testing.T) {
	for _, reply := range []bool{false, true} {
		for _, f := range []fakeslack.Fault{
			{Kind: fakeslack.OddPage}, {Kind: fakeslack.OddPage, Body: `{}`}, {Kind: fakeslack.OddPage, Body: `null`}, {Kind: fakeslack.OddPage, Body: `[1,"x",null,[],{},{"ts":7}]`},
			{Kind: fakeslack.NotOK, Count: 2}, {Kind: fakeslack.Empty, Count: 2}, {Kind: fakeslack.EmptyPage}, {Kind: fakeslack.Endless}, {Kind: fakeslack.Endless, Body: "[["},
			{Kind: fakeslack.Status, Status: 403, Count: 2}, {Code: "nobody_knows_this_one", Count: 3},
		} {
			t.Run(fmt.Sprint(f.Kind, f.Code, f.Body, reply), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					r := newRig(t, byTag+"\n  - {name: texts, match: {topic: SMS_RECEIVED}, channel: \"#a\"}", "a", "b").start()
					pass(10 * time.Second)
					r.slack.Others("a", fakeslack.OddMessages()...)
					f.Method = "conversations.history"
					first := 1
					if reply {
						r.accept(aText(1, "INBOUND", customerNo, "case 1"))
						pass(10 * time.Second)
						f.Method, first = "conversations.replies", 2
					}
					r.slack.Fault(fakeslack.Fault{Channel: "a", Kind: fakeslack.DropAfterAccept})
					r.slack.Fault(f)
					if reply {
						r.accept(aText(2, "INBOUND", customerNo, "case 2"))
					} else {
						r.calls("a", 1, 1)
					}
					pass(2 * time.Minute)
					r.calls("a", first+1, first+1)
					r.wantCases("a", 1, first+1, 2*time.Minute)
					if strings.Contains(r.log.String(), "slack is away") {
						t.Error("the log says that Slack is away")
					}
					r.polite()
				})
			})
		}
	}
}

// A history that can't be read at all holds its channel up for a while, and no other.
func TestAHistoryThatNeverCanBeRead(t *testing.T) {
	for _, f := range []fakeslack.Fault{
		{Kind: fakeslack.OddPage, Body: `{}`}, {Kind: fakeslack.NotOK}, {Kind: fakeslack.Empty}, {Kind: fakeslack.EndlessCursor}, {Kind: fakeslack.NewCursors},
		{Kind: fakeslack.EmptyPage}, {Kind: fakeslack.Endless}, {Kind: fakeslack.Status, Status: 403}, {Code: "nobody_knows_this_one"},
	} {
		t.Run(fmt.Sprint(f.Kind, f.Code), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, byTag, "a", "b").start()
				pass(time.Minute)
				r.slack.Fault(fakeslack.Fault{Channel: "a", Kind: fakeslack.CutBefore})
				f.Method, f.Channel, f.Count = "conversations.history", "a", -1
				r.slack.Fault(f)
				r.calls("a", 1, 3)
				pass(time.Second)
				r.calls("b", 11, 13)
				r.wantCases("b", 11, 13, 10*time.Second)
				pass(10 * time.Minute)
				r.exactly("a", 1, 3)
				if n := r.count("allo_slack_unsure_total", "unreadable"); n != 1 {
					t.Errorf("%v looks were counted as unreadable, want 1", n)
				}
				if strings.Contains(r.log.String(), "slack is away") {
					t.Error("the log says that Slack is away")
				}
				r.polite()
			})
		})
	}
}

// A list of channels without an end has those in it that it has.
func TestAListWithoutAnEnd(t *testing.T) {
	for _, kind := range []fakeslack.FaultKind{fakeslack.EndlessCursor, fakeslack.NewCursors} {
		bubbleIn(t, string(kind), func(t *testing.T) {
			r := newRig(t, toSupport, "support")
			r.slack.Fault(fakeslack.Fault{Method: "conversations.list", Kind: kind, Count: -1})
			r.start()
			r.calls("", 1, 2)
			r.wantCases("support", 1, 2, 5*time.Minute)
			r.polite()
		})
	}
}

// Pages may be shorter than asked for, or empty: the cursor alone says whether there are more.
func TestShortPages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRigWith(t, byTag, fakeslack.Options{Token: testToken, ShortPages: 5, Channels: []fakeslack.Channel{
			{Name: "x1"}, {Name: "x2"}, {Name: "x3"}, {Name: "x4"}, {Name: "x5"}, {Name: "x6"}, {Name: "a"}}}).start()
		pass(time.Second)
		r.slack.Fault(fakeslack.Fault{Kind: fakeslack.DropAfterAccept})
		r.slack.Fault(fakeslack.Fault{Method: "conversations.history", Kind: fakeslack.Slow, Delay: 10 * time.Second})
		r.calls("a", 1, 1)
		pass(time.Second)
		r.slack.Others("a", fakeslack.OddMessages()[:20]...)
		pass(time.Minute)
		r.exactly("a", 1, 1)
	})
}

// A message that was deleted is gone, but the thread of one with replies lives on.
func TestDeletedMessages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		r.accept(aText(1, "INBOUND", customerNo, "case 1"))
		r.accept(aText(2, "INBOUND", customerNo, "case 2"))
		first := r.posted("support", 2)[0]
		r.slack.DeletePost("support", first.TS)
		for i, kind := range []fakeslack.FaultKind{fakeslack.DropAfterAccept, fakeslack.CutBefore} {
			r.slack.Fault(fakeslack.Fault{Kind: kind})
			r.accept(aText(3+i, "INBOUND", customerNo, fmt.Sprint("case ", 3+i)))
			pass(20 * time.Second)
		}
		posts := r.slack.Posts("support")
		if got := r.cases("support"); !slices.Equal(got, []int{2, 3, 4}) {
			t.Errorf("#support shows %v, want 2 to 4", got)
		}
		for _, p := range posts {
			if p.ThreadTS != first.TS {
				t.Errorf("%q is in the thread %q, want that of the deleted message, %q", p.Text, p.ThreadTS, first.TS)
			}
		}
		r.looks(3, 1, 1, 0)
	})
}

// Slack's clock and ours may be far apart.
func TestClocksFarApart(t *testing.T) {
	for _, d := range []time.Duration{-26 * time.Hour, -90 * time.Second, 150 * time.Second, 40 * 24 * time.Hour} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(d, restart), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					r := newRigWith(t, toSupport, fakeslack.Options{Token: testToken, Channels: []fakeslack.Channel{{Name: "support"}},
						Clock: func() time.Time { return time.Now().Add(d) }}).start()
					pass(time.Minute)
					if now, told := r.bot.Now(t.Context()); !told || d < 0 && time.Since(now.Add(-d)).Abs() > time.Second || d > 0 && !now.Equal(time.Now()) {
						t.Errorf("the time to purge by is %v, %v; want the earlier of %v and Slack's, %v later", now, told, time.Now(), d)
					}
					for i := range 5 {
						r.slack.Fault(fakeslack.Fault{Kind: fakeslack.DropAfterAccept})
						r.calls("", i, i)
						if restart {
							pass(0)
							r.crash()
							pass(time.Second)
							r.start()
						}
						pass(20 * time.Second)
					}
					r.exactly("support", 0, 4)
				})
			})
		}
	}
}

// The budget of calls goes by a clock that nobody sets.
func TestTiersGoByTheMonotonicClock(t *testing.T) {
	store, err := outbox.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.SetFact(t.Context(), reading.fact(), fmt.Appendf(nil, "[%d]", time.Now().UnixMilli())); err != nil {
		t.Fatal(err)
	}
	all := newTiers()
	if err := all.goOn(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	if err := all.wait(t.Context(), reading); err != nil {
		t.Fatal(err)
	}
	if n := len(all.calls[reading]); n != 2 {
		t.Errorf("%d calls are known, want 2", n)
	}
	for _, at := range all.calls[reading] {
		if !strings.Contains(at.String(), " m=") {
			t.Errorf("%v has no monotonic time", at)
		}
	}
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

func bubbleIn(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { bubble(t, f) })
}

// A scope that is missing is the trouble of the channels that need it, and says which.
func TestAMissingScopeHoldsNobodyElse(t *testing.T) {
	const names = `rules:
  - {name: open, match: {tag: a}, channel: "#open"}
  - {name: secret, match: {tag: b}, channel: "#secret"}
  - {name: secret by id, match: {tag: c}, channel: C000PRIVATE}`
	for _, c := range []struct {
		scope, works, held string
		heldChannel        string
	}{
		{"groups:read", "a", "b", "#secret"},
		{"groups:read", "a", "c", "C000PRIVATE"},
		{"channels:read", "b", "a", "#open"},
	} {
		bubbleIn(t, c.scope+" "+c.heldChannel, func(t *testing.T) {
			scopes := slices.DeleteFunc(fakeslack.DefaultScopes(), func(s string) bool { return s == c.scope })
			r := newRigWith(t, names, fakeslack.Options{Token: testToken, Scopes: scopes, Channels: []fakeslack.Channel{
				{Name: "open"}, {Name: "secret", ID: "C000PRIVATE", Private: true, BotIsMember: true}}}).start()
			r.calls(c.held, 11, 11)
			r.calls(c.works, 1, 2)
			shows := "open"
			if c.works == "b" {
				shows = "secret"
			}
			r.wantCases(shows, 1, 2, 5*time.Second)
			pass(5 * time.Minute)
			r.calls(c.works, 3, 3)
			r.wantCases(shows, 1, 3, 2*time.Second)
			failed := r.failed()
			if len(failed) != 1 || failed[0].Channel != c.heldChannel || !strings.Contains(failed[0].Reason, c.scope) {
				t.Errorf("failed lists %+v, want what waits for %s, and %q", failed, c.heldChannel, c.scope)
			}
			if log := r.log.String(); strings.Contains(log, "refuses the token") || !strings.Contains(log, c.scope) {
				t.Error("the log speaks of the token, or doesn't name the scope")
			}
			r.polite()
		})
	}
}

// While the bot was down a channel was made anew: what waited for the old one goes to the new one, before what comes.
func TestAChannelMadeAnewWhileTheBotWasDown(t *testing.T) {
	for _, c := range []struct {
		name string
		gone func(s *fakeslack.Server)
		last fakeslack.Fault // of what was being posted before
		old  string          // the old channel, where it still takes messages: some may go there before the other is found
	}{
		{"archived", func(s *fakeslack.Server) {
			s.SetChannel("support", func(c *fakeslack.Channel) { c.Name, c.Archived = "support-old", true })
		}, fakeslack.Fault{Code: "is_archived"}, ""},
		{"renamed, and in doubt", func(s *fakeslack.Server) {
			s.SetChannel("support", func(c *fakeslack.Channel) { c.Name = "support-old" })
		}, fakeslack.Fault{Kind: fakeslack.DropAfterAccept}, "support-old"},
		{"deleted, and in doubt", func(s *fakeslack.Server) { s.RemoveChannel("support") }, fakeslack.Fault{Kind: fakeslack.CutBefore}, ""},
	} {
		bubbleIn(t, c.name, func(t *testing.T) {
			r := newRig(t, toSupport, "support").start()
			pass(time.Minute)
			r.slack.Fault(c.last)
			r.calls("", 1, 1)
			pass(0)
			r.calls("", 2, 3)
			r.crash()
			c.gone(r.slack)
			r.slack.AddChannel(fakeslack.Channel{Name: "support"})
			pass(time.Hour)
			r.start()
			r.calls("", 4, 4)
			pass(3 * time.Minute)
			var shown []int
			if c.old != "" {
				shown = r.cases(c.old)
			}
			anew := r.cases("support")
			if shown = append(shown, anew...); !slices.Equal(shown, []int{1, 2, 3, 4}) || len(anew) < 2 {
				t.Errorf("the channels show %v, of those %v the new one; want 1 to 4", shown, anew)
			}
			if done, err := r.store.Replay(t.Context(), outbox.Selection{From: "#support", To: "#elsewhere"}, time.Now()); err != nil || done.Sent != 0 {
				t.Errorf("%+v (%v) still wait", done, err)
			}
		})
	}
}

// A panic over one event, whatever draws it, is that event's trouble.
func TestAPanicOverOneEvent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support")
		r.open()
		r.bot.callLink = func(event int64, _ string, _ time.Time) string {
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

// Rules that are read again many times, while Slack is slow, are looked at once more and not once each.
func TestReloadsDoNotPileUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		pass(time.Minute)
		r.slack.Fault(fakeslack.Fault{Method: "*", Kind: fakeslack.Slow, Delay: 5 * time.Second, Count: -1})
		began := time.Now()
		for range 200 {
			r.bot.SetRules(parseRules(t, toSupport))
		}
		pass(10 * time.Minute)
		if n := len(r.wire.tries(began)); n > 3 {
			t.Errorf("%d calls for 200 reloads, want two or so", n)
		}
	})
}

// What our own store says is nothing of Slack's.
func TestOurOwnDiskIsNotSlack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		pass(time.Second)
		r.wire.refuse(true)
		for range awayAfter {
			r.bot.report(t.Context(), entry{}, r.bot.slack.hello(t.Context()))
		}
		r.bot.report(t.Context(), entry{}, storeFailed(outbox.ErrUnavailable))
		if log := r.log.String(); !strings.Contains(log, "slack is away") || strings.Contains(log, "slack is back") {
			t.Error("a store that fails counts as an answer of Slack's")
		}
	})
}

// Of long answers few are read at a time.
func TestLongAnswersAreReadFewAtATime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWatcher(nil)
		ctx, cancel := context.WithCancel(t.Context())
		long := &longAnswers{hold: make(chan struct{})}
		var readers sync.WaitGroup
		for range 30 {
			readers.Go(func() {
				if _, done, err := w.read(ctx, io.NopCloser(&longAnswer{of: long}), maxAnswer); err == nil {
					done()
				}
			})
		}
		pass(time.Second)
		if got := long.beyond(); got != largeAtOnce {
			t.Errorf("%d answers are read beyond %d bytes, want %d", got, usualPage, largeAtOnce)
		}
		close(long.hold)
		cancel()
		readers.Wait()
	})
}

// longAnswers counts those that are read beyond what each may be.
type longAnswers struct {
	hold chan struct{}
	mu   sync.Mutex
	n    int
}

func (l *longAnswers) beyond() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// longAnswer has no end.
type longAnswer struct {
	of   *longAnswers
	read int
}

func (a *longAnswer) Read(p []byte) (int, error) {
	if a.read > usualPage {
		a.of.mu.Lock()
		a.of.n++
		a.of.mu.Unlock()
		<-a.of.hold
		a.read = -1 << 40
	}
	a.read += len(p)
	return len(p), nil
}
