package format

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What stands in the place of what was redacted. A number keeps its last two digits, so that two callers can be told
// apart.
const (
	hiddenEmail = "[email]"
	hiddenCard  = "[card number]"
)

func hiddenNumber(lastTwo string) string { return "[number …" + lastTwo + "]" }

// Any reports whether anything is redacted.
func (r Redact) Any() bool { return r.Numbers || r.Emails || r.Cards }

// Text is foreign text without what r names. Messages are redacted already; it is for what else leaves, like a page.
//
//   - Emails: what looks like name@host.
//   - Cards: 13 to 19 digits that pass the Luhn check.
//   - Numbers: 7 to 18 digits, whatever stands between them: more is hidden than phone numbers (an order number of
//     seven digits is), as less would be worse. Dates like 2024-01-15 stay.
//
// Digits of every script count, written together or with up to three spaces, dots, hyphens, brackets, slashes or
// marks of emphasis between two of them. A number in words is not recognised.
func (r Redact) Text(s string) string {
	return r.text(Clean(s))
}

// text is Text for clean text.
func (r Redact) text(s string) string {
	if r.Emails && strings.ContainsAny(s, "@＠") {
		s = email.ReplaceAllString(s, hiddenEmail)
	}
	if r.Numbers || r.Cards {
		s = r.digits(s)
	}
	return s
}

// email takes more than addresses that could be delivered to: letters of every script, quotes, a host without a dot.
var email = regexp.MustCompile(`[\pL\pN.!#$%&'*+/=?^_{|}~"-]+ ?[@＠] ?[\pL\pN\[][\pL\pN.:*_-]*[\pL\pN\]*_]`)

// digitRun is a stretch of digits and what may stand between them.
type digitRun struct {
	start, end int    // in bytes: from the first digit (or the + before it) to after the last
	digits     []byte // as ASCII
	groups     []int  // where in digits a group begins, after something that stood between
}

// digits hides numbers and cards in clean text.
func (r Redact) digits(s string) string {
	var b strings.Builder
	done := 0
	for at := 0; at < len(s); {
		run, ok := nextRun(s, at)
		if !ok {
			break
		}
		at = run.end
		var hidden string
		switch {
		case r.Cards && run.hasCard():
			hidden = hiddenCard
		case r.Numbers && len(run.digits) >= 7 && !date.MatchString(s[run.start:run.end]):
			hidden = hiddenNumber(string(run.digits[len(run.digits)-2:]))
		default:
			continue
		}
		b.WriteString(s[done:run.start])
		b.WriteString(hidden)
		done = run.end
	}
	if done == 0 {
		return s
	}
	b.WriteString(s[done:])
	return b.String()
}

// date is a day, or a day and an hour (the colon after it ends a run).
var date = regexp.MustCompile(`^((19|20)\d\d-[01]\d-[0-3]\d|[0-3]?\d[./-][0-3]?\d[./-](19|20)\d\d)( [0-2]?\d)?$`)

// nextRun finds the next stretch of digits at or after a byte.
func nextRun(s string, from int) (digitRun, bool) {
	run := digitRun{start: -1}
	between := 0
	for i := from; i < len(s); {
		c, n := rune(s[i]), 1
		if c >= utf8.RuneSelf {
			c, n = utf8.DecodeRuneInString(s[i:])
		}
		switch d := digit(c); {
		case d >= 0:
			if run.start < 0 {
				run.start = i
				if i > from && s[i-1] == '+' {
					run.start = i - 1
				}
			}
			if between > 0 || len(run.digits) == 0 {
				run.groups = append(run.groups, len(run.digits))
			}
			run.digits = append(run.digits, byte('0'+d))
			run.end = i + n
			between = 0
		case run.start < 0:
		case separates(c):
			if between++; between > 3 {
				return run, true
			}
		default:
			return run, true
		}
		i += n
	}
	return run, run.start >= 0
}

// digit is the value of a digit of any script, -1 for anything else.
func digit(c rune) int {
	if c >= '0' && c <= '9' {
		return int(c - '0')
	}
	if c < utf8.RuneSelf || !unicode.Is(unicode.Nd, c) {
		return -1
	}
	// Decimal digits stand in tens, in order, from zero; mathematical ones in five tens from U+1D7CE.
	if c >= 0x1d7ce && c <= 0x1d7ff {
		return int(c-0x1d7ce) % 10
	}
	zero := c
	for zero > c-9 && unicode.Is(unicode.Nd, zero-1) {
		zero--
	}
	return int(c - zero)
}

// separates reports whether a character may stand within a number.
func separates(c rune) bool {
	switch c {
	case ' ', '-', '.', '(', ')', '/', '*', '_', '~', '`', '\n', '\u200c', '\u200d', '·', '•', '‐', '‑', '‒', '–', '—', '−':
		return true
	}
	return false
}

// hasCard reports whether 13 to 19 of the digits pass the Luhn check: digits from the start of a group to the end of
// one, so that a date or a check value beside a card does not hide it; within a group that is longer than any card,
// any digits.
func (r digitRun) hasCard() bool {
	ends := append(r.groups[1:len(r.groups):len(r.groups)], len(r.digits))
	for i, from := range r.groups {
		for _, to := range ends[i:] {
			if to-from > 19 {
				if to == ends[i] && anyCard(r.digits[from:to]) {
					return true
				}
				break
			}
			if to-from >= 13 && luhn(r.digits[from:to]) {
				return true
			}
		}
	}
	return false
}

func anyCard(digits []byte) bool {
	for from := range digits {
		for n := 13; n <= 19 && from+n <= len(digits); n++ {
			if luhn(digits[from : from+n]) {
				return true
			}
		}
	}
	return false
}

// luhn checks the last digit of a card number. Source: ISO/IEC 7812-1, annex B.
func luhn(digits []byte) bool {
	sum := 0
	for i, c := range digits {
		d := int(c - '0')
		if (len(digits)-i)%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// hideNumber hides a whole field that is a number, however short; false if it is something else, like a sender's name
// or "anonymous".
func hideNumber(s string) (string, bool) {
	var found []byte
	for _, c := range s {
		if d := digit(c); d >= 0 {
			found = append(found, byte('0'+d))
		} else if unicode.IsLetter(c) {
			return "", false
		}
	}
	if len(found) < 3 {
		return "", false
	}
	return hiddenNumber(string(found[len(found)-2:])), true
}

// hidesLink reports whether a link of ours would show what is redacted: an email, a number of this event, any number
// with a + before it, a card number. Other digits in it are an id.
func (v voice) hidesLink(link string) bool {
	r := v.Options.Redact
	if !r.Any() {
		return false
	}
	plain := link
	if unescaped, err := url.PathUnescape(link); err == nil {
		plain = unescaped
	}
	if r.Emails && email.MatchString(plain) {
		return true
	}
	if r.Cards && (Redact{Cards: true}).digits(plain) != plain {
		return true
	}
	if !r.Numbers {
		return false
	}
	if plusNumber.MatchString(plain) {
		return true
	}
	all := digits(plain)
	for _, number := range v.Event.Numbers() {
		if d := digits(number); len(d) >= 7 && strings.Contains(all, d[max(0, len(d)-9):]) {
			return true
		}
	}
	return false
}

var plusNumber = regexp.MustCompile(`\+\d{7}`)
