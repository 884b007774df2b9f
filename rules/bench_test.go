package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"allo-slack/allo"
)

// manyRules is a file of n rules of every kind, none of which takes benchEvent.
func manyRules(n int) []byte {
	var b strings.Builder
	b.WriteString("default_channel: \"#phone\"\nrules:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - name: rule %d\n    match:\n", i)
		switch i % 4 {
		case 0:
			fmt.Fprintf(&b, "      number: \"+1 415 %03d %04d\"\n", 200+i/10000, i%10000)
		case 1:
			fmt.Fprintf(&b, "      topic: CALL_RECEIVED\n      tag: [team-%d, group %d]\n", i, i)
		case 2:
			fmt.Fprintf(&b, "      tag: vip %d\n      if: minutes > %d and direction == \"INBOUND\"\n", i, i)
		case 3:
			fmt.Fprintf(&b, "      topic: [SMS_RECEIVED, SMS_SENT]\n      if: text contains \"word %d\"\n", i)
		}
		fmt.Fprintf(&b, "    channel: [\"#channel-%d\", \"#all\"]\n    redact: [numbers, emails]\n", i%50)
	}
	return []byte(b.String())
}

// onlyIf is a file of n rules with nothing but an `if`, each a different one.
func onlyIf(n int) []byte {
	var b strings.Builder
	b.WriteString("rules:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {name: rule %d, match: {if: 'minutes > %d and direction == \"INBOUND\"'}, channel: a}\n", i, i+1000)
	}
	return []byte(b.String())
}

// onlyLoops is a file of n rules with nothing but an `if` that goes through a list, each a different one.
func onlyLoops(n int) []byte {
	var b strings.Builder
	b.WriteString("rules:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {name: rule %d, match: {if: 'any(tags, lower(#) startsWith \"team %d\")'}, channel: a}\n", i, i)
	}
	return []byte(b.String())
}

func benchEvent(b *testing.B) *allo.Event {
	body, err := allo.Samples.ReadFile("samples/call_received.json")
	if err != nil {
		b.Fatal(err)
	}
	e, err := allo.Parse(body)
	if err != nil {
		b.Fatal(err)
	}
	return &e
}

func BenchmarkRoute10000(b *testing.B) {
	for name, src := range map[string][]byte{"mixed": manyRules(10_000), "onlyIf": onlyIf(10_000), "onlyLoops": onlyLoops(10_000)} {
		b.Run(name, func(b *testing.B) {
			f, err := Parse("rules.yaml", src)
			if err != nil {
				b.Fatal(err)
			}
			e, now := benchEvent(b), time.Now()
			b.ReportAllocs()
			for b.Loop() {
				if d := f.Route(e, now); len(d.Matched) > 0 {
					b.Fatal(d)
				}
			}
		})
	}
}

func BenchmarkLoad10000(b *testing.B) {
	for name, src := range map[string][]byte{"mixed": manyRules(10_000), "onlyIf": onlyIf(10_000), "onlyLoops": onlyLoops(10_000)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse("rules.yaml", src); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkStarter(b *testing.B) {
	for b.Loop() {
		if _, err := Load("../rules.yaml"); err != nil {
			b.Fatal(err)
		}
	}
}
