package allo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Parse reads the body of a webhook. The error says, for the sender, why the body is not an envelope: an object
// with a non-empty string `topic` and an object `data` (which PING needs not have). Inside data nothing is an
// error; Event.Odd names what had an unexpected type.
func Parse(body []byte) (Event, error) {
	v, err := decode(body)
	if errors.Is(err, io.EOF) {
		return Event{}, errors.New(`the body is empty; an envelope looks like {"topic": "CALL_RECEIVED", "data": {…}}`)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return Event{}, errors.New("not JSON: it ends in the middle")
	}
	if err != nil {
		return Event{}, fmt.Errorf("not JSON: %w", err)
	}
	envelope, ok := v.(Object)
	if !ok {
		return Event{}, fmt.Errorf("not an envelope: an object with topic and data is needed, this is %s", kindOf(v))
	}
	topic, _ := envelope.exact("topic").(string)
	name := printable(topic)
	if name == "" {
		return Event{}, errors.New("not an envelope: topic must be a string that is not empty")
	}
	e := Event{Wire: topic, Raw: body}
	e.Topic, _ = Canonical(name)
	e.Version = TextOf(envelope.exact("version"))
	e.Sent, _ = parseTime(envelope.exact("timestamp"))

	data := envelope.exact("data")
	e.Data, ok = data.(Object)
	if !ok && e.Topic != Ping {
		return Event{}, fmt.Errorf("not an envelope: data must be an object, this is %s", kindOf(data))
	}

	r := reader{object: e.Data, odd: &e.Odd}
	e.ID = r.id("id")
	switch e.Topic {
	case CallReceived, CallRinging, CallTriggered, CallAnswered, TagAdded, TagRemoved, SummaryUpdated:
		e.Call = r.call()
	case SMSReceived, SMSSent:
		e.Text = r.sms(e.Topic)
		// Variants of Allo's page send one topic for both directions (seen).
		e.Topic = SMSReceived
		if e.Text.Direction == Outbound {
			e.Topic = SMSSent
		}
	case ContactCreated, ContactUpdated:
		e.Contact = r.contact()
	}
	return e, nil
}

// printable is a name without white space around it and without control characters, which nobody sees and not every
// database keeps.
func printable(name string) string {
	return strings.TrimSpace(strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return -1
		}
		return c
	}, name))
}

// exact returns the value of a key of the envelope itself, whose spelling never varied.
func (o Object) exact(key string) any {
	for _, f := range o {
		if f.Key == key {
			return f.Value
		}
	}
	return nil
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null or missing"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	}
	return "an object"
}

func (r reader) call() *Call {
	c := &Call{
		ID:             r.id("id"),
		Start:          r.time("start_date", "started_at"),
		From:           r.party("from"),
		To:             r.party("to"),
		OriginalTo:     Party{r.phrase("original_to_number"), r.phrase("original_to_name")},
		Direction:      r.direction("direction", "type"),
		Length:         r.phrase("length"),
		Result:         r.word("result"),
		Tags:           r.tags(),
		Summary:        strings.TrimSpace(r.text("summary")),
		OneSentence:    r.phrase("one_sentence_summary"),
		TranscriptText: strings.TrimSpace(r.text("concatenated_transcript")),
		Collected:      r.collected("data_collected", "extracted_data"),
		RecordingURL:   r.phrase("recording_url"),
		UserEmail:      r.phrase("user_email"),
		OriginalCallID: r.id("transfer_original_call_id"),
		IntegrationID:  r.text("integration_id"),
		TransferFrom:   r.transfer("transfer_from"),
		TransferTo:     r.transfer("transfer_to"),
	}
	c.Minutes, c.HasMinutes = r.number("length_in_minutes")
	c.Transcript = r.transcript()
	c.Choices = r.choices()
	c.Missed, c.MissedIsCertain = missed(c)
	return c
}

// missed says whether nobody spoke to the caller, and whether Allo said so: without `result` an inbound call of
// length 0 counts as missed (inferred).
func missed(c *Call) (missed, certain bool) {
	if c.Direction == Outbound {
		return false, true
	}
	switch c.Result {
	case "MISSED", "NO_ANSWER", "VOICEMAIL", "CLOSED", "FAILED", "FAILED_EXTERNAL":
		return true, true
	case "":
		zero := c.HasMinutes && c.Minutes == 0
		return c.Direction == Inbound && zero, false
	}
	return false, true
}

func (r reader) sms(topic Topic) *Text {
	t := &Text{
		ID:        r.id("id"),
		Direction: r.direction("direction"),
		Type:      r.word("type"),
		Content:   strings.TrimSpace(r.text("content")),
		SentAt:    r.time("sent_at", "start_date", "started_at"),
		From:      r.party("from"),
		To:        r.party("to"),
		Tags:      r.tags(),
		UserEmail: r.phrase("user_email"),
	}
	if d := Direction(t.Type); d == Inbound || d == Outbound {
		// The second generation says `type` where the first says `direction` (seen).
		t.Type = ""
		if t.Direction == "" {
			t.Direction = d
		}
	}
	if t.Direction == "" {
		t.Direction = Inbound
		if topic == SMSSent {
			t.Direction = Outbound
		}
	}
	return t
}

func (r reader) contact() *Contact {
	return &Contact{
		ID:       r.id("id"),
		Name:     r.phrase("name", "first_name"),
		LastName: r.phrase("last_name"),
		Company:  r.phrase("company"),
		Emails:   r.names("emails", "email", "value"),
		Numbers:  r.names("numbers", "number", "value"),
		Tags:     r.tags(),
	}
}
