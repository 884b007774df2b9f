package allo

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reader reads fields of one object, and notes which of them had an unexpected type. Where a field goes by several
// names, the first that says something counts.
type reader struct {
	object Object
	path   string    // what the names of this object's fields begin with, `transfer_from.`
	odd    *[]string // shared with the readers of the objects inside
}

func (r reader) inside(name string, o Object) reader {
	return reader{o, r.path + name + ".", r.odd}
}

func (r reader) isOdd(name string) {
	if name = r.path + name; !slices.Contains(*r.odd, name) {
		*r.odd = append(*r.odd, name)
	}
}

// text reads a text, whatever its type; only a string or a number is expected.
func (r reader) text(keys ...string) string {
	for _, key := range keys {
		v, ok := r.object.Get(key)
		if !ok {
			continue
		}
		switch v.(type) {
		case string, json.Number:
		default:
			r.isOdd(key)
		}
		if s := TextOf(v); strings.TrimSpace(s) != "" {
			return s
		}
	}
	return ""
}

// phrase reads what is shown on one line.
func (r reader) phrase(keys ...string) string {
	return strings.TrimSpace(r.text(keys...))
}

// word reads a value of a fixed set, in upper case.
func (r reader) word(keys ...string) string {
	return strings.ToUpper(r.phrase(keys...))
}

// id reads what tells a thing from others of its kind.
func (r reader) id(key string) string {
	v, ok := r.object.Get(key)
	if !ok {
		return ""
	}
	id := idOf(v)
	if _, text := v.(string); id == "" && !text {
		r.isOdd(key)
	}
	return id
}

// idOf is an id, which is a string or a number. Anything else is none: events that have nothing in common but an id of
// `true` would be taken for repeats of each other.
func idOf(v any) string {
	switch v.(type) {
	case string, json.Number:
		return printable(TextOf(v))
	}
	return ""
}

func (r reader) direction(keys ...string) Direction {
	for _, key := range keys {
		switch d := Direction(r.word(key)); d {
		case Inbound, Outbound:
			return d
		}
	}
	return ""
}

func (r reader) time(keys ...string) time.Time {
	for _, key := range keys {
		v, ok := r.object.Get(key)
		if !ok || v == "" {
			continue
		}
		if t, ok := parseTime(v); ok {
			return t
		}
		r.isOdd(key)
	}
	return time.Time{}
}

// number reads a number that is not negative, and reports whether there is one.
func (r reader) number(key string) (float64, bool) {
	v, ok := r.object.Get(key)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(TextOf(v)), 64)
	readable := err == nil && n >= 0 && n < 1e9 // NaN is neither
	if _, isNumber := v.(json.Number); !isNumber || !readable {
		r.isOdd(key)
	}
	if !readable {
		return 0, false
	}
	return n, true
}

// list reads a list; one thing is a list of one.
func (r reader) list(key string) []any {
	v, ok := r.object.Get(key)
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		r.isOdd(key)
		list = []any{v}
	}
	return list
}

// names reads a list of names. Of an object counts its field of one of the given names.
func (r reader) names(key string, inner ...string) []string {
	return r.name(key, r.list(key), inner...)
}

func (r reader) name(key string, list []any, inner ...string) []string {
	var names []string
	for _, item := range list {
		switch v := item.(type) {
		case nil, string, json.Number:
		case Object:
			if named, ok := v.Get(inner...); ok {
				item = named
			} else {
				r.isOdd(key)
			}
		default:
			r.isOdd(key)
		}
		if s := strings.TrimSpace(TextOf(item)); s != "" {
			names = append(names, s)
		}
	}
	return names
}

// tags reads `tag` and `tags`, each tag once, whichever way it is spelled.
func (r reader) tags() []string {
	var one []any
	if v, ok := r.object.Get("tag"); ok {
		if one, ok = v.([]any); ok {
			r.isOdd("tag")
		} else {
			one = []any{v}
		}
	}
	var tags []string
	seen := map[string]bool{}
	for _, tag := range append(r.name("tag", one, "name"), r.names("tags", "name")...) {
		if key := FoldTag(tag); key != "" && !seen[key] {
			seen[key] = true
			tags = append(tags, tag)
		}
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
func (r reader) party(side string) Party {
	p := Party{Number: r.phrase(side + "_number"), Name: r.phrase(side + "_name")}
	number, name := "", ""
	if v, _ := r.object.Get(side); v != nil {
		if o, ok := v.(Object); ok {
			inside := r.inside(side, o)
			number, name = inside.phrase("number", "phone_number"), inside.phrase("name")
		} else {
			number = r.phrase(side)
		}
	}
	if p.Number == "" {
		p.Number = number
	}
	if p.Name == "" {
		p.Name = name
	}
	return p
}

// transfer reads who a call was transferred from or to. A bare text is as much of it as the text looks like.
func (r reader) transfer(key string) *TransferParty {
	v, ok := r.object.Get(key)
	if !ok {
		return nil
	}
	var t TransferParty
	if o, ok := v.(Object); ok {
		inside := r.inside(key, o)
		t = TransferParty{inside.phrase("number"), inside.phrase("user_email"), inside.phrase("user_name")}
	} else {
		r.isOdd(key)
		switch s := strings.TrimSpace(TextOf(v)); {
		case strings.Contains(s, "@"):
			t.UserEmail = s
		case strings.ContainsAny(s, "0123456789"):
			t.Number = s
		default:
			t.UserName = s
		}
	}
	if t == (TransferParty{}) {
		return nil
	}
	return &t
}

// collected reads what was collected during a call, as pairs.
func (r reader) collected(keys ...string) Object {
	for _, key := range keys {
		v, ok := r.object.Get(key)
		if !ok {
			continue
		}
		o, ok := v.(Object)
		if !ok {
			r.isOdd(key)
			o = Object{{key, v}}
		}
		if TextOf(o) != "" {
			return o
		}
	}
	return nil
}

func (r reader) transcript() []Line {
	var lines []Line
	for _, item := range r.list("transcriptions") {
		o, ok := item.(Object)
		if !ok && item != nil {
			r.isOdd("transcriptions")
			o = Object{{"text", TextOf(item)}}
		}
		inside := r.inside("transcriptions", o)
		line := Line{
			Source: inside.word("source"),
			Time:   inside.time("time"),
			Text:   inside.phrase("text"),
		}
		if line.Text != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func (r reader) choices() []Choice {
	var choices []Choice
	for _, item := range r.list("ivr_result") {
		o, ok := item.(Object)
		if !ok && item != nil {
			r.isOdd("ivr_result")
			o = Object{{"text_key", TextOf(item)}}
		}
		inside := r.inside("ivr_result", o)
		c := Choice{Key: inside.phrase("dtmf_key"), Text: inside.phrase("text_key")}
		if c != (Choice{}) {
			choices = append(choices, c)
		}
	}
	return choices
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
