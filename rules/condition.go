package rules

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"allo-slack/allo"
)

// Limits of an `if`; cost.go has those of running it.
const (
	maxExpression = 2000 // characters
	maxExprNodes  = 250
	maxRange      = 1000
	memoryBudget  = 20_000 // values that one run may make
)

// condition is an `if`, compiled. Rules with the same text share one.
type condition struct {
	source   string
	simple   func(*environment) bool // where it is that simple; then there is no program
	program  *vm.Program
	tree     ast.Node
	patterns map[ast.Node]int // the states of each pattern behind `matches`
	topics   []allo.Topic     // the topics it names that are only taken when named
	words    []string         // names of the environment it uses, as `minutes` or `data.plan`
	parts    []string         // what it joins by `and`, each in one spelling
	usesData bool
	shared   bool // more than one rule has it
}

// functions are the built-in ones that an `if` may call. None of them makes a value larger than it was given, so
// that what an event holds bounds what an `if` costs.
func functions() []string {
	return []string{"all", "none", "any", "one", "filter", "find", "count", "len", "lower", "upper", "trim", "trimPrefix",
		"trimSuffix", "hasPrefix", "hasSuffix", "indexOf", "abs", "ceil", "floor", "round", "int", "float", "string",
		"min", "max", "first", "last", "get", "keys", "values"}
}

// compile reads an `if`; nil if there is a mistake, which is then reported.
func (l *loader) compile(n *node) *condition {
	if c, ok := l.conditions[n.text]; ok {
		if c != nil {
			c.shared = true
			return c
		}
	}
	c := l.compileNew(n)
	l.conditions[n.text] = c
	return c
}

func (l *loader) compileNew(n *node) *condition {
	if utf8.RuneCountInString(n.text) > maxExpression {
		l.wrong(n, "this if is longer than %d characters", maxExpression)
		return nil
	}
	tree, err := parser.Parse(n.text)
	if err != nil {
		l.expression(n, err)
		return nil
	}
	before := len(l.problems)
	s := scan{loader: l, at: n, condition: &condition{source: strings.Join(strings.Fields(n.text), " ")}}
	s.walk(tree.Node, false)
	if len(l.problems) > before {
		return nil
	}
	c := s.condition
	if !slices.Contains(c.words, "topic") {
		c.topics = nil
	}
	c.parts = conjuncts(tree.Node, nil)
	program, err := expr.Compile(n.text, expr.Env(environment{}), expr.AsBool(), expr.MaxNodes(maxExprNodes))
	if err != nil {
		l.expression(n, err)
		return nil
	}
	if c.simple = simple(tree.Node); c.simple == nil {
		c.program, c.tree = program, tree.Node
	}
	return c
}

// conjuncts lists what an expression joins by `and`: when it holds each of them does.
func conjuncts(n ast.Node, parts []string) []string {
	if b, ok := n.(*ast.BinaryNode); ok && (b.Operator == "and" || b.Operator == "&&") {
		return conjuncts(b.Right, conjuncts(b.Left, parts))
	}
	return append(parts, n.String())
}

// expression reports what the expression library says.
func (l *loader) expression(n *node, err error) {
	var at *file.Error
	if !errors.As(err, &at) {
		l.wrong(n, "if: %s", reword(err.Error()))
		return
	}
	line, column := l.inside(n, at.From)
	l.at(line, column, false, "if: %s", reword(at.Message))
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// reword says in a user's words what the expression library says in Go's.
func reword(message string) string {
	message = firstLine(message)
	switch {
	case strings.HasPrefix(message, `unexpected token Operator("=")`):
		return "= can't stand here; write == to compare"
	case strings.Contains(message, "unexpected token EOF"):
		return "the expression ends too early"
	case strings.HasPrefix(message, "expected bool"):
		_, got, _ := strings.Cut(message, "but got ")
		return "the whole must be true or false; this is " + plainType(got)
	case strings.Contains(message, "mismatched types []string and string"):
		return `a list can't be compared with a text; write "…" in tags`
	case strings.Contains(message, "exceeds maximum allowed nodes"):
		return fmt.Sprintf("the expression has more than %d parts", maxExprNodes)
	}
	if m := regexp.MustCompile(`mismatched types (.+) and (.+)\)`).FindStringSubmatch(message); m != nil {
		before, _, _ := strings.Cut(message, " (mismatched")
		return fmt.Sprintf("%s doesn't go between %s and %s", strings.TrimPrefix(before, "invalid operation: "), plainType(m[1]), plainType(m[2]))
	}
	if m := regexp.MustCompile(`^type rules\.\w+ has no field (\w+)`).FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("a contact has no %q; it has name, last_name, company, emails, numbers and tags", m[1])
	}
	return strings.ReplaceAll(message, "rules.environment", "the event")
}

// plainType is a Go type in a user's words.
func plainType(t string) string {
	switch {
	case t == "string":
		return "text"
	case t == "bool":
		return "true or false"
	case strings.HasPrefix(t, "[]"):
		return "a list"
	case strings.HasPrefix(t, "int"), strings.HasPrefix(t, "float"), strings.HasPrefix(t, "uint"):
		return "a number"
	case strings.HasPrefix(t, "map"):
		return "a mapping"
	case strings.Contains(t, "contactFields"):
		return "a contact"
	}
	return t
}
