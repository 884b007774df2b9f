package rules

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestAccepted holds what may look odd and is right.
func TestAccepted(t *testing.T) {
	for name, src := range map[string]string{
		"only a default":                    "default_channel: phone\n",
		"a mark at the start":               "\ufeffdefault_channel: phone\n",
		"lines of Windows":                  "default_channel: phone\r\nrules:\r\n  - name: a\r\n    match: {}\r\n    channel: b\r\n",
		"a leading ---":                     "# hello\n---\ndefault_channel: phone\n",
		"a last ...":                        "default_channel: phone\n...\n",
		"no line break at end":              "default_channel: phone",
		"other alphabets":                   "default_channel: \"#café-東京\"\n",
		"aliases":                           "default_channel: &p phone\nops_channel: *p\nrules:\n  - {name: a, match: &m {tag: [a]}, channel: &c [x, y], redact: &r [cards]}\n  - {name: b, match: {tag: b}, channel: *c, redact: *r}\n",
		"an if over lines":                  "rules:\n  - name: a\n    match:\n      if: >\n        missed or\n        minutes > 3\n    channel: a\n",
		"true is an if":                     "rules:\n  - {name: a, match: {if: true}, channel: a}\n",
		"a rule before match all":           "rules:\n  - {name: a, match: {}, channel: a, continue: true}\n  - {name: b, match: {}, channel: b}\n",
		"what only if names":                "rules:\n  - {name: a, match: {}, channel: a}\n  - {name: b, match: {if: topic == \"tag.added\"}, channel: b}\n  - {name: c, match: {topic: call.answered}, channel: c}\n",
		"a wider list below":                "rules:\n  - {name: a, match: {tag: [a, b]}, channel: a}\n  - {name: b, match: {tag: [a, c]}, channel: b}\n",
		"lists in the column of their keys": "rules:\n" + manyLists(3000),
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Parse("rules.yaml", []byte(src))
			if err != nil {
				t.Fatal(err)
			}
			if len(f.Warnings) > 0 {
				t.Errorf("warnings: %v", f.Warnings)
			}
		})
	}
}

// manyLists is n rules whose lists start in the column of their keys.
func manyLists(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "- name: rule %d\n  match:\n    tag:\n    - tag %d\n  channel:\n  - a\n", i, i)
	}
	return b.String()
}

func TestWarnings(t *testing.T) {
	f := parse(t, `
rules:
  - {name: a, match: {number: ["+1234567890", "+14155550199"]}, channel: a}
  - {name: b, match: {if: topic == "CALL_RECIEVED"}, channel: b}
`)
	want := []string{
		"rules.yaml:3:32: warning: number +1234567890 is not possible in any country; the rule is kept\n" +
			"      - {name: a, match: {number: [\"+1234567890\", \"+14155550199\"]}, channel: a}\n" +
			"                                   ^",
		"rules.yaml:4:36: warning: if: topic \"CALL_RECIEVED\" is not known to this version (did you mean \"CALL_RECEIVED\"?)\n" +
			"      - {name: b, match: {if: topic == \"CALL_RECIEVED\"}, channel: b}\n" +
			"                                       ^",
	}
	var got []string
	for _, w := range f.Warnings {
		got = append(got, w.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got)\n%s", diff)
	}
}

// TestRules holds what a rule becomes.
func TestRules(t *testing.T) {
	f := parse(t, `timezone: Europe/Paris
default_channel: phone
ops_channel: C0123ABCD
rules:
  - name: " Calls "
    match: {}
    channel: ["#b", c]
    continue: true
    redact: [numbers, emails, cards]
    recording: false
    transcript: none
`)
	if f.Name != "rules.yaml" || f.Zone.String() != "Europe/Paris" || f.DefaultChannel != "#phone" || f.OpsChannel != "C0123ABCD" {
		t.Errorf("file is %+v", f)
	}
	got := *f.Rules[0]
	got.match, got.at = match{}, nil
	want := Rule{Name: "Calls", Line: 5, Channels: []string{"#b", "#c"}, Continue: true,
		Options: Options{Redact: []string{"numbers", "emails", "cards"}, NoRecording: true}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("rule is %+v, want %+v", got, want)
	}
}

