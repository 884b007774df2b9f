package rules

import (
	"slices"
	"time"

	"allo-slack/allo"
)

// match is what a rule asks of an event. All that is given must hold; within a list any.
type match struct {
	topics  []allo.Topic // canonical
	tags    []string     // folded
	numbers []string     // + and digits
	cond    *condition   // of `if`; nil if there is none
	tagText []string     // the tags as they are written
}

// refusal is the condition that said no.
type refusal int

const (
	nothing  refusal = iota
	notNamed         // a topic that is only taken when named
	noTopic
	noTag
	noNumber
	noIf
)

// verdict is a rule's answer to one event.
type verdict struct {
	no  refusal
	err error // of an `if` that failed while it ran; no is then noIf
}

// names reports whether the rule's `topic` or `if` names the topic.
func (m *match) names(t allo.Topic) bool {
	return slices.Contains(m.topics, t) || m.cond != nil && slices.Contains(m.cond.topics, t)
}

// ask asks the cheap conditions first.
func (m *match) ask(f *facts) verdict {
	if len(m.topics) > 0 && !slices.Contains(m.topics, f.event.Topic) {
		return verdict{no: noTopic}
	}
	if f.onlyWhenNamed && !m.names(f.event.Topic) {
		return verdict{no: notNamed}
	}
	if len(m.tags) > 0 && !meet(m.tags, f.tags) {
		return verdict{no: noTag}
	}
	if len(m.numbers) > 0 && !meet(m.numbers, f.numbers) {
		return verdict{no: noNumber}
	}
	if m.cond != nil {
		yes, err := f.holds(m.cond)
		if err != nil || !yes {
			return verdict{no: noIf, err: err}
		}
	}
	return verdict{}
}

// meet reports whether the lists have an item in common.
func meet(a, b []string) bool {
	for _, x := range b {
		if slices.Contains(a, x) {
			return true
		}
	}
	return false
}

// facts is an event as rules see it: prepared once, asked by every rule.
type facts struct {
	event         *allo.Event
	now           time.Time
	zone          *time.Location
	onlyWhenNamed bool
	tags          []string // folded
	numbers       []string // + and digits
	runner        *runner  // made for the first `if`
}

func newFacts(e *allo.Event, now time.Time, zone *time.Location) *facts {
	f := &facts{event: e, now: now, zone: zone, onlyWhenNamed: e.Topic.OnlyWhenNamed()}
	for _, tag := range e.Tags() {
		if len(f.tags) == maxItems {
			break
		}
		f.tags = append(f.tags, allo.FoldTag(tag))
	}
	for _, written := range e.Numbers() {
		if len(f.numbers) == maxItems {
			break
		}
		if number, ok := eventNumber(written); ok && !slices.Contains(f.numbers, number) {
			f.numbers = append(f.numbers, number)
		}
	}
	return f
}

func (f *facts) holds(c *condition) (bool, error) {
	if f.runner == nil {
		f.runner = newRunner(f)
	}
	return f.runner.run(c)
}
