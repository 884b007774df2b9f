package notify

import (
	"database/sql"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"allo-slack/fakeslack"
	"allo-slack/outbox"
)

const withOps = `ops_channel: "#ops"
rules: [{name: all, match: {}, channel: "#support"}]`

// notes are what the ops channel shows.
func (r *rig) notes() []string {
	var texts []string
	for _, p := range r.slack.Posts("ops") {
		texts = append(texts, p.Text)
	}
	return texts
}

// wantNotes fails unless the ops channel shows n notes of which the last holds all the words.
func (r *rig) wantNotes(n int, words ...string) {
	r.t.Helper()
	notes := r.notes()
	if len(notes) != n {
		r.t.Errorf("%d notes, want %d: %q", len(notes), n, notes)
		return
	}
	for _, w := range words {
		if !strings.Contains(notes[n-1], w) {
			r.t.Errorf("note %q doesn't hold %q", notes[n-1], w)
		}
	}
}

func TestOpsHearsOfAStuckChannelOnceAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withOps, "support", "ops").start()
		r.slack.SetChannel("support", func(c *fakeslack.Channel) { c.Archived = true })
		r.calls("", 1, 2)
		pass(9 * time.Minute)
		r.wantNotes(0)
		pass(2 * time.Minute)
		r.wantNotes(1, "#support", "2 messages wait", "is_archived", "Unarchive")
		pass(50 * time.Minute)
		r.wantNotes(1)
		pass(12 * time.Minute)
		r.wantNotes(2)
		r.stop() // who told what outlives the process
		r.start()
		pass(20 * time.Minute)
		r.wantNotes(2)
		r.slack.SetChannel("support", func(c *fakeslack.Channel) { c.Archived = false })
		r.wantCases("support", 1, 2, 2*time.Minute)
		pass(2 * time.Hour)
		r.wantNotes(2)
	})
}

func TestOpsHearsOfWhatWasSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withOps, "support", "ops").start()
		refuse := fakeslack.Fault{Method: "chat.postMessage", Channel: "support", Kind: fakeslack.SlackError, Code: "msg_too_long", Count: 2}
		r.slack.Fault(refuse)
		r.calls("", 1, 1)
		pass(10 * time.Second)
		r.wantNotes(1, "#support: 1 message was set aside", "msg_too_long", "allo-slack replay")
		r.slack.Fault(refuse)
		r.calls("", 2, 2)
		pass(50 * time.Minute)
		r.wantNotes(1)
		pass(15 * time.Minute)
		r.wantNotes(2, "1 message was set aside")
		pass(2 * time.Hour)
		r.wantNotes(2)
	})
}

func TestTheOpsChannelIsNotToldOfItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, `ops_channel: "#ops"
rules: [{name: all, match: {}, channel: "#ops"}]`, "ops").start()
		r.slack.SetChannel("ops", func(c *fakeslack.Channel) { c.Archived = true })
		r.calls("", 1, 1)
		pass(2 * time.Hour)
		r.slack.SetChannel("ops", func(c *fakeslack.Channel) { c.Archived = false })
		r.wantCases("ops", 1, 1, 2*time.Minute)
		r.wantNotes(1)
	})
}

func TestSilenceIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withOps, "support", "ops")
		r.silent = 2 * time.Hour
		r.start()
		pass(119 * time.Minute)
		r.wantNotes(0)
		pass(2 * time.Minute)
		r.wantNotes(1, "No event from Allo since", "webhook")
		r.accept(`{"topic":"PING"}`) // a sign of life too
		pass(119 * time.Minute)
		r.wantNotes(1)
		pass(2 * time.Minute)
		r.wantNotes(2)
		r.stop()
		r.start()
		pass(30 * time.Minute)
		r.wantNotes(2)
	})
}

func TestADeadChannelIsSetAsideAfterThirtyDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		r.slack.SetChannel("support", func(c *fakeslack.Channel) { c.Archived = true })
		r.calls("", 1, 1)
		pass(2 * time.Minute)
		r.stop()
		pass(29 * 24 * time.Hour)
		r.start()
		pass(2 * time.Minute)
		if got := r.count("allo_slack_deliveries_waiting", ""); got != 1 {
			t.Errorf("after 29 days: %v wait, want 1", got)
		}
		r.stop()
		pass(25 * time.Hour)
		r.start()
		pass(2 * time.Minute)
		if waiting, aside := r.count("allo_slack_deliveries_waiting", ""), r.count("allo_slack_deliveries_aside", ""); waiting != 0 || aside != 1 {
			t.Errorf("after 30 days: %v wait and %v are aside, want 0 and 1", waiting, aside)
		}
		if n := strings.Count(r.log.String(), "has refused messages for days"); n != 2 {
			t.Errorf("warned %d times, want once at each start", n)
		}
		r.slack.SetChannel("support", func(c *fakeslack.Channel) { c.Archived = false })
		if _, err := replay(t.Context(), r.store, outbox.Selection{All: true}, time.Now()); err != nil {
			t.Fatal(err)
		}
		r.wantCases("support", 1, 1, 3*time.Minute)
	})
}

