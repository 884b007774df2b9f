package notify

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"allo-slack/allo"
	"allo-slack/format"
	"allo-slack/outbox"
	"allo-slack/rules"
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

// tellings is how many things are said of a call by told.
const tellings = 6

// tellingRules send what told says to three channels. What one of the tags leads to keeps numbers back.
const tellingRules = `rules:
  - {name: a, match: {topic: CALL_RECEIVED, tag: a}, channel: "#a", continue: true}
  - {name: b, match: {topic: CALL_RECEIVED, tag: b}, channel: "#b", continue: true}
  - {name: private, match: {topic: CALL_RECEIVED, tag: a}, channel: "#home", redact: [numbers], continue: true}
  - {name: home, match: {topic: CALL_RECEIVED, tag: home}, channel: "#home"}`

// told is what is said of call n, in the order of i. removed is the tag that is removed.
func told(n, i int, removed string) string {
	call := func(more string) string {
		return fmt.Sprintf(`"started_at":"2000-01-01T00:00:00Z","direction":"INBOUND","result":"ANSWERED","length_in_minutes":2,"from_number":%q,"from_name":"case %d","to_number":%q,%s`,
			customerNo, n, ourNo, more)
	}
	said := [tellings]struct{ topic, data string }{
		{"call.completed", call(`"tags":["home"],"one_sentence_summary":"the first words"`)},
		{"tag.added", `"tag":{"name":"a"}`},
		{"tag.removed", `"tag":{"name":"` + removed + `"}`},
		{"summary.updated", `"summary":"an early summary","one_sentence_summary":"early words"`},
		{"summary.updated", `"summary":"the last summary"`},
		{"call.completed", call(`"tags":["b"],"user_email":"ada@example.com","data_collected":{"reason":"a refund"}`)},
	}[i]
	return fmt.Sprintf(`{"topic":%q,"version":"2.0","timestamp":"2000-01-01T00:00:%02dZ","data":{"id":"call-%d",%s}}`, said.topic, i, n, said.data)
}

// permutations are all orders of 0 to n-1.
func permutations(n int) [][]int {
	all := [][]int{nil}
	for i := range n {
		var more [][]int
		for _, p := range all {
			for at := range i + 1 {
				more = append(more, slices.Insert(slices.Clone(p), at, i))
			}
		}
		all = more
	}
	return all
}

// In whatever order Allo's events about a call come in, what is known of it in the end is the same, and so are the channels
// that it was to go to, and what is kept back there.
func TestAnyOrderEndsTheSame(t *testing.T) {
	file := parseRules(t, tellingRules)
	r := router{rules: func() *rules.File { return file }, metrics: NewMetrics(prometheus.NewRegistry()), log: slog.New(slog.DiscardHandler)}
	for _, removed := range []string{"a", "b"} {
		want := ""
		for _, order := range permutations(tellings) {
			var s story
			var targets []rules.Target
			ask := func(states []allo.Event) {
				for _, target := range r.ask(t.Context(), outbox.Event{}, states).targets {
					targets = rules.Add(targets, target)
				}
			}
			for at, i := range order {
				e, err := allo.Parse([]byte(told(1, i, removed)))
				if err != nil {
					t.Fatal(err)
				}
				e.Said, e.Order = e.Sent, int64(at+1)
				if s.first == nil && e.Topic == allo.CallReceived {
					s.first, s.event = &outbox.Event{}, e
					ask(s.states())
					continue
				}
				s.later = append(s.later, e)
				if s.first != nil {
					states, _, _ := s.statesBy([]allo.Event{e})
					ask(states)
				}
			}
			slices.SortFunc(targets, func(a, b rules.Target) int { return strings.Compare(a.Channel, b.Channel) })
			got := ""
			for _, target := range targets {
				got += fmt.Sprint(target.Channel, target.Options.Redact)
			}
			message := format.Event(format.Item{Event: s.known()})
			blocks, err := json.Marshal(message.Blocks)
			if err != nil {
				t.Fatal(err)
			}
			got += message.Text + string(blocks)
			if want == "" {
				want = got
			}
			if got != want {
				t.Errorf("%s removed, in the order %v: %s\nunlike\n%s", removed, order, got, want)
			}
		}
		for _, words := range []string{"#a[]#b[]#home[numbers]", "early words", "the last summary", "a refund", "ada@example.com"} {
			if !strings.Contains(want, words) {
				t.Errorf("%s removed: want %q in %s", removed, words, want)
			}
		}
	}
}

// The same in Slack, through a crash after any of the events. Some of the orders are drawn, as all of them take minutes.
func TestAnyOrderThroughACrash(t *testing.T) {
	const calls = 4 // at once; more would be told in a digest
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	orders := permutations(tellings)
	var mu sync.Mutex
	want := map[string]string{} // what the channels show
	for step := range tellings {
		when := []string{"before it is routed", "once it is routed", "once it is posted"}[random.IntN(3)]
		drawn := make([][]int, calls)
		for i := range drawn {
			drawn[i] = orders[random.IntN(len(orders))]
		}
		slow := random.IntN(2) == 0
		bubbleIn(t, fmt.Sprintf("seed %d, at %d, %s", seed, step+1, when), func(t *testing.T) {
			r := newRig(t, tellingRules, "home", "a", "b").start()
			tell := func(step int) {
				var all sync.WaitGroup
				for n, order := range drawn {
					all.Go(func() { r.accept(told(n, order[step], "a")) })
				}
				all.Wait()
			}
			for at := range tellings {
				if at == step && when == "before it is routed" {
					r.stop()
					r.open()
				}
				tell(at)
				switch {
				case slow, at == step && when == "once it is posted":
					pass(10 * time.Second)
				default:
					synctest.Wait()
				}
				if at == step {
					r.crash()
					r.start()
				}
			}
			pass(2 * time.Minute)
			for _, channel := range []string{"home", "a", "b"} {
				if cases := slices.Sorted(slices.Values(r.cases(channel))); !slices.Equal(cases, []int{0, 1, 2, 3}) {
					t.Errorf("#%s shows %v of those told in the orders %v, want each once", channel, cases, drawn)
				}
				for _, post := range r.slack.Posts(channel) {
					says := caseNo.ReplaceAllString(post.Text+"\n"+string(post.Blocks), "case N")
					mu.Lock()
					if want[channel] == "" {
						want[channel] = says
					}
					if says != want[channel] || len(casesOf(post)) != 1 {
						t.Errorf("#%s, told in the order %v: %s\nunlike\n%s", channel, drawn[casesOf(post)[0]], says, want[channel])
					}
					mu.Unlock()
				}
			}
			if strings.Contains(want["home"], "0123") || !strings.Contains(want["a"], "0123") {
				t.Errorf("#home is to keep the number back, and #a not: %s", want)
			}
			r.polite()
		})
	}
}
