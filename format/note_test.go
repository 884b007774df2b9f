package format_test

import (
	"strings"
	"testing"
	"time"

	"allo-slack/allo"
	"allo-slack/format"
)

func TestANote(t *testing.T) {
	it := format.Item{Note: &format.Note{Head: "#support: 2 messages wait since 10:30", Lines: []string{"Slack says: is_archived", "<!channel> *bold*"}}}
	digest, n := format.Digest([]format.Item{it, it})
	if n != 2 {
		t.Errorf("a digest of %d of 2 notes", n)
	}
	for name, m := range map[string]format.Message{"alone": format.Event(it), "plain": format.Plain(it), "digest": digest} {
		hold(t, m, it.Options)
		if !strings.Contains(m.Text, "2 messages wait") || !strings.Contains(m.Text, "is_archived") {
			t.Errorf("%s: %s", name, m.Text)
		}
	}
}

// The ways in which a missed call is answered, each said in the call's message.
func TestFollowups(t *testing.T) {
	start := time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)
	e := allo.Event{Topic: allo.CallReceived, Call: &allo.Call{Start: start, Direction: allo.Inbound, Result: "MISSED", Missed: true, MissedIsCertain: true, From: allo.Party{Name: "Marie"}}}
	for how, want := range map[format.FollowupKind]string{
		format.CalledBack:  "Called back after 12 min by ada@acme.example",
		format.TextedBack:  "Texted back after 12 min by ada@acme.example",
		format.CalledAgain: "Called again and got through after 12 min by ada@acme.example",
	} {
		it := format.Item{Event: e, Known: format.Known{Followup: &format.Followup{How: how, At: start.Add(12 * time.Minute), By: "ada@acme.example"}}}
		for name, m := range map[string]format.Message{"message": format.Event(it), "plain": format.Plain(it)} {
			hold(t, m, it.Options)
			if !strings.Contains(m.Text, want) {
				t.Errorf("%s: %s; want %q", name, m.Text, want)
			}
		}
	}
}
