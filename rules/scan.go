package rules

import (
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"

	"allo-slack/allo"
)

// scan walks an expression before it is compiled: it refuses what is unknown or has no bound, and gathers what the
// condition needs to know about itself.
type scan struct {
	*loader
	at        *node
	condition *condition
}

func (s *scan) refuse(n ast.Node, warning bool, format string, args ...any) {
	line, column := s.inside(s.at, n.Location().From)
	s.loader.at(line, column, warning, "if: "+format, args...)
}

// walk visits n; inLoop is true inside all(), any() and the like.
func (s *scan) walk(n ast.Node, inLoop bool) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		s.word(n)
	case *ast.StringNode:
		if t, ok := allo.Canonical(n.Value); ok && t.OnlyWhenNamed() && !slices.Contains(s.condition.topics, t) {
			s.condition.topics = append(s.condition.topics, t)
		}
	case *ast.BinaryNode:
		s.binary(n)
	case *ast.MemberNode:
		s.member(n)
	case *ast.BuiltinNode:
		if !slices.Contains(functions(), n.Name) {
			s.refuse(n, false, "%s() can't be used in rules", n.Name)
		}
	case *ast.PredicateNode:
		if inLoop {
			s.refuse(n, false, "a loop in a loop can't be used in rules: all(), any() and the like don't go inside one another")
			return
		}
		inLoop = true
	case *ast.CallNode:
		s.call(n)
	case *ast.VariableDeclaratorNode:
		s.refuse(n, false, "let can't be used in rules; write the value where it is needed")
	case *ast.SequenceNode:
		s.refuse(n, false, "; can't be used in rules; join conditions by and, or")
	}
	for _, part := range parts(n) {
		s.walk(part, inLoop)
	}
}

func (s *scan) call(n *ast.CallNode) {
	name, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		s.refuse(n.Callee, false, "values have no functions of their own; there are %s", strings.Join(functions(), ", "))
		return
	}
	hint := didYouMean(name.Value, functions())
	if hint == "" {
		hint = "; there are " + strings.Join(functions(), ", ")
	}
	s.refuse(n.Callee, false, "there is no function %s()%s", name.Value, hint)
}

func (s *scan) word(n *ast.IdentifierNode) {
	words := environmentWords()
	if !slices.Contains(words, n.Value) {
		hint := didYouMean(n.Value, words)
		if hint == "" {
			hint = "; there are " + strings.Join(words, ", ")
		}
		s.refuse(n, false, "there is no %q%s", n.Value, hint)
		return
	}
	s.use(n.Value)
	s.condition.usesData = s.condition.usesData || n.Value == "data"
}

func (s *scan) use(word string) {
	if !slices.Contains(s.condition.words, word) {
		s.condition.words = append(s.condition.words, word)
	}
}

// member remembers which field of data is used, so that Explain can show it.
func (s *scan) member(n *ast.MemberNode) {
	if of, ok := n.Node.(*ast.IdentifierNode); ok && of.Value == "data" {
		if field, ok := n.Property.(*ast.StringNode); ok {
			s.use("data." + field.Value)
		}
	}
}

func (s *scan) binary(n *ast.BinaryNode) {
	switch n.Operator {
	case "==", "!=":
		s.compare(n.Left, n.Right)
		s.compare(n.Right, n.Left)
	case "in":
		if list, ok := n.Right.(*ast.ArrayNode); ok {
			for _, item := range list.Nodes {
				s.compare(n.Left, item)
			}
		}
	case "matches":
		s.pattern(n)
	case "..":
		from, fromOK := n.Left.(*ast.IntegerNode)
		to, toOK := n.Right.(*ast.IntegerNode)
		if !fromOK || !toOK || to.Value-from.Value > maxRange || to.Value < from.Value {
			s.refuse(n, false, "a range goes from one whole number to another, and has at most %d", maxRange)
		}
	case "**", "^":
		s.refuse(n, false, "%s can't be used in rules", n.Operator)
	}
}

// pattern refuses what is behind `matches` unless it is a pattern of a bounded size.
func (s *scan) pattern(n *ast.BinaryNode) {
	text, ok := n.Right.(*ast.StringNode)
	if !ok {
		s.refuse(n, false, "what stands after matches must be a text in quotes")
		return
	}
	re, err := syntax.Parse(text.Value, syntax.Perl)
	if err != nil {
		s.refuse(text, false, "%s is no pattern: %s", strconv.Quote(cut(text.Value)), strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return
	}
	size := patternSize(re)
	if size > maxPattern {
		s.refuse(text, false, "this pattern has more than %d states: repeat less in it", maxPattern)
	}
	if s.condition.patterns == nil {
		s.condition.patterns = map[ast.Node]int{}
	}
	s.condition.patterns[n] = size
}

// compare refuses a comparison with a text that the word can never be.
func (s *scan) compare(word, with ast.Node) {
	name, ok := word.(*ast.IdentifierNode)
	if !ok {
		return
	}
	text, ok := with.(*ast.StringNode)
	if !ok {
		return
	}
	v := text.Value
	switch name.Value {
	case "topic":
		t, known := allo.Canonical(v)
		switch {
		case t == allo.Ping:
			s.refuse(text, false, "PING is answered and goes nowhere: no rule can take it")
		case known && string(t) != v:
			s.refuse(text, false, "here topic is always the first generation's name: write %q", string(t))
		case !known:
			s.newTopics[v] = true
			if near := didYouMean(v, firstNames()); near != "" {
				s.refuse(text, true, "topic %q is not known to this version%s", v, near)
			}
		}
	case "direction":
		s.oneOf(text, "direction", "INBOUND", "OUTBOUND", "")
	case "weekday":
		s.oneOf(text, "weekday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
	case "from", "to", "line":
		if number, ok := eventNumber(v); ok && number != v {
			s.refuse(text, false, "here numbers are always + and digits only: write %q", number)
		}
	}
}

func (s *scan) oneOf(text *ast.StringNode, name string, values ...string) {
	if slices.Contains(values, text.Value) {
		return
	}
	listed := `"` + strings.Join(values, `", "`) + `"`
	s.refuse(text, false, "%s is never %q%s; it is one of %s", name, text.Value, didYouMean(text.Value, values), listed)
}

// firstNames are the topics as `if` sees them.
func firstNames() []string {
	var names []string
	for _, name := range allo.KnownTopics() {
		if t, _ := allo.Canonical(name); string(t) == name && t != allo.Ping {
			names = append(names, name)
		}
	}
	return names
}
