package format

import (
	"strings"
	"time"

	"allo-slack/allo"
)

// call tells of a call that has ended.
func (v voice) call(c *allo.Call, whole bool) story {
	s := story{at: c.Start}
	v.callHead(c, &s)
	s.about = strings.TrimRight(v.words(c.OneSentence, maxAbout), " ")
	if f := v.Known.Followup; f != nil {
		s.notes = append(s.notes, v.followup(c, f))
	}
	if !whole {
		if s.about == "" {
			s.about = v.words(firstLine(plainParagraphs(v.markdown(clipTo(c.Summary, 600)))), maxAbout)
		}
		s.facts = v.callFacts(c, &s, false)
		return s
	}
	s.body = v.markdown(c.Summary)
	if said := plainParagraphs(s.body); said == s.about || strings.TrimRight(said, ".") == s.about {
		s.body = nil
	}
	s.people = v.callPeople(c)
	s.facts = v.callFacts(c, &s, true)
	s.fields, s.hidden = v.collect(c.Collected)
	s.table = true
	return s
}

// callHead says who, and how it ended. A call that was answered by a person says nothing more: it is the usual one.
func (v voice) callHead(c *allo.Call, s *story) {
	customer := c.Customer()
	from := "from " + v.person(customer, "caller")
	s.kind = "calls"
	switch {
	case c.Direction == allo.Outbound:
		v.outboundHead(c, s)
	case c.Result == "VOICEMAIL":
		s.icon, s.head, s.kind = "📼", "Voicemail "+from, "voicemails"
	case c.Result == "BLOCKED":
		s.icon, s.head = "🚫", "Blocked call "+from
	case c.Result == "FAILED" || c.Result == "FAILED_EXTERNAL":
		s.icon, s.head, s.kind = "⚠️", "Failed call "+from, "failed calls"
	case c.Result == "CLOSED":
		s.icon, s.head, s.kind = "📵", "Missed call "+from+", while closed", "missed calls"
	case c.Missed && c.MissedIsCertain:
		s.icon, s.head, s.kind = "📵", "Missed call "+from, "missed calls"
	case c.Missed:
		s.icon, s.head, s.kind = "📵", "Missed? Call "+from, "missed calls"
	case c.Result == "TRANSFERRED_AI":
		s.icon, s.head = "🤖", "Call "+from+", answered by AI"
	case c.Transferred():
		s.icon, s.head = "🔀", "Call "+from+v.transferWords(c)
	case c.Direction == allo.Inbound:
		s.icon, s.head = "📞", "Call "+from
	default:
		s.icon, s.head = "📞", "Call "+from+" to "+v.person(c.To, "line")
	}
}

func (v voice) outboundHead(c *allo.Call, s *story) {
	s.icon, s.head = "↗️", "Call to "+v.person(c.Customer(), "number")
	zero := c.HasMinutes && c.Minutes == 0
	switch {
	case c.Result == "NO_ANSWER" || c.Result == "MISSED":
		s.head += ", no answer"
	case c.Result == "VOICEMAIL":
		s.head += ", reached voicemail"
	case c.Result == "FAILED" || c.Result == "FAILED_EXTERNAL":
		s.icon, s.kind = "⚠️", "failed calls"
		s.head += ", failed"
	case c.Result == "BLOCKED":
		s.icon, s.head = "🚫", s.head+", blocked"
	case c.Result == "CLOSED":
		s.head += ", closed"
	case c.Result == "TRANSFERRED_AI":
		s.icon, s.head = "🤖", s.head+", by AI"
	case c.Transferred():
		s.icon, s.head = "🔀", s.head+v.transferWords(c)
	case c.Result == "" && zero:
		s.head += ", no answer?"
	}
}

