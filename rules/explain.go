package rules

import (
	"fmt"
	"strings"
	"time"

	"allo-slack/allo"
)

// Explanation is a Decision and why it came out so.
type Explanation struct {
	Decision
	Steps []Step // one a rule, in the order of the file
	Note  string // what no rule had a say in, "" if there is nothing to add
}

// Step is what one rule had to say.
type Step struct {
	Rule    *Rule
	Asked   bool // false if a rule above had taken the event for good
	Matched bool
	Why     string
}

// Explain routes the event and says, for each rule, whether it matched, or which condition said no and what it saw.
func (f *File) Explain(e *allo.Event, now time.Time) Explanation {
	x := Explanation{Steps: make([]Step, len(f.Rules))}
	for i, r := range f.Rules {
		x.Steps[i].Rule = r
	}
	seen := newFacts(e, now, f.Zone)
	x.Decision = f.walk(seen, func(i int, v verdict) {
		r := f.Rules[i]
		x.Steps[i] = Step{Rule: r, Asked: true, Matched: v.no == nothing, Why: r.why(v, seen)}
	})
	above := "PING goes nowhere"
	if e.Topic != allo.Ping {
		above = "a rule above took the event"
		if n := len(x.Matched); n > 0 {
			above = fmt.Sprintf("rule %q took the event", x.Matched[n-1])
		}
	}
	for i := range x.Steps {
		if !x.Steps[i].Asked {
			x.Steps[i].Why = "not asked: " + above
		}
	}
	x.Note = f.note(e, x.Decision)
	return x
}

// String is a line a rule, then where the event goes.
func (x Explanation) String() string {
	var b strings.Builder
	for _, s := range x.Steps {
		mark := "no "
		switch {
		case s.Matched:
			mark = "yes"
		case !s.Asked:
			mark = "-  "
		}
		fmt.Fprintf(&b, "%s  %s (line %d): %s\n", mark, s.Rule.Name, s.Rule.Line, s.Why)
	}
	channels := make([]string, len(x.Targets))
	for i, t := range x.Targets {
		channels[i] = t.Channel
	}
	switch {
	case len(channels) > 0:
		b.WriteString("goes to " + strings.Join(channels, ", "))
	default:
		b.WriteString("goes nowhere")
	}
	if x.Note != "" {
		b.WriteString(": " + x.Note)
	}
	return b.String()
}

func (f *File) note(e *allo.Event, d Decision) string {
	switch {
	case e.Topic == allo.Ping:
		return "PING is answered and goes nowhere"
	case d.Muted != "":
		return fmt.Sprintf("muted by rule %q, kept", d.Muted)
	case len(d.Matched) > 0:
		return ""
	case e.Topic.OnlyWhenNamed():
		return fmt.Sprintf("%s is only taken by rules whose topic or if names it, and none did", e.Topic)
	case f.DefaultChannel != "":
		return "no rule took it, so default_channel does"
	}
	return "no rule took it and there is no default_channel; it is kept and counted"
}

// why puts a verdict in words.
func (r *Rule) why(v verdict, f *facts) string {
	m := &r.match
	switch v.no {
	case noTopic:
		return fmt.Sprintf("topic is %s, not %s", f.event.Topic, either(texts(m.topics)))
	case notNamed:
		return fmt.Sprintf("topic %s is only taken by rules whose topic or if names it", f.event.Topic)
	case noTag:
		return fmt.Sprintf("tag is %s, not %s", seen(f.event.Tags()), either(m.tagText))
	case noNumber:
		return fmt.Sprintf("numbers are %s, not %s", seen(f.event.Numbers()), either(m.numbers))
	case noIf:
		if v.err != nil {
			return "if failed: " + v.err.Error()
		}
		return fmt.Sprintf("if is false: %s%s", m.cond.source, f.runner.saw(m.cond))
	}
	said := "matched"
	switch {
	case r.Mute:
		said += ": muted"
	case len(r.Channels) > 0:
		said += ": " + strings.Join(r.Channels, ", ")
	}
	if r.Continue {
		said += "; the rules below are asked too"
	}
	return said
}

func texts(topics []allo.Topic) []string {
	out := make([]string, len(topics))
	for i, t := range topics {
		out[i] = string(t)
	}
	return out
}

// either lists what would have done, shortened.
func either(list []string) string {
	if len(list) > 6 {
		return strings.Join(list[:6], ", ") + fmt.Sprintf(" or %d others", len(list)-6)
	}
	if n := len(list); n > 1 {
		return strings.Join(list[:n-1], ", ") + " or " + list[n-1]
	}
	return strings.Join(list, "")
}

// seen lists what the event has, shortened.
func seen(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	quoted := make([]string, 0, 6)
	for i, s := range list {
		if i == 6 {
			return strings.Join(quoted, ", ") + fmt.Sprintf(" and %d more", len(list)-6)
		}
		quoted = append(quoted, fmt.Sprintf("%q", cut(s)))
	}
	return strings.Join(quoted, ", ")
}
