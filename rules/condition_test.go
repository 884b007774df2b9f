package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/parser"
	"github.com/google/go-cmp/cmp"
)

// TestPlace holds where in the file a mistake in an `if` is shown, however the expression is written.
func TestPlace(t *testing.T) {
	for _, row := range []struct {
		name, src string // of the `if`; ^ stands before the place
	}{
		{"plain", `if: minutes > 2 and ^minits > 2`},
		{"plain, in braces", `{if: minutes > 2 and ^minits > 2}`},
		{"plain, over lines", "if: minutes > 2 and\n        minutes < 9 and\n        ^minits > 2"},
		{"single quotes", `if: 'tag == "a" and ^tga == "b"'`},
		{"single quotes with one inside", `if: 'tag == ''tga'' and ^tga == "b"'`},
		{"single quotes over lines", "if: 'tag == \"tga\" and\n\n        ^tga == \"b\"'"},
		{"double quotes", `if: "minutes > 2 and ^tga == 'b'"`},
		{"double quotes with escapes", `if: "tag == \"tga\" and user == \"\u00e9\x41\" and ^tga == 'b'"`},
		{"double quotes with a line break that does not count", "if: \"tag == 'tga' and \\\n        ^tga == 'b'\""},
		{"literal block", "if: |\n        tag == \"tga\" and\n          ^tga == \"b\""},
		{"literal block with a comment", "if: |-  # tga\n\n        tag == \"tga\" and\n        ^tga == \"b\""},
		{"folded block", "if: >\n        tag == \"tga\" and\n        ^tga == \"b\""},
		{"folded block of paragraphs", "if: >-\n        tag == \"tga\" and\n\n        ^tga == \"b\""},
		{"other alphabets", `if: user == "東京é" and ^tga == "b"`},
		{"after an anchor", `if: &a minutes > 2 and ^minits > 2`},
		{"the type of an operand", `if: 'tag == "minutes" and minutes ^> "3"'`},
	} {
		t.Run(row.name, func(t *testing.T) {
			src := "rules:\n  - name: a\n    channel: a\n    match:\n      " + row.src + "\n"
			if strings.HasPrefix(row.src, "{") {
				src = "rules:\n  - name: a\n    channel: a\n    match: " + row.src + "\n"
			}
			before, after, ok := strings.Cut(src, "^")
			if !ok {
				t.Fatal("no ^")
			}
			_, err := Parse("rules.yaml", []byte(before+after))
			problems, ok := err.(Problems)
			if !ok || len(problems) != 1 {
				t.Fatalf("error is %v", err)
			}
			lines := strings.Split(before, "\n")
			line, column := len(lines), len([]rune(lines[len(lines)-1]))+1
			if p := problems[0]; p.Line != line || p.Column != column {
				t.Errorf("at %d:%d, want %d:%d\n%s", p.Line, p.Column, line, column, p)
			}
		})
	}
}

// big is an event with long texts and lists.
func big() string {
	return fmt.Sprintf(`{"topic":"SMS_RECEIVED","data":{"content":%q,"list":[%s"z"],"object":{"items":[%s"z"]}}}`,
		strings.Repeat("ab ", 80<<10), strings.Repeat(`"`+strings.Repeat("q", 1000)+`",`, 1000), strings.Repeat(`{"a":"bcdefgh"},`, 5000))
}

// TestCosts holds that no expression runs for long, whatever it is and whatever an event holds: each is either cheap
// or refused before it runs.
func TestCosts(t *testing.T) {
	add := strings.TrimSuffix(strings.Repeat("text + ", 60), " + ")
	for _, row := range []struct {
		source string
		works  bool // on the big event
	}{
		{`any(1..1000, text matches "(a|b|c|d)*e")`, false},
		{`any(1..1000, lower(text) contains "x")`, false},
		{`(` + add + `) contains "x"`, false},
		{`any(1..1000, (` + add + `) contains "x")`, false},
		{`any(1..1000, string(data) contains "x")`, false},
		{`any(1..1000, data == data)`, false},
		{`any(data.list, # in data.list)`, false},
		{`any(data.object.items, #.a + text contains "x")`, false},
		{`any(data.content, text contains "x")`, false},
		{`all(keys(data), data.content contains text)`, true},
		{`text matches "(a|b ){60}z"`, false},

		{`text matches "(?i)refund|cancel"`, true},
		{`any(data.list, # contains "refund")`, true},
		{`any(data.list, # matches "(?i)refund|cancel")`, true},
		{`any(data.object.items, #.a == user)`, true},
		{`any(["refund", "cancel"], text contains #)`, true},
		{`lower(text) contains "refund" or text + summary contains "refund"`, true},
		{`count(data.list, # == tag) > 3`, true},
		{`any(tags, lower(#) == "vip") and minutes + 1 > 2`, true},
	} {
		t.Run(row.source[:min(len(row.source), 50)], func(t *testing.T) {
			f := parse(t, "rules:\n  - name: a\n    match:\n      if: '"+row.source+"'\n    channel: a\n")
			e := event(t, big())
			d := f.Route(e, noon)
			if works := len(d.Errors) == 0; works != row.works {
				t.Errorf("works = %v, want %v: %v", works, row.works, d.Errors)
			}
			if small := f.Route(event(t, `{"topic":"SMS_RECEIVED","data":{"content":"hello","list":["a"],"object":{"items":[{"a":"b"}]}}}`), noon); len(small.Errors) > 0 {
				t.Errorf("a small event: %v", small.Errors)
			}
			agree(t, f, e)
		})
	}
}

