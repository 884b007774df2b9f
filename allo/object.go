package allo

import (
	"bytes"
	"encoding/json"
	"fmt"
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
		plain := fold(key)
		for _, f := range o {
			if f.Value != nil && fold(f.Key) == plain {
				return f.Value, true
			}
		}
	}
	return nil, false
}

// fold makes `recording_url`, `recordingUrl` and `RecordingURL` the same key.
func fold(key string) string {
	return strings.ToLower(strings.ReplaceAll(key, "_", ""))
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

// maxDepth bounds how deep objects and lists may be nested. Allo's own payloads are 3 deep; encoding/json stops
// at 10,000 by itself.
const maxDepth = 200

// decode reads one JSON value, and nothing after it, keeping the order of fields.
func decode(body []byte) (any, error) {
	if !utf8.Valid(body) {
		// encoding/json would replace what it can't read and say nothing; so do we, but knowingly: a text with one
		// broken character is worth more than none.
		body = bytes.ToValidUTF8(body, []byte("\uFFFD"))
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	v, err := value(dec, 0)
	if err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, fmt.Errorf("there is more after the JSON value, at byte %d", dec.InputOffset())
	}
	if _, err := dec.Token(); err == nil {
		return nil, fmt.Errorf("there is more after the JSON value, at byte %d", dec.InputOffset())
	}
	return v, nil
}

func value(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested more than %d deep", maxDepth)
	}
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		object := Object{}
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
				object[i].Value = v
				continue
			}
			at[name] = len(object)
			object = append(object, Field{name, v})
		}
		_, err := dec.Token()
		return object, err
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
