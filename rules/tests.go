package rules

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"allo-slack/allo"
)

// Test is one entry of `tests`: an event and the channels that it is expected in, whatever their order.
type Test struct {
	Name         string
	Line, Column int
	Expect       []string // as Target.Channel; empty if the event is to go nowhere

	body   []byte // of the webhook
	file   string
	source string // the line
}

// TestResult is what came of one Test.
type TestResult struct {
	Test   Test
	Got    []string
	Errors []error // expressions that failed while they ran
}

// OK reports whether the event went where it was expected, and no expression failed.
func (r TestResult) OK() bool {
	got, want := slices.Sorted(slices.Values(r.Got)), slices.Sorted(slices.Values(r.Test.Expect))
	return slices.Equal(got, want) && len(r.Errors) == 0
}

// Problem points at the test in the file and says what was expected and what came of it.
func (r TestResult) Problem() Problem {
	t := r.Test
	return Problem{File: t.file, Line: t.Line, Column: t.Column, Source: t.source, Text: r.text()}
}

// String is file:line:column and what came of the test, in one line.
func (r TestResult) String() string {
	p := r.Problem()
	p.Source = ""
	return p.String()
}

func (r TestResult) text() string {
	verdict := fmt.Sprintf("expected %s, got %s", bracketed(r.Test.Expect), bracketed(r.Got))
	if r.OK() {
		verdict = "passed"
	}
	for _, err := range r.Errors {
		verdict += "; " + err.Error()
	}
	return fmt.Sprintf("test %q: %s", r.Test.Name, verdict)
}

