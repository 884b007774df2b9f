package format

import (
	"strconv"
	"strings"

	"github.com/slack-go/slack"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// How much of a summary is read, and how many paragraphs and list items of it are shown.
const (
	maxMarkdown   = 8000 // bytes
	maxParagraphs = 60
	maxIndent     = 4
)

// kind is what a paragraph is.
type kind int

const (
	prose kind = iota
	bullet
	ordered
	quotation
	code
)

// paragraph is a paragraph, heading, list item, quotation or block of code, ready for rich text.
type paragraph struct {
	kind   kind
	indent int // of a list item, from 0
	number int // of an ordered one
	runs   []run
}

// markdown reads a summary. Its links are shown as text, their target beside it: nothing in it can be clicked, so
// nothing can hide where it leads.
func (v voice) markdown(source string) []paragraph {
	source = Clean(clipTo(source, maxMarkdown))
	if source == "" {
		return nil
	}
	m := &markdownReader{redact: v.Options.Redact, source: []byte(source)}
	if !strings.ContainsAny(source, "*_`[]<>#&\\~|+\n") && !strings.ContainsAny(source[:1], "-0123456789=") {
		m.add(prose, []run{{text: source}}) // nothing for a parser in it
	} else {
		m.blocks(markdownParser.Parser().Parse(text.NewReader(m.source)), prose, -1)
	}
	return m.out
}

// clipTo is at most the first max bytes of s, whole characters.
func clipTo(s string, max int) string {
	if len(s) <= max {
		return s
	}
	s = s[:prefix(s[:max], max)]
	return strings.ToValidUTF8(s, "") + rest
}

// markdownParser is not changed once it is made, and can be used by several at once.
var markdownParser = goldmark.New(
	goldmark.WithExtensions(extension.Strikethrough),
)

type markdownReader struct {
	redact Redact
	source []byte
	out    []paragraph
}

func (m *markdownReader) add(k kind, runs []run) {
	m.addItem(paragraph{kind: k, runs: runs})
}

// addItem takes a paragraph over: trimmed, and redacted as a whole, so that formatting within a number hides nothing.
func (m *markdownReader) addItem(p paragraph) {
	if len(m.out) >= maxParagraphs {
		return
	}
	if len(m.out) == maxParagraphs-1 {
		p = paragraph{runs: []run{{text: strings.TrimSpace(rest)}}}
	}
	if m.redact.Any() {
		said := plainRuns(p.runs)
		if redacted := m.redact.text(said); redacted != said {
			p.runs = []run{{text: redacted}}
		}
	}
	p.runs = trimRuns(p.runs)
	if len(p.runs) > 0 {
		m.out = append(m.out, p)
	}
}

// trimRuns takes white space from the ends of a paragraph, and runs that say nothing.
func trimRuns(runs []run) []run {
	kept := runs[:0]
	for _, r := range runs {
		r.text = scrub(r.text)
		if len(kept) == 0 {
			r.text = strings.TrimLeft(r.text, " \n")
		}
		if r.text != "" {
			kept = append(kept, r)
		}
	}
	for len(kept) > 0 {
		last := &kept[len(kept)-1]
		if last.text = strings.TrimRight(last.text, " \n"); last.text != "" {
			break
		}
		kept = kept[:len(kept)-1]
	}
	return kept
}

// blocks reads the children of a block.
func (m *markdownReader) blocks(parent ast.Node, as kind, indent int) {
	for n := parent.FirstChild(); n != nil && len(m.out) < maxParagraphs; n = n.NextSibling() {
		m.block(n, as, indent)
	}
}

// block reads one block. indent is that of the list around it, -1 if there is none.
func (m *markdownReader) block(n ast.Node, as kind, indent int) {
	switch n := n.(type) {
	case *ast.Heading:
		m.add(as, m.inline(n, run{bold: true}))
	case *ast.List:
		m.items(n, as, indent+1)
	case *ast.Blockquote:
		m.blocks(n, quotation, indent)
	case *ast.FencedCodeBlock:
		m.add(code, []run{{text: m.raw(n)}})
	case *ast.CodeBlock:
		m.add(code, []run{{text: m.raw(n)}})
	case *ast.HTMLBlock:
		words := m.raw(n)
		if n.HasClosure() {
			words = join("\n", words, string(n.ClosureLine.Value(m.source)))
		}
		m.add(as, []run{{text: words}})
	case *ast.ThematicBreak:
	default:
		m.add(as, m.inline(n, run{}))
	}
}

// items reads a list. What an item holds beyond its first paragraph comes after it, as items of its own.
func (m *markdownReader) items(list *ast.List, as kind, indent int) {
	number := list.Start
	for item := list.FirstChild(); item != nil && len(m.out) < maxParagraphs; item = item.NextSibling() {
		p := paragraph{kind: bullet, indent: min(indent, maxIndent)}
		if list.IsOrdered() {
			p.kind, p.number = ordered, number
			number++
		}
		if as == quotation {
			p.kind = quotation
		}
		first := item.FirstChild()
		switch first := first.(type) {
		case *ast.TextBlock, *ast.Paragraph, *ast.Heading:
			p.runs = m.inline(first, run{bold: first.Kind() == ast.KindHeading})
			if p.kind == quotation {
				p.runs = append([]run{{text: "• "}}, p.runs...)
			}
			m.addItem(p)
			for next := first.NextSibling(); next != nil; next = next.NextSibling() {
				m.nested(next, p, indent)
			}
		case nil:
		default:
			m.nested(first, p, indent)
		}
	}
}

// nested reads one more block of a list item.
func (m *markdownReader) nested(n ast.Node, of paragraph, indent int) {
	switch n := n.(type) {
	case *ast.List:
		m.items(n, of.kind, indent+1)
	case *ast.TextBlock, *ast.Paragraph, *ast.Heading:
		if len(m.out) > 0 && m.out[len(m.out)-1].kind == of.kind {
			last := &m.out[len(m.out)-1]
			runs := append([]run{{text: "\n"}}, m.inline(n, run{})...)
			last.runs = trimRuns(append(last.runs, runs...))
			return
		}
		m.addItem(paragraph{kind: of.kind, indent: of.indent, number: of.number, runs: m.inline(n, run{})})
	default:
		m.block(n, of.kind, indent)
	}
}

// raw is the text of a block that is shown to the letter.
func (m *markdownReader) raw(n ast.Node) string {
	var b strings.Builder
	for i := range n.Lines().Len() {
		segment := n.Lines().At(i)
		b.Write(segment.Value(m.source))
	}
	return strings.Trim(b.String(), "\n")
}

// inline reads the text of a block.
func (m *markdownReader) inline(parent ast.Node, style run) []run {
	var runs []run
	said := 0 // bytes
	say := func(s string, style run) {
		said += len(s)
		if n := len(runs) - 1; n >= 0 && sameStyle(runs[n], style) {
			runs[n].text += s
			return
		}
		style.text = s
		runs = append(runs, style)
	}
	var walk func(ast.Node, run, int)
	walk = func(parent ast.Node, style run, depth int) {
		if depth > 50 {
			return
		}
		for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
			switch n := n.(type) {
			case *ast.Text:
				value := n.Segment.Value(m.source)
				if !n.IsRaw() && !style.code {
					value = unescape(value)
				}
				say(string(value), style)
				if n.SoftLineBreak() || n.HardLineBreak() {
					say("\n", style)
				}
			case *ast.String:
				say(string(n.Value), style)
			case *ast.CodeSpan:
				inner := style
				inner.code = true
				walk(n, inner, depth+1)
			case *ast.Emphasis:
				inner := style
				if n.Level >= 2 {
					inner.bold = true
				} else {
					inner.italic = true
				}
				walk(n, inner, depth+1)
			case *extast.Strikethrough:
				inner := style
				inner.strike = true
				walk(n, inner, depth+1)
			case *ast.Link:
				from := said
				walk(n, style, depth+1)
				sayTarget(say, style, plainRuns(runs)[from:], string(n.Destination))
			case *ast.Image:
				from := said
				walk(n, style, depth+1)
				sayTarget(say, style, plainRuns(runs)[from:], string(n.Destination))
			case *ast.AutoLink:
				say(string(n.Label(m.source)), style)
			case *ast.RawHTML:
				for i := range n.Segments.Len() {
					segment := n.Segments.At(i)
					say(string(segment.Value(m.source)), style)
				}
			default:
				walk(n, style, depth+1)
			}
		}
	}
	walk(parent, style, 0)
	return runs
}

