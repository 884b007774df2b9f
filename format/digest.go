package format

import (
	"strings"

	"github.com/slack-go/slack"
)

// The share of a digest that one event takes at most, links not counted.
const (
	maxDigestHead  = 90
	maxDigestAbout = 110
	maxDigestFacts = 90
	maxDigest      = 60 // events in one digest: more is not read
	maxDigestTitle = 300
	maxDigestPings = 600
	maxLinesBlock  = 10 // events in one rich_text block
)

// digestLine is one event of a digest.
type digestLine struct {
	voice     voice
	story     story
	recording string
	cost      int // characters of the blocks
}

// Digest shows as many of the first items as fit into one message, at least one, a line or two each with the link of
// its recording, and tells how many those were. Of no items it makes an empty message and 0.
func Digest(items []Item) (Message, int) {
	if len(items) == 0 {
		return Message{}, 0
	}
	left := maxBudget - maxDigestTitle - maxDigestPings
	var lines []digestLine
	for _, it := range items[:min(len(items), maxDigest)] {
		line := digestOf(it)
		if left -= line.cost; left < 0 && len(lines) > 0 {
			break
		}
		lines = append(lines, line)
	}
	pings := digestMentions(lines)
	title := digestTitle(lines)

	var blocks []slack.Block
	if pings != "" {
		blocks = append(blocks, slack.NewSectionBlock(verbatim(pings), nil, nil))
	}
	blocks = append(blocks, rich(run{text: "🗂️ "}, run{text: title, bold: true}))
	for from := 0; from < len(lines); from += maxLinesBlock {
		blocks = append(blocks, digestBlock(lines[from:min(from+maxLinesBlock, len(lines))]))
	}
	return Message{Text: digestText(lines, title, pings), Blocks: blocks}, len(lines)
}

func digestOf(it Item) digestLine {
	v := newVoice(it)
	s := v.tell(false)
	s.head = Cut(s.head, maxDigestHead, ellipsis)
	if f := v.Known.Followup; f != nil && len(s.notes) > 0 {
		s.facts = append([]string{s.notes[0]}, s.facts...)
	}
	s.about = Cut(oneLine(s.about), maxDigestAbout, ellipsis)
	facts := Cut(strings.Join(s.facts, " · "), maxDigestFacts, ellipsis)
	s.facts = nil
	if facts != "" {
		s.facts = []string{facts}
	}
	line := digestLine{voice: v, story: s, recording: v.recording}
	line.cost = size(s.icon) + size(s.head) + size(s.about) + size(facts) + size(v.recording) + 20
	if !s.at.IsZero() {
		line.cost += len(slackDateShort) + size(v.clock(s.at))
	}
	return line
}

// digestBlock shows some events, each on a line of its own.
func digestBlock(lines []digestLine) slack.Block {
	var out []slack.RichTextSectionElement
	say := func(r run) { out = append(out, r.element()) }
	for i, line := range lines {
		if i > 0 {
			say(run{text: "\n"})
		}
		s := line.story
		say(run{text: s.icon + " "})
		say(run{text: s.head, bold: true})
		words := ""
		if s.about != "" {
			words = " · " + s.about
		}
		for _, fact := range s.facts {
			words += " · " + fact
		}
		if !s.at.IsZero() {
			say(run{text: words + " · "})
			out = append(out, line.voice.dateElement(s.at))
			words = ""
		}
		if line.recording != "" {
			say(run{text: words + " · "})
			out = append(out, slack.NewRichTextSectionLinkElement(line.recording, "Recording", nil))
		} else if words != "" {
			say(run{text: words})
		}
	}
	return slack.NewRichTextBlock("", slack.NewRichTextSection(out...))
}

// digestTitle counts what is in a digest: "14 events: 9 calls, 3 missed calls, 2 texts".
func digestTitle(lines []digestLine) string {
	var kinds []string
	count := map[string]int{}
	for _, line := range lines {
		k := line.story.kind
		if count[k] == 0 {
			kinds = append(kinds, k)
		}
		count[k]++
	}
	var parts []string
	for _, k := range kinds {
		parts = append(parts, counted(count[k], strings.TrimSuffix(k, "s"), k))
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return counted(len(lines), "event", "events") + ": " + strings.Join(parts, ", ")
}

// digestMentions are the mentions of all events, each once.
func digestMentions(lines []digestLine) string {
	var all []string
	seen := map[string]bool{}
	used := 0
	for _, line := range lines {
		for _, m := range strings.Fields(line.voice.mention()) {
			if seen[m] || used+len(m)+1 > maxDigestPings {
				continue
			}
			seen[m] = true
			used += len(m) + 1
			all = append(all, m)
		}
	}
	return strings.Join(all, " ")
}

// digestText is the fallback: the title, then an equal share of the room for every event.
func digestText(lines []digestLine, title, pings string) string {
	b := &bounded{left: maxText}
	if pings != "" {
		b.start(pings + " ")
	}
	b.line(sentence(title), maxDigestTitle)
	for i, line := range lines {
		words := line.story.first()
		for _, facts := range line.story.facts {
			words += ", " + strings.TrimPrefix(strings.ReplaceAll(facts, " · ", ", "), "✅ ")
		}
		b.line(sentence(words), max(20, b.left/(len(lines)-i)-1))
	}
	return b.String()
}
