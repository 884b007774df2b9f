package rules

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"allo-slack/allo"
)

var noon = time.Date(2024, 1, 15, 12, 0, 0, 0, time.UTC) // a Monday

func parse(t testing.TB, src string) *File {
	t.Helper()
	f, err := Parse("rules.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func event(t testing.TB, body string) *allo.Event {
	t.Helper()
	e, err := allo.Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return &e
}

// channels is where the event goes, in one line.
func channels(d Decision) string {
	var list []string
	for _, target := range d.Targets {
		list = append(list, target.Channel)
	}
	return strings.Join(list, " ")
}

// TestConditions asks one rule about one event.
func TestConditions(t *testing.T) {
	call := `{"topic":"CALL_RECEIVED","data":{"from_number":"+1 (415) 555-0199","from_name":"Ann","to_number":"0033123456789",` +
		`"original_to_number":"+33 1 99 99 99 99","type":"INBOUND","length_in_minutes":3.5,"tags":["Follow up later","VIP"],"result":"ANSWERED",` +
		`"start_date":"2024-01-13T23:30:00Z","user_email":"jo@example.com","summary":"wants a refund","plan":{"name":"gold","seats":5},"flag":true,` +
		`"transfer_to":{"number":"+15551234567"}}}`
	anonymous := `{"topic":"CALL_RECEIVED","data":{"from_number":"anonymous","to_number":"12345","type":"INBOUND","length_in_minutes":0}}`
	contact := `{"topic":"contact.created","data":{"name":"Ann","last_name":"Lee","company":"Acme","numbers":["+14155550199"],"emails":["a@example.com"]}}`
	text := `{"topic":"SMS_RECEIVED","data":{"direction":"OUTBOUND","content":"hello","from_number":"+33199999999","to_number":"+14155550199"}}`
	ringing := `{"topic":"call.received","data":{"from_number":"+14155550199","type":"INBOUND"}}`
	tagged := `{"topic":"tag.added","data":{"tag":"vip"}}`
	unknown := `{"topic":"VOICEMAIL_LEFT","data":{"id":"1"}}`
	rows := []struct {
		name, match, event string
		want               bool
	}{
		{"everything", `{}`, call, true},
		{"everything but what is only taken when named", `{}`, ringing, false},
		{"everything, of an unknown topic", `{}`, unknown, true},
		{"ping", `{}`, `{"topic":"PING"}`, false},

		{"topic", `{topic: CALL_RECEIVED}`, call, true},
		{"topic in the second generation's name", `{topic: call.completed}`, call, true},
		{"call.received is not CALL_RECEIVED", `{topic: CALL_RECEIVED}`, ringing, false},
		{"ringing, named", `{topic: call.received}`, ringing, true},
		{"ringing does not match a call that ended", `{topic: call.received}`, call, false},
		{"one of a list of topics", `{topic: [SMS_SENT, contact.created]}`, contact, true},
		{"none of a list of topics", `{topic: [SMS_SENT, SMS_RECEIVED]}`, contact, false},
		{"an outbound SMS_RECEIVED is SMS_SENT", `{topic: SMS_SENT}`, text, true},
		{"an outbound SMS_RECEIVED is no SMS_RECEIVED", `{topic: SMS_RECEIVED}`, text, false},

		{"tag, whatever its spelling", `{tag: follow_up-LATER}`, call, true},
		{"one of a list of tags", `{tag: [sales, vip]}`, call, true},
		{"no such tag", `{tag: sales}`, call, false},
		{"a tag of an event without", `{tag: vip}`, text, false},
		{"a tag alone does not name a topic", `{tag: vip}`, tagged, false},
		{"a tag and its topic", `{tag: vip, topic: tag.added}`, tagged, true},

		{"number, however typed", `{number: "+1.415.555.01-99"}`, call, true},
		{"number without quotes", `{number: +14155550199}`, call, true},
		{"a payload's 00 is a +", `{number: "+33 1 23 45 67 89"}`, call, true},
		{"the line dialled first", `{number: "+33199999999"}`, call, true},
		{"a contact's number", `{number: "+14155550199"}`, contact, true},
		{"one of a list of numbers", `{number: ["+4912345", "+14155550199"]}`, text, true},
		{"another number", `{number: "+14155550198"}`, call, false},
		{"the start of a number", `{number: "+1415555"}`, call, false},
		{"anonymous is no number", `{number: "+12345"}`, anonymous, false},

		{"all must hold", `{topic: CALL_RECEIVED, tag: vip, number: "+14155550199", if: minutes > 3}`, call, true},
		{"the topic does not", `{topic: SMS_SENT, tag: vip, number: "+14155550199", if: minutes > 3}`, call, false},
		{"the tag does not", `{topic: CALL_RECEIVED, tag: x, number: "+14155550199", if: minutes > 3}`, call, false},
		{"the number does not", `{topic: CALL_RECEIVED, tag: vip, number: "+14155550190", if: minutes > 3}`, call, false},
		{"the if does not", `{topic: CALL_RECEIVED, tag: vip, number: "+14155550199", if: minutes > 4}`, call, false},

		{"if: topic", `{if: topic == "CALL_RECEIVED"}`, call, true},
		{"if: a topic of the second generation", `{if: topic == "CONTACT_CREATED"}`, contact, true},
		{"if: a topic that is new", `{if: topic == "VOICEMAIL_LEFT"}`, unknown, true},
		{"if: names ringing", `{if: topic == "call.received"}`, ringing, true},
		{"if: names ringing in a list", `{if: 'topic in ["call.received", "call.answered"]'}`, ringing, true},
		{"if: names another", `{if: 'topic in ["tag.added", "call.answered"]'}`, ringing, false},
		{"if: holds without naming it", `{if: direction == "INBOUND"}`, ringing, false},
		{"if: says its name of something else", `{if: summary != "call.received"}`, ringing, false},
		{"if: direction", `{if: direction == "OUTBOUND"}`, text, true},
		{"if: tag and tags", `{if: 'tag == "Follow up later" and "VIP" in tags'}`, call, true},
		{"if: any", `{if: 'any(tags, lower(#) == "vip")'}`, call, true},
		{"if: from, to, line", `{if: from == "+14155550199" and to == "+33123456789" and line == "+33199999999"}`, call, true},
		{"if: from is what Allo wrote where it is no number", `{if: from == "anonymous" and to == "12345"}`, anonymous, true},
		{"if: our line of an outbound text", `{if: line == "+33199999999"}`, text, true},
		{"if: names", `{if: '"Ann" in names'}`, call, true},
		{"if: a contact's names", `{if: '"Ann Lee" in names'}`, contact, true},
		{"if: missed", `{if: missed}`, anonymous, true},
		{"if: not missed", `{if: not missed}`, call, true},
		{"if: transferred", `{if: transferred and result == "ANSWERED"}`, call, true},
		{"if: user, summary", `{if: user == "jo@example.com" and summary contains "refund"}`, call, true},
		{"if: text", `{if: text matches "^hel+o$"}`, text, true},
		{"if: data", `{if: data.plan.name == "gold" and data.plan.seats == 5 and data.flag}`, call, true},
		{"if: data that is not there", `{if: data.nothing}`, call, false},
		{"if: data that is not there, optional", `{if: data.nothing?.name == "x"}`, call, false},
		{"if: contact", `{if: contact.company == "Acme" and contact.last_name == "Lee" and "+14155550199" in contact.numbers}`, contact, true},
		{"if: weekday and hour in the file's timezone", `{if: weekday == "sunday" and hour == 0}`, call, true},
		{"if: weekday and hour of now", `{if: weekday == "monday" and hour in 13..14}`, contact, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f := parse(t, "timezone: Europe/Paris\nrules:\n  - name: it\n    match: "+row.match+"\n    channel: taken\n")
			e := event(t, row.event)
			d := f.Route(e, noon)
			if got := channels(d) == "#taken"; got != row.want || len(d.Errors) > 0 {
				t.Errorf("taken = %v, want %v; errors %v\n%s", got, row.want, d.Errors, f.Explain(e, noon))
			}
			agree(t, f, e)
		})
	}
}