// sayTarget says where a link leads, unless its words are the target already.
func sayTarget(say func(string, run), style run, words, target string) {
	if target == "" || strings.TrimSpace(words) == target || "mailto:"+strings.TrimSpace(words) == target {
		return
	}
	if words == "" {
		say(target, style)
		return
	}
	say(" ("+target+")", style)
}

// unescape resolves what Markdown writes with a backslash or as an entity.
func unescape(value []byte) []byte {
	return util.ResolveEntityNames(util.ResolveNumericReferences(util.UnescapePunctuations(value)))
}

func sameStyle(a, b run) bool {
	a.text, b.text = "", ""
	return a == b
}

// plainRuns is what runs say.
func plainRuns(runs []run) string {
	if len(runs) == 1 {
		return runs[0].text
	}
	var b strings.Builder
	for _, r := range runs {
		b.WriteString(r.text)
	}
	return b.String()
}

// plain is what a paragraph says, with the mark of a list item.
func (p paragraph) plain() string {
	said := plainRuns(p.runs)
	switch p.kind {
	case bullet:
		return strings.Repeat("  ", p.indent) + "• " + said
	case ordered:
		return strings.Repeat("  ", p.indent) + strconv.Itoa(p.number) + ". " + said
	}
	return said
}

func plainParagraphs(all []paragraph) string {
	if len(all) == 1 {
		return all[0].plain()
	}
	var b strings.Builder
	for i, p := range all {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.plain())
	}
	return b.String()
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// cutParagraphs keeps what takes at most max characters.
func cutParagraphs(all []paragraph, max int) []paragraph {
	var kept []paragraph
	for _, p := range all {
		cost := size(p.plain()) + 1
		if cost <= max-size(rest) || cost <= max && len(kept) == len(all)-1 {
			max -= cost
			kept = append(kept, p)
			continue
		}
		room := max - (cost - size(plainRuns(p.runs)))
		p.runs = cutRuns(p.runs, room)
		return append(kept, p)
	}
	return kept
}

