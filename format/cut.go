package format

import (
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// size counts text as Slack may: in UTF-16 units, with & < > as their entities. No other way to count gives more for
// the same text.
func size(s string) int {
	n := 0
	for _, c := range s {
		switch {
		case c == '&':
			n += len("&amp;")
		case c == '<' || c == '>':
			n += len("&lt;")
		case c > 0xffff:
			n += 2
		default:
			n++
		}
	}
	return n
}

// fits reports whether size(s) <= max, without counting text that is far shorter or longer.
func fits(s string, max int) bool {
	return len(s)*5 <= max || len(s) <= max*3 && size(s) <= max
}

// Cut shortens text to max characters (as Slack counts them, after escaping), with end at its end. It cuts between
// what people see as characters, at a space if there is one near. Text that fits is returned as it is.
func Cut(s string, max int, end string) string {
	if fits(s, max) {
		return s
	}
	room := max - size(end)
	if room <= 0 {
		if max < 1 {
			return ""
		}
		return ellipsis
	}
	at := prefix(s, room)
	if at < len(s) && s[at] != ' ' && s[at] != '\n' {
		if space := strings.LastIndexAny(s[:at], " \n"); space > 0 && at-space < 24 {
			at = space
		}
	}
	return strings.TrimRight(s[:at], " \n") + end
}

// prefix is the length in bytes of the longest prefix of whole characters that takes at most room.
func prefix(s string, room int) int {
	at := 0
	state := -1
	for at < len(s) {
		var n int
		if s[at] < utf8.RuneSelf && (at+1 == len(s) || s[at+1] < utf8.RuneSelf) && s[at] != '\r' {
			n, state = 1, -1
		} else {
			// Looking no further than room: a character that is longer does not fit, however long it is.
			ahead := s[at:min(len(s), at+4*room+utf8.UTFMax)]
			var cluster string
			cluster, _, _, state = uniseg.FirstGraphemeClusterInString(ahead, state)
			n = len(cluster)
		}
		if room -= size(s[at : at+n]); room < 0 {
			return at
		}
		at += n
	}
	return at
}

// cutLines keeps at most max lines.
func cutLines(s string, max int, end string) string {
	at := 0
	for range max {
		next := strings.IndexByte(s[at:], '\n')
		if next < 0 {
			return s
		}
		at += next + 1
	}
	return strings.TrimRight(s[:at], "\n") + end
}
