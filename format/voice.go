package format

import (
	"strings"
	"time"
)

// voice says one item. Every foreign word passes through one of its methods, which clean and redact it.
type voice struct {
	Item
	zone *time.Location
	home int32 // the country calling code of our line; 0 if it is not known

	recording, transcript string // the links that may be shown; "" where there is none
}

func newVoice(it Item) voice {
	v := voice{Item: it, zone: it.Options.Zone}
	if v.zone == nil {
		v.zone = time.UTC
	}
	v.home = v.homeCountry()
	v.recording, v.transcript = v.links()
	return v
}

// The endings of what was cut.
const (
	ellipsis = "…"
	rest     = "… (the rest is in Allo)"
)

// glance bounds in bytes how much of a foreign text is looked at, so that ten megabytes in one field cost no more
// than a page of it. Far more than can ever be shown.
const glance = 64 << 10

func clip(s string) string {
	if len(s) <= glance {
		return s
	}
	return strings.ToValidUTF8(s[:glance], "")
}

// words says foreign text in one line of at most max characters. Words of a script that runs from right to left end
// with a mark (U+200E) that has what follows run from left to right again: without it a number behind such a name is
// shown in another order. It is the only such mark in a message.
func (v voice) words(s string, max int) string {
	s = v.Options.Redact.text(oneLine(Clean(clip(s))))
	if runsLeft(s) {
		return Cut(s, max-1, ellipsis) + "\u200e"
	}
	return Cut(s, max, ellipsis)
}

// runsLeft reports whether a letter of a script that runs from right to left is in s.
func runsLeft(s string) bool {
	for _, c := range s {
		if c >= 0x590 && c <= 0x8ff || c >= 0xfb1d && c <= 0xfdff || c >= 0xfe70 && c <= 0xfeff ||
			c >= 0x10800 && c <= 0x10fff || c >= 0x1e800 && c <= 0x1efff {
			return true
		}
	}
	return false
}

// lines says foreign text in at most maxLines lines and max characters.
func (v voice) lines(s string, max, maxLines int) string {
	s = v.Options.Redact.text(Clean(clip(s)))
	return Cut(cutLines(s, maxLines, rest), max, rest)
}
