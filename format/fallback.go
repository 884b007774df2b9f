package format

import "strings"

// fallback says a story in plain sentences, for notifications, screen readers and search, and for a message that has
// to do without blocks: a mention first, then who and what about, then the rest, and the links under words of ours
// (Slack shows and reads `<url|words>` as the words).
func (v voice) fallback(s story) string {
	b := &bounded{left: maxText}

	// What stands at the end keeps its room.
	var links []string
	if v.recording != "" {
		links = append(links, anchor(v.recording, recordingWords))
	}
	if v.transcript != "" {
		links = append(links, anchor(v.transcript, transcriptWords))
	}
	links = b.reserveRaw(links, 1200)
	facts := s.facts
	if !s.at.IsZero() {
		facts = append([]string{v.clock(s.at)}, facts...)
	}
	var lines []string
	for _, person := range s.people {
		lines = append(lines, sentence(person))
	}
	if len(facts) > 0 {
		lines = append(lines, sentence(capital(strings.Join(facts, ", "))))
	}
	kept := b.reserve(lines, 800)

	if m := v.mention(); m != "" {
		b.start(m + " ")
	}
	b.line(sentence(s.first()), 2000)
	for _, note := range s.notes {
		b.line(sentence(capital(strings.TrimLeft(note, "📎✅ "))), maxNote)
	}
	b.line(plainParagraphs(s.body), 1400)
	if len(s.fields)+s.hidden > 0 {
		b.line(spokenFields(s, min(900, b.left-1)), 1000)
	}
	b.left += kept
	for _, line := range lines {
		b.line(line, 500)
	}
	for _, link := range links {
		b.link(link)
	}
	return b.String()
}

// first is what alone tells it: who, how it ended, what about.
func (s story) first() string {
	about := s.about
	if about == "" {
		about = s.quote
	}
	switch {
	case about == "":
		return s.head
	case s.kind == "contacts":
		return s.head + ", " + about
	}
	return s.head + ": " + about
}

// sentence ends words with a full stop, unless they end with a mark of their own.
func sentence(s string) string {
	for _, end := range []string{".", "!", "?", "…", ")"} {
		if strings.HasSuffix(s, end) {
			return s
		}
	}
	return s + "."
}

// spokenFields says pairs in a sentence, as many as take max characters.
func spokenFields(s story, max int) string {
	var b strings.Builder
	said, used := 0, 0
	for _, f := range s.fields {
		pair := f.label + ": " + strings.ReplaceAll(f.value, "\n", ", ")
		if used += size(pair) + 2; used > max {
			break
		}
		if said++; said > 1 {
			b.WriteString("; ")
		}
		b.WriteString(pair)
	}
	if more := len(s.fields) - said + s.hidden; more > 0 {
		if said > 0 {
			b.WriteString("; ")
		}
		b.WriteString(andMore(more) + " in Allo")
	}
	return sentence(b.String())
}

// bounded is mrkdwn that never grows over its limit: a line is cut to what is left.
type bounded struct {
	strings.Builder
	left  int // characters
	lines int
}

// reserve keeps room for lines, at most max characters, and returns how much.
func (b *bounded) reserve(lines []string, max int) int {
	n := 0
	for _, l := range lines {
		n += size(l) + 1
	}
	n = min(n, max)
	b.left -= n
	return n
}

// reserveRaw keeps room for links and returns those that there is room for: one that is longer than max characters is
// left to the button.
func (b *bounded) reserveRaw(links []string, max int) []string {
	var kept []string
	for _, l := range links {
		if n := len(l) + 1; n <= max {
			kept = append(kept, l)
			max -= n
			b.left -= n
		}
	}
	return kept
}

// start puts words of ours before the first line.
func (b *bounded) start(s string) {
	b.WriteString(s)
	b.left -= len(s)
}

// line adds clean words, cut to max characters and to what is left. Escaping keeps their size.
func (b *bounded) line(s string, max int) {
	max = min(max, b.left-1)
	if max < 2 || s == "" {
		return
	}
	if b.lines++; b.lines > 1 {
		b.WriteByte('\n')
		b.left--
	}
	s = Cut(s, max, ellipsis)
	b.left -= size(s)
	b.WriteString(escape(s))
}

// link adds a link that room was reserved for.
func (b *bounded) link(anchor string) {
	if b.lines++; b.lines > 1 {
		b.WriteByte('\n')
	}
	b.WriteString(anchor)
}
