package format

import (
	"strings"

	"allo-slack/allo"
)

// maxListed is how many emails, numbers or changes of a contact are shown.
const maxListed = 10

// contact tells of a contact that is new or was changed.
func (v voice) contact(c *allo.Contact, whole bool) story {
	s := story{kind: "contacts", at: v.Event.Sent}
	who := v.contactName(c)
	if v.Event.Topic == allo.ContactCreated {
		s.icon, s.head = "👤", "New contact: "+who
	} else {
		s.icon, s.head = "✏️", "Contact updated: "+who
	}
	company := v.words(c.Company, 100)
	if company != who {
		s.about = company
	}
	before := v.Known.Before
	if v.Event.Topic == allo.ContactCreated {
		before = nil
	}
	if before != nil {
		changes := v.changes(before, c)
		if !whole {
			s.about = join("; ", changes...)
			return s
		}
		s.notes = changes
	}
	if !whole {
		return s
	}
	add := func(label, one string, values []string, say func(string) string) {
		if len(values) == 1 {
			label = one
		}
		if value := v.list(values, say); value != "" {
			s.fields = append(s.fields, field{label, value})
		}
	}
	say := func(w string) string { return v.words(w, 100) }
	add("Numbers", "Number", c.Numbers, v.number)
	add("Emails", "Email", c.Emails, say)
	add("Tags", "Tag", c.Tags, say)
	s.table = true
	if v.Known.FirstSight && v.Event.Topic != allo.ContactCreated {
		s.facts = append(s.facts, "first sight of this contact: what changed is not known")
	}
	return s
}

func (v voice) contactName(c *allo.Contact) string {
	name := v.words(c.FullName(), 120)
	if name == "" {
		name = v.words(c.Company, 100)
	}
	for _, number := range c.Numbers {
		if name == "" {
			name = v.number(number)
		}
	}
	for _, address := range c.Emails {
		if name == "" {
			name = v.words(address, 100)
		}
	}
	if name == "" {
		name = "no name"
	}
	return name
}

// list says values a line each.
func (v voice) list(values []string, say func(string) string) string {
	var said []string
	for i, value := range values {
		if len(said) == maxListed {
			said = append(said, andMore(len(values)-i))
			break
		}
		if value = say(value); value != "" {
			said = append(said, value)
		}
	}
	return strings.Join(said, "\n")
}

// changes says what is new in a contact, a line each: "last name Doe → Smith", "+ jane@example.com".
func (v voice) changes(was, is *allo.Contact) []string {
	var changes []string
	one := func(label, was, is string) {
		if was == is {
			return
		}
		was, is = v.words(was, 60), v.words(is, 60)
		switch {
		case was == is: // what differs is redacted, or can't be seen
			changes = append(changes, label+" changed")
		case was == "":
			changes = append(changes, label+" added: "+is)
		case is == "":
			changes = append(changes, label+" removed, was "+was)
		default:
			changes = append(changes, label+" "+was+" → "+is)
		}
	}
	one("first name", was.Name, is.Name)
	one("last name", was.LastName, is.LastName)
	one("company", was.Company, is.Company)
	more := 0
	many := func(was, is []string, say func(string) string) {
		missing := func(sign string, from, in []string) {
			there := make(map[string]bool, len(in))
			for _, value := range in {
				there[value] = true
			}
			for _, value := range from {
				switch {
				case there[value]:
				case len(changes) < maxListed:
					changes = append(changes, sign+say(value))
				default:
					more++
				}
			}
		}
		missing("+ ", is, was)
		missing("− ", was, is)
	}
	say := func(w string) string { return v.words(w, 100) }
	many(was.Numbers, is.Numbers, v.number)
	many(was.Emails, is.Emails, say)
	tag := func(w string) string { return "tag " + say(w) }
	many(was.Tags, is.Tags, tag)
	if more > 0 {
		changes = append(changes, andMore(more))
	}
	return changes
}
