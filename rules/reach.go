package rules

import (
	"slices"

	"allo-slack/allo"
)

// maxCompared bounds how many conditions of pairs of rules are compared. Real files stay far below it; one that does not is
// accepted with the comparisons that were made.
const maxCompared = 1_000_000

// reach reports rules that no event can get to, because one earlier rule takes all that they would. It reports only
// what is certain: an `if` counts by its text, joined conditions one by one.
func (l *loader) reach() {
	if len(l.problems) > 0 {
		return // a rule that was not read whole seems to take more than it does
	}
	index := map[string][]*Rule{}
	compared := 0
	for _, later := range l.file.Rules {
		earlier := covering(index, later, &compared)
		if earlier != nil {
			l.wrong(later.at, "rule %q is never reached: rule %q (line %d) takes everything that it would", later.Name, earlier.Name, earlier.Line)
			continue // whatever it covers is covered by the earlier one too
		}
		if !later.Continue {
			for _, key := range buckets(&later.match) {
				index[key] = append(index[key], later)
			}
		}
	}
}

// buckets is where a rule is looked for: under the one of its conditions that fewest others have, and that whatever
// it covers must share.
func buckets(m *match) []string {
	switch {
	case m.cond != nil:
		longest := slices.MaxFunc(m.cond.parts, func(a, b string) int { return len(a) - len(b) })
		return []string{"if " + longest}
	case len(m.numbers) > 0:
		return prefixed("number ", m.numbers)
	case len(m.tags) > 0:
		return prefixed("tag ", m.tags)
	case len(m.topics) > 0:
		return prefixed("topic ", texts(m.topics))
	}
	return []string{""}
}

func prefixed(prefix string, list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = prefix + s
	}
	return out
}

// covering finds the first rule of the index that covers later, nil if there is none.
func covering(index map[string][]*Rule, later *Rule, compared *int) *Rule {
	m := &later.match
	keys := []string{""}
	if m.cond != nil {
		keys = append(keys, prefixed("if ", m.cond.parts)...)
	}
	if len(m.numbers) > 0 {
		keys = append(keys, "number "+m.numbers[0])
	}
	if len(m.tags) > 0 {
		keys = append(keys, "tag "+m.tags[0])
	}
	if len(m.topics) > 0 {
		keys = append(keys, "topic "+string(m.topics[0]))
	}
	var first *Rule
	for _, key := range keys {
		for _, earlier := range index[key] {
			if *compared += 1 + len(earlier.match.tags) + len(earlier.match.numbers); *compared > maxCompared {
				return nil
			}
			if covers(&earlier.match, m) {
				if first == nil || earlier.Line < first.Line {
					first = earlier
				}
				break
			}
		}
	}
	return first
}

// covers reports whether every event that later would take is one that earlier takes.
func covers(earlier, later *match) bool {
	switch {
	case len(earlier.topics) > 0 && (len(later.topics) == 0 || !within(later.topics, earlier.topics)):
		return false
	case len(earlier.tags) > 0 && (len(later.tags) == 0 || !within(later.tags, earlier.tags)):
		return false
	case len(earlier.numbers) > 0 && (len(later.numbers) == 0 || !within(later.numbers, earlier.numbers)):
		return false
	case earlier.cond != nil && (later.cond == nil || !within(earlier.cond.parts, later.cond.parts)):
		return false
	}
	named := later.topics
	if len(named) == 0 && later.cond != nil {
		named = later.cond.topics
	}
	return !slices.ContainsFunc(named, func(t allo.Topic) bool { return t.OnlyWhenNamed() && !earlier.names(t) })
}

// within reports whether every item of a is in b.
func within[T comparable](a, b []T) bool {
	if len(a)*len(b) > 4096 {
		set := make(map[T]bool, len(b))
		for _, x := range b {
			set[x] = true
		}
		return !slices.ContainsFunc(a, func(x T) bool { return !set[x] })
	}
	return !slices.ContainsFunc(a, func(x T) bool { return !slices.Contains(b, x) })
}