// transferWords say how a call was passed on, as an end of a head.
func (v voice) transferWords(c *allo.Call) string {
	if who := v.transferName(c.TransferTo); who != "" {
		return ", transferred to " + who
	}
	if who := v.transferName(c.TransferFrom); who != "" {
		return ", transferred by " + who
	}
	if c.Result == "TRANSFERRED_EXTERNAL" {
		return ", transferred to an outside number"
	}
	return ", transferred"
}

// transferName is a transfer party in a word or two.
func (v voice) transferName(t *allo.TransferParty) string {
	if t == nil {
		return ""
	}
	for _, name := range []string{v.words(t.UserName, 60), v.words(t.UserEmail, 60), v.number(t.Number)} {
		if name != "" {
			return name
		}
	}
	return ""
}

// transferFull is all about a transfer party.
func (v voice) transferFull(t *allo.TransferParty) string {
	if t == nil {
		return ""
	}
	return join(", ", v.words(t.UserName, 60), v.number(t.Number), v.words(t.UserEmail, 60))
}

// callPeople says who called whom, the line that was dialled if it is another one, the way of a transfer, and what was
// chosen in the menu: a line each.
func (v voice) callPeople(c *allo.Call) []string {
	var lines []string
	add := func(line string) {
		if line != "" {
			lines = append(lines, line)
		}
	}
	add(v.fromTo(c.From, c.To, v.dialled(c)))
	from, to := v.transferFull(c.TransferFrom), v.transferFull(c.TransferTo)
	if from != "" {
		from = "from " + from
	}
	if to != "" {
		to = "to " + to
	}
	if way := join(" ", from, to); way != "" {
		add("Transferred " + way)
	}
	if len(v.Known.Path) > 1 {
		var stops []string
		for _, p := range v.Known.Path[:min(len(v.Known.Path), 12)] {
			if stop := join("", v.name(p)); stop != "" {
				stops = append(stops, stop)
			} else if stop := v.number(p.Number); stop != "" {
				stops = append(stops, stop)
			}
		}
		add("Path: " + strings.Join(stops, " → "))
	}
	var choices []string
	for _, choice := range c.Choices[:min(len(c.Choices), 8)] {
		choices = append(choices, join(" ", v.words(choice.Key, 10), v.words(choice.Text, 60)))
	}
	if len(choices) > 0 {
		add("Menu: " + strings.Join(choices, ", then "))
	}
	return lines
}

// dialled is the line that the caller dialled, if routing led to another.
func (v voice) dialled(c *allo.Call) string {
	line := c.OriginalTo
	if line.Number != "" && digits(line.Number) == digits(c.To.Number) {
		line.Number = ""
	}
	if line.Name == c.To.Name {
		line.Name = ""
	}
	return v.full(line)
}

// fromTo says who called or wrote to whom.
func (v voice) fromTo(from, to allo.Party, dialled string) string {
	var parts []string
	if who := v.full(from); who != "" {
		parts = append(parts, "from "+who)
	}
	if who := v.full(to); who != "" {
		parts = append(parts, "to "+who)
	}
	if dialled != "" {
		parts = append(parts, "dialled "+dialled)
	}
	return capital(strings.Join(parts, ", "))
}

// capital begins words of ours with a capital letter, if they begin with a letter.
func capital(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}

// callFacts are the short ones after the time.
func (v voice) callFacts(c *allo.Call, s *story, whole bool) []string {
	var facts []string
	switch {
	case c.HasMinutes && c.Minutes == 0: // the head says how it ended
	case c.Length != "":
		facts = append(facts, v.words(c.Length, 30))
	case c.HasMinutes:
		facts = append(facts, length(c.Minutes))
	}
	if whole {
		facts = append(facts, v.tagFact(c.Tags)...)
		if owner := v.words(c.UserEmail, 100); owner != "" {
			facts = append(facts, "owner "+owner)
		}
		if !usual[c.Result] {
			facts = append(facts, "result "+strings.ToLower(Humanise(v.words(c.Result, 60))))
		}
	}
	if !c.Start.IsZero() {
		if late := v.late(c.Start.Add(time.Duration(c.Minutes * float64(time.Minute)))); late != "" {
			facts = append(facts, late)
		}
	}
	return facts
}

