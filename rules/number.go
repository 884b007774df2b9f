package rules

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// maxChecked is how many numbers of one file are looked up in the tables of numbering plans: a look-up is slow, and
// all it gives is a warning.
const maxChecked = 500

// ruleNumber reads a number as a rule writes it and returns it as + and digits.
func ruleNumber(s string) (string, error) {
	trimmed := strings.TrimSpace(s)
	digits, ok := digitsOf(strings.TrimPrefix(trimmed, "+"))
	switch {
	case trimmed == "":
		return "", errors.New("the number is empty")
	case strings.HasPrefix(trimmed, "00") && ok && len(digits) >= 5:
		return "", fmt.Errorf("number %q: write + instead of 00, as in \"+%s\"", s, digits[2:])
	case !strings.HasPrefix(trimmed, "+"):
		return "", fmt.Errorf("number %q has no + and country code; write it as in \"+1 415 555 0199\"", s)
	case !ok:
		return "", fmt.Errorf("number %q: only +, digits, spaces, ( ) - . and / can stand in a number", s)
	case strings.Contains(trimmed, "(0)"):
		return "", fmt.Errorf("number %q: leave out the (0), which is not dialled after the country code", s)
	case len(digits) < 3 || len(digits) > 15:
		return "", fmt.Errorf("number %q has %d digits; after the + there are 3 to 15", s, len(digits))
	}
	return "+" + digits, nil
}

// eventNumber reads a number as a payload writes it. It is false for what is no international number: `anonymous`, a
// short code, a sender's name.
func eventNumber(s string) (string, bool) {
	s = strings.TrimSpace(s)
	rest, plus := strings.CutPrefix(s, "+")
	if !plus {
		var ok bool
		if rest, ok = strings.CutPrefix(s, "00"); !ok {
			return "", false
		}
	}
	digits, ok := digitsOf(rest)
	if !ok || len(digits) < 3 || len(digits) > 15 {
		return "", false
	}
	return "+" + digits, true
}

// digitsOf drops what people put between digits; false if there is anything else.
func digitsOf(s string) (string, bool) {
	plain := true
	for i := 0; i < len(s); i++ {
		plain = plain && s[i] >= '0' && s[i] <= '9'
	}
	if plain {
		return s, true
	}
	var b strings.Builder
	for _, c := range s {
		switch {
		case c >= '0' && c <= '9':
			b.WriteRune(c)
		case strings.ContainsRune(" ()-./\u00a0\u202f\u2009\u2010\u2011\u2013", c):
		default:
			return "", false
		}
	}
	return b.String(), true
}

// possible reports whether a number of + and digits could exist.
func possible(number string) bool {
	n, err := phonenumbers.Parse(number, "")
	return err == nil && phonenumbers.IsPossibleNumber(n)
}
