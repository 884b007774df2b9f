package format

// unknown tells of a topic that this program does not know: its name and what it carries.
func (v voice) unknown(whole bool) story {
	s := story{icon: "📨", kind: "other events", at: v.Event.At()}
	wire := v.words(v.Event.Wire, 100)
	if wire == "" {
		wire = v.words(string(v.Event.Topic), 100)
	}
	s.head = "Allo event " + wire
	fields, hidden := v.collect(v.Event.Data)
	if !whole {
		for _, f := range fields[:min(len(fields), 3)] {
			s.about = join(", ", s.about, oneLine(f.label+": "+f.value))
		}
		s.about = Cut(s.about, maxAbout, ellipsis)
		return s
	}
	s.fields, s.hidden = fields, hidden
	if len(fields) == 0 {
		s.about = "it carries no data"
	}
	return s
}

// note says what the bot itself has to say. Channels' names and Slack's reasons are foreign words too.
func (v voice) note(whole bool) story {
	s := story{icon: "⚠️", kind: "notes", head: v.words(v.Note.Head, maxAbout)}
	for _, line := range v.Note.Lines {
		if line = v.words(line, 300); line != "" {
			s.notes = append(s.notes, line)
		}
	}
	if !whole {
		s.about, s.notes = join("; ", s.notes...), nil
	}
	return s
}
