// Package allo is the vocabulary of this program: what Allo says, in Go.
//
// Parse turns the body of a webhook into an Event. It promises that inside `data` nothing is an error: a null, a
// missing field, a field of an unexpected type or an unknown topic leave an Event that says what could be read.
// Only a body that is not an envelope at all is refused, with an error that says why.
//
// The package imports nothing of this program. Facts about payloads come from Allo's page on webhooks
// (https://help.withallo.com/en/api-reference/webhooks) and, where marked "seen", from what consumers of it met.
package allo

import (
	"strings"
	"time"
)

// Topic says what happened. The first generation's names are the canonical ones; Parse maps the second
// generation's names for the same thing onto them.
type Topic string

// The topics of Allo's page.
const (
	// CallReceived says that a call has ended, in either direction, despite its name.
	CallReceived   Topic = "CALL_RECEIVED"
	SMSReceived    Topic = "SMS_RECEIVED"
	SMSSent        Topic = "SMS_SENT"
	ContactCreated Topic = "CONTACT_CREATED"
	ContactUpdated Topic = "CONTACT_UPDATED"
	// Ping is Allo's test of the URL. It is answered and goes nowhere.
	Ping Topic = "PING"
)

// Topics that only the second generation has. They come in bursts around one call, so a rule gets them only when
// it names them.
const (
	CallRinging    Topic = "call.received" // the phone starts to ring: not CallReceived
	CallTriggered  Topic = "call.triggered"
	CallAnswered   Topic = "call.answered"
	TagAdded       Topic = "tag.added"
	TagRemoved     Topic = "tag.removed"
	SummaryUpdated Topic = "summary.updated"
)

var canonical = map[string]Topic{
	"CALL_RECEIVED":   CallReceived,
	"SMS_RECEIVED":    SMSReceived,
	"SMS_SENT":        SMSSent,
	"CONTACT_CREATED": ContactCreated,
	"CONTACT_UPDATED": ContactUpdated,
	"PING":            Ping,
	"call.completed":  CallReceived,
	"sms.received":    SMSReceived,
	"sms.sent":        SMSSent,
	"contact.created": ContactCreated,
	"contact.updated": ContactUpdated,
	"call.received":   CallRinging,
	"call.triggered":  CallTriggered,
	"call.answered":   CallAnswered,
	"tag.added":       TagAdded,
	"tag.removed":     TagRemoved,
	"summary.updated": SummaryUpdated,
}

// Canonical maps a topic as it is written, of either generation, to the name that this program uses. The second
// result is false for a topic that this program does not know; it is then returned as it is. Names are compared
// to the letter: `call.received` rings, `CALL_RECEIVED` has ended.
func Canonical(name string) (Topic, bool) {
	t, ok := canonical[name]
	if !ok {
		t = Topic(name)
	}
	return t, ok
}

// KnownTopics lists every name that Canonical knows, of both generations, in the order a person would list them.
func KnownTopics() []string {
	return []string{
		"CALL_RECEIVED", "SMS_RECEIVED", "SMS_SENT", "CONTACT_CREATED", "CONTACT_UPDATED", "PING",
		"call.completed", "sms.received", "sms.sent", "contact.created", "contact.updated",
		"call.received", "call.triggered", "call.answered", "tag.added", "tag.removed", "summary.updated",
	}
}

// OnlyWhenNamed reports whether a rule gets events of this topic only when its `topic` or `if` names it.
func (t Topic) OnlyWhenNamed() bool {
	switch t {
	case CallRinging, CallTriggered, CallAnswered, TagAdded, TagRemoved, SummaryUpdated:
		return true
	}
	return false
}

// Kind is the topic, for logs: "unknown" for one that this program doesn't know, which may hold whatever its sender
// wrote.
func (t Topic) Kind() string {
	if _, ok := Canonical(string(t)); !ok {
		return "unknown"
	}
	return string(t)
}

// Direction is from our side: Inbound is towards us.
type Direction string

// The two directions; any other value, and none, is "".
const (
	Inbound  Direction = "INBOUND"
	Outbound Direction = "OUTBOUND"
)

// Event is one envelope, read. Exactly one of Call, Text and Contact is set for the topics that are about one;
// none is for a topic that this program does not know, for which Data holds what came.
type Event struct {
	Topic   Topic     // canonical; an outbound SMS_RECEIVED is SMS_SENT
	Wire    string    // the topic as it was sent
	Version string    // of the envelope: "" in the first generation, "2.0" in the second
	Sent    time.Time // the second generation's timestamp of the envelope; zero in the first
	ID      string    // data.id; "" if there is none
	// Delivery is the id of the delivery (the second generation's webhook-id); the same for an event that is sent again.
	Delivery string
	Call     *Call
	Text     *Text
	Contact  *Contact
	Data     Object   // data, whole, in the order of its keys
	Odd      []string // names of fields that had an unexpected type, for the log
	Raw      []byte   // the body, as it came; nil of one that Fold made
	// Said is when it was said: the envelope's own time or, where it has none, when it came in. Order tells apart what was
	// said at one time. Parse knows neither: whoever keeps events does.
	Said  time.Time
	Order int64
}

// SecondGeneration reports whether the event is of the second generation of webhooks: its envelope says so, or its
// topic is written as only that one writes topics.
func (e *Event) SecondGeneration() bool {
	return e.Version != "" || strings.Contains(e.Wire, ".")
}

