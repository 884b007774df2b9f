package rules

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/token"
)

// gate lets tokens through to the parser, which recurses and, here and there, takes the square of the time.
type gate struct {
	*reporter
	depth    int       // of [ and {
	line     int       // the one that is being read
	inRow    int       // what nests on this line
	merges   int       // <<
	empty    int       // keys and entries with nothing behind them
	mappings []mapping // the open ones, from the left
	started  bool      // the document has
	ended    bool
}

// mapping is one that is written without braces.
type mapping struct {
	column int
	keys   int
}

// check refuses what no rules file needs and what the parser can't stand.
func (r *reporter) check(tokens token.Tokens) {
	g := gate{reporter: r}
	for _, tk := range tokens {
		if tk.Type != token.CommentType && !g.pass(tk) {
			return
		}
	}
}

// pass is false if there is no use in reading on.
func (g *gate) pass(tk *token.Token) bool {
	if tk.Type == token.DocumentHeaderType && g.started || g.ended {
		mark := "---"
		if tk.Type != token.DocumentHeaderType {
			mark = "..."
		}
		return g.stop(tk, "a second document starts here and would be ignored; remove the line with "+mark)
	}
	g.started, g.ended = true, tk.Type == token.DocumentEndType
	if tk.Position.Line != g.line {
		g.line, g.inRow = tk.Position.Line, 0
	}
	p := tk.Position
	switch tk.Type {
	case token.SequenceStartType, token.MappingStartType:
		g.depth++
	case token.SequenceEndType, token.MappingEndType:
		g.depth--
	case token.SequenceEntryType:
		g.inRow++
		g.close(p.Column)
		g.countEmpty(tk, p.Column)
	case token.MappingValueType:
		g.inRow++
		if g.depth == 0 && tk.Prev != nil {
			g.key(tk.Prev.Position.Column)
			g.countEmpty(tk, tk.Prev.Position.Column)
		}
	case token.CollectEntryType:
		g.inRow = 0
	case token.MergeKeyType:
		if g.merges++; g.merges > maxMerge {
			return g.stop(tk, noMerge)
		}
	case token.TagType:
		g.at(p.Line, p.Column, false, "%s is read as a YAML tag; put text that starts with ! in quotes; in an expression write not", cut(tk.Value))
	case token.MappingKeyType:
		g.at(p.Line, p.Column, false, "? can't stand here; a key is a plain word")
	case token.DirectiveType:
		g.at(p.Line, p.Column, false, "%% can't stand here; put text that starts with %% in quotes")
	}
	switch {
	case g.depth > maxNest || g.inRow > 2*maxNest || len(g.mappings) > maxNest:
		return g.stop(tk, "nested more than 40 deep")
	case len(g.mappings) > 0 && g.mappings[len(g.mappings)-1].keys > maxKeys:
		return g.stop(tk, "more than 1000 keys of one mapping")
	case g.empty > maxEmpty:
		return g.stop(tk, "more than 1000 places with nothing in them")
	}
	return true
}

func (g *gate) stop(tk *token.Token, text string) bool {
	g.at(tk.Position.Line, tk.Position.Column, false, "%s", text)
	return false
}

// close closes the mappings that stand further to the right.
func (g *gate) close(column int) {
	for len(g.mappings) > 0 && g.mappings[len(g.mappings)-1].column > column {
		g.mappings = g.mappings[:len(g.mappings)-1]
	}
}

func (g *gate) key(column int) {
	g.close(column)
	if n := len(g.mappings); n == 0 || g.mappings[n-1].column < column {
		g.mappings = append(g.mappings, mapping{column: column})
	}
	g.mappings[len(g.mappings)-1].keys++
}

// countEmpty counts a key or entry whose value is left out.
func (g *gate) countEmpty(tk *token.Token, column int) {
	next := tk.Next
	for next != nil && next.Type == token.CommentType {
		next = next.Next
	}
	switch {
	case next == nil:
		g.empty++
	case next.Position.Line == tk.Position.Line || next.Position.Column > column:
	case tk.Type == token.MappingValueType && next.Type == token.SequenceEntryType && next.Position.Column == column:
		// A list may start in the column of its key.
	default:
		g.empty++
	}
}

// syntax reports what the YAML library says, in words that say what to do.
func (r *reporter) syntax(err error) {
	var located yaml.Error
	if !errors.As(err, &located) || located.GetToken() == nil || located.GetToken().Position == nil {
		r.at(1, 1, false, "not YAML: %s", strings.TrimSpace(err.Error()))
		return
	}
	line, column := located.GetToken().Position.Line, located.GetToken().Position.Column
	text := located.GetMessage()
	source := ""
	if line >= 1 && line <= len(r.lines) {
		source = r.lines[line-1]
	}
	trimmed := strings.TrimLeft(source, " \t")
	indent := source[:len(source)-len(trimmed)]
	switch {
	case strings.Contains(indent, "\t"):
		column = strings.IndexByte(indent, '\t') + 1
		text = "a tab stands here; YAML wants spaces"
	case strings.Contains(text, "cannot start any token") && strings.Contains(source, "\t"):
		column = utf8.RuneCountInString(source[:strings.IndexByte(source, '\t')]) + 1
		text = "a tab stands here; YAML wants spaces"
	case strings.Contains(text, "is a reserved character"):
		text = "text that starts with @ or ` must stand in quotes, as in \"@here\""
	case strings.Contains(trimmed, "if:") && !strings.Contains(trimmed, "if: '"):
		text = "not YAML: " + text + "; put the whole expression in single quotes, as in: if: '\"vip\" in tags'"
	case keyAgainstValue(trimmed):
		text = "a space is missing after the colon"
	case strings.HasPrefix(text, "value is not allowed in this context"), strings.HasPrefix(text, "non-map value"), strings.HasPrefix(text, "unexpected key"):
		text = "not YAML: " + text + "; check that what belongs together starts in the same column"
	default:
		text = "not YAML: " + text
	}
	r.at(line, column, false, "%s", text)
}

// keyAgainstValue reports whether a line looks like `key:"value"`.
func keyAgainstValue(line string) bool {
	key, value, ok := strings.Cut(strings.TrimPrefix(line, "- "), ":")
	return ok && value != "" && value[0] != ' ' && strings.Trim(key, "abcdefghijklmnopqrstuvwxyz_") == ""
}
