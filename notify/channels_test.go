package notify

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"allo-slack/fakeslack"
)

func TestANameThatSlackDoesNotKnow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, byTag, "a").start()
		r.calls("b", 1, 3)
		r.calls("a", 9, 9)
		r.wantCases("a", 9, 9, time.Second)
		pass(10 * time.Minute)
		if n := len(r.slack.Calls("conversations.list")); n > 15 {
			t.Errorf("the channels were listed %d times in 10 minutes, want about one a minute", n)
		}
		if failed, err := r.store.Failed(t.Context(), time.Time{}, 10); err != nil || len(failed) != 3 || failed[0].Aside || failed[0].Channel != "#b" ||
			!strings.HasPrefix(failed[0].Reason, "channel_not_found") {
			t.Errorf("got %+v, %v, want the three that wait, and why", failed, err)
		}
		r.slack.AddChannel(fakeslack.Channel{Name: "b"})
		r.wantCases("b", 1, 3, 65*time.Second)
		r.calls("b", 4, 4)
		r.wantCases("b", 1, 4, 2*time.Second)
		r.polite()
	})
}

// A channel that was replaced by another of its name: what waits goes there.
func TestASuccessor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		r.calls("", 1, 1)
		r.wantCases("support", 1, 1, time.Second)
		r.slack.SetChannel("support", func(c *fakeslack.Channel) { c.Name, c.Archived = "support-old", true })
		r.calls("", 2, 4)
		pass(10 * time.Second)
		r.slack.AddChannel(fakeslack.Channel{Name: "support"})
		r.wantCases("support", 2, 4, 65*time.Second)
		r.calls("", 5, 5)
		r.wantCases("support", 2, 5, 2*time.Second)
		r.exactly("support-old", 1, 1)
		if troubles, err := r.store.Troubles(t.Context()); err != nil || len(troubles) != 0 {
			t.Errorf("the store still tells of %+v (%v)", troubles, err)
		}
	})
}

// One channel by its name and by its id is one channel: one worker, one pace, and each event once.
func TestTwoNamesForOneChannel(t *testing.T) {
	slack := fakeslack.New(fakeslack.Options{})
	id := slack.AddChannel(fakeslack.Channel{Name: "support"}).ID
	text := fmt.Sprintf(`rules: [{name: both, match: {}, channel: ["#support", %s]}]`, id)
	for _, running := range []bool{true, false} {
		t.Run(fmt.Sprint("running ", running), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, text, "support")
				r.open()
				if running {
					r.run()
					pass(time.Minute)
				}
				r.calls("", 1, 12)
				if !running {
					r.run()
				}
				r.wantCases("support", 1, 12, 15*time.Second)
				r.calls("", 13, 14)
				r.wantCases("support", 1, 14, 5*time.Second)
				pass(10 * time.Second)
				r.exactly("support", 1, 14)
				r.gaps("support")
				r.polite()
				if got := r.count("allo_slack_deliveries_waiting", ""); got != 0 {
					t.Errorf("%v still wait", got)
				}
			})
		})
	}
}

// A channel that is renamed in Slack stays the one that it was.
func TestARenamedChannel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		r.calls("", 1, 1)
		r.wantCases("support", 1, 1, time.Second)
		r.slack.SetChannel("support", func(c *fakeslack.Channel) { c.Name = "help" })
		r.calls("", 2, 2)
		r.wantCases("help", 1, 2, 5*time.Second)
		r.stop()
		r.start()
		r.calls("", 3, 4)
		r.wantCases("help", 1, 4, 5*time.Second)
	})
}

// The first start with many channels: the bot joins them at the pace that Slack asks for.
func TestManyChannels(t *testing.T) {
	bubble(t, func(t *testing.T) {
		text, channels := manyChannels(120)
		r := newRig(t, text, channels...).start()
		for i, name := range channels {
			r.accept(aCall(i, name))
		}
		pass(6 * time.Minute)
		for i, name := range channels {
			r.exactly(name, i, i)
		}
		r.polite()
	})
}

// manyChannels are rules that send calls by their tag to one of many channels, whose names are returned.
func manyChannels(many int) (text string, channels []string) {
	text = "rules:\n"
	for i := range many {
		channels = append(channels, fmt.Sprint("c", i))
		text += fmt.Sprintf("  - {name: c%d, match: {tag: c%d}, channel: \"#c%d\"}\n", i, i, i)
	}
	return text, channels
}
