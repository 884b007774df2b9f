package rules

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// simple turns an expression that was compiled, so that its types are right, into a function, if it is made of nothing
// but comparisons of single words with single values: most are. It gives what the expression library would, without
// the 100 ns that a run of it costs, and can't fail. It is nil for any other expression.
func simple(n ast.Node) func(*environment) bool {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		switch n.Value {
		case "missed":
			return func(e *environment) bool { return e.Missed }
		case "transferred":
			return func(e *environment) bool { return e.Transferred }
		}
	case *ast.UnaryNode:
		if of := simple(n.Node); of != nil && (n.Operator == "not" || n.Operator == "!") {
			return func(e *environment) bool { return !of(e) }
		}
	case *ast.BinaryNode:
		switch n.Operator {
		case "and", "&&", "or", "||":
			a, b := simple(n.Left), simple(n.Right)
			if a == nil || b == nil {
				return nil
			}
			if n.Operator == "and" || n.Operator == "&&" {
				return func(e *environment) bool { return a(e) && b(e) }
			}
			return func(e *environment) bool { return a(e) || b(e) }
		}
		if word, ok := n.Left.(*ast.IdentifierNode); ok {
			if get := number(word.Value); get != nil {
				return compareNumber(get, n.Operator, n.Right)
			}
			if get := singleText(word.Value); get != nil {
				return compareText(get, n.Operator, n.Right)
			}
		}
	}
	return nil
}

func number(word string) func(*environment) float64 {
	switch word {
	case "minutes":
		return func(e *environment) float64 { return e.Minutes }
	case "hour":
		return func(e *environment) float64 { return float64(e.Hour) }
	}
	return nil
}

func singleText(word string) func(*environment) string {
	switch word {
	case "topic":
		return func(e *environment) string { return e.Topic }
	case "direction":
		return func(e *environment) string { return e.Direction }
	case "tag":
		return func(e *environment) string { return e.Tag }
	case "from":
		return func(e *environment) string { return e.From }
	case "to":
		return func(e *environment) string { return e.To }
	case "line":
		return func(e *environment) string { return e.Line }
	case "result":
		return func(e *environment) string { return e.Result }
	case "user":
		return func(e *environment) string { return e.User }
	case "summary":
		return func(e *environment) string { return e.Summary }
	case "text":
		return func(e *environment) string { return e.Text }
	case "weekday":
		return func(e *environment) string { return e.Weekday }
	}
	return nil
}

func compareNumber(get func(*environment) float64, operator string, with ast.Node) func(*environment) bool {
	var v float64
	switch with := with.(type) {
	case *ast.IntegerNode:
		v = float64(with.Value)
	case *ast.FloatNode:
		v = with.Value
	default:
		return nil
	}
	switch operator {
	case "==":
		return func(e *environment) bool { return get(e) == v }
	case "!=":
		return func(e *environment) bool { return get(e) != v }
	case "<":
		return func(e *environment) bool { return get(e) < v }
	case "<=":
		return func(e *environment) bool { return get(e) <= v }
	case ">":
		return func(e *environment) bool { return get(e) > v }
	case ">=":
		return func(e *environment) bool { return get(e) >= v }
	}
	return nil
}

func compareText(get func(*environment) string, operator string, with ast.Node) func(*environment) bool {
	if list, ok := with.(*ast.ArrayNode); ok && operator == "in" {
		var values []string
		for _, item := range list.Nodes {
			text, ok := item.(*ast.StringNode)
			if !ok {
				return nil
			}
			values = append(values, text.Value)
		}
		return func(e *environment) bool { return slices.Contains(values, get(e)) }
	}
	text, ok := with.(*ast.StringNode)
	if !ok {
		return nil
	}
	v := text.Value
	switch operator {
	case "==":
		return func(e *environment) bool { return get(e) == v }
	case "!=":
		return func(e *environment) bool { return get(e) != v }
	case "contains":
		return func(e *environment) bool { return strings.Contains(get(e), v) }
	case "startsWith":
		return func(e *environment) bool { return strings.HasPrefix(get(e), v) }
	case "endsWith":
		return func(e *environment) bool { return strings.HasSuffix(get(e), v) }
	}
	return nil
}