func TestAStartSaysWhatIsWrongWithChannels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, `rules:
  - {name: a, match: {tag: a}, channel: "#a"}
  - {name: old, match: {tag: b}, channel: "#old"}
  - {name: secret, match: {tag: c}, channel: C000PRIVATE}
  - {name: gone, match: {tag: d}, channel: "#gone"}`, fakeslack.Options{Token: testToken, Channels: []fakeslack.Channel{
			{Name: "a"}, {Name: "old", Archived: true}, {Name: "secret", ID: "C000PRIVATE", Private: true}}}).start()
		pass(5 * time.Second)
		for _, want := range []string{`archived`, `"channel":"#old"`, `"channel":"#gone"`, `/invite @allo-slack`} {
			if !strings.Contains(r.log.String(), want) {
				t.Errorf("the log doesn't hold %s", want)
			}
		}
		joined := false
		for _, c := range r.slack.Calls("conversations.join") {
			joined = joined || c.Err == ""
		}
		if !joined {
			t.Error("the public channel was not joined before its first event")
		}
	})
}

func TestAStartSaysWhatWaitsForAChannelThatNoRuleNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, `rules: [{name: all, match: {}, channel: "#suport"}]`, "support").start()
		r.calls("", 1, 7)
		pass(3 * time.Minute)
		r.stop()
		r.rules = toSupport
		r.start()
		pass(time.Second)
		for _, want := range []string{"no rule names", "#suport", `"deliveries":7`, "replay -from"} {
			if !strings.Contains(r.log.String(), want) {
				t.Errorf("the log doesn't hold %s", want)
			}
		}
		// As a person would, from another process.
		beside, err := outbox.OpenBeside(t.Context(), "sqlite:"+r.path)
		if err != nil {
			t.Fatal(err)
		}
		request, err := beside.Request(t.Context(), outbox.Selection{From: "#suport", To: "#support"}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		pass(scanEvery)
		if done, _, err := beside.Answer(t.Context(), request); err != nil || done.Sent != 7 {
			t.Errorf("replayed %+v, %v; want 7", done, err)
		}
		if err := beside.Close(); err != nil {
			t.Fatal(err)
		}
		r.wantCases("support", 1, 7, time.Minute)
		pass(2 * time.Minute)
		if troubles, err := r.store.Troubles(t.Context()); err != nil || len(troubles) != 0 {
			t.Errorf("troubles = %v, %v; want none left", troubles, err)
		}
	})
}

// A trouble that is over and could not be cleared, as the store failed, is cleared later.
func TestATroubleThatCouldNotBeCleared(t *testing.T) {
	for _, how := range []string{"a message", "sent elsewhere by hand"} {
		bubbleIn(t, how, func(t *testing.T) {
			r := newRig(t, byTag, "a", "b").start()
			r.slack.SetChannel("a", func(c *fakeslack.Channel) { c.Archived = true })
			r.calls("a", 1, 1)
			pass(10 * time.Second)
			change(t, r.path, "CREATE TRIGGER fails BEFORE DELETE ON troubles BEGIN SELECT RAISE(ABORT, 'no'); END")
			if how == "a message" {
				r.slack.SetChannel("a", func(c *fakeslack.Channel) { c.Archived = false })
			} else if _, err := replay(t.Context(), r.store, outbox.Selection{From: r.id("a"), To: r.id("b")}, time.Now()); err != nil {
				t.Fatal(err)
			}
			pass(2 * time.Minute)
			change(t, r.path, "DROP TRIGGER fails")
			r.slack.SetChannel("a", func(c *fakeslack.Channel) { c.Archived = false })
			r.calls("a", 2, 2)
			pass(time.Hour)
			if list, err := r.store.Troubles(t.Context()); len(list) != 0 || err != nil {
				t.Errorf("troubles are %v, %v; want none: #a shows %v", list, err, r.cases("a"))
			}
		})
	}
}

// change changes a store's tables beside the bot.
func change(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}