// cutRuns cuts a paragraph to max characters, with the hint where the rest is.
func cutRuns(runs []run, max int) []run {
	max -= size(rest)
	var kept []run
	for _, r := range runs {
		n := size(r.text)
		if n > max {
			if r.text = Cut(r.text, max, ""); max > 0 && r.text != "" {
				kept = append(kept, r)
			}
			break
		}
		max -= n
		kept = append(kept, r)
	}
	return append(kept, run{text: rest})
}

// richParagraphs is the inside of a rich_text block: prose in sections, items in lists.
func richParagraphs(all []paragraph) []slack.RichTextElement {
	var out []slack.RichTextElement
	for i := 0; i < len(all); {
		j := i + 1
		for j < len(all) && all[j].kind == all[i].kind && all[j].indent == all[i].indent {
			j++
		}
		group := all[i:j]
		switch all[i].kind {
		case bullet, ordered:
			list := &slack.RichTextList{Type: slack.RTEList, Style: slack.RTEListBullet, Indent: all[i].indent}
			if all[i].kind == ordered {
				list.Style, list.Offset = slack.RTEListOrdered, max(0, all[i].number-1)
			}
			for _, p := range group {
				list.Elements = append(list.Elements, slack.NewRichTextSection(elements(p.runs)...))
			}
			out = append(out, list)
		case quotation:
			out = append(out, &slack.RichTextQuote{Type: slack.RTEQuote, Elements: elements(joinRuns(group, "\n"))})
		case code:
			var plain []run
			for _, p := range group {
				plain = append(plain, run{text: plainRuns(p.runs)})
			}
			out = append(out, &slack.RichTextPreformatted{Type: slack.RTEPreformatted, Elements: elements(plain)})
		default:
			out = append(out, slack.NewRichTextSection(elements(joinRuns(group, "\n"))...))
		}
		i = j
	}
	return out
}

func joinRuns(group []paragraph, between string) []run {
	var runs []run
	for i, p := range group {
		if i > 0 {
			runs = append(runs, run{text: between})
		}
		runs = append(runs, p.runs...)
	}
	return runs
}
