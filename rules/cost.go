package rules

import (
	"reflect"
	"regexp/syntax"

	"github.com/expr-lang/expr/ast"
)

// What an `if` may cost, in units of about a nanosecond on a slow machine. The cost is computed from the sizes of what
// the event holds before the expression runs, and assumes the worst of every operation.
const (
	maxCost      = 200e6   // of one `if` on one event
	maxTotalCost = 2e9     // of all of them on one event
	maxMade      = 8 << 20 // bytes of a text that + or string() may make
	maxPattern   = 500     // states of a pattern behind `matches`
)

// The units of single operations, per byte unless said otherwise.
const (
	costStep    = 30 // of visiting one part of an expression, whatever it is
	costSearch  = 2
	costCompare = 8
	costState   = 4 // of a pattern, for each of its states
	costPrint   = 10
	scalarSize  = 16 // bytes that any one value counts
)

// amount is what is known of a value before it is computed: at most so many bytes and items, for so many units.
type amount struct {
	size, count, cost float64
}

// meter computes what an expression costs on one event. All operations take time in proportion to the size of what
// they work on, so it is right to count each item of a list as if it had the average size.
type meter struct {
	env      *environment
	patterns map[ast.Node]int  // the states of each pattern behind `matches`
	words    map[string]amount // of the environment, and paths into data, as they are asked for
	item     float64           // the size of # in the loop that is being looked at
	made     float64           // the largest text that is made
}

// patternSize is about how many states a pattern has, without building them.
func patternSize(re *syntax.Regexp) int {
	size := 1
	if re.Op == syntax.OpLiteral {
		size = len(re.Rune)
	}
	for _, sub := range re.Sub {
		size = min(size+patternSize(sub), 1<<20)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Max, re.Min+1)
	}
	return min(size, 1<<20)
}

func (m *meter) of(n ast.Node) amount {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return m.word(n.Value, nil)
	case *ast.StringNode:
		return amount{float64(len(n.Value)), float64(len(n.Value)), costStep}
	case *ast.PointerNode:
		return amount{m.item, m.item, costStep}
	case *ast.MemberNode:
		if name, v, ok := m.path(n); ok {
			return m.word(name, v)
		}
		of, by := m.of(n.Node), m.of(n.Property)
		return amount{of.size, of.size, of.cost + by.cost + costStep}
	case *ast.BinaryNode:
		return m.binary(n)
	case *ast.BuiltinNode:
		return m.builtin(n)
	case *ast.ArrayNode:
		all := m.sum(n)
		all.count = float64(len(n.Nodes))
		return all
	}
	return m.sum(n)
}

// sum is the amount of a value that is made of, or chosen from, its parts.
func (m *meter) sum(n ast.Node) amount {
	all := amount{scalarSize, 0, costStep}
	for _, part := range parts(n) {
		a := m.of(part)
		all.size, all.count, all.cost = all.size+a.size, all.count+a.count, all.cost+a.cost
	}
	return all
}

func (m *meter) binary(n *ast.BinaryNode) amount {
	l, r := m.of(n.Left), m.of(n.Right)
	a := amount{scalarSize, 1, l.cost + r.cost + costStep}
	switch n.Operator {
	case "matches":
		a.cost += l.size * float64(10+costState*m.patterns[n])
	case "contains", "startsWith", "endsWith":
		a.cost += costSearch * (l.size + r.size)
	case "in":
		a.cost += costCompare * (l.size + r.size)
	case "+":
		a.size = l.size + r.size
		a.cost += a.size
		m.made = max(m.made, a.size)
	case "..":
		a.size, a.count = scalarSize*maxRange, maxRange
	case "??":
		a.size, a.count = l.size+r.size, l.count+r.count
	default:
		a.cost += costCompare * min(l.size, r.size)
	}
	return a
}

