package allo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Parse reads the body of a webhook. The error says, for the sender, why the body is not an envelope: an object
// with a non-empty string `topic` and an object `data` (which PING needs not have). Inside data nothing is an
// error; Event.Odd names what had an unexpected type.
func Parse(body []byte) (Event, error) {
	v, err := decode(body)
	if errors.Is(err, io.EOF) {
		return Event{}, errors.New("the body is empty; an envelope looks like {\"topic\": \"CALL_RECEIVED\", \"data\": {…}}")
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
	topic, ok := envelope.exact("topic").(string)
	if !ok || strings.TrimSpace(topic) == "" {
		return Event{}, errors.New("not an envelope: topic must be a string that is not empty")
	}
	e := Event{Wire: topic, Raw: body}
	e.Topic, _ = Canonical(topic)
	e.Version = TextOf(envelope.exact("version"))
	e.Sent, _ = parseTime(envelope.exact("timestamp"))

	data := envelope.exact("data")
	e.Data, ok = data.(Object)
	if !ok && e.Topic != Ping {
		return Event{}, fmt.Errorf("not an envelope: data must be an object, this is %s", kindOf(data))
	}

	r := &reader{object: e.Data}
	e.ID = r.text("id")
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
	e.Odd = r.odd
	return e, nil
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

// reader reads fields of one object and notes which of them had an unexpected type.
type reader struct {
	object Object
	odd    []string
}

// text reads the first of the keys that is there, whatever its type; only a string or a number is expected.
func (r *reader) text(keys ...string) string {
	v, ok := r.object.Get(keys...)
	if !ok {
		return ""
	}
	switch v.(type) {
	case string, json.Number:
	default:
		r.odd = append(r.odd, keys[0])
	}
	return TextOf(v)
}

// word reads a value of a fixed set, in upper case.
func (r *reader) word(keys ...string) string {
	return strings.ToUpper(strings.TrimSpace(r.text(keys...)))
}

// phrase reads what is shown on one line.
func (r *reader) phrase(keys ...string) string {
	return strings.TrimSpace(r.text(keys...))
}

func (r *reader) time(keys ...string) time.Time {
	v, ok := r.object.Get(keys...)
	if !ok {
		return time.Time{}
	}
	t, ok := parseTime(v)
	if !ok {
		r.odd = append(r.odd, keys[0])
	}
	return t
}

func (r *reader) number(keys ...string) (float64, bool) {
	v, ok := r.object.Get(keys...)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(TextOf(v)), 64)
	if _, isNumber := v.(json.Number); !isNumber || err != nil {
		r.odd = append(r.odd, keys[0])
	}
	return n, err == nil && n >= 0 && n < 1e9
}

func (r *reader) sub(keys ...string) Object {
	v, ok := r.object.Get(keys...)
	if !ok {
		return nil
	}
	o, ok := v.(Object)
	if !ok {
		r.odd = append(r.odd, keys[0])
	}
	return o
}

// texts reads a list of texts. One text is a list of one; of an object its name counts.
func (r *reader) texts(keys ...string) []string {
	v, ok := r.object.Get(keys...)
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		r.odd = append(r.odd, keys[0])
		list = []any{v}
	}
	var texts []string
	for _, item := range list {
		if o, ok := item.(Object); ok {
			if named, ok := o.Get("name", "value", "email", "number"); ok {
				item = named
			}
		}
		if s := strings.TrimSpace(TextOf(item)); s != "" {
			texts = append(texts, s)
		}
	}
	return texts
}

// tags reads `tag` and `tags`, each tag once, whichever way it is spelled.
func (r *reader) tags() []string {
	var tags []string
	seen := map[string]bool{}
	add := func(tag string) {
		if key := FoldTag(tag); key != "" && !seen[key] {
			seen[key] = true
			tags = append(tags, tag)
		}
	}
	if v, ok := r.object.Get("tag"); ok {
		if o, isObject := v.(Object); isObject {
			named, _ := o.Get("name")
			add(strings.TrimSpace(TextOf(named)))
		} else {
			add(r.phrase("tag"))
		}
	}
	for _, tag := range r.texts("tags") {
		add(tag)
	}
	return tags
}

// FoldTag makes tags comparable: case, spaces, hyphens and underscores don't matter (`follow_up_later` is `Follow
// up later`, seen).
func FoldTag(tag string) string {
	return strings.Map(func(c rune) rune {
		switch c {
		case ' ', '-', '_', '\t', '\u00a0':
			return -1
		}
		return c
	}, strings.ToLower(tag))
}

