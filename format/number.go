package format

import (
	"strings"

	"github.com/nyaruka/phonenumbers"

	"allo-slack/allo"
)

// parseNumber reads a number that says its country. Numbers in Allo's own samples are not possible ones; those, short
// codes and names of senders give false.
func parseNumber(raw string) (*phonenumbers.PhoneNumber, bool) {
	if len(raw) < 4 || len(raw) > 40 {
		return nil, false
	}
	if strings.HasPrefix(raw, "00") {
		raw = "+" + raw[2:]
	}
	if raw[0] != '+' {
		return nil, false
	}
	n, err := phonenumbers.Parse(raw, "")
	if err != nil || !phonenumbers.IsPossibleNumber(n) {
		return nil, false
	}
	return n, true
}

// homeCountry is the calling code of our line's country.
func (v voice) homeCountry() int32 {
	var line allo.Party
	switch e := v.Event; {
	case e.Call != nil:
		line = e.Call.OurLine()
		if line.Number == "" && e.Call.Direction != allo.Outbound {
			line = e.Call.To
		}
	case e.Text != nil:
		line = e.Text.OurLine()
	}
	if n, ok := parseNumber(line.Number); ok {
		return n.GetCountryCode()
	}
	return 0
}

// number says a phone number: as people in the country of our line write it, in the international form when it is of
// another country or our line is not known, and as it came when it can't be read.
func (v voice) number(raw string) string {
	raw = oneLine(Clean(clip(raw)))
	if v.Options.Redact.Numbers {
		if hidden, ok := hideNumber(raw); ok {
			return hidden
		}
	}
	n, ok := parseNumber(raw)
	if !ok {
		return v.words(raw, 40)
	}
	form := phonenumbers.INTERNATIONAL
	if n.GetCountryCode() == v.home {
		form = phonenumbers.NATIONAL
	}
	return v.words(phonenumbers.Format(n, form), 40)
}

// withheld reports whether a number stands for one that the caller did not show.
func withheld(number string) bool {
	switch strings.ToLower(strings.TrimSpace(number)) {
	case "anonymous", "private", "restricted", "unavailable", "withheld", "blocked", "unknown", "+266696687":
		return true // the last one spells ANONYMOUS on a keypad; networks send it
	}
	return false
}

// name is the name of a party, "" if there is none or if it only repeats the number.
func (v voice) name(p allo.Party) string {
	name := v.words(p.Name, 80)
	if name != "" && digits(p.Name) != "" && digits(p.Name) == digits(p.Number) {
		return ""
	}
	return name
}

// person says in a word or two who a party is: by name, else by number. other is what to say if there is neither.
func (v voice) person(p allo.Party, other string) string {
	if name := v.name(p); name != "" {
		return name
	}
	if withheld(p.Number) {
		return "an anonymous " + other
	}
	if number := v.number(p.Number); number != "" {
		return number
	}
	return "an unknown " + other
}

// full says all about a party, "John Doe, (415) 555-0199"; "" if nothing is known.
func (v voice) full(p allo.Party) string {
	number := v.number(p.Number)
	if withheld(p.Number) {
		number = "a withheld number"
	}
	return join(", ", v.name(p), number)
}

// join puts what is not empty together.
func join(between string, parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		if part == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(between)
		}
		b.WriteString(part)
	}
	return b.String()
}

// digits are the ASCII digits of s.
func digits(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return c
		}
		return -1
	}, clip(s))
}
