package allo

import (
	"bytes"
	"encoding/json"
	"slices"
)

// About is the Key of the call that an event of a tag or of a summary is about (see Identity); "" for every other
// event, and if the event doesn't say.
func (e *Event) About() string {
	switch e.Topic {
	case TagAdded, TagRemoved, SummaryUpdated:
	default:
		return ""
	}
	id, _ := e.Data.Get("call_id")
	if call, ok := e.Data.Get("call"); ok && id == nil {
		if o, isObject := call.(Object); isObject {
			id, _ = o.Get("id")
		}
	}
	about := idOf(id)
	if about == "" {
		about = e.ID
	}
	if about == "" {
		return ""
	}
	return callKey(about)
}

// Amend is a call with what came to be known of it later: a tag that was added or removed, a summary, or the same
// call as it is told again, of which counts what is there.
func Amend(call, later *Event) Event {
	if call.Call == nil || later.Call == nil {
		return *call
	}
	c, l := call.Call, later.Call
	data := slices.Clone(call.Data)
	text := func(key, was, now string, replace bool) {
		if now != "" && now != was && (was == "" || replace) {
			data = data.with(key, now)
		}
	}
	tags := c.Tags
	switch later.Topic {
	case TagAdded:
		tags = union(c.Tags, l.Tags)
	case TagRemoved:
		tags = slices.DeleteFunc(slices.Clone(c.Tags), func(tag string) bool { return holdsTag(l.Tags, tag) })
	case CallReceived:
		if len(l.Tags) > 0 {
			tags = l.Tags
		}
	}
	if !sameTags(tags, c.Tags) {
		list := make([]any, len(tags))
		for i, tag := range tags {
			list[i] = tag
		}
		data = data.with("tag", nil).with("tags", list)
	}
	if later.Topic == SummaryUpdated || later.Topic == CallReceived {
		text("summary", c.Summary, l.Summary, true)
		text("one_sentence_summary", c.OneSentence, l.OneSentence, true)
	}
	if later.Topic == CallReceived {
		text("recording_url", c.RecordingURL, l.RecordingURL, false)
		text("user_email", c.UserEmail, l.UserEmail, false)
		text("concatenated_transcript", c.TranscriptText, l.TranscriptText, false)
		if lines, ok := later.Data.Get("transcriptions"); ok && len(c.Transcript) == 0 && len(l.Transcript) > 0 {
			data = data.with("transcriptions", lines)
		}
		if len(c.Collected) == 0 && len(l.Collected) > 0 {
			data = data.with("data_collected", l.Collected)
		}
	}
	amended, err := Parse(call.envelope(data))
	if err != nil {
		return *call // what was read once, with texts in it changed, can be read again
	}
	amended.Delivery = call.Delivery
	return amended
}

// Says reports whether two events hold the same, in whatever order.
func (e *Event) Says(other *Event) bool {
	return e.Topic == other.Topic && bytes.Equal(canonicalJSON(e.Data), canonicalJSON(other.Data))
}

// envelope writes the event's envelope around other data.
func (e *Event) envelope(data Object) []byte {
	o := Object{{"topic", e.Wire}}
	if e.Version != "" {
		o = append(o, Field{"version", e.Version})
	}
	if !e.Sent.IsZero() {
		o = append(o, Field{"timestamp", e.Sent.Format("2006-01-02T15:04:05.999999999Z07:00")})
	}
	b, err := json.Marshal(append(o, Field{"data", data}))
	if err != nil {
		return e.Raw
	}
	return b
}

// MarshalJSON writes the fields in their order.
func (o Object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(f.Key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(f.Value)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// with returns a copy in which a key, in whichever spelling it stands, has a value.
func (o Object) with(key string, v any) Object {
	changed := slices.Clone(o)
	for i, f := range changed {
		if sameKey(f.Key, key) {
			changed[i].Value = v
			return changed
		}
	}
	return append(changed, Field{key, v})
}

func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, tag := range b {
		if !holdsTag(all, tag) {
			all = append(all, tag)
		}
	}
	return all
}

func holdsTag(tags []string, tag string) bool {
	return slices.ContainsFunc(tags, func(other string) bool { return FoldTag(other) == FoldTag(tag) })
}

func sameTags(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for _, tag := range a {
		if !holdsTag(b, tag) {
			return false
		}
	}
	return true
}
