package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"allo-slack/allo"
)

// agree holds that Explain tells what Route does, rule by rule.
func agree(t testing.TB, f *File, e *allo.Event) {
	t.Helper()
	d, x := f.Route(e, noon), f.Explain(e, noon)
	if diff := cmp.Diff(d, x.Decision, cmp.Comparer(func(a, b error) bool { return a.Error() == b.Error() }), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("Route and Explain differ (-route +explain)\n%s", diff)
	}
	if len(x.Steps) != len(f.Rules) {
		t.Fatalf("%d steps of %d rules", len(x.Steps), len(f.Rules))
	}
	var matched []string
	var by []Target
	over := e.Topic == allo.Ping
	for i, s := range x.Steps {
		if s.Rule != f.Rules[i] || s.Why == "" || s.Matched && !s.Asked || s.Asked == over {
			t.Fatalf("step %d is %+v after the event was taken for good: %v", i, s, over)
		}
		if !s.Matched {
			continue
		}
		matched = append(matched, s.Rule.Name)
		for _, channel := range s.Rule.Channels {
			at := slices.IndexFunc(by, func(have Target) bool { return have.Channel == channel })
			if at < 0 {
				by = append(by, Target{channel, s.Rule.Name, s.Rule.Options})
				continue
			}
			have := &by[at].Options
			have.NoRecording = have.NoRecording || s.Rule.Options.NoRecording
			for _, what := range s.Rule.Options.Redact {
				if !slices.Contains(have.Redact, what) {
					have.Redact = append(slices.Clone(have.Redact), what)
				}
			}
		}
		over = !s.Rule.Continue
	}
	if len(matched) == 0 && e.Topic != allo.Ping && f.DefaultChannel != "" && !e.Topic.OnlyWhenNamed() {
		by = append(by, Target{Channel: f.DefaultChannel})
	}
	if !cmp.Equal(matched, d.Matched, cmpopts.EquateEmpty()) || !cmp.Equal(by, d.Targets, cmpopts.EquateEmpty()) {
		t.Fatalf("steps say %v to %v, Route says %v to %v", matched, by, d.Matched, d.Targets)
	}
	if x.String() == "" {
		t.Fatal("nothing explained")
	}
}

// TestAgree makes up files and events, and compares Route with Explain, and reach with what is reached.
func TestAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	some := func(list ...string) string {
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		return "[" + strings.Join(list[:1+r.IntN(len(list))], ", ") + "]"
	}
	conditions := func() string {
		var all []string
		if r.IntN(2) == 0 {
			all = append(all, "topic: "+some("CALL_RECEIVED", "SMS_SENT", "SMS_RECEIVED", "call.received", "tag.added"))
		}
		if r.IntN(3) == 0 {
			all = append(all, "tag: "+some("a", "b", "c"))
		}
		if r.IntN(3) == 0 {
			all = append(all, "number: "+some(`"+14155550199"`, `"+33123456789"`))
		}
		if r.IntN(3) == 0 {
			all = append(all, "if: '"+pick(`missed`, `minutes > 2`, `minutes > 2 and missed`, `topic == "call.received"`, `topic == "tag.added" and minutes > 2`, `data.x.y == 1`)+"'")
		}
		return "{" + strings.Join(all, ", ") + "}"
	}
	var events []*allo.Event
	for range 40 {
		events = append(events, event(t, fmt.Sprintf(
			`{"topic":%q,"data":{"from_number":%q,"type":%q,"tags":%s,"length_in_minutes":%d,"x":%s}}`,
			pick("CALL_RECEIVED", "SMS_SENT", "SMS_RECEIVED", "call.received", "tag.added", "PING", "NEW"), pick("+14155550199", "+33123456789", "anonymous"),
			pick("INBOUND", "OUTBOUND"), strings.NewReplacer("a", `"a"`, "b", `"b"`, "c", `"c"`).Replace(some("a", "b", "c")), r.IntN(5), pick("1", "null", `{"y":1}`))))
	}
	accepted, refused := 0, 0
	for range 600 {
		var rules []string
		for i := range 1 + r.IntN(5) {
			does := "channel: " + some("x", "y", "z")
			switch r.IntN(4) {
			case 0:
				does += ", continue: true"
			case 1:
				does = "mute: true"
			}
			rules = append(rules, fmt.Sprintf("  - {name: r%d, match: %s, %s}\n", i, conditions(), does))
		}
		src := "default_channel: phone\nrules:\n" + strings.Join(rules, "")
		f, err := Parse("rules.yaml", []byte(src))
		if err != nil {
			if !strings.Contains(err.Error(), "is never reached") {
				t.Fatalf("%v\n%s", err, src)
			}
			refused++
			unreached(t, src, rules, err.(Problems), events)
			continue
		}
		accepted++
		for _, e := range events {
			agree(t, f, e)
		}
	}
	if accepted < 100 || refused < 100 {
		t.Errorf("%d files accepted, %d refused: the made-up files are too much of a kind", accepted, refused)
	}
}

