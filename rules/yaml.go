package rules

import (
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
)

// Limits of a file.
const (
	maxBytes = 4 << 20
	maxLine  = 64 << 10
	maxNest  = 40      // how deep lists and mappings may be nested
	maxKeys  = 1000    // of one mapping
	maxEmpty = 1000    // keys and entries with nothing behind them
	maxMerge = 100     // << that are refused one by one: the parser takes long over many
	maxAlias = 100_000 // values that aliases may add
)

const noMerge = "<< is not supported; write the keys out, or mark one value with &name and use it as *name"

// kind is what a value in the file is.
type kind int

const (
	isNull kind = iota
	isText
	isNumber
	isBool
	isList
	isMapping
	isRefused // what stands there is reported already
)

func (k kind) String() string {
	return [...]string{"nothing", "text", "a number", "true or false", "a list", "a mapping", "nothing"}[k]
}

// node is one value of the file and its place. An alias is the node that it stands for.
type node struct {
	kind         kind
	text         string // of a scalar: its value; of a number or bool: as it was written
	line, column int
	items        []*node
	fields       []field
	size         int // how many nodes this one stands for, itself included
}

type field struct {
	key   *node
	value *node
}

// read turns the text of a file into its one node; nil if it can't, with the reason reported.
func (r *reporter) read(src string) *node {
	tokens := lexer.Tokenize(src)
	if r.check(tokens); len(r.problems) > 0 {
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err)
		return nil
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil && body == nil {
			body = doc.Body
		}
	}
	if body == nil {
		r.at(0, 0, false, "the file is empty; it needs at least default_channel or rules, as in: default_channel: \"#phone\"")
		return nil
	}
	c := converter{reporter: r, anchors: map[string]*node{}}
	if n := c.convert(body, 0); !c.tooMany {
		return n
	}
	return nil
}

// converter turns the library's tree into nodes.
type converter struct {
	*reporter
	anchors map[string]*node
	added   int  // values that aliases stand for
	tooMany bool // more than maxAlias
}

func (c *converter) convert(n ast.Node, depth int) *node {
	out := c.place(n)
	if depth > 4*maxNest {
		c.refuse(out, "nested more than %d deep", maxNest)
		return out
	}
	switch n := n.(type) {
	case nil, *ast.NullNode:
	case *ast.StringNode:
		out.kind, out.text = isText, n.Value
	case *ast.LiteralNode:
		out.kind = isText
		if n.Value != nil {
			out.text = n.Value.Value
		}
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.kind, out.text = isNumber, n.GetToken().Value
	case *ast.BoolNode:
		out.kind, out.text = isBool, "false"
		if n.Value {
			out.text = "true"
		}
	case *ast.SequenceNode:
		out.kind = isList
		for _, item := range n.Values {
			v := c.convert(item, depth+1)
			out.grow(v)
			out.items = append(out.items, v)
		}
	case *ast.MappingNode:
		out.kind = isMapping
		lines := make(map[string]int, len(n.Values))
		for _, pair := range n.Values {
			c.pair(out, pair, lines, depth)
		}
	case *ast.MappingValueNode:
		out.kind = isMapping
		c.pair(out, n, map[string]int{}, depth)
	case *ast.AnchorNode:
		v := c.convert(n.Value, depth+1)
		if n.Name != nil {
			c.anchors[n.Name.GetToken().Value] = v
		}
		return v
	case *ast.AliasNode:
		name := ""
		if n.Value != nil {
			name = n.Value.GetToken().Value
		}
		if v, ok := c.anchors[name]; ok {
			if c.added += v.size; c.added > maxAlias && !c.tooMany {
				c.tooMany = true
				c.refuse(out, "with all that *%s stands for, the aliases of this file make up more than %d values", name, maxAlias)
			}
			return v
		}
		known := slices.Sorted(maps.Keys(c.anchors))
		known = known[:min(len(known), 50)]
		c.refuse(out, "*%s stands for nothing: no value above is marked &%s%s", name, name, didYouMean(name, known))
	default:
		c.refuse(out, "%s can't stand here", strings.ToLower(n.Type().YAMLName()))
	}
	return out
}

func (c *converter) refuse(n *node, format string, args ...any) {
	n.kind = isRefused
	c.wrong(n, format, args...)
}

// place is an empty node where n stands.
func (c *converter) place(n ast.Node) *node {
	out := &node{line: 1, column: 1, size: 1}
	if n == nil {
		return out
	}
	tk := n.GetToken()
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			tk = n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		tk = n.Key.GetToken()
	}
	if tk != nil && tk.Position != nil {
		out.line, out.column = tk.Position.Line, tk.Position.Column
	}
	return out
}

func (c *converter) pair(out *node, pair *ast.MappingValueNode, lines map[string]int, depth int) {
	key := c.place(pair.Key)
	if pair.Key.IsMergeKey() {
		c.wrong(key, noMerge)
		return
	}
	switch k := pair.Key.(type) {
	case *ast.StringNode:
		key.text = k.Value
	case *ast.MappingKeyNode, *ast.AliasNode, *ast.AnchorNode, *ast.TagNode:
		c.wrong(key, "a key must be a plain word")
		return
	default:
		key.text = k.GetToken().Value
	}
	key.kind = isText
	value := c.convert(pair.Value, depth+1)
	if value.kind == isNull {
		// The library places what is left out wherever it stopped looking.
		value = &node{line: key.line, column: key.column, size: 1}
	}
	if first, twice := lines[key.text]; twice {
		c.wrong(key, "%q stands twice here; the first is on line %d", key.text, first)
		return
	}
	lines[key.text] = key.line
	out.grow(value)
	out.fields = append(out.fields, field{key, value})
}

// grow counts v as part of n, without overflowing.
func (n *node) grow(v *node) {
	n.size = min(n.size+v.size, 10*maxAlias)
}

// has reports whether a mapping has a key.
func (n *node) has(key string) bool {
	return slices.ContainsFunc(n.fields, func(f field) bool { return f.key.text == key })
}
