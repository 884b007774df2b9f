package notify

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const billingByTag = `default_channel: "#phone"
rules:
  - {name: billing, match: {topic: CALL_RECEIVED, tag: billing}, channel: "#billing"}`

// tagEvent is one of the second generation.
func tagEvent(topic string, n int, tag string, second int) string {
	return fmt.Sprintf(`{"topic":%q,"version":"2.0","timestamp":"2000-01-01T00:00:%02dZ","data":{"id":"call-%d","tag":{"name":%q}}}`, topic, second, n, tag)
}

func TestATagThatComesLater(t *testing.T) {
	for name, events := range map[string][]string{
		"after the call":        {aCall(1, ""), tagEvent("tag.added", 1, "Billing", 1)},
		"before the call":       {tagEvent("tag.added", 1, "Billing", 1), aCall(1, "")},
		"told again with it":    {aCall(1, ""), aCall(1, "billing")},
		"told three times":      {aCall(1, ""), aCall(1, "billing"), aCall(1, "")},
		"repeated":              {aCall(1, ""), tagEvent("tag.added", 1, "Billing", 1), tagEvent("tag.added", 1, "Billing", 1)},
		"removed and added":     {aCall(1, ""), tagEvent("tag.added", 1, "Billing", 1), tagEvent("tag.removed", 1, "Billing", 2), tagEvent("tag.added", 1, "Billing", 3)},
		"the call is repeated":  {aCall(1, ""), tagEvent("tag.added", 1, "Billing", 1), aCall(1, "")},
		"a tag of another call": {aCall(1, ""), tagEvent("tag.added", 2, "other", 1), tagEvent("tag.added", 1, "Billing", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, billingByTag, "phone", "billing").start()
				for _, e := range events {
					r.accept(e)
					pass(3 * time.Second)
				}
				billing := r.posted("billing", 1)
				if !strings.Contains(strings.ToLower(billing[0].Text), "tag billing") {
					t.Errorf("#billing: %s; want it to say the tag", billing[0].Text)
				}
				phone := r.slack.Posts("phone")
				if name == "before the call" {
					if len(phone) != 0 {
						t.Errorf("#phone shows %d messages, want none: the tag was known", len(phone))
					}
					return
				}
				if len(phone) != 1 || !phone[0].Edited || !strings.Contains(strings.ToLower(phone[0].Text), "tag billing") {
					t.Errorf("#phone: %+v; want its one message to say the tag now", phone)
				}
			})
		})
	}
}

func TestASummaryThatComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, billingByTag, "phone", "billing").start()
		r.accept(aCall(1, ""))
		r.posted("phone", 1)
		r.accept(`{"topic":"summary.updated","version":"2.0","timestamp":"2000-01-01T00:00:05Z","data":{"id":"call-1","summary":"They asked for case 7 and got it."}}`)
		pass(5 * time.Second)
		if p := r.slack.Posts("phone")[0]; !p.Edited || !strings.Contains(p.Text, "got it") {
			t.Errorf("the message says %s", p.Text)
		}
		if got := r.count("allo_slack_events_total", "unrouted"); got != 1 {
			t.Errorf("unrouted = %v, want 1: no rule names summary.updated, and default_channel never takes it", got)
		}
	})
}

func TestATagRemovedIsGoneFromTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		r.accept(aCall(1, "billing"))
		r.posted("support", 1)
		r.accept(tagEvent("tag.removed", 1, "Billing", 1))
		pass(5 * time.Second)
		if p := r.slack.Posts("support")[0]; !p.Edited || strings.Contains(p.Text, "billing") {
			t.Errorf("edited %v: %s", p.Edited, p.Text)
		}
	})
}

func TestBothGenerationsOfACallArePostedOnce(t *testing.T) {
	second := strings.NewReplacer(`"CALL_RECEIVED"`, `"call.completed","version":"2.0","timestamp":"2000-01-01T00:03:00Z"`, `"from_number"`, `"from"`, `"start_date"`, `"started_at"`).Replace(aCall(1, ""))
	for _, order := range [][]string{{aCall(1, ""), second}, {second, aCall(1, "")}} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, toSupport, "support").start()
			for _, e := range order {
				r.accept(e)
				pass(3 * time.Second)
			}
			if p := r.posted("support", 1)[0]; p.Edited {
				t.Errorf("the message was changed, though nothing is new: %s", p.Text)
			}
		})
	}
}

func TestARecoveredCallSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		for range 3 {
			e := r.event(aCall(1, ""))
			if _, err := r.bot.Recover(t.Context(), &e); err != nil {
				t.Fatal(err)
			}
		}
		if !r.accept(aCall(1, "")) {
			t.Error("the event that came after all was not taken for a repeat")
		}
		if p := r.posted("support", 1)[0]; !strings.Contains(p.Text, "recovered") {
			t.Errorf("the message doesn't say so: %s", p.Text)
		}
	})
}