// unreached holds that a rule that was called unreachable takes no event that gets past the rule that was named: it
// builds the file of these two alone, with a harmless rule between them that makes the text differ.
func unreached(t *testing.T, src string, rules []string, problems Problems, events []*allo.Event) {
	t.Helper()
	for _, p := range problems {
		later := rules[p.Line-3]
		var name, earlierName string
		var line int
		if _, err := fmt.Sscanf(p.Text, "rule %q is never reached: rule %q (line %d)", &name, &earlierName, &line); err != nil {
			t.Fatalf("%q: %v", p.Text, err)
		}
		first, second := parse(t, "rules:\n"+rules[line-3]), parse(t, "rules:\n"+later)
		for _, e := range events {
			if len(second.Route(e, noon).Matched) > 0 && len(first.Route(e, noon).Matched) == 0 {
				t.Fatalf("%s\nyet it takes %s\n%s", p, e.Raw, src)
			}
		}
	}
}

// TestExplainWords holds the words of an explanation.
func TestExplainWords(t *testing.T) {
	f := parse(t, `
default_channel: phone
rules:
  - {name: texts, match: {topic: [SMS_RECEIVED, SMS_SENT]}, channel: texts}
  - {name: vip, match: {tag: [vip, Big Deal]}, channel: vip}
  - {name: line, match: {number: "+1 415 555 0199"}, channel: line}
  - {name: long, match: {if: minutes > 10 and data.plan == "gold"}, channel: long}
  - {name: broken, match: {if: data.plan.name == "x"}, channel: broken}
  - {name: all calls, match: {topic: CALL_RECEIVED}, channel: calls, continue: true}
  - {name: quiet, match: {if: not missed}, mute: true}
  - {name: last, match: {}, channel: last}
`)
	x := f.Explain(event(t, `{"topic":"call.completed","data":{"from":"+33123456789","direction":"INBOUND","length_in_minutes":3,"tag":"support","plan":"free"}}`), noon)
	want := `no   texts (line 4): topic is CALL_RECEIVED, not SMS_RECEIVED or SMS_SENT
no   vip (line 5): tag is "support", not vip or Big Deal
no   line (line 6): numbers are "+33123456789", not +14155550199
no   long (line 7): if is false: minutes > 10 and data.plan == "gold"; minutes is 3; data.plan is "free"
no   broken (line 8): if failed: it takes a text, or something else, for a number or for a thing with fields
yes  all calls (line 9): matched: #calls; the rules below are asked too
yes  quiet (line 10): matched: muted
-    last (line 11): not asked: rule "quiet" took the event
goes to #calls: muted by rule "quiet", kept`
	if diff := cmp.Diff(want, x.String()); diff != "" {
		t.Errorf("explanation (-want +got)\n%s", diff)
	}
}