func bracketed(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = strconv.Quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// RunTests routes the event of every test. An event without `at` happens on a Monday at noon.
func (f *File) RunTests() []TestResult {
	noon := time.Date(2024, 1, 15, 12, 0, 0, 0, f.Zone)
	results := make([]TestResult, 0, len(f.Tests))
	for _, t := range f.Tests {
		result := TestResult{Test: t}
		e, err := allo.Parse(t.body)
		if err != nil {
			result.Errors = append(result.Errors, err)
		} else {
			d := f.Route(&e, noon)
			result.Errors = d.Errors
			for _, target := range d.Targets {
				result.Got = append(result.Got, target.Channel)
			}
		}
		results = append(results, result)
	}
	return results
}

func (l *loader) tests(n *node) {
	if n.kind != isList {
		l.wrong(n, "tests is a list, each test starting with \"- name:\"; this is %s", n.kind)
		return
	}
	for _, item := range n.items {
		if item.kind == isRefused {
			continue
		}
		if item.kind != isMapping {
			l.wrong(item, "a test is made of name, event and expect; this is %s", item.kind)
			continue
		}
		l.test(item)
	}
}

func (l *loader) test(n *node) {
	t := Test{Line: n.line, Column: n.column, file: l.reporter.file, source: l.source(n.line)}
	what := "test"
	for _, f := range n.fields {
		if f.key.text == "name" && f.value.kind != isRefused {
			t.Name, _ = l.text(f.value, "name", "a refund call reaches billing")
			what = fmt.Sprintf("test %q", cut(t.Name))
		}
	}
	given := l.keys(n, what, map[string]func(*node){
		"name":  func(*node) {},
		"event": func(n *node) { t.body = l.event(n, what) },
		"expect": func(n *node) {
			if n.kind == isList && len(n.items) == 0 {
				return
			}
			for _, item := range l.list(n, "expect", `["#support"]`) {
				if name := l.channel(item, "expect"); name != "" && !slices.Contains(t.Expect, name) {
					t.Expect = append(t.Expect, name)
				}
			}
		},
	}, []string{"name", "event", "expect"})
	for _, key := range []string{"name", "event", "expect"} {
		if !slices.Contains(given, key) {
			l.wrong(n, "%s has no %s; a test has name, event and expect (expect: [] means nowhere)", what, key)
		}
	}
	l.file.Tests = append(l.file.Tests, t)
}

// event turns the short event of a test into the envelope that Allo would send.
func (l *loader) event(n *node, what string) []byte {
	if n.kind != isMapping {
		l.wrong(n, "%s: event is made of keys, as in: event: {topic: CALL_RECEIVED, tag: support}; this is %s", what, n.kind)
		return nil
	}
	topic := ""
	given := map[string]any{}
	var extra any
	keep := func(key string) func(*node) {
		return func(n *node) {
			if n.kind == isList || n.kind == isMapping {
				l.wrong(n, "%s of an event is one value, not %s", key, n.kind)
				return
			}
			given[key] = value(n)
		}
	}
	read := map[string]func(*node){
		"topic": func(n *node) { topic = l.eventTopic(n) },
		"data": func(n *node) {
			if n.kind != isMapping {
				l.wrong(n, "data of an event is made of keys, as Allo sends them; this is %s", n.kind)
				return
			}
			extra = value(n)
		},
		"tags": func(n *node) { given["tags"] = value(n) },
		"minutes": func(n *node) {
			if n.kind != isNumber {
				l.wrong(n, "minutes must be a number; this is %s", n.kind)
				return
			}
			given["minutes"] = value(n)
		},
		"at": func(n *node) {
			if _, err := time.Parse(time.RFC3339, n.text); err != nil {
				l.wrong(n, "at is a time as in 2024-01-15T10:30:00Z")
				return
			}
			given["at"] = n.text
		},
	}
	order := []string{"topic", "tag", "tags", "minutes", "from", "to", "line", "direction", "result", "name", "text", "summary", "user", "at", "data"}
	for _, key := range order {
		if read[key] == nil {
			read[key] = keep(key)
		}
	}
	if !slices.Contains(l.keys(n, what+": event", read, order), "topic") {
		l.wrong(n, "%s: the event has no topic, as in: topic: CALL_RECEIVED", what)
		return nil
	}
	body, err := json.Marshal(map[string]any{"topic": topic, "data": payload(topic, given, extra)})
	if err != nil {
		l.wrong(n, "%s: the event can't be written as JSON", what)
	}
	return body
}

// eventTopic takes every topic but one that looks misspelled, unless some `if` names it.
func (l *loader) eventTopic(n *node) string {
	s, ok := l.text(n, "topic", "CALL_RECEIVED")
	if !ok {
		return "?"
	}
	hint := didYouMean(s, allo.KnownTopics())
	if _, known := allo.Canonical(s); !known && !l.newTopics[s] && hint != "" {
		l.wrong(n, "unknown topic %q%s", s, hint)
	}
	return s
}

// payload is `data` as Allo would send it for the topic.
func payload(topic string, given map[string]any, extra any) map[string]any {
	names := map[string]string{"tag": "tag", "tags": "tags", "minutes": "length_in_minutes", "from": "from_number",
		"to": "to_number", "direction": "direction", "result": "result", "text": "content", "summary": "summary",
		"user": "user_email", "at": "start_date"}
	data := map[string]any{}
	for key, v := range given {
		if name := names[key]; name != "" {
			data[name] = v
		}
	}
	canonical, _ := allo.Canonical(topic)
	direction := strings.ToUpper(fmt.Sprint(given["direction"]))
	if given["direction"] == nil {
		direction = "INBOUND"
		if canonical == allo.SMSSent {
			direction = "OUTBOUND"
		}
		data["direction"] = direction
	}
	customer, line := "from", "to"
	if direction == "OUTBOUND" {
		customer, line = "to", "from"
	}
	if name, ok := given["name"]; ok {
		data[customer+"_name"] = name
		if canonical == allo.ContactCreated || canonical == allo.ContactUpdated {
			data["name"] = name
		}
	}
	if number, ok := given["line"]; ok {
		if data[line+"_number"] == nil {
			data[line+"_number"] = number
		}
		if direction != "OUTBOUND" {
			data["original_to_number"] = number
		}
	}
	if m, ok := extra.(map[string]any); ok {
		for key, v := range m {
			data[key] = v
		}
	}
	return data
}

// value is a node as JSON has it.
func value(n *node) any {
	switch n.kind {
	case isText:
		return n.text
	case isBool:
		return n.text == "true"
	case isNumber:
		if strings.HasPrefix(n.text, "+") {
			return n.text // a phone number without quotes
		}
		if json.Valid([]byte(n.text)) {
			return json.Number(n.text)
		}
		return n.text
	case isList:
		list := make([]any, len(n.items))
		for i, item := range n.items {
			list[i] = value(item)
		}
		return list
	case isMapping:
		m := make(map[string]any, len(n.fields))
		for _, f := range n.fields {
			m[f.key.text] = value(f.value)
		}
		return m
	}
	return nil
}
