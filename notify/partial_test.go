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
)

// Where auth.test alone stays broken after an outage, what callers want still ends it.
func TestAuthTestAloneStaysBroken(t *testing.T) {
	for _, f := range []fakeslack.Fault{{Kind: fakeslack.Status, Status: 503}, {Kind: fakeslack.CutBefore}, {Kind: fakeslack.Status, Status: 404}} {
		bubbleIn(t, fmt.Sprint(f.Kind, f.Status), func(t *testing.T) {
			r := newRig(t, byTag, "a", "b").start()
			pass(2 * time.Minute)
			f.Method, f.Count = "*", -1
			r.slack.Fault(f)
			r.calls("a", 1, 1)
			r.calls("b", 1001, 1001)
			pass(5 * time.Minute)
			r.slack.ClearFaults()
			f.Method = "auth.test"
			r.slack.Fault(f)
			r.wantCases("a", 1, 1, 2*time.Minute)
			r.wantCases("b", 1001, 1001, 2*time.Minute)
		})
	}
}

// A stop says nothing of a history: what is looked for a last time is looked for again at the next start.
func TestAStopDuringTheLastLook(t *testing.T) {
	for _, many := range []int{1, 6} {
		bubbleIn(t, fmt.Sprint(many), func(t *testing.T) {
			r := newRig(t, byTag, "a")
			var out, refuse atomic.Bool // the bot was removed from the channel; messages are refused
			r.before(func(method string, form url.Values, w http.ResponseWriter) bool {
				switch {
				case out.Load() && method == "conversations.history":
					_, _ = io.WriteString(w, `{"ok":false,"error":"not_in_channel"}`)
				case out.Load() && method == "conversations.info":
					<-time.After(10 * time.Second)
					return false
				case refuse.Load() && method == "chat.postMessage":
					_, _ = io.WriteString(w, `{"ok":false,"error":"msg_too_long"}`)
				default:
					return false
				}
				return true
			})
			r.open()
			r.calls("a", 1, many)
			// Slack takes it, shows it late, and its answer is lost; the second attempt is refused for what it holds.
			r.slack.Fault(fakeslack.Fault{Channel: "a", Kind: fakeslack.LateVisible, Delay: 20 * time.Second})
			r.run()
			pass(2 * time.Second)
			refuse.Store(true)
			pass(28 * time.Second)
			out.Store(true)
			pass(35 * time.Second) // the last look begins a minute after the attempt, and waits for conversations.info
			r.stop()
			out.Store(false)
			refuse.Store(false)
			r.start()
			pass(10 * time.Minute)
			r.exactly("a", 1, many)
			if failed := r.failed(); len(failed) > 0 {
				t.Errorf("set aside: %+v", failed)
			}
		})
	}
}

// Many updates that fail hold up none that would not.
func TestManyUpdatesThatFail(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const many = 20
		r := newRig(t, byTag, "a", "b")
		var bad atomic.Bool
		r.before(func(method string, form url.Values, w http.ResponseWriter) bool {
			refuse := bad.Load() && method == "chat.update" && form.Get("channel") == r.id("a")
			if refuse {
				_, _ = io.WriteString(w, `{"ok":false,"error":"moon_in_the_way"}`)
			}
			return refuse
		})
		r.start()
		for n := 1; n <= many; n++ {
			r.accept(aCall(n, "a"))
			r.posted("a", n)
		}
		r.accept(aCall(1001, "b"))
		r.posted("b", 1)
		pass(time.Minute)
		bad.Store(true)
		for n := 1; n <= many; n++ {
			r.accept(strings.Replace(aCall(n, "a"), "case", "the news: case", 1))
		}
		pass(10 * time.Second)
		r.accept(strings.Replace(aCall(1001, "b"), "case", "the news: case", 1))
		pass(2 * time.Minute)
		if !r.slack.Posts("b")[0].Edited {
			t.Error("the good update wasn't made within 2 minutes")
		}
	})
}

// One call that hangs doesn't spend all patience.
func TestACallThatHangsCostsNoMention(t *testing.T) {
	for _, d := range []time.Duration{2 * time.Second, 5 * time.Second} {
		bubbleIn(t, d.String(), func(t *testing.T) {
			r := newRigWith(t, mentionOwner, withUsers())
			var hangs atomic.Bool
			slack := r.api
			r.api = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if hangs.Load() {
					<-time.After(5 * time.Minute)
					panic(http.ErrAbortHandler)
				}
				slack.ServeHTTP(w, req)
			})
			r.start()
			pass(2 * time.Minute)
			hangs.Store(true)
			r.accept(ownedCall(1, "ada@example.com"))
			pass(d)
			hangs.Store(false)
			pass(10 * time.Minute)
			r.exactly("support", 1, 1)
			if posts := r.slack.Posts("support"); len(posts) == 1 && len(posts[0].Pings) == 0 {
				t.Errorf("the owner isn't mentioned after an outage of %v", d)
			}
		})
	}
}

// Many channels whose look-ups fail at once don't wait for the method's limit in turn.
func TestLookUpsThatFailInManyChannels(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const many = 20
		text, names := manyChannels(many)
		r := newRig(t, strings.ReplaceAll(text, `"}`, `", mention: owner}`), names...).start()
		pass(2 * time.Minute)
		r.slack.Fault(fakeslack.Fault{Method: "users.lookupByEmail", Kind: fakeslack.Status, Status: 503, Count: -1})
		for n, name := range names {
			r.accept(strings.Replace(aCall(n, name), `"id":`, fmt.Sprintf(`"user_email":"p%d@example.com","id":`, n), 1))
		}
		pass(30 * time.Second)
		for n, name := range names {
			r.exactly(name, n, n)
		}
		r.polite()
	})
}

// Where Slack's clock isn't known it is asked for before a turn is taken: turns that many keep would be used all at once.
func TestTurnsDoNotWaitForTheClock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const many = 60
		text, names := manyChannels(many)
		r := newRig(t, text, names...).start()
		pass(10 * time.Minute)
		r.stop()
		pass(time.Minute)
		r.slack.Fault(fakeslack.Fault{Method: "conversations.list", Kind: fakeslack.Slow, Delay: time.Minute, Count: -1})
		r.slack.Fault(fakeslack.Fault{Method: "auth.test", Kind: fakeslack.Slow, Delay: 9900 * time.Millisecond, Count: -1})
		r.open()
		for i, name := range names {
			r.accept(aCall(i, name))
		}
		r.run()
		pass(10 * time.Minute)
		for i, name := range names {
			r.exactly(name, i, i)
		}
		r.polite()
	})
}
