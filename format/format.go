// Package format turns events into Slack messages: blocks, and a fallback text that says all that matters.
//
// Its functions are pure: nothing but their arguments decides the result, and equal arguments give equal bytes. They
// read no clock, so that a message that is rendered again (a retry, an update) is the same message.
//
// Whatever an event holds, a message promises:
//   - Slack takes it: at most 40 blocks and 8,000 characters of text and links, every text within its own limit,
//     counted after escaping; nothing is cut inside a character that people see as one, an entity or a <…>, and
//     what was cut ends in an ellipsis.
//   - It pings nobody but Options.Mention. Foreign words stand in rich_text text elements, in plain_text without
//     emoji codes, or, where it can't be helped, in mrkdwn with verbatim set, after Escape or a check that nothing in
//     them means anything in mrkdwn.
//   - It masks no link. The only links are Options.Recording and Options.TranscriptURL, under words of ours; a link in
//     a summary is shown as text with its target beside it, and can't be clicked.
//   - What Options.Redact names is in none of its parts.
//
// Foreign words enter through the methods of voice alone (words, lines, number), which clean and redact them.
package format

import (
	"time"

	"github.com/slack-go/slack"

	"allo-slack/allo"
)

// Options say how a message is written. The zero value is a plain message without buttons, in UTC.
type Options struct {
	Zone          *time.Location // for times in plain text; nil is UTC. Blocks show each reader's own zone
	Recording     string         // the link that the recording button opens; "" is no button
	TranscriptURL string         // the link of a "Transcript" button; "" is no button
	Redact        Redact         // applied to everything that leaves
	Mention       string         // in Slack's form, "<@U123>", "<!here>", "<!subteam^S1>", or several with spaces between; "" is nobody
	Recovered     bool           // found by looking through recent calls: the message says so
}

// Redact names what must not leave.
type Redact struct {
	Numbers bool // phone numbers, down to their last two digits
	Emails  bool
	Cards   bool // 13 to 19 digits that pass the Luhn check
}

// Message is what Slack is sent. Text is the fallback for notifications, screen readers and search: mrkdwn, escaped,
// at most 3,000 characters. It is to be sent with parse=none (Slack's default) and without link_names.
type Message struct {
	Text   string
	Blocks []slack.Block
}

// Item is one event as it came, and what is known around it.
type Item struct {
	Event    allo.Event
	Received time.Time // zero if it is not known
	Options  Options
	Known    Known
	Note     *Note // what the bot itself has to say, instead of an event
}

// Note is what the bot itself has to say to those who run it.
type Note struct {
	Head  string
	Lines []string
}

// Known is what the bot knows beyond the event itself. All of it may be left out.
type Known struct {
	Before     *allo.Contact // the last known copy of a contact: the message then says what changed
	FirstSight bool          // no copy of the contact was known: an update says that it is the first sight of it
	Path       []allo.Party  // the way of a transferred call, first line first
	Followup   *Followup     // how a missed call was answered later
}

// Followup says that a missed caller got hold of someone.
type Followup struct {
	How FollowupKind
	At  time.Time // when; zero if it is not known
	By  string    // whose phone it was, a name or an email; "" if it is not known
}

// FollowupKind is how a missed call was answered.
type FollowupKind string

// The three ways.
const (
	CalledBack  FollowupKind = "called back"
	TextedBack  FollowupKind = "texted back"
	CalledAgain FollowupKind = "called again and got through"
)

// Limits, in UTF-16 units after escaping, which is never less than what Slack counts.
// Source: https://docs.slack.dev/reference/block-kit/blocks and, for the whole message, what was seen to be refused.
const (
	maxText    = 3000 // the fallback text: over about 4,000 Slack itself splits a message
	maxBudget  = 8000 // all text and links of a message's blocks
	maxBlocks  = 40   // Slack takes 50
	maxURL     = 3000 // a button's link
	maxSection = 3000 // one text of a section; also what one rich_text block is kept to
)

// Event is the message for one event.
func Event(it Item) Message {
	v := newVoice(it)
	s := v.tell(true)
	return Message{Text: v.fallback(s), Blocks: v.blocks(s)}
}

// Plain is the same message without blocks, for a message whose blocks Slack refused.
func Plain(it Item) Message {
	v := newVoice(it)
	return Message{Text: v.fallback(v.tell(true))}
}

// story is one event in the words that all its renderings share. Everything in it is clean, redacted and cut.
type story struct {
	icon   string      // one emoji: tells the kind at a glance
	kind   string      // for the digest's title: "calls", "missed calls", "texts", …
	head   string      // who, and how it ended: "Missed call from John Doe"
	about  string      // what about, in one line; may be ""
	quote  string      // the words of a text; may be ""
	body   []paragraph // the longer summary
	notes  []string    // what must not be missed, one line each
	fields []field     // collected data and other pairs
	table  bool        // fields stand in two columns, otherwise one below the other
	hidden int         // how many fields there are beyond those
	people []string    // who called whom, the path of a transfer: one line each
	at     time.Time   // zero if it is not known
	facts  []string    // duration, tags, owner: short, after the time
}

// field is a label and what stands under it.
type field struct{ label, value string }

// tell writes the story of an event. A brief one (whole is false) leaves out what a digest does not show.
func (v voice) tell(whole bool) story {
	e := &v.Event
	var s story
	switch {
	case v.Note != nil:
		return v.note(whole)
	case e.Call != nil && e.Topic == allo.CallReceived:
		s = v.call(e.Call, whole)
	case e.Call != nil:
		s = v.callNews(e.Call, whole)
	case e.Text != nil:
		s = v.text(e.Text, whole)
	case e.Contact != nil:
		s = v.contact(e.Contact, whole)
	default:
		s = v.unknown(whole)
	}
	if v.Options.Recovered {
		s.facts = append(s.facts, "recovered: found by looking through recent calls")
	}
	return s
}