// TestTotalCost holds that all rules together are bounded too.
func TestTotalCost(t *testing.T) {
	f := parse(t, "rules:\n  - {name: a, match: {if: 'text matches \"b a\"'}, channel: a}\n")
	r := newRunner(newFacts(event(t, big()), noon, time.UTC))
	if holds, err := r.run(f.Rules[0].match.cond); err != nil || !holds || r.spent == 0 {
		t.Errorf("holds = %v, %v, for %v", holds, err, r.spent)
	}
	r.spent = maxTotalCost
	if holds, err := r.run(f.Rules[0].match.cond); err == nil || holds {
		t.Errorf("holds = %v, %v, with nothing left", holds, err)
	}
}

// TestSimple holds that simple gives what the expression library gives.
func TestSimple(t *testing.T) {
	var atoms []string
	for _, word := range []string{"minutes", "hour"} {
		for _, operator := range []string{"==", "!=", "<", "<=", ">", ">="} {
			for _, v := range []string{"0", "3", "3.5", "12"} {
				atoms = append(atoms, word+" "+operator+" "+v)
			}
		}
	}
	for _, word := range []string{"topic", "direction", "tag", "from", "to", "line", "result", "user", "summary", "text", "weekday"} {
		for _, v := range []string{`""`, `"a"`, `"INBOUND"`, `"CALL_RECEIVED"`, `"+14155550199"`, `"monday"`} {
			for _, operator := range []string{"==", "!=", "contains", "startsWith", "endsWith", "not contains"} {
				atoms = append(atoms, word+" "+operator+" "+v)
			}
			atoms = append(atoms, word+` in [`+v+`, "b"]`, word+` not in [`+v+`, "b"]`)
		}
	}
	atoms = append(atoms, "missed", "not missed", "!transferred")
	sources := append([]string{}, atoms...)
	for i := range atoms {
		a, b := atoms[i], atoms[(i*7+3)%len(atoms)]
		sources = append(sources, a+" and "+b, a+" || "+b, "not ("+a+" or "+b+") && missed")
	}
	events := map[string]string{
		"call":  `{"topic":"CALL_RECEIVED","data":{"from_number":"+14155550199","to_number":"a","type":"INBOUND","length_in_minutes":3.5,"tag":"a","user_email":"b","summary":"ab"}}`,
		"empty": `{"topic":"NEW","data":{}}`,
	}
	for name, body := range samples(t) {
		events[name] = body
	}
	for _, source := range sources {
		tree, err := parser.Parse(source)
		if err != nil {
			t.Fatal(err)
		}
		program, err := expr.Compile(source, expr.Env(environment{}), expr.AsBool())
		if err != nil {
			t.Fatal(err)
		}
		fast := simple(tree.Node)
		if fast == nil {
			t.Fatalf("%s is not simple", source)
		}
		for name, body := range events {
			e := event(t, body)
			env := newEnvironment(newFacts(e, noon, time.UTC))
			want, err := expr.Run(program, env)
			if err != nil {
				t.Fatal(err)
			}
			if got := fast(env); got != want {
				t.Errorf("%s on %s is %v, want %v", source, name, got, want)
			}
		}
	}
}

func TestMention(t *testing.T) {
	f := parse(t, "rules:\n  - {name: a, match: {}, channel: a, mention: [owner, '@here', Jo@Example.com, U0123ABCD, W0123ABCD, S0123ABCD, jo@example.com], transcript: thread}\n")
	want := Options{Mention: []string{"owner", "@here", "jo@example.com", "U0123ABCD", "W0123ABCD", "S0123ABCD"}, Transcript: "thread"}
	if diff := cmp.Diff(want, f.Rules[0].Options); diff != "" {
		t.Errorf("options (-want +got)\n%s", diff)
	}
	one := parse(t, "rules:\n  - {name: a, match: {}, channel: a, mention: owner, transcript: none}\n")
	if diff := cmp.Diff(Options{Mention: []string{"owner"}}, one.Rules[0].Options); diff != "" {
		t.Errorf("options (-want +got)\n%s", diff)
	}
}
