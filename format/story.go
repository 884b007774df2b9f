package format

import "time"

// Story is an event in the words of its message, for a page: clean and redacted, and nothing more. Whoever shows it
// escapes it.
type Story struct {
	Icon   string // one emoji
	Head   string // who, and how it ended
	About  string // what about, in one line; may be ""
	Body   string // the longer summary, in lines
	Notes  []string
	Fields []Pair
	People []string // who called whom, a line each
	At     time.Time
	Facts  []string // duration, tags, owner
}

// Pair is a label and what stands under it.
type Pair struct{ Label, Value string }

// Tell is the story of an event.
func Tell(it Item) Story {
	s := newVoice(it).tell(true)
	told := Story{Icon: s.icon, Head: s.head, About: s.about, Body: plainParagraphs(s.body), Notes: s.notes, People: s.people, At: s.at, Facts: s.facts}
	for _, f := range s.fields {
		told.Fields = append(told.Fields, Pair{f.label, f.value})
	}
	return told
}