// TestFlow asks several rules about one event.
func TestFlow(t *testing.T) {
	rows := []struct {
		name, rules, event string
		want               Decision
	}{
		{"the first that matches", `
default_channel: phone
rules:
  - {name: a, match: {tag: x}, channel: a}
  - {name: b, match: {topic: CALL_RECEIVED}, channel: ["#b", C0123ABCD]}
  - {name: c, match: {}, channel: c}`, `{"topic":"CALL_RECEIVED","data":{}}`,
			Decision{Targets: []Target{{"#b", "b", Options{}}, {"C0123ABCD", "b", Options{}}}, Matched: []string{"b"}}},
		{"default", `
default_channel: phone
rules: [{name: a, match: {tag: x}, channel: a}]`, `{"topic":"CALL_RECEIVED","data":{}}`,
			Decision{Targets: []Target{{"#phone", "", Options{}}}}},
		{"no default", `rules: [{name: a, match: {tag: x}, channel: a}]`, `{"topic":"CALL_RECEIVED","data":{}}`, Decision{}},
		{"default does not take what is only taken when named", `default_channel: phone`, `{"topic":"tag.added","data":{}}`, Decision{}},
		{"ping", `default_channel: phone`, `{"topic":"PING"}`, Decision{}},
		{"continue, and the first rule's options win, but for what others keep back", `
default_channel: phone
rules:
  - {name: a, match: {}, channel: [a, b], continue: true, recording: false}
  - {name: b, match: {tag: x}, channel: c, continue: true}
  - {name: c, match: {topic: CALL_RECEIVED}, channel: ["#b", d], redact: [cards, numbers, cards]}
  - {name: d, match: {}, channel: e}`, `{"topic":"CALL_RECEIVED","data":{}}`,
			Decision{Targets: []Target{
				{"#a", "a", Options{NoRecording: true}}, {"#b", "a", Options{NoRecording: true, Redact: []string{"cards", "numbers"}}}, {"#d", "c", Options{Redact: []string{"cards", "numbers"}}},
			}, Matched: []string{"a", "c"}}},
		{"continue as the last, and no default", `
default_channel: phone
rules: [{name: a, match: {}, channel: a, continue: true, recording: true, transcript: none}]`, `{"topic":"CALL_RECEIVED","data":{}}`,
			Decision{Targets: []Target{{"#a", "a", Options{}}}, Matched: []string{"a"}}},
		{"mute", `
default_channel: phone
rules:
  - {name: quiet, match: {topic: CONTACT_UPDATED}, mute: true}
  - {name: a, match: {}, channel: a}`, `{"topic":"CONTACT_UPDATED","data":{}}`,
			Decision{Muted: "quiet", Matched: []string{"quiet"}}},
		{"mute after continue", `
rules:
  - {name: a, match: {}, channel: a, continue: true}
  - {name: quiet, match: {topic: CONTACT_UPDATED}, mute: true}`, `{"topic":"CONTACT_UPDATED","data":{}}`,
			Decision{Targets: []Target{{"#a", "a", Options{}}}, Muted: "quiet", Matched: []string{"a", "quiet"}}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f := parse(t, row.rules)
			e := event(t, row.event)
			if diff := cmp.Diff(row.want, f.Route(e, noon)); diff != "" {
				t.Errorf("decision (-want +got)\n%s", diff)
			}
			agree(t, f, e)
		})
	}
}

