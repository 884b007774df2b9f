package rules

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// inside finds the place in the file of a character of a text, which may have been written over several lines, in
// quotes with escapes, or as a block. It is the start of the text where that can't be told.
func (l *loader) inside(n *node, offset int) (line, column int) {
	if n.line < 1 || n.line > len(l.lines) {
		return n.line, n.column
	}
	at := cursor{lines: l.lines, line: n.line - 1, byte: byteOffset(l.lines[n.line-1], n.column-1)}
	switch quote := at.peek(); quote {
	case '"', '\'':
		at.quote = quote
		at.next()
	case '|', '>':
		at.line, at.byte = at.line+1, 0
	}
	text := []rune(n.text)
	offset = min(max(offset, 0), len(text))
	for i := 0; i < offset; {
		if c, escaped := at.escape(); escaped {
			if i++; c == 0 {
				i-- // a line break that does not count
			}
			continue
		}
		if blank(text[i]) || i == 0 && blank(at.peek()) {
			// A line break and its indentation may have become one space, or stayed.
			for i < offset && blank(text[i]) {
				i++
			}
			at.skipBlank()
			continue
		}
		if at.next() != text[i] {
			return n.line, n.column
		}
		i++
	}
	if offset < len(text) && !blank(text[offset]) {
		at.skipBlank()
		at.joinLines()
	}
	if at.line >= len(l.lines) {
		return n.line, n.column
	}
	return at.line + 1, utf8.RuneCountInString(l.lines[at.line][:at.byte]) + 1
}

func blank(c rune) bool { return c == ' ' || c == '\t' || c == '\n' }

// cursor goes through the file character by character.
type cursor struct {
	lines []string
	line  int // from 0
	byte  int
	quote rune // the text stands in these quotes
}

// peek is the next character, a line break at the end of a line, and 0 at the end of the file.
func (c *cursor) peek() rune {
	switch {
	case c.line >= len(c.lines):
		return 0
	case c.byte >= len(c.lines[c.line]):
		return '\n'
	}
	r, _ := utf8.DecodeRuneInString(c.lines[c.line][c.byte:])
	return r
}

func (c *cursor) next() rune {
	r := c.peek()
	switch {
	case c.line >= len(c.lines):
	case c.byte >= len(c.lines[c.line]):
		c.line, c.byte = c.line+1, 0
	default:
		c.byte += utf8.RuneLen(r)
	}
	return r
}

func (c *cursor) skipBlank() {
	for blank(c.peek()) {
		c.next()
	}
}

// escape steps over an escape of quoted text, if one stands here. char is 0 where it stands for nothing.
func (c *cursor) escape() (char rune, ok bool) {
	if c.line >= len(c.lines) {
		return 0, false
	}
	rest := c.lines[c.line][min(c.byte, len(c.lines[c.line])):]
	switch {
	case c.quote == '\'' && strings.HasPrefix(rest, "''"):
		c.byte += 2
		return '\'', true
	case c.joinLines():
		return 0, true
	case c.quote == '"' && strings.HasPrefix(rest, "\\"):
		length := 1 + map[byte]int{'x': 2, 'u': 4, 'U': 8}[rest[1]]
		c.byte += min(1+length, len(rest))
		return unicode.ReplacementChar, true
	}
	return 0, false
}

// joinLines steps over a line break that a \ in double quotes takes away, if one stands here.
func (c *cursor) joinLines() bool {
	if c.quote != '"' || c.line >= len(c.lines) || c.lines[c.line][min(c.byte, len(c.lines[c.line])):] != "\\" {
		return false
	}
	c.line, c.byte = c.line+1, 0
	c.skipBlank()
	return true
}

// byteOffset is where the character after so many others starts.
func byteOffset(s string, characters int) int {
	for i := range s {
		if characters <= 0 {
			return i
		}
		characters--
	}
	return len(s)
}