// TestHuge holds that no text of the allowed size crashes the parser or takes it long.
func TestHuge(t *testing.T) {
	for name, line := range map[string]string{
		"lists in lists": "[\n", "mappings in mappings": "{a: \n", "entries": "- ", "questions": "? ", "colons": "a: ", "tags": "!a ",
		"tags on lines": "!a\n", "anchors": "&a ", "anchors on lines": "&a\n", "documents": "--- a\n", "ends": "...\n", "merges": "<<: *a\n",
		"questions on lines": "? \n", "directives": "%YAML 1.2\n", "tabs": "\t\n", "empty lines": "\n", "quotes": "\"a\"\n", "one line": "a",
		"aliases": "- *a\n", "unknown keys": "abc: d\n", "nothing": "- \n",
	} {
		t.Run(name, func(t *testing.T) {
			src := []byte(strings.Repeat(line, (512<<10)/len(line)))
			done := make(chan error, 1)
			go func() {
				_, err := Parse("rules.yaml", src)
				done <- err
			}()
			select {
			case err := <-done:
				if err == nil {
					t.Fatal("accepted")
				}
				checkPositions(t, src, err)
			case <-time.After(time.Minute):
				t.Fatal("still reading after a minute")
			}
		})
	}
	if _, err := Parse("rules.yaml", make([]byte, maxBytes+1)); err == nil || err.Error() != "rules.yaml: the file is larger than 4 MiB" {
		t.Errorf("too large: %v", err)
	}
}

// TestManyMistakes holds that a file of mistakes is told in bounds.
func TestManyMistakes(t *testing.T) {
	_, err := Parse("rules.yaml", []byte("rules:\n"+strings.Repeat("  - {}\n", 3000)))
	problems, ok := err.(Problems)
	if !ok || len(problems) != maxKept+1 {
		t.Fatalf("%d problems (%T)", len(problems), err)
	}
	if last := problems[maxKept].String(); last != "rules.yaml: and 8000 more mistakes" {
		t.Errorf("last: %s", last)
	}
	if lines := strings.Split(err.Error(), "\n"); lines[len(lines)-1] != "and 901 more" {
		t.Errorf("last line: %s", lines[len(lines)-1])
	}
}

// TestOwnTests holds how the tests of a file come out.
func TestOwnTests(t *testing.T) {
	f := parse(t, `
timezone: America/New_York
default_channel: phone
rules:
  - {name: billing, match: {topic: CALL_RECEIVED, tag: [billing, refunds], if: minutes > 2 and direction == "INBOUND"}, channel: billing}
  - {name: line, match: {number: "+1 415 555 0199"}, channel: line}
  - {name: voicemail, match: {if: missed and result == "VOICEMAIL" and "Ann" in names}, channel: voicemail}
  - {name: contact, match: {if: contact.name == "Ann" and data.score == 5}, channel: contact}
  - {name: text, match: {if: text contains "hello" and user == "jo@example.com"}, channel: [text, all]}
  - {name: new, match: {if: topic == "CALL_RECEIVEDX"}, channel: new}
  - {name: noon, match: {if: weekday == "monday" and hour == 12 and summary == "noon"}, channel: noon}
  - {name: night, match: {if: hour == 3}, channel: night}
  - {name: quiet, match: {tag: quiet}, mute: true}
  - {name: fails, match: {tag: boom, if: data.a.b == 1}, channel: fails}
tests:
  - {name: no 1, event: {topic: CALL_RECEIVED, tag: refunds, minutes: 3}, expect: ["#billing"]}
  - {name: no 2, event: {topic: call.completed, tags: [a, Billing], minutes: 3, direction: outbound}, expect: [phone]}
  - {name: no 3, event: {topic: CALL_RECEIVED, line: "+14155550199"}, expect: line}
  - {name: no 4, event: {topic: CALL_RECEIVED, from: +14155550199}, expect: line}
  - {name: no 5, event: {topic: SMS_SENT, to: "+1 415 555 0199"}, expect: line}
  - {name: no 6, event: {topic: CALL_RECEIVED, result: voicemail, name: Ann, from: anonymous}, expect: voicemail}
  - {name: no 7, event: {topic: CONTACT_UPDATED, name: Ann, data: {score: 5}}, expect: contact}
  - {name: no 8, event: {topic: SMS_RECEIVED, text: oh hello, user: jo@example.com}, expect: ["#all", text]}
  - {name: no 9, event: {topic: CALL_RECEIVEDX}, expect: new}
  - {name: no 10, event: {topic: CALL_RECEIVED, summary: noon}, expect: noon}
  - {name: no 11, event: {topic: CALL_RECEIVED, at: 2024-01-15T08:30:00Z}, expect: night}
  - {name: no 12, event: {topic: CALL_RECEIVED, tag: quiet}, expect: []}
  - {name: no 13, event: {topic: tag.added}, expect: []}
  - {name: wrong, event: {topic: SMS_SENT, tag: x}, expect: [text, "#all"]}
  - {name: fails, event: {topic: CALL_RECEIVED, tag: boom, data: {a: x}}, expect: phone}
`[1:])
	results := f.RunTests()
	if len(results) != 15 {
		t.Fatalf("%d results", len(results))
	}
	for _, r := range results[:13] {
		if !r.OK() {
			t.Error(r)
		}
	}
	for i, want := range []string{
		`rules.yaml:28:5: test "wrong": expected ["#text", "#all"], got ["#phone"]`,
		`rules.yaml:29:5: test "fails": expected ["#phone"], got ["#phone"]; rules.yaml:13: rule "fails": if: it takes a text, or something else, for a number or for a thing with fields`,
	} {
		if r := results[13+i]; r.OK() || r.String() != want {
			t.Errorf("got  %s\nwant %s", r, want)
		}
	}
	p := results[13].Problem()
	want := Problem{File: "rules.yaml", Line: 28, Column: 5, Text: `test "wrong": expected ["#text", "#all"], got ["#phone"]`,
		Source: `  - {name: wrong, event: {topic: SMS_SENT, tag: x}, expect: [text, "#all"]}`}
	if p != want {
		t.Errorf("problem is %#v, want %#v", p, want)
	}
}