// usual are the results that a call's head says, or that go without saying.
var usual = map[string]bool{
	"": true, "ANSWERED": true, "VOICEMAIL": true, "MISSED": true, "NO_ANSWER": true, "TRANSFERRED_AI": true,
	"TRANSFERRED_EXTERNAL": true, "BLOCKED": true, "FAILED": true, "FAILED_EXTERNAL": true, "RECEIVED": true, "CLOSED": true,
}

// tagFact says the tags.
func (v voice) tagFact(tags []string) []string {
	var said []string
	for _, tag := range tags[:min(len(tags), 6)] {
		if tag = v.words(tag, 40); tag != "" {
			said = append(said, tag)
		}
	}
	if len(said) == 0 {
		return nil
	}
	if more := len(tags) - 6; more > 0 {
		said = append(said, andMore(more))
	}
	word := "tag "
	if len(said) > 1 {
		word = "tags "
	}
	return []string{word + strings.Join(said, ", ")}
}

// followup says how a missed call was answered.
func (v voice) followup(c *allo.Call, f *Followup) string {
	var how string
	switch f.How {
	case TextedBack, CalledAgain:
		how = string(f.How)
	default:
		how = string(CalledBack)
	}
	words := "✅ " + capital(how)
	if !f.At.IsZero() && !c.Start.IsZero() && f.At.After(c.Start) {
		words += " after " + span(f.At.Sub(c.Start))
	}
	if by := v.words(f.By, 80); by != "" {
		words += " by " + by
	}
	return words
}

// callNews tells of a call that has not ended, or whose tag or summary changed: topics that a rule has to name.
func (v voice) callNews(c *allo.Call, whole bool) story {
	customer := c.Customer()
	s := story{at: v.Event.At(), kind: "call updates"}
	who := v.person(customer, "caller")
	toward := "call from " + who
	if c.Direction == allo.Outbound {
		toward = "call to " + who
	}
	switch v.Event.Topic {
	case allo.CallRinging:
		s.icon, s.head = "🔔", "Ringing: "+toward
	case allo.CallTriggered:
		s.icon, s.head = "🛎️", "Call started: "+toward
	case allo.CallAnswered:
		s.icon, s.head = "✅", "Answered: "+toward
	case allo.TagAdded:
		s.icon, s.head = "🏷️", "Tag added: "+toward
	case allo.TagRemoved:
		s.icon, s.head = "🏷️", "Tag removed: "+toward
	case allo.SummaryUpdated:
		s.icon, s.head = "📝", "Summary updated: "+toward
	}
	known := customer != (allo.Party{}) || c.OurLine() != (allo.Party{})
	if !known {
		s.head = s.head[:strings.IndexByte(s.head, ':')]
	}
	if v.Event.Topic == allo.TagAdded || v.Event.Topic == allo.TagRemoved {
		s.about = strings.TrimPrefix(strings.Join(v.tagFact(c.Tags), ""), "tag ")
	} else {
		s.about = v.words(c.OneSentence, maxAbout)
	}
	if !whole {
		return s
	}
	s.body = v.markdown(c.Summary)
	s.people = v.callPeople(c)
	s.facts = v.callFacts(c, &s, true)
	if s.about != "" && v.Event.Topic != allo.SummaryUpdated {
		s.facts = remove(s.facts, "tag ", "tags ")
	}
	if known {
		s.fields, s.hidden = v.collect(c.Collected)
		s.table = true
		return s
	}
	s.fields, s.hidden = v.collect(v.Event.Data)
	return s
}

func remove(facts []string, prefixes ...string) []string {
	var kept []string
	for _, f := range facts {
		drop := false
		for _, p := range prefixes {
			drop = drop || strings.HasPrefix(f, p)
		}
		if !drop {
			kept = append(kept, f)
		}
	}
	return kept
}