func (m *meter) builtin(n *ast.BuiltinNode) amount {
	if last := len(n.Arguments) - 1; last > 0 {
		if body, ok := n.Arguments[last].(*ast.PredicateNode); ok {
			list := m.of(n.Arguments[0])
			m.item = list.size / max(list.count, 1)
			each := m.of(body.Node)
			list.cost += (list.count + 1) * (each.cost + costStep)
			return list
		}
	}
	a := m.sum(n)
	if n.Name != "keys" && n.Name != "values" {
		a.count = a.size
	}
	if n.Name == "string" {
		a.cost += costPrint * a.size
		a.size *= 4
		m.made = max(m.made, a.size)
		return a
	}
	a.cost += costCompare * a.size
	a.size *= 2 // the largest that lower() makes of a letter
	return a
}

// path resolves `data.order.items` to its value.
func (m *meter) path(n ast.Node) (name string, v any, ok bool) {
	switch n := n.(type) {
	case *ast.ChainNode:
		return m.path(n.Node)
	case *ast.IdentifierNode:
		return n.Value, m.env.Data, n.Value == "data"
	case *ast.MemberNode:
		key, isText := n.Property.(*ast.StringNode)
		if !isText {
			return "", nil, false
		}
		name, v, ok = m.path(n.Node)
		if object, isObject := v.(map[string]any); ok && isObject {
			v = object[key.Value]
		} else {
			v = nil
		}
		return name + "\x00" + key.Value, v, ok
	}
	return "", nil, false
}

// word measures a name of the environment or, with its value, a path into data; each once.
func (m *meter) word(name string, v any) amount {
	a, ok := m.words[name]
	if ok {
		return a
	}
	if v == nil {
		env := reflect.ValueOf(m.env).Elem()
		for i := range env.NumField() {
			if env.Type().Field(i).Tag.Get("expr") == name {
				v = env.Field(i).Interface()
			}
		}
	}
	size, count := measure(v)
	a = amount{size, count, costStep}
	m.words[name] = a
	return a
}

// measure is how many bytes and items a value has.
func measure(v any) (size, count float64) {
	switch v := v.(type) {
	case string:
		return scalarSize + float64(len(v)), float64(len(v))
	case []string:
		for _, s := range v {
			size += scalarSize + float64(len(s))
		}
		return size, float64(len(v))
	case []any:
		for _, item := range v {
			s, _ := measure(item)
			size += s
		}
		return scalarSize + size, float64(len(v))
	case map[string]any:
		for key, item := range v {
			s, _ := measure(item)
			size += scalarSize + float64(len(key)) + s
		}
		return scalarSize + size, float64(len(v))
	case contactFields:
		for _, list := range [][]string{{v.Name, v.LastName, v.Company}, v.Emails, v.Numbers, v.Tags} {
			s, _ := measure(list)
			size += s
		}
		return size, size
	}
	return scalarSize, 1
}

// parts lists what an expression is directly made of.
func parts(n ast.Node) []ast.Node {
	switch n := n.(type) {
	case *ast.UnaryNode:
		return []ast.Node{n.Node}
	case *ast.BinaryNode:
		return []ast.Node{n.Left, n.Right}
	case *ast.ChainNode:
		return []ast.Node{n.Node}
	case *ast.MemberNode:
		return []ast.Node{n.Node, n.Property}
	case *ast.SliceNode:
		list := []ast.Node{n.Node}
		for _, end := range []ast.Node{n.From, n.To} {
			if end != nil {
				list = append(list, end)
			}
		}
		return list
	case *ast.BuiltinNode:
		return n.Arguments
	case *ast.CallNode:
		return n.Arguments
	case *ast.PredicateNode:
		return []ast.Node{n.Node}
	case *ast.ConditionalNode:
		return []ast.Node{n.Cond, n.Exp1, n.Exp2}
	case *ast.ArrayNode:
		return n.Nodes
	case *ast.MapNode:
		return n.Pairs
	case *ast.PairNode:
		return []ast.Node{n.Key, n.Value}
	}
	return nil
}
