package format

import (
	"fmt"
	"strings"
	"time"

	"github.com/slack-go/slack"
)

// maxPart is how much of a transcript one message holds, after escaping: what its fallback text holds too, so that
// nothing is lost on those who hear it, nor if Slack refuses blocks.
const maxPart = maxText - 150

// Transcript is the transcript of a call in as many messages as it takes, so that nothing is cut: its entries with
// their speakers and the time into the call, or, where there are no entries, the text that Allo made of them. Nil if
// there is neither. Speakers are named as Allo does (agent, user, external): which of the call's parties that is varies.
func Transcript(it Item) []Message {
	if it.Event.Call == nil {
		return nil
	}
	it.Options.Mention = "" // the call's own message pings
	v := newVoice(it)
	said := v.transcriptLines()
	if len(said) == 0 {
		return nil
	}
	parts := split(said)
	messages := make([]Message, len(parts))
	for i, part := range parts {
		title := v.transcriptTitle()
		if len(parts) > 1 {
			title = fmt.Sprintf("%s, part %d of %d", title, i+1, len(parts))
		}
		messages[i] = transcriptMessage(Cut(title, 140, ellipsis), part)
	}
	return messages
}

// NoPart takes the place of a part of a transcript that became shorter once the part was to follow the call's message.
func NoPart(it Item) Message {
	it.Options.Mention = ""
	title := Cut(newVoice(it).transcriptTitle(), 140, ellipsis)
	const why = "It has become shorter: all of it stands further up."
	return Message{
		Text:   sentence(title) + "\n" + why,
		Blocks: []slack.Block{rich(run{text: "📜 "}, run{text: title, bold: true}), rich(run{text: why})},
	}
}

func (v voice) transcriptTitle() string {
	if v.Event.Call == nil {
		return "Transcript of the call"
	}
	return "Transcript of the call with " + v.person(v.Event.Call.Customer(), "caller")
}

// utterance is a speaker with words, or what of them fits in one message.
type utterance struct{ who, words string }

// frame is what an utterance takes besides its words: the speaker, a colon, a space and the end of the line.
func (u utterance) frame() int { return size(u.who) + 3 }

// transcriptLines reads the entries, clean and redacted.
func (v voice) transcriptLines() []utterance {
	c := v.Event.Call
	var said []utterance
	for _, line := range c.Transcript {
		words := v.Options.Redact.text(Clean(line.Text))
		if words == "" {
			continue
		}
		who := Humanise(strings.ToLower(v.words(line.Source, 40)))
		if at := into(c.Start, line.Time); at != "" {
			who = join(" ", who, at)
		}
		said = append(said, utterance{who, words})
	}
	if len(said) == 0 {
		if words := v.Options.Redact.text(Clean(c.TranscriptText)); words != "" {
			said = append(said, utterance{"", words})
		}
	}
	return said
}

// into is how far into a call something was said, "0:05"; "" if that is not known or makes no sense.
func into(start, at time.Time) string {
	d := at.Sub(start)
	if start.IsZero() || at.IsZero() || d < 0 || d > 24*time.Hour {
		return ""
	}
	seconds := int(d.Seconds())
	if seconds >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", seconds/3600, seconds%3600/60, seconds%60)
	}
	return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
}

// split puts utterances into parts that fit. Only an utterance that is longer than a part is itself split, at a line's
// end, a sentence's or a word's, and between characters if there are none.
func split(said []utterance) [][]utterance {
	var parts [][]utterance
	var part []utterance
	left := maxPart
	flush := func() {
		if len(part) > 0 {
			parts = append(parts, part)
			part, left = nil, maxPart
		}
	}
	for _, u := range said {
		if !fits(u.words, left-u.frame()) {
			flush()
		}
		for !fits(u.words, maxPart-u.frame()) {
			at := splitAt(u.words, maxPart-u.frame())
			head := utterance{u.who, strings.TrimRight(u.words[:at], " \n")}
			u.words = strings.TrimLeft(u.words[at:], " \n")
			if head.words != "" {
				parts = append(parts, []utterance{head})
			}
		}
		if u.words == "" {
			continue
		}
		part = append(part, u)
		left -= size(u.words) + u.frame()
	}
	flush()
	return parts
}

// splitAt finds a good place to split within the first room characters.
func splitAt(words string, room int) int {
	at := prefix(words, room)
	if at == 0 { // one character that is longer than a message: the only one that is split
		for i, c := range words {
			if room -= size(string(c)); room < 0 {
				return i
			}
		}
		return len(words)
	}
	for _, end := range []string{"\n", ". ", "? ", "! ", " "} {
		if i := strings.LastIndex(words[:at], end); i > at/2 {
			return i + len(end)
		}
	}
	return at
}

func transcriptMessage(title string, part []utterance) Message {
	runs := make([]run, 0, 3*len(part))
	b := &bounded{left: maxText}
	b.line(sentence(title), 150)
	for i, u := range part {
		if i > 0 {
			runs = append(runs, run{text: "\n"})
		}
		words := u.words
		if u.who != "" {
			runs = append(runs, run{text: u.who + ": ", bold: true})
			words = u.who + ": " + words
		}
		runs = append(runs, run{text: u.words})
		b.line(words, maxText)
	}
	return Message{
		Text:   b.String(),
		Blocks: []slack.Block{rich(run{text: "📜 "}, run{text: title, bold: true}), rich(runs...)},
	}
}
