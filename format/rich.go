package format

import (
	"regexp"
	"strings"

	"github.com/slack-go/slack"
)

// plainText is text that Slack shows to the letter.
func plainText(s string) *slack.TextBlockObject {
	no := false
	return &slack.TextBlockObject{Type: slack.PlainTextType, Text: s, Emoji: &no}
}

// verbatim is mrkdwn in which Slack looks for nothing by itself: no @name, no #channel, no bare link.
func verbatim(s string) *slack.TextBlockObject {
	return &slack.TextBlockObject{Type: slack.MarkdownType, Text: s, Verbatim: true}
}

// run is a stretch of text in one style.
type run struct {
	text                       string
	bold, italic, strike, code bool
}

func (r run) element() slack.RichTextSectionElement {
	var style *slack.RichTextSectionTextStyle
	if r.bold || r.italic || r.strike || r.code {
		style = &slack.RichTextSectionTextStyle{Bold: r.bold, Italic: r.italic, Strike: r.strike, Code: r.code}
	}
	return slack.NewRichTextSectionTextElement(r.text, style)
}

func elements(runs []run) []slack.RichTextSectionElement {
	out := make([]slack.RichTextSectionElement, 0, len(runs))
	for _, r := range runs {
		if r.text != "" {
			out = append(out, r.element())
		}
	}
	return out
}

// rich is a rich_text block of one section.
func rich(runs ...run) slack.Block {
	return slack.NewRichTextBlock("", slack.NewRichTextSection(elements(runs)...))
}

// quoted is a rich_text block with words as a quotation.
func quoted(words string) slack.Block {
	return slack.NewRichTextBlock("", &slack.RichTextQuote{
		Type:     slack.RTEQuote,
		Elements: elements([]run{{text: words}}),
	})
}

// mention is Options.Mention if it is nothing but mentions, "" otherwise.
func (v voice) mention() string {
	m := strings.Join(strings.Fields(v.Options.Mention), " ")
	if len(m) > 500 || !mentions.MatchString(m) {
		return ""
	}
	return m
}

var mentions = regexp.MustCompile(`^<(@[UW][A-Z0-9]+|!subteam\^S[A-Z0-9]+|!here|!channel|!everyone)>( <(@[UW][A-Z0-9]+|!subteam\^S[A-Z0-9]+|!here|!channel|!everyone)>)*$`)

// The share of a message's budget that each part may take, in characters. Links, at most maxLinks, come on top. A quote
// comes without a body, and only contacts have more than one note: what the others leave goes to the body and then to
// the fields. Worst: 3,600 + 500 + 600 + 1,500 + 500 leave 1,300 of 8,000.
const (
	maxHead   = 200
	maxAbout  = 400
	maxQuote  = 2800
	maxBody   = 2600
	maxNote   = 200
	maxNotes  = 12
	maxPeople = 5
	maxPerson = 300
	maxFacts  = 500
)

// blocks lays a story out.
func (v voice) blocks(s story) []slack.Block {
	var out []slack.Block
	left := maxBudget
	spend := func(text string) string { left -= size(text); return text }

	buttons := v.buttons()
	if buttons != nil {
		left -= size(v.recording) + size(v.transcript) + len(recordingWords) + len(transcriptWords)
	}
	if m := v.mention(); m != "" {
		out = append(out, slack.NewSectionBlock(verbatim(spend(m)), nil, nil))
	}

	first := []run{{text: spend(s.icon + " ")}, {text: spend(Cut(s.head, maxHead, ellipsis)), bold: true}}
	if s.about != "" {
		first = append(first, run{text: spend(" · " + Cut(s.about, maxAbout, ellipsis))})
	}
	out = append(out, rich(first...))

	var context []slack.Block
	for _, person := range s.people[:min(len(s.people), maxPeople)] {
		context = append(context, slack.NewContextBlock("", plainText(spend(Cut(person, maxPerson, ellipsis)))))
	}
	if last := v.when(s, spend); last != nil {
		context = append(context, last)
	}
	var notes []string
	for _, note := range s.notes[:min(len(s.notes), maxNotes)] {
		notes = append(notes, spend(Cut(note, maxNote, ellipsis)))
	}

	if s.quote != "" {
		out = append(out, quoted(spend(Cut(s.quote, min(maxQuote, left), rest))))
	}
	if len(s.body) > 0 && left > 200 {
		body := cutParagraphs(s.body, min(maxBody, left-100))
		for _, p := range body {
			spend(p.plain())
		}
		out = append(out, slack.NewRichTextBlock("", richParagraphs(body)...))
	}
	if len(notes) > 0 {
		out = append(out, rich(run{text: strings.Join(notes, "\n")}))
	}
	shown := 0
	if len(s.fields) > 0 {
		var pairs []slack.Block
		if s.table {
			pairs, shown = columns(s.fields, left-100)
		} else {
			pairs, shown = pairLines(s.fields, left-100)
		}
		out = append(out, pairs...)
	}
	if more := s.hidden + len(s.fields) - shown; more > 0 {
		out = append(out, slack.NewContextBlock("", plainText(andMore(more)+" in Allo")))
	}
	out = append(out, context...)
	if buttons != nil {
		out = append(out, buttons)
	}
	return out
}

// when is the line with time, duration, tags, owner; nil if none of them is known.
func (v voice) when(s story, spend func(string) string) slack.Block {
	facts := Cut(strings.Join(s.facts, " · "), maxFacts, ellipsis)
	if s.at.IsZero() {
		if facts == "" {
			return nil
		}
		return slack.NewContextBlock("", plainText(spend(capital(facts))))
	}
	date := spend(v.dateToken(s.at))
	if facts != "" && inert(facts) {
		return slack.NewContextBlock("", verbatim(date+spend(" · "+facts)))
	}
	row := []slack.MixedElement{verbatim(date)}
	if facts != "" {
		row = append(row, plainText(spend("· "+facts)))
	}
	return slack.NewContextBlock("", row...)
}
