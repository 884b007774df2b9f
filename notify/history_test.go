package notify

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"allo-slack/fakeslack"
)

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
			r.wire.Refuse(true)
			time.AfterFunc(5*time.Minute, func() { r.wire.Refuse(false) })
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