// party reads one side of a call or text: `from_number` and `from_name`, or `from` as a number or an object.
func (r *reader) party(side string) Party {
	p := Party{Number: r.phrase(side + "_number"), Name: r.phrase(side + "_name")}
	v, ok := r.object.Get(side)
	if !ok {
		return p
	}
	if o, isObject := v.(Object); isObject {
		inner := &reader{object: o}
		p.Number = first(p.Number, inner.phrase("number", "phone_number"))
		p.Name = first(p.Name, inner.phrase("name"))
		return p
	}
	p.Number = first(p.Number, r.phrase(side))
	return p
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (r *reader) direction(keys ...string) Direction {
	switch d := Direction(r.word(keys...)); d {
	case Inbound, Outbound:
		return d
	}
	return ""
}

func (r *reader) call() *Call {
	c := &Call{
		ID:             r.text("id"),
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
		Collected:      r.sub("data_collected", "extracted_data"),
		RecordingURL:   r.phrase("recording_url"),
		UserEmail:      r.phrase("user_email"),
		OriginalCallID: r.text("transfer_original_call_id"),
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

func (r *reader) transfer(key string) *TransferParty {
	o := r.sub(key)
	if o == nil {
		return nil
	}
	inner := &reader{object: o}
	t := TransferParty{
		Number:    inner.phrase("number"),
		UserEmail: inner.phrase("user_email"),
		UserName:  inner.phrase("user_name"),
	}
	for _, name := range inner.odd {
		r.odd = append(r.odd, key+"."+name)
	}
	if t == (TransferParty{}) {
		return nil
	}
	return &t
}

func (r *reader) list(key string) []any {
	v, ok := r.object.Get(key)
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		r.odd = append(r.odd, key)
	}
	return list
}

func (r *reader) transcript() []Line {
	var lines []Line
	for _, item := range r.list("transcriptions") {
		o, ok := item.(Object)
		if !ok {
			r.odd = append(r.odd, "transcriptions")
			o = Object{{"text", item}}
		}
		inner := &reader{object: o}
		line := Line{
			Source: inner.word("source"),
			Time:   inner.time("time"),
			Text:   strings.TrimSpace(inner.text("text")),
		}
		if line.Text != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func (r *reader) choices() []Choice {
	var choices []Choice
	for _, item := range r.list("ivr_result") {
		o, ok := item.(Object)
		if !ok {
			r.odd = append(r.odd, "ivr_result")
			continue
		}
		inner := &reader{object: o}
		c := Choice{Key: inner.phrase("dtmf_key"), Text: inner.phrase("text_key")}
		if c != (Choice{}) {
			choices = append(choices, c)
		}
	}
	return choices
}

func (r *reader) sms(topic Topic) *Text {
	t := &Text{
		ID:        r.text("id"),
		Direction: r.direction("direction"),
		Type:      r.word("type"),
		Content:   strings.TrimSpace(r.text("content")),
		SentAt:    r.time("sent_at", "start_date"),
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

func (r *reader) contact() *Contact {
	return &Contact{
		ID:       r.text("id"),
		Name:     r.phrase("name", "first_name"),
		LastName: r.phrase("last_name"),
		Company:  r.phrase("company"),
		Emails:   r.texts("emails"),
		Numbers:  r.texts("numbers"),
		Tags:     r.tags(),
	}
}

// parseTime reads a time as Allo writes it: with Z, with an offset, without a zone (then UTC), with or without
// fractions of a second. A number is seconds, or milliseconds, since 1970. The years 2000 to 2999 are believed.
func parseTime(v any) (time.Time, bool) {
	var t time.Time
	switch v := v.(type) {
	case nil:
		return t, false
	case json.Number:
		n, err := strconv.ParseFloat(v.String(), 64)
		if err != nil || n < 0 || n > 1e14 {
			return t, false
		}
		if n > 1e11 {
			n /= 1000
		}
		t = time.UnixMilli(int64(n * 1000)).UTC()
	case string:
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04Z07:00"} {
			parsed, err := time.Parse(layout, strings.TrimSpace(v))
			if err == nil {
				t = parsed.UTC()
				break
			}
		}
	}
	if t.Year() < 2000 || t.Year() > 2999 {
		return time.Time{}, false
	}
	return t, true
}