// Party is one side of a call or of a text. Number is as Allo wrote it, which may be `anonymous`, a short code, a
// sender's alphanumeric name, or "".
type Party struct {
	Number string
	Name   string
}

// Call is a call that has ended (or, for the topics that are only taken when named, one that has not).
// Source: https://help.withallo.com/en/api-reference/webhooks, CALL_RECEIVED.
type Call struct {
	ID              string
	Start           time.Time // zero if it is missing or can't be read
	From            Party
	To              Party
	OriginalTo      Party // the line that was dialled, before routing
	Direction       Direction
	Minutes         float64
	HasMinutes      bool
	Length          string // as Allo words it, "5m 30s"
	Result          string // upper case: ANSWERED, VOICEMAIL, MISSED, …; "" if Allo did not say
	Tags            []string
	Summary         string // Markdown
	OneSentence     string
	Transcript      []Line
	TranscriptText  string // serves where Transcript is empty
	Collected       Object
	RecordingURL    string
	UserEmail       string // whose phone it was
	TransferFrom    *TransferParty
	TransferTo      *TransferParty
	OriginalCallID  string // the first call of a transfer chain, the same for all calls in it
	IntegrationID   string
	Choices         []Choice // what the caller pressed in the menu
	MissedIsCertain bool     // false where Missed was concluded from a length of 0
	Missed          bool     // nobody spoke to the caller; inbound only
}

// Line is one entry of a transcript. Source is AGENT, USER or EXTERNAL; who that is varies (seen): print it, but
// put no name to it.
type Line struct {
	Source string
	Time   time.Time
	Text   string
}

// TransferParty is who a call was transferred from or to.
type TransferParty struct {
	Number    string
	UserEmail string
	UserName  string
}

// Choice is one key that a caller pressed, and what it stood for.
type Choice struct {
	Key  string
	Text string
}

// Text is an SMS or MMS. Source: https://help.withallo.com/en/api-reference/webhooks, SMS_RECEIVED and SMS_SENT.
type Text struct {
	ID        string
	Direction Direction
	Type      string // SMS or MMS
	Content   string
	SentAt    time.Time
	From      Party
	To        Party
	Tags      []string
	UserEmail string
}

// Contact is a contact as it is now. Source: https://help.withallo.com/en/api-reference/webhooks, CONTACT_CREATED.
type Contact struct {
	ID       string
	Name     string
	LastName string
	Company  string
	Emails   []string
	Numbers  []string
	Tags     []string
}

// FullName is the contact's first and last name.
func (c *Contact) FullName() string {
	return strings.TrimSpace(c.Name + " " + c.LastName)
}

// Customer is the side of a call that is not ours: the caller of an inbound call, the one who was called by an
// outbound one. Which it is depends on the direction alone; without one the caller is taken for the customer.
func (c *Call) Customer() Party {
	if c.Direction == Outbound {
		return c.To
	}
	return c.From
}

// OurLine is our side of a call: the line that the customer dialled (before routing, where Allo says), or the one
// we called from.
func (c *Call) OurLine() Party {
	if c.Direction == Outbound {
		return c.From
	}
	if c.OriginalTo != (Party{}) {
		return c.OriginalTo
	}
	return c.To
}

// Transferred reports whether the call came from a transfer or went on to one.
func (c *Call) Transferred() bool {
	return c.TransferFrom != nil || c.TransferTo != nil || strings.HasPrefix(c.Result, "TRANSFERRED")
}

// Customer is the side of a text that is not ours.
func (t *Text) Customer() Party {
	if t.Direction == Outbound {
		return t.To
	}
	return t.From
}

// OurLine is our side of a text.
func (t *Text) OurLine() Party {
	if t.Direction == Outbound {
		return t.From
	}
	return t.To
}

// Tags lists the tags of what the event is about, as they were written.
func (e *Event) Tags() []string {
	switch {
	case e.Call != nil:
		return e.Call.Tags
	case e.Text != nil:
		return e.Text.Tags
	case e.Contact != nil:
		return e.Contact.Tags
	}
	return nil
}

// Numbers lists every number that a rule's `number` is compared with: both sides, the line dialled first, and a
// contact's own. They are as Allo wrote them, without the empty ones.
func (e *Event) Numbers() []string {
	var all []string
	switch {
	case e.Call != nil:
		all = []string{e.Call.From.Number, e.Call.To.Number, e.Call.OriginalTo.Number}
	case e.Text != nil:
		all = []string{e.Text.From.Number, e.Text.To.Number}
	case e.Contact != nil:
		all = e.Contact.Numbers
	}
	numbers := make([]string, 0, len(all))
	for _, n := range all {
		if n != "" {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// Direction is the direction of the call or text, "" for anything else.
func (e *Event) Direction() Direction {
	switch {
	case e.Call != nil:
		return e.Call.Direction
	case e.Text != nil:
		return e.Text.Direction
	}
	return ""
}

// At is when the thing happened, as far as the payload says: the start of the call, when the text was sent, the
// envelope's own timestamp. Zero if none of them could be read.
func (e *Event) At() time.Time {
	switch {
	case e.Call != nil && !e.Call.Start.IsZero():
		return e.Call.Start
	case e.Text != nil && !e.Text.SentAt.IsZero():
		return e.Text.SentAt
	}
	return e.Sent
}
