package format

import "allo-slack/allo"

// maxTextLines is how many lines of a text are shown. An SMS has 1,600 characters at most.
const maxTextLines = 60

// text tells of an SMS or MMS.
func (v voice) text(t *allo.Text, whole bool) story {
	s := story{at: t.SentAt, kind: "texts"}
	what := "Text"
	mms := t.Type == "MMS"
	if mms {
		what = "Picture message (MMS)"
	}
	if t.Direction == allo.Outbound {
		s.icon, s.head = "📤", what+" to "+v.person(t.Customer(), "number")
	} else {
		s.icon, s.head = "💬", what+" from "+v.person(t.Customer(), "sender")
	}
	if mms {
		s.icon = "🖼️"
	}
	if !whole {
		s.about = v.words(t.Content, maxAbout)
		if mms {
			s.facts = append(s.facts, "media to see in Allo")
		}
		if late := v.late(t.SentAt); late != "" {
			s.facts = append(s.facts, late)
		}
		return s
	}
	s.quote = v.lines(t.Content, maxQuote, maxTextLines)
	if s.quote == "" && !mms {
		s.about = "no words in it"
	}
	if mms {
		s.notes = append(s.notes, "📎 There is media to see in Allo")
	}
	if line := v.fromTo(t.From, t.To, ""); line != "" {
		s.people = append(s.people, line)
	}
	s.facts = v.tagFact(t.Tags)
	if owner := v.words(t.UserEmail, 100); owner != "" {
		s.facts = append(s.facts, "owner "+owner)
	}
	if t.Type != "" && t.Type != "SMS" && !mms {
		s.facts = append(s.facts, "type "+v.words(t.Type, 30))
	}
	if late := v.late(t.SentAt); late != "" {
		s.facts = append(s.facts, late)
	}
	return s
}