// TestFailingIf holds that an `if` that fails is reported without the event's words, and the event goes on.
func TestFailingIf(t *testing.T) {
	f := parse(t, `
default_channel: phone
rules:
  - {name: no field, match: {if: data.words.name == "x"}, channel: a}
  - {name: no number, match: {if: int(data.words) > 3}, channel: a}
  - {name: text, match: {if: data.words}, channel: a}
  - {name: kinds, match: {if: data.words > 3}, channel: a}
  - {name: past the end, match: {if: 'tags[7] == "x"'}, channel: a}
  - {name: memory, match: {if: 'len(filter(data.list, true)) + len(1..1000 | filter(true)) > 3'}, channel: a}
`)
	list := strings.Repeat("1,", 5000) + "1"
	e := event(t, `{"topic":"CALL_RECEIVED","data":{"words":"my secret words","list":[`+list+`]}}`)
	d := f.Route(e, noon)
	if channels(d) != "#a" || d.Matched[0] != "memory" {
		t.Errorf("went to %q by %q, want #a by the one that holds", channels(d), d.Matched)
	}
	if len(d.Errors) != 5 {
		t.Errorf("%d errors, want 5: %v", len(d.Errors), d.Errors)
	}
	for _, err := range d.Errors {
		if text := err.Error(); strings.Contains(text, "secret") || !strings.HasPrefix(text, `rules.yaml:`) || !strings.Contains(text, ": rule ") {
			t.Errorf("error says %q", text)
		}
	}
	agree(t, f, e)
}

