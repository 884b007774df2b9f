package notify

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"allo-slack/fakeslack"
)

// A rule that is stricter later counts in a full digest, too, whatever else became known of what it holds.
func TestALateStricterRuleInAFullDigest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, `rules:
  - {name: private, match: {topic: CALL_RECEIVED, tag: private}, channel: "#support", redact: [numbers]}
  - {name: all, match: {}, channel: "#support"}`, "support")
		r.open()
		for n := range 80 {
			r.accept(strings.Replace(strings.Replace(aCall(n, ""), customerName, "", 1), customerNo, fmt.Sprintf("+14155550%03d", n), 1))
		}
		r.run()
		pass(time.Minute)
		for n := range 80 {
			r.accept(fmt.Sprintf(`{"topic":"summary.updated","version":"2.0","timestamp":"2000-01-01T00:00:05Z","data":{"id":"call-%d","one_sentence_summary":"case %d %s"}}`, n, n, strings.Repeat("words ", 60)))
		}
		pass(time.Minute)
		r.accept(tagEvent("tag.added", 1, "private", 59))
		pass(time.Minute)
		if strings.Contains(wholeText(r.slack.Posts("support")[0]), "555-0001") {
			t.Error("the digest still shows the number")
		}
	})
}

// A channel that rules name by its name and by its id is as strict as either, also before Slack was asked for the name.
func TestTwoNamesAreAsStrictAsEitherBeforeSlackIsAsked(t *testing.T) {
	slack := fakeslack.New(fakeslack.Options{})
	id := slack.AddChannel(fakeslack.Channel{Name: "support"}).ID
	bubble(t, func(t *testing.T) {
		r := newRig(t, fmt.Sprintf(`rules:
  - {name: open, match: {}, channel: %s, continue: true}
  - {name: private, match: {}, channel: "#support", redact: [numbers]}`, id), "support")
		r.open()
		r.wire.Refuse(true)
		r.run()
		r.accept(aCall(1, ""))
		pass(10 * time.Second) // until it is routed
		r.wire.Refuse(false)
		if numberIn(r.only("support")) {
			t.Error("the number is shown")
		}
	})
}

// A transcript that is told later follows in the thread.
func TestATranscriptThatComesLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, `rules: [{name: all, match: {}, channel: "#support", transcript: thread}]`, "support").start()
		r.accept(aCall(1, ""))
		r.only("support")
		r.accept(privateCall(1, ""))
		pass(time.Minute)
		if n := len(r.slack.Posts("support")); n < 3 {
			t.Errorf("#support has %d messages, want the transcript after the call", n)
		}
	})
}
