package notify

import (
	"strings"
	"time"

	"allo-slack/allo"
	"allo-slack/format"
	"allo-slack/outbox"
)

// conversation is how long a conversation may be silent before its next text starts a thread anew.
const conversation = 7 * 24 * time.Hour

// thread says what an event belongs to: a text to the conversation of our number and theirs, a call to the chain of
// its transfers.
func thread(e *allo.Event) outbox.Thread {
	if e.Text == nil {
		return outbox.Thread{Key: chain(e)}
	}
	ours, theirs := who(e.Text.OurLine().Number), who(e.Text.Customer().Number)
	if ours == "" && theirs == "" {
		return outbox.Thread{}
	}
	return outbox.Thread{Key: "texts:" + ours + ":" + theirs, Window: conversation}
}

// chain names the calls that one was transferred through, which the message of the first of them tells of; "" for anything but
// a call.
func chain(e *allo.Event) string {
	if e.Topic != allo.CallReceived || e.Call == nil {
		return ""
	}
	first := e.Call.OriginalCallID
	if first == "" {
		first = e.ID
	}
	if first == "" {
		return ""
	}
	return "call:" + first
}

// who makes a number comparable: its digits or, where it has none (a sender's name), its letters. Different people who
// hide their number are never one.
func who(number string) string {
	digits := strings.Map(func(c rune) rune {
		if c < '0' || c > '9' {
			return -1
		}
		return c
	}, number)
	if digits != "" {
		return digits[:min(len(digits), whoMost)]
	}
	switch name := strings.ToLower(strings.TrimSpace(number)); {
	case name == "anonymous", name == "unknown", name == "private", name == "restricted", len(name) > whoMost:
		return ""
	default:
		return name
	}
}

// whoMost bounds a sender's name; networks allow 11 characters.
const whoMost = 64

// customerDigits is how many digits a number has at least for two calls to be of one customer: a short code or an
// extension is many people's.
const customerDigits = 7

// customer names the other side of a call or text; "" if it can't be told from others.
func customer(p allo.Party) string {
	if w := who(p.Number); len(w) >= customerDigits && w[0] >= '0' && w[0] <= '9' {
		return w
	}
	return ""
}

// asks says whom a missed call leaves waiting.
func asks(e *allo.Event) string {
	if e.Topic == allo.CallReceived && e.Call != nil && e.Call.Missed && e.Call.Direction == allo.Inbound {
		return customer(e.Call.Customer())
	}
	return ""
}

// answers says whose missed calls an event answers: a text to them, or a call in which somebody spoke.
func answers(e *allo.Event) string {
	switch {
	case e.Text != nil && e.Text.Direction == allo.Outbound:
		return customer(e.Text.Customer())
	case e.Topic == allo.CallReceived && e.Call != nil && !e.Call.Missed:
		if e.Call.Result == "ANSWERED" || e.Call.Result == "" && e.Call.Minutes > 0 || strings.HasPrefix(e.Call.Result, "TRANSFERRED") {
			return customer(e.Call.Customer())
		}
	}
	return ""
}

// followup says how an event answered a missed call.
func followup(answer *allo.Event) *format.Followup {
	f := &format.Followup{At: answer.At()}
	switch {
	case answer.Text != nil:
		f.How, f.By = format.TextedBack, answer.Text.UserEmail
	case answer.Call == nil:
		return nil
	case answer.Call.Direction == allo.Outbound:
		f.How, f.By = format.CalledBack, answer.Call.UserEmail
	default:
		f.How, f.By = format.CalledAgain, answer.Call.UserEmail
	}
	return f
}

// path is the way that a caller went: the line that was dialled, then everybody to whom the call was passed on. calls
// are those of one chain, in the order in which they began.
func path(calls []*allo.Call) []allo.Party {
	var stops []allo.Party
	add := func(p allo.Party) {
		if p == (allo.Party{}) {
			return
		}
		if last := len(stops) - 1; last >= 0 && same(stops[last], p) {
			if stops[last].Name == "" {
				stops[last].Name = p.Name
			}
			if stops[last].Number == "" {
				stops[last].Number = p.Number
			}
			return
		}
		stops = append(stops, p)
	}
	for i, c := range calls {
		if i == 0 {
			add(c.OurLine())
		}
		if c.Direction != allo.Outbound {
			add(c.To)
		}
		if t := c.TransferTo; t != nil {
			name := t.UserName
			if name == "" {
				name = t.UserEmail
			}
			add(allo.Party{Number: t.Number, Name: name})
		}
	}
	return stops
}

func same(a, b allo.Party) bool {
	if a.Number != "" && b.Number != "" {
		return who(a.Number) == who(b.Number)
	}
	return a.Name != "" && strings.EqualFold(a.Name, b.Name)
}