// TestOptionsJSON holds the keys under which options are kept.
func TestOptionsJSON(t *testing.T) {
	for want, o := range map[string]Options{
		`{}`: {},
		`{"redact":["numbers"],"no_recording":true,"mention":["owner"],"transcript":"thread"}`: {[]string{"numbers"}, true, []string{"owner"}, "thread"},
	} {
		got, err := json.Marshal(o)
		if err != nil || string(got) != want {
			t.Errorf("got %s, want %s (%v)", got, want, err)
		}
		var back Options
		if err := json.Unmarshal(got, &back); err != nil || !cmp.Equal(back, o) {
			t.Errorf("%s came back as %#v (%v)", got, back, err)
		}
	}
}

func TestChannels(t *testing.T) {
	f := parse(t, "default_channel: phone\nops_channel: \"#ops\"\nrules:\n"+
		"  - {name: a, match: {tag: a}, channel: [b, \"#a\", C0123ABCD]}\n  - {name: b, match: {tag: b}, channel: \"#b\"}\n")
	if diff := cmp.Diff([]string{"#b", "#a", "C0123ABCD", "#phone", "#ops"}, f.Channels()); diff != "" {
		t.Errorf("channels (-want +got)\n%s", diff)
	}
}

// TestStarter holds that the file one starts from is right, and takes Allo's own samples where people look for them.
func TestStarter(t *testing.T) {
	f, err := Load("../rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Warnings) > 0 || len(f.Tests) == 0 {
		t.Errorf("warnings %v, %d tests", f.Warnings, len(f.Tests))
	}
	for _, r := range f.RunTests() {
		if !r.OK() {
			t.Error(r)
		}
	}
	want := map[string]string{
		"call_received": "#support", "sms_received": "#texts", "sms_sent": "#texts", "contact_created": "#contacts", "contact_updated": "#contacts",
	}
	for name, body := range samples(t) {
		if got := channels(f.Route(event(t, body), noon)); got != want[name] {
			t.Errorf("%s goes to %q, want %q", name, got, want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("no sample for %v", want)
	}
}

func samples(t testing.TB) map[string]string {
	t.Helper()
	entries, err := allo.Samples.ReadDir("samples")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, entry := range entries {
		body, err := allo.Samples.ReadFile("samples/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(entry.Name(), ".json")] = string(body)
	}
	return all
}

func TestLoadMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.yaml")
	_, err := Load(path)
	var problems Problems
	if !errors.As(err, &problems) || len(problems) != 1 {
		t.Fatalf("error is %#v", err)
	}
	want := path + ": there is no such file; create it, or set RULES_FILE to where the rules are"
	if err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a folder: %v", err)
	}
}
