package format

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"allo-slack/allo"
)

// How much of foreign pairs is shown.
const (
	maxFields = 30  // three sections of ten
	maxLabel  = 60  // characters
	maxValue  = 300 // characters
	maxNested = 4   // how deep a value is followed
)

func andMore(n int) string { return fmt.Sprintf("and %d more", n) }

// collect reads pairs from an object, at most maxFields of those that say something, and counts the others.
func (v voice) collect(o allo.Object) (fields []field, hidden int) {
	for _, f := range o {
		if f.Value == nil {
			continue
		}
		if len(fields) == maxFields {
			hidden++
			continue
		}
		value := v.lines(sayValue(f.Value), maxValue, 8)
		if value == "" {
			continue
		}
		label := v.label(f.Key)
		if label == "" {
			label = "(no name)"
		}
		fields = append(fields, field{label, value})
	}
	return fields, hidden
}

// label makes a key readable.
func (v voice) label(key string) string {
	return Cut(v.Options.Redact.text(Humanise(v.words(key, 4*maxLabel))), maxLabel, ellipsis)
}

// Humanise makes a key, as programs write them, readable: orderNumber and order_number are "Order number", and
// customer_id is "Customer ID". Words in capitals stay, unless all are.
func Humanise(key string) string {
	var b strings.Builder
	var before rune
	pending := false
	for i, c := range key {
		if c == '_' || c == '-' || unicode.IsSpace(c) || c == '*' || c == '`' || c == '~' {
			pending = true
			continue
		}
		after, _ := utf8.DecodeRuneInString(key[i+utf8.RuneLen(c):])
		if unicode.IsUpper(c) && (unicode.IsLower(before) || unicode.IsDigit(before) || unicode.IsUpper(before) && unicode.IsLower(after)) {
			pending = true
		}
		if pending && b.Len() > 0 {
			b.WriteByte(' ')
		}
		switch {
		case b.Len() == 0:
			c = unicode.ToUpper(c)
		case pending && unicode.IsUpper(c) && !unicode.IsUpper(after):
			c = unicode.ToLower(c)
		}
		pending = false
		b.WriteRune(c)
		before = c
	}
	s := b.String()
	words := strings.Split(s, " ")
	for i, word := range words {
		if word == "id" || word == "Id" {
			words[i] = "ID"
		}
	}
	s = strings.Join(words, " ")
	if strings.ToUpper(s) == s && utf8.RuneCountInString(s) > 5 {
		// NEW_TOPIC shouts
		r, n := utf8.DecodeRuneInString(s)
		s = string(r) + strings.ToLower(s[n:])
	}
	return s
}

// sayValue says a JSON value in words, no longer than can be shown and no deeper than can be understood.
func sayValue(value any) string {
	if s, ok := value.(string); ok {
		return s
	}
	var b strings.Builder
	say(&b, value, 0)
	return b.String()
}

func say(b *strings.Builder, value any, depth int) {
	if b.Len() > 8*maxValue {
		return
	}
	switch value := value.(type) {
	case nil:
	case string:
		b.WriteString(clip(value))
	case bool:
		b.WriteString(map[bool]string{true: "yes", false: "no"}[value])
	case json.Number:
		b.WriteString(value.String())
	case []any:
		sayItems(b, depth, len(value), func(i int) (string, any) { return "", value[i] })
	case allo.Object:
		sayItems(b, depth, len(value), func(i int) (string, any) { return Humanise(clip(value[i].Key)) + ": ", value[i].Value })
	default:
		b.WriteString(fmt.Sprint(value))
	}
}

// sayItems says the items of a list or object with commas between, those within others in brackets.
func sayItems(b *strings.Builder, depth, n int, item func(int) (string, any)) {
	if depth >= maxNested {
		b.WriteString(ellipsis)
		return
	}
	if depth > 0 {
		b.WriteByte('(')
	}
	said := 0
	for i := range n {
		if b.Len() > 8*maxValue {
			b.WriteString(ellipsis)
			break
		}
		label, value := item(i)
		if value == nil {
			continue
		}
		if said++; said > 1 {
			b.WriteString(", ")
		}
		b.WriteString(label)
		say(b, value, depth+1)
	}
	if depth > 0 {
		b.WriteByte(')')
	}
}

// columns shows pairs as fields of sections, ten a section, within a budget of characters, and tells how many.
func columns(fields []field, budget int) (blocks []slack.Block, shown int) {
	var row []*slack.TextBlockObject
	flush := func() {
		if len(row) > 0 {
			blocks = append(blocks, slack.NewSectionBlock(nil, row, nil))
			row = nil
		}
	}
	for _, f := range fields {
		text := cell(f)
		if budget -= size(text.Text); budget < 0 {
			break
		}
		row = append(row, text)
		shown++
		if len(row) == 10 {
			flush()
		}
	}
	flush()
	return blocks, shown
}

// cell is one field: the label in bold above the value, if nothing in them means anything to Slack; otherwise both in
// plain text, so that the value is there to the letter and can be copied.
func cell(f field) *slack.TextBlockObject {
	if inert(f.label) && inert(f.value) {
		return verbatim("*" + f.label + "*\n" + f.value)
	}
	return plainText(f.label + ":\n" + f.value)
}

// pairLines shows pairs one below the other, the label in bold, within a budget, and tells how many.
func pairLines(fields []field, budget int) (blocks []slack.Block, shown int) {
	var runs []run
	used := 0
	for _, f := range fields {
		cost := size(f.label) + size(f.value) + 3
		if used+cost > budget {
			break
		}
		used += cost
		if len(runs) > 0 {
			runs = append(runs, run{text: "\n"})
		}
		runs = append(runs, run{text: f.label + ": ", bold: true}, run{text: f.value})
		shown++
	}
	if shown == 0 {
		return nil, 0
	}
	return []slack.Block{rich(runs...)}, shown
}

// counted says a number of things: "1 call", "3 calls".
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
