package rules

import (
	"slices"
	"strings"

	"allo-slack/allo"
)

func (l *loader) match(n *node, what string, m *match) {
	if n.kind != isMapping {
		if n.kind == isNull {
			l.wrong(n, "%s: match is empty; write match: {} to take everything", what)
			return
		}
		l.wrong(n, "%s: match is made of topic, tag, number and if, as in: match: {tag: support}; this is %s", what, n.kind)
		return
	}
	l.keys(n, what+": match", map[string]func(*node){
		"topic":  func(n *node) { l.topics(n, m) },
		"tag":    func(n *node) { l.tags(n, m) },
		"number": func(n *node) { l.ruleNumbers(n, m) },
		"if":     func(n *node) { l.condition(n, m) },
	}, []string{"topic", "tag", "number", "if"})
}

func (l *loader) topics(n *node, m *match) {
	for _, item := range l.list(n, "topic", "CALL_RECEIVED") {
		s, ok := l.text(item, "topic", "CALL_RECEIVED")
		if !ok {
			continue
		}
		topic, known := allo.Canonical(s)
		switch {
		case !known:
			hint := didYouMean(s, allo.KnownTopics())
			if hint == "" {
				hint = "; the topics are " + strings.Join(firstNames(), ", ")
			}
			l.wrong(item, "unknown topic %q%s; for a topic that is newer than this program write if: topic == %q", s, hint, s)
		case topic == allo.Ping:
			l.wrong(item, "PING is answered and goes nowhere: no rule can take it")
		case !slices.Contains(m.topics, topic):
			m.topics = append(m.topics, topic)
		}
	}
}

func (l *loader) tags(n *node, m *match) {
	for _, item := range l.list(n, "tag", "support") {
		s, ok := l.text(item, "tag", "support")
		if !ok {
			continue
		}
		folded := allo.FoldTag(s)
		if folded == "" {
			l.wrong(item, "the tag is empty")
			continue
		}
		if !slices.Contains(m.tags, folded) {
			m.tags = append(m.tags, folded)
			m.tagText = append(m.tagText, s)
		}
	}
}

func (l *loader) ruleNumbers(n *node, m *match) {
	for _, item := range l.list(n, "number", `"+1 415 555 0199"`) {
		if item.kind != isNumber && item.kind != isText {
			l.text(item, "number", `"+1 415 555 0199"`)
			continue
		}
		number, err := ruleNumber(item.text)
		if err != nil {
			l.wrong(item, "%s", err)
			continue
		}
		if !slices.Contains(m.numbers, number) {
			m.numbers = append(m.numbers, number)
		}
		l.checkNumber(item, number)
	}
}

// checkNumber warns of a number that no country has, for as many different numbers as a look-up is cheap.
func (l *loader) checkNumber(n *node, number string) {
	ok, known := l.numbers[number]
	if !known {
		if len(l.numbers) == maxChecked {
			return
		}
		ok = possible(number)
		l.numbers[number] = ok
	}
	if !ok {
		l.warn(n, "number %s is not possible in any country; the rule is kept", number)
	}
}

func (l *loader) condition(n *node, m *match) {
	switch n.kind {
	case isNull:
		l.wrong(n, "if is empty; write an expression, as in: if: minutes > 2, or leave the key out")
	case isList, isMapping:
		l.wrong(n, "if must be an expression, as in: minutes > 2; this is %s (an expression that starts with [ or { stands in quotes)", n.kind)
	default:
		m.cond = l.compile(n)
	}
}
