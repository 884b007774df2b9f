package allo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Object is a JSON object whose fields keep the order in which they were sent, so that what nobody foresaw is
// shown in the order its sender chose. Of a key that stands twice the last value counts.
type Object []Field

// Field is one field of an Object. Value is nil, bool, json.Number, string, []any or Object.
type Field struct {
	Key   string
	Value any
}

// Get returns the value of the first of the given keys that is there and not null. Each key stands for both of
// its spellings: `recording_url` also finds `recordingUrl`.
func (o Object) Get(keys ...string) (any, bool) {
	for _, key := range keys {
		for _, f := range o {
			if f.Value != nil && sameKey(f.Key, key) {
				return f.Value, true
			}
		}
	}
	return nil, false
}

// sameKey reports whether two keys differ in nothing but spelling: `recording_url`, `recordingUrl` and
// `RecordingURL` are one. Every field of every event is looked up by it, so it makes no copies.
func sameKey(a, b string) bool {
	for {
		for a != "" && a[0] == '_' {
			a = a[1:]
		}
		for b != "" && b[0] == '_' {
			b = b[1:]
		}
		if a == "" || b == "" {
			return a == b
		}
		if lower(a[0]) != lower(b[0]) {
			return false
		}
		a, b = a[1:], b[1:]
	}
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// TextOf says a JSON value in words: a string is itself, a list its items with commas between, an object its
// fields as `key: value`. Null is "".
func TextOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	case []any:
		items := make([]string, 0, len(v))
		for _, item := range v {
			if s := TextOf(item); s != "" {
				items = append(items, s)
			}
		}
		return strings.Join(items, ", ")
	case Object:
		items := make([]string, 0, len(v))
		for _, f := range v {
			if s := TextOf(f.Value); s != "" {
				items = append(items, f.Key+": "+s)
			}
		}
		return strings.Join(items, ", ")
	}
	return fmt.Sprint(v)
}

// maxDepth bounds how deep objects and lists are followed, so that no payload makes those who walk it slow. Allo's
// own are 3 deep. What lies deeper is kept as its JSON text.
const maxDepth = 200

// errMore says that something follows the JSON value.
var errMore = errors.New("there is more after the JSON value")

// decode reads one JSON value, and nothing after it, keeping the order of fields. io.EOF says that there is none at
// all, io.ErrUnexpectedEOF that it is cut short.
func decode(body []byte) (any, error) {
	if !utf8.Valid(body) {
		// encoding/json would replace what it can't read and say nothing; so do we, but knowingly: a text with one
		// broken character is worth more than none.
		body = bytes.ToValidUTF8(body, []byte("\uFFFD"))
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, io.EOF
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	v, err := value(dec, 0)
	if errors.Is(err, io.EOF) {
		return nil, io.ErrUnexpectedEOF // the decoder says io.EOF inside an object or list, too
	}
	if err != nil {
		return nil, err
	}
	// Only the end itself will do: a bracket too many makes Token fail, and More say that there is nothing more.
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errMore
	}
	return v, nil
}

func value(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		var raw json.RawMessage
		err := dec.Decode(&raw)
		return string(raw), err
	}
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return object(dec, depth)
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := value(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := dec.Token()
		return list, err
	}
	return token, nil
}

func object(dec *json.Decoder, depth int) (any, error) {
	o := Object{}
	at := map[string]int{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		v, err := value(dec, depth+1)
		if err != nil {
			return nil, err
		}
		name := key.(string) // the decoder lets nothing else stand here
		if i, twice := at[name]; twice {
			o[i].Value = v
			continue
		}
		at[name] = len(o)
		o = append(o, Field{name, v})
	}
	_, err := dec.Token()
	return o, err
}

// canonicalJSON writes a value with sorted keys and without white space, so that equal contents are equal bytes
// whatever order their fields came in.
func canonicalJSON(v any) []byte {
	b, err := json.Marshal(plain(v))
	if err != nil {
		// Only what decode made gets here, and all of that can be written.
		return fmt.Append(nil, v)
	}
	return b
}

// plain turns Objects into maps, which encoding/json writes in the order of their keys.
func plain(v any) any {
	switch v := v.(type) {
	case Object:
		m := make(map[string]any, len(v))
		for _, f := range v {
			m[f.Key] = plain(f.Value)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = plain(item)
		}
		return list
	}
	return v
}
