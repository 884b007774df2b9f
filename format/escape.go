package format

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Escape makes foreign words safe in Slack's mrkdwn, in a message's `text` (sent with parse=none, the default) and in
// text objects with verbatim set: they can't ping, link, format or break out. It is the one place of this program
// that escapes foreign text.
//
//   - & < > become entities, which leaves no way to write <!channel>, <@U…> or <url|mask>: with parse=none and with
//     verbatim nothing else pings. Should a sender set link_names all the same, @channel, @here and @everyone are
//     written with a full-width ＠.
//   - * ~ ` and an underscore at the edge of a word, which mrkdwn has no escape for, are written with characters that
//     look like them, so that a name can't open a formatting that a later word closes.
//   - Control, bidirectional and invisible characters go, as in Clean.
//
// The result is longer than the words: count it, or cut the words with Cut first.
func Escape(s string) string {
	return escape(Clean(s))
}

// escape is Escape for words that are clean.
func escape(s string) string {
	if !strings.ContainsAny(s, "&<>*_~`@") {
		return s
	}
	s = broadcasts.ReplaceAllString(s, "＠$1")
	var b strings.Builder
	b.Grow(len(s) + 16)
	before := ' '
	for i, c := range s {
		switch c {
		case '&':
			b.WriteString("&amp;")
		case '<':
			b.WriteString("&lt;")
		case '>':
			b.WriteString("&gt;")
		case '*':
			b.WriteRune('∗')
		case '~':
			b.WriteRune('∼')
		case '`':
			b.WriteRune('ˋ')
		case '_':
			after, _ := utf8.DecodeRuneInString(s[i+1:])
			if isWord(before) && isWord(after) {
				b.WriteRune('_')
			} else {
				b.WriteRune('ˍ')
			}
		default:
			b.WriteRune(c)
		}
		before = c
	}
	return b.String()
}

var broadcasts = regexp.MustCompile(`(?i)@(channel|here|everyone|group)`)

func isWord(c rune) bool {
	return c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c)
}

// inert reports whether clean words mean nothing in verbatim mrkdwn as they are, so that they can stand there to the
// letter: nothing to escape, no formatting, no emoji code, no quote, no @ but inside of an address.
func inert(s string) bool {
	if strings.ContainsAny(s, "&<>*~`") {
		return false
	}
	before := ' '
	for i, c := range s {
		switch c {
		case '@':
			if !isWord(before) {
				return false
			}
		case '_':
			after, _ := utf8.DecodeRuneInString(s[i+1:])
			if !isWord(before) || !isWord(after) {
				return false
			}
		}
		before = c
	}
	return strings.Count(s, ":") < 2 || !emojiCode.MatchString(s)
}

var emojiCode = regexp.MustCompile(`:[\pL\pN_+'-]+:`)

// Clean makes foreign text printable. Control characters, bidirectional marks, embeddings and overrides, and
// characters that show nothing go; line ends of every kind become \n, other white space a space; at most four
// combining marks stay on one character; what is not UTF-8 becomes U+FFFD. Clean text keeps its lines and their
// indentation; spaces at the ends of lines go, and more than one empty line in a row.
func Clean(s string) string {
	if s = strings.Trim(s, " "); isPlain(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	marks := 0
	spaces := 0 // held back: written before the next visible character of the same line
	breaks := 0 // held back likewise
	joiner := rune(0)
	for i := 0; i < len(s); {
		c, n := utf8.DecodeRuneInString(s[i:])
		i += n
		switch what(c) {
		case gone:
			continue
		case lineEnd:
			if c == '\r' && i < len(s) && s[i] == '\n' {
				i++
			}
			breaks, spaces, joiner = breaks+1, 0, 0
			continue
		case blank:
			if spaces++; c == '\t' && (breaks > 0 || b.Len() == 0) {
				spaces += 3
			}
			joiner = 0
			continue
		case joins:
			joiner = c
			continue
		case mark:
			if marks++; marks > maxMarks || b.Len() == 0 {
				continue
			}
		default:
			marks = 0
		}
		if breaks > 0 {
			if b.Len() > 0 {
				b.WriteString("\n\n"[:min(breaks, 2)])
			}
			breaks, joiner = 0, 0
		}
		if b.Len() > 0 {
			for range min(spaces, maxSpaces) {
				b.WriteByte(' ')
			}
		}
		spaces = 0
		if joiner != 0 && b.Len() > 0 {
			b.WriteRune(joiner)
		}
		joiner = 0
		b.WriteRune(c)
	}
	return b.String()
}

// maxMarks is how many combining marks stay on one character. Living scripts need four at most; stacks of them are
// drawn over the lines above and below.
const maxMarks = 4

// scrub takes out of a stretch of text what Clean takes out of a whole one, and leaves its spaces and lines.
func scrub(s string) string {
	if isPlain(s) {
		return s
	}
	return strings.Map(func(c rune) rune {
		switch what(c) {
		case gone:
			return -1
		case lineEnd:
			return '\n'
		case blank:
			return ' '
		}
		return c
	}, s)
}

// maxSpaces is how many spaces stay in a row.
const maxSpaces = 16

type class int

const (
	shown class = iota
	gone
	lineEnd
	blank
	joins
	mark
)

// what sorts characters by what Clean does to them.
func what(c rune) class {
	switch {
	case c == ' ' || c == '\t':
		return blank
	case c == '\n' || c == '\r' || c == '\v' || c == '\f' || c == 0x85 || c == 0x2028 || c == 0x2029:
		return lineEnd
	case c < 0x20 || c >= 0x7f && c < 0xa0:
		return gone
	case c < 0x300:
		if c == 0xa0 {
			return blank
		}
		if c == 0xad {
			return gone
		}
		return shown
	case c == 0x200c || c == 0x200d: // Persian and Indic words, and emoji of several parts, need them
		return joins
	case c == 0x115f || c == 0x1160 || c == 0x3164 || c == 0xffa0 || c == 0x2800: // letters that show nothing
		return blank
	case c >= 0xfe00 && c <= 0xfe0f: // how an emoji is drawn
		return mark
	case c >= 0xe0000 && c <= 0xe0fff: // tags: hidden text
		return gone
	case unicode.Is(unicode.Mn, c) || unicode.Is(unicode.Me, c):
		return mark
	case unicode.Is(unicode.Cf, c) || unicode.Is(unicode.Cs, c):
		return gone
	case c == 0xfffe || c == 0xffff || c > 0x10fffd:
		return gone
	case unicode.Is(unicode.Zs, c):
		return blank
	}
	return shown
}

// isPlain reports whether s is printable ASCII in one line: most of what is said.
func isPlain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// oneLine makes one line of clean text, with single spaces.
func oneLine(s string) string {
	if !strings.ContainsAny(s, "\n") && !strings.Contains(s, "  ") {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, func(c rune) bool { return c == ' ' || c == '\n' }), " ")
}