func TestRuleNumber(t *testing.T) {
	for written, want := range map[string]string{
		"+1 (415) 555-0199": "+14155550199", " +33.1.23/45-67\u00a089 ": "+33123456789", "+123": "+123", "+123456789012345": "+123456789012345",
		"+12": "", "+1234567890123456": "", "14155550199": "", "0033123456789": "", "": "", "+": "", "+1-800-FLOWERS": "", "++123": "", "+44 (0)20 7946": "", "(+1) 415": "",
	} {
		got, err := ruleNumber(written)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("ruleNumber(%q) = %q, %v; want %q", written, got, err, want)
		}
	}
	for written, want := range map[string]string{
		"+1 (415) 555-0199": "+14155550199", "0033 123456789": "+33123456789", "+0987654321": "+0987654321",
		"anonymous": "", "12345": "", "ACME": "", "": "", "+": "", "00": "", "+1 ACME": "", "4155550199": "",
	} {
		if got, ok := eventNumber(written); got != want || ok != (want != "") {
			t.Errorf("eventNumber(%q) = %q, %v; want %q", written, got, ok, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, row := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"channel", "chanel", 1}, {"match", "macth", 1}, {"kitten", "sitting", 3}, {"é", "e", 1}} {
		if got := distance(row.a, row.b); got != row.want {
			t.Errorf("distance(%q, %q) = %d, want %d", row.a, row.b, got, row.want)
		}
	}
}

// FuzzParse holds that no text crashes Parse, that problems point at places that exist, and that a file that is
// accepted routes and explains alike.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/broken/*.yaml", "../rules.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("nothing at %s: %v", pattern, err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	f.Add(manyRules(8))
	f.Add(onlyIf(3))
	f.Add(onlyLoops(3))
	f.Add([]byte("rules:\n  - {name: a, match: {if: 'any(tags, # == tag) and data.plan?.name in [1..3]'}, channel: a}\n"))
	all := samples(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		file, err := Parse("rules.yaml", src)
		if err != nil {
			checkPositions(t, src, err)
			return
		}
		for _, w := range file.Warnings {
			if w.Line < 1 || !w.Warning {
				t.Errorf("warning %#v", w)
			}
		}
		for _, body := range all {
			agree(t, file, event(t, body))
		}
		for _, r := range file.RunTests() {
			if r.String() == "" {
				t.Error("a test says nothing")
			}
		}
	})
}
