package allo

import (
	"bytes"
	"cmp"
	"reflect"
	"slices"
	"strings"
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

// Fold is what is known of a call: what was said of it, and all that was said later, in whatever order it is given.
// Anything but a call is as it was said.
//
// The order in which things count is that in which they were said: by Said, then by Order. Of each tag, and of each of the
// texts that are written anew (the summaries and the transcript), the last one who said it is right; what somebody
// doesn't mention he doesn't take away. What may become known only later (the recording, whose phone it was, what was
// collected) is as it was told first. Everything else is as the call itself was told first.
func Fold(event Event, later ...Event) Event {
	if event.Topic != CallReceived || event.Call == nil || len(later) == 0 {
		return event
	}
	said := make([]*Event, 0, 1+len(later))
	said = append(said, &event)
	for i := range later {
		said = append(said, &later[i])
	}
	slices.SortStableFunc(said, func(a, b *Event) int { return InOrder(*a, *b) })
	first := said[slices.IndexFunc(said, func(e *Event) bool { return e.Topic == CallReceived && e.Call != nil })]
	f := newFolded(first.Data)
	var tags tagSet
	for _, e := range said {
		if e.Call == nil {
			continue
		}
		switch e.Topic {
		case CallReceived, SummaryUpdated:
			f.add(e)
		}
		switch e.Topic {
		case CallReceived, TagAdded:
			tags.put(e.Call.Tags, true)
		case TagRemoved:
			tags.put(e.Call.Tags, false)
		}
	}
	known := *first
	known.Data = f.data
	if list := tags.list(); !slices.Equal(list, first.Call.Tags) {
		known.Data = f.tagged(list)
	}
	known.Odd, known.Raw = slices.Clone(first.Odd), nil
	known.Call = reader{object: known.Data, odd: &known.Odd}.call()
	return known
}

// InOrder compares events by when they were said.
func InOrder(a, b Event) int {
	return cmp.Or(a.Said.Compare(b.Said), cmp.Compare(a.Order, b.Order))
}

// mended tells of the fields that are not as they were told first, spelled as foldKey spells them, who may say another value.
var mended = map[string]struct{ bySummary, anew bool }{
	"summary": {true, true}, "onesentencesummary": {true, true},
	"transcriptions": {false, true}, "concatenatedtranscript": {false, true},
	"recordingurl": {}, "useremail": {}, "datacollected": {},
}

// folded is the data of a call, while it is put together.
type folded struct {
	data Object
	at   map[string]int // by foldKey
}

func newFolded(data Object) *folded {
	f := &folded{data: slices.Clone(data), at: make(map[string]int, len(data))}
	for i, field := range data {
		key := foldKey(field.Key)
		if at, twice := f.at[key]; !twice || f.data[at].Value == nil {
			f.at[key] = i
		}
	}
	return f
}

// add adds what an event says of the call, but for tags.
func (f *folded) add(e *Event) {
	mentioned := map[string]bool{} // a key may stand in two spellings; the first counts, as it does for Get
	for _, field := range e.Data {
		key := foldKey(field.Key)
		how, may := mended[key]
		if !may || mentioned[key] || TextOf(field.Value) == "" || e.Topic == SummaryUpdated && !how.bySummary {
			continue
		}
		mentioned[key] = true
		at, known := f.at[key]
		switch {
		case !known:
			f.at[key] = len(f.data)
			f.data = append(f.data, field)
		case how.anew || TextOf(f.data[at].Value) == "":
			f.data[at].Value = field.Value
		}
	}
}

// tagged returns the data with tags.
func (f *folded) tagged(tags []string) Object {
	data := slices.DeleteFunc(slices.Clone(f.data), func(field Field) bool {
		key := foldKey(field.Key)
		return key == "tag" || key == "tags"
	})
	list := make([]any, len(tags))
	for i, tag := range tags {
		list[i] = tag
	}
	return append(data, Field{"tags", list})
}

// tagSet is the tags of a call, as the last one who spoke of each said.
type tagSet struct {
	order []string          // folded, as they were mentioned first
	tags  map[string]string // by folded tag, as it was written; "" is removed
}

func (s *tagSet) put(tags []string, there bool) {
	if s.tags == nil {
		s.tags = map[string]string{}
	}
	for _, tag := range tags {
		key := FoldTag(tag)
		before, mentioned := s.tags[key]
		if !mentioned {
			s.order = append(s.order, key)
		}
		switch {
		case !there:
			s.tags[key] = ""
		case before == "": // one that is there stays as it was written first
			s.tags[key] = tag
		}
	}
}

func (s *tagSet) list() []string {
	var list []string
	for _, key := range s.order {
		if tag := s.tags[key]; tag != "" {
			list = append(list, tag)
		}
	}
	return list
}

// foldKey makes keys comparable: those that sameKey takes for one are equal, and the two names of what was collected.
func foldKey(key string) string {
	key = strings.Map(func(c rune) rune {
		switch {
		case c == '_':
			return -1
		case 'A' <= c && c <= 'Z':
			return c + 'a' - 'A'
		}
		return c
	}, key)
	if key == "extracteddata" {
		return "datacollected"
	}
	return key
}

// Says reports whether two events say the same of what they are about, however it is written.
func (e *Event) Says(other *Event) bool {
	if e.Call != nil && other.Call != nil {
		return e.Topic == other.Topic && reflect.DeepEqual(e.Call, other.Call)
	}
	return e.Topic == other.Topic && bytes.Equal(canonicalJSON(e.Data), canonicalJSON(other.Data))
}
