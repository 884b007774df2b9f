package slackapi

import (
	"bytes"
	"encoding/json"
)

// answer is what Slack said, each field to be read by itself: what can't be read of one spoils no other. Names are as they
// are written, unlike those of structs, where "OK" would be "ok" too.
type answer map[string]json.RawMessage

// readAnswer reads the first JSON value of a text, whatever is behind it; nil if that is no object.
func readAnswer(text []byte) answer {
	var a answer
	if json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff")))).Decode(&a) != nil {
		return nil
	}
	return a
}

// text is a field that is a text; "" if it isn't.
func (a answer) text(field string) (s string) {
	if json.Unmarshal(a[field], &s) != nil {
		return ""
	}
	return s
}

// is reports whether a field is true.
func (a answer) is(field string) bool {
	var b bool
	return json.Unmarshal(a[field], &b) == nil && b
}

// object is a field that is an object; nil if it isn't.
func (a answer) object(field string) (o answer) {
	if json.Unmarshal(a[field], &o) != nil {
		return nil
	}
	return o
}

// list are the elements of a field that is a list, each to be read by itself; ok is false if it isn't a list.
func (a answer) list(field string) (list []json.RawMessage, ok bool) {
	return list, len(a[field]) > 0 && json.Unmarshal(a[field], &list) == nil && list != nil
}

// readable are the elements of a list that can be read as a T; what can't is left out.
func readable[T any](list []json.RawMessage) (all []T) {
	for _, raw := range list {
		var t T
		if json.Unmarshal(raw, &t) == nil {
			all = append(all, t)
		}
	}
	return all
}
