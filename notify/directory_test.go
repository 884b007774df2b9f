package notify

import (
	"slices"
	"strings"
	"testing"
	"time"

	"allo-slack/fakeslack"
	"allo-slack/outbox"
)

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
			if done, err := replay(t.Context(), r.store, outbox.Selection{From: "#support", To: "#elsewhere"}, time.Now()); err != nil || done.Sent != 0 {
				t.Errorf("%+v (%v) still wait", done, err)
			}
		})
	}
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
		if n := len(r.wire.Tries(began)); n > 3 {
			t.Errorf("%d calls for 200 reloads, want two or so", n)
		}
	})
}
