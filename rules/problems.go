package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Problem is one mistake in a rules file, or one thing that may be a mistake.
type Problem struct {
	File    string
	Line    int // from 1; 0 if it is about the file as a whole
	Column  int // from 1, in characters
	Text    string
	Source  string // the line
	Warning bool
}

// sourceWidth is how much of a long line is shown.
const sourceWidth = 110

// String is file:line:column and the text, then the line with a caret below the place.
func (p Problem) String() string {
	text := p.Text
	if p.Warning {
		text = "warning: " + text
	}
	if p.Line == 0 {
		return p.File + ": " + text
	}
	where := fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, text)
	if strings.TrimSpace(p.Source) == "" {
		return where
	}
	line := []rune(strings.Map(printable, p.Source))
	column := min(max(p.Column-1, 0), len(line))
	start := 0
	if len(line) > sourceWidth && column > sourceWidth*2/3 {
		start = min(column-sourceWidth/3, len(line)-sourceWidth)
	}
	end := min(len(line), start+sourceWidth)
	shown := strings.TrimRight(string(line[start:end]), " ")
	return where + "\n    " + shown + "\n    " + strings.Repeat(" ", column-start) + "^"
}

// printable keeps the caret under its place, and control characters off the terminal.
func printable(c rune) rune {
	if c < ' ' || c == 0x7f || c == utf8.RuneError || (c >= 0x80 && c < 0xa0) {
		return ' '
	}
	return c
}

// Problems is every mistake in a file, from top to bottom.
type Problems []Problem

// Limits of what is told about one file.
const (
	maxShown = 100  // problems that Error lists
	maxKept  = 1000 // problems that are kept at all
)

func (p Problems) Error() string {
	lines := make([]string, 0, min(len(p), maxShown)+1)
	for i, problem := range p {
		if i == maxShown {
			lines = append(lines, fmt.Sprintf("and %d more", len(p)-i))
			break
		}
		lines = append(lines, problem.String())
	}
	return strings.Join(lines, "\n")
}

// reporter gathers the problems of one file.
type reporter struct {
	file     string
	lines    []string
	problems Problems
	warnings Problems
	dropped  int // problems past maxKept
}

func (r *reporter) at(line, column int, warning bool, format string, args ...any) {
	if len(r.problems) == maxKept && !warning || len(r.warnings) == maxKept && warning {
		r.dropped++
		return
	}
	p := Problem{File: r.file, Line: line, Column: column, Text: fmt.Sprintf(format, args...), Warning: warning}
	if line > 0 {
		p.Line = min(line, max(len(r.lines), 1))
		p.Source = r.source(p.Line)
		p.Column = min(max(column, 1), utf8.RuneCountInString(p.Source)+1)
	}
	if warning {
		r.warnings = append(r.warnings, p)
		return
	}
	r.problems = append(r.problems, p)
}

// source is a line of the file, "" if it has no such line.
func (r *reporter) source(line int) string {
	if line < 1 || line > len(r.lines) {
		return ""
	}
	return r.lines[line-1]
}

func (r *reporter) wrong(n *node, format string, args ...any) {
	r.at(n.line, n.column, false, format, args...)
}

func (r *reporter) warn(n *node, format string, args ...any) {
	r.at(n.line, n.column, true, format, args...)
}

// sorted puts problems in the order of the file, each once.
func sorted(problems Problems) Problems {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(problems)
}

// didYouMean is ` (did you mean "x"?)` for the candidate nearest to what was written, or "" if none is near.
func didYouMean(wrote string, candidates []string) string {
	near := nearest(wrote, candidates)
	if near == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", near)
}

// nearest is the candidate nearest to what was written, or "" if none is near.
func nearest(wrote string, candidates []string) string {
	best, least := "", 0
	for _, c := range candidates {
		d := distance(strings.ToLower(wrote), strings.ToLower(c))
		if d <= max(1, min(3, len(c)/3)) && (best == "" || d < least) {
			best, least = c, d
		}
	}
	return best
}

// distance counts the letters to insert, drop, change or swap with their neighbour to turn a into b.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	x, y := []rune(a), []rune(b)
	var before []int
	last := make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row := make([]int, len(y)+1)
		row[0] = i
		for j := 1; j <= len(y); j++ {
			change := last[j-1]
			if x[i-1] != y[j-1] {
				change++
			}
			row[j] = min(last[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(y)]
}
