package notify

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"allo-slack/fakeslack"
)

// mentionOwner mentions whose phone it was.
const mentionOwner = `rules: [{name: all, match: {}, channel: "#support", mention: owner}]`

// ownedCall is a call on somebody's phone.
func ownedCall(n int, email string) string {
	return strings.Replace(aCall(n, ""), `"id":`, `"user_email":"`+email+`","id":`, 1)
}

// withUsers is a workspace in which Ada works.
func withUsers(scopes ...string) fakeslack.Options {
	return fakeslack.Options{Token: testToken, Channels: []fakeslack.Channel{{Name: "support"}}, Scopes: scopes,
		Users: []fakeslack.User{{ID: "U0ADA", Name: "ada", Email: "ada@example.com"}, {ID: "U0LEFT", Email: "left@example.com", Deleted: true}}}
}

// Each email costs one look-up a day, also one that Slack doesn't know, and across restarts.
func TestAnEmailIsLookedUpOnceADay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRigWith(t, mentionOwner, withUsers()).start()
		n := 0
		want := func(lookups int, email string, pinged bool) {
			t.Helper()
			n++
			r.accept(ownedCall(n, email))
			r.wantCases("support", 1, n, 2*time.Second)
			if posts := r.slack.Posts("support"); len(posts) == n && (len(posts[n-1].Pings) > 0) != pinged {
				t.Errorf("call %d pings %v, want anybody: %v", n, posts[n-1].Pings, pinged)
			}
			if got := len(r.slack.Calls("users.lookupByEmail")); got != lookups {
				t.Errorf("Slack was asked %d times by call %d, want %d", got, n, lookups)
			}
		}
		want(1, "ada@example.com", true)
		want(1, "Ada@Example.com", true)
		want(2, "left@example.com", false)
		want(3, "nobody@example.com", false)
		want(3, "nobody@example.com", false)
		r.stop()
		r.start()
		want(3, "ada@example.com", true)
		want(3, "nobody@example.com", false)
		r.stop()
		pass(25 * time.Hour)
		r.start()
		want(4, "nobody@example.com", false)
		want(5, "ada@example.com", true)
		if log := r.log.String(); strings.Contains(log, "ada@") || strings.Contains(log, "nobody@") {
			t.Error("the log holds an email")
		}
	})
}

// A mention isn't worth holding up what it is about.
func TestAMentionThatCannotBeLookedUp(t *testing.T) {
	lookup := "users.lookupByEmail"
	for _, c := range []struct {
		name   string
		fault  fakeslack.Fault
		scopes []string
		within time.Duration
		pinged bool
	}{
		{"always 503", fakeslack.Fault{Method: lookup, Kind: fakeslack.Status, Count: -1}, nil, 15 * time.Second, false},
		{"one 503", fakeslack.Fault{Method: lookup, Kind: fakeslack.Status}, nil, 5 * time.Second, true},
		{"an unknown error", fakeslack.Fault{Method: lookup, Code: "nobody_knows_this_one", Count: -1}, nil, 15 * time.Second, false},
		{"a limit", fakeslack.Fault{Method: lookup, Kind: fakeslack.RateLimit, RetryAfter: 5 * time.Second}, nil, 6 * time.Second, true},
		{"no scope", fakeslack.Fault{}, []string{"chat:write", "channels:join", "channels:read", "groups:read", "channels:history"}, time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRigWith(t, mentionOwner, withUsers(c.scopes...)).start()
				pass(time.Second)
				if c.fault.Method != "" {
					r.slack.Fault(c.fault)
				}
				r.accept(ownedCall(1, "ada@example.com"))
				r.wantCases("support", 1, 1, c.within)
				if got := len(r.slack.Posts("support")[0].Pings) > 0; got != c.pinged {
					t.Errorf("pings Ada: %v, want %v", got, c.pinged)
				}
				asked := len(r.slack.Calls(lookup))
				r.accept(ownedCall(2, "ada@example.com"))
				r.wantCases("support", 1, 2, 2*time.Second)
				if n := len(r.slack.Calls(lookup)); n != asked {
					t.Errorf("Slack was asked again at once")
				}
				r.polite()
			})
		})
	}
}

// A message waits for half a minute at most for look-ups that Slack answers badly, in whatever way and however many.
func TestALookUpHoldsNothingUpForLong(t *testing.T) {
	for _, f := range []fakeslack.Fault{
		{Kind: fakeslack.Status, Status: 500}, {Kind: fakeslack.Status, Status: 403}, {Kind: fakeslack.CutBefore}, {Kind: fakeslack.Slow, Delay: 20 * time.Second},
		{Kind: fakeslack.Slow, Delay: 2 * time.Minute}, {Kind: fakeslack.Empty}, {Kind: fakeslack.Endless}, {Code: "fatal_error"}, {Code: "nobody_knows_this_one"},
		{Code: "missing_scope"}, {Kind: fakeslack.RateLimit, RetryAfter: 10 * time.Second},
	} {
		bubbleIn(t, fmt.Sprint(f.Kind, f.Status, f.Code, f.Delay), func(t *testing.T) {
			r := newRigWith(t, mentionOwner, withUsers()).start()
			pass(time.Minute)
			f.Method, f.Count = "users.lookupByEmail", -1
			r.slack.Fault(f)
			for n := 1; n <= 20; n++ {
				r.accept(ownedCall(n, fmt.Sprintf("p%d@example.com", n)))
			}
			r.wantCases("support", 1, 20, 30*time.Second)
			for n := 21; n <= 24; n++ { // and those that come one by one
				pass(time.Minute)
				r.accept(ownedCall(n, fmt.Sprintf("p%d@example.com", n)))
				r.wantCases("support", 1, n, 30*time.Second)
			}
			r.slack.ClearFaults()
			pass(11 * time.Minute)
			r.accept(ownedCall(25, "ada@example.com"))
			r.wantCases("support", 1, 25, 5*time.Second)
			if posts := r.slack.Posts("support"); len(posts[len(posts)-1].Pings) != 1 {
				t.Error("nobody is mentioned once Slack tells who it is")
			}
			if strings.Contains(r.log.String(), "slack is away") {
				t.Error("the log says that Slack is away")
			}
			r.polite()
		})
	}
}
