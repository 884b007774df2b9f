package format

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/slack-go/slack"
)

// SafeURL reports whether a link from outside can be handed to Slack: http or https with a host, at most 3,000
// characters, without white space, control characters, or what mrkdwn gives a meaning to in a link (| < >).
func SafeURL(link string) bool {
	if link == "" || len(link) > maxURL || size(link) > maxURL || !utf8.ValidString(link) {
		return false
	}
	for _, c := range link {
		if c == '|' || c == '<' || c == '>' || c == '"' || c == '\\' || c == ' ' || c == '^' || c == '`' || what(c) != shown {
			return false
		}
	}
	u, err := url.Parse(link)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil
}

// maxLinks bounds both links of a message together, so that text has most of its budget.
const maxLinks = 3600

// links are the links of the buttons, "" where there is none: unsafe, too long, or showing what is redacted.
func (v voice) links() (recording, transcript string) {
	ok := func(link string) bool { return SafeURL(link) && !v.hidesLink(link) }
	if ok(v.Options.Recording) {
		recording = v.Options.Recording
	}
	if ok(v.Options.TranscriptURL) && size(recording)+size(v.Options.TranscriptURL) <= maxLinks {
		transcript = v.Options.TranscriptURL
	}
	return recording, transcript
}

// anchor is a link in mrkdwn under words of ours. The link must be safe.
func anchor(link, words string) string {
	return "<" + strings.ReplaceAll(link, "&", "&amp;") + "|" + words + ">"
}

const (
	recordingWords  = "Listen to recording"
	transcriptWords = "Transcript"
)

// buttons is the row of buttons, nil if there are none.
func (v voice) buttons() slack.Block {
	var row []slack.BlockElement
	add := func(link, id, words string) {
		if link != "" {
			button := slack.NewButtonBlockElement(id, "", plainText(words))
			row = append(row, button.WithURL(link))
		}
	}
	add(v.recording, "recording", recordingWords)
	add(v.transcript, "transcript", transcriptWords)
	if row == nil {
		return nil
	}
	return slack.NewActionBlock("", row...)
}
