package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Load reads a rules file. The error is Problems.
func Load(path string) (*File, error) {
	src, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Problems{{File: path, Text: "there is no such file; create it, or set RULES_FILE to where the rules are"}}
	}
	if err != nil {
		return nil, Problems{{File: path, Text: "it can't be read: " + reason(err) + "; RULES_FILE says which file to read"}}
	}
	return Parse(path, src)
}

// readFile reads no more than Parse needs to see that a file is too large.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxBytes+1))
}

// reason is an error without the path, which stands before it already.
func reason(err error) string {
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		return pathErr.Err.Error()
	}
	return err.Error()
}

// Parse reads the text of a rules file; name is what it is called in messages. The error is Problems.
func Parse(name string, src []byte) (*File, error) {
	r := &reporter{file: name}
	if len(src) > maxBytes {
		r.at(0, 0, false, "the file is larger than %d MiB", maxBytes>>20)
		return nil, r.problems
	}
	src = bytes.TrimPrefix(src, []byte("\ufeff"))
	text := strings.ReplaceAll(string(src), "\r\n", "\n")
	r.lines = strings.Split(text, "\n")
	for i, line := range r.lines {
		if len(line) > maxLine {
			r.at(i+1, 1, false, "this line is longer than %d KiB", maxLine>>10)
			return nil, r.problems
		}
		if !utf8.ValidString(line) {
			r.at(i+1, 1, false, "this line is not UTF-8; save the file as UTF-8")
			return nil, r.problems
		}
		if j := strings.IndexFunc(line, unwritable); j >= 0 {
			r.at(i+1, utf8.RuneCountInString(line[:j])+1, false, "a control character stands here")
			return nil, r.problems
		}
	}
	l := &loader{
		reporter:   r,
		file:       &File{Name: name, Zone: time.UTC},
		conditions: map[string]*condition{},
		numbers:    map[string]bool{},
		newTopics:  map[string]bool{},
	}
	if root := r.read(text); root != nil && root.kind != isRefused {
		l.top(root)
	}
	if len(r.problems) > 0 {
		problems := sorted(r.problems)
		if r.dropped > 0 {
			problems = append(problems, Problem{File: name, Text: fmt.Sprintf("and %d more mistakes", r.dropped)})
		}
		return nil, problems
	}
	l.file.Warnings = sorted(r.warnings)
	return l.file, nil
}

// unwritable finds what no editor writes into a text on purpose.
func unwritable(c rune) bool {
	return c < ' ' && c != '\t' || c == 0x7f || c == '\u0085' || c == '\u2028' || c == '\u2029'
}

// loader turns nodes into a File, reporting every mistake on its way.
type loader struct {
	*reporter
	file       *File
	conditions map[string]*condition
	newTopics  map[string]bool // that some `if` names and this program does not know
	numbers    map[string]bool // those that were looked up, and whether they are possible
}

func (l *loader) top(root *node) {
	if root.kind != isMapping {
		l.wrong(root, "a rules file is made of keys, as in: default_channel: \"#phone\"; this is %s", root.kind)
		return
	}
	var tests *node
	l.keys(root, "rules file", map[string]func(*node){
		"timezone":        l.timezone,
		"default_channel": func(n *node) { l.file.DefaultChannel = l.channel(n, "default_channel") },
		"ops_channel":     func(n *node) { l.file.OpsChannel = l.channel(n, "ops_channel") },
		"rules":           l.rules,
		"tests":           func(n *node) { tests = n },
	}, []string{"timezone", "default_channel", "ops_channel", "rules", "tests"})
	if len(l.problems) == 0 && len(l.file.Rules) == 0 && l.file.DefaultChannel == "" {
		l.wrong(root, "there is no rule and no default_channel: nothing would ever be posted")
	}
	if tests != nil {
		l.tests(tests)
	}
	l.reach()
}

// keys hands each value of a mapping to the function of its key. It returns the keys that were meant: those that
// are there, and those that a misspelled one is near to.
func (l *loader) keys(n *node, what string, read map[string]func(*node), order []string) []string {
	var meant []string
	for _, f := range n.fields {
		fn, ok := read[f.key.text]
		if !ok {
			near := nearest(f.key.text, order)
			hint := "; it can have " + strings.Join(order, ", ")
			if near != "" {
				hint = didYouMean(f.key.text, order)
			}
			l.wrong(f.key, "%s: unknown key %q%s", what, f.key.text, hint)
			meant = append(meant, near)
			if fn = read[near]; fn == nil || n.has(near) {
				continue
			}
			// Its value is read too, so that what is wrong in it is told at once.
		} else {
			meant = append(meant, f.key.text)
		}
		if f.value.kind != isRefused {
			fn(f.value)
		}
	}
	return meant
}

func (l *loader) timezone(n *node) {
	name, ok := l.text(n, "timezone", `"Europe/Paris"`)
	if !ok {
		return
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		l.wrong(n, "timezone %q is not known%s; it is a region and a city, as in Europe/Paris, or UTC", name, didYouMean(name, commonZones()))
		return
	}
	l.file.Zone = zone
}

// commonZones is what a mistyped timezone is compared with.
func commonZones() []string {
	return strings.Fields(`UTC Europe/Paris Europe/London Europe/Berlin Europe/Madrid Europe/Rome Europe/Brussels
		Europe/Amsterdam Europe/Zurich Europe/Lisbon Europe/Dublin Europe/Vienna Europe/Stockholm Europe/Warsaw
		America/New_York America/Chicago America/Denver America/Los_Angeles America/Phoenix America/Toronto
		America/Montreal America/Vancouver America/Mexico_City America/Sao_Paulo Asia/Tokyo Asia/Singapore Asia/Dubai
		Asia/Kolkata Asia/Hong_Kong Asia/Shanghai Asia/Jerusalem Australia/Sydney Australia/Melbourne
		Pacific/Auckland Africa/Johannesburg Africa/Casablanca Atlantic/Reykjavik`)
}

func (l *loader) rules(n *node) {
	if n.kind != isList {
		l.wrong(n, "rules is a list, each rule starting with \"- name:\"; this is %s", n.kind)
		return
	}
	lines := map[string]int{}
	for _, item := range n.items {
		if item.kind == isRefused {
			continue
		}
		if item.kind != isMapping {
			l.wrong(item, "a rule is made of keys (name, match, channel); this is %s", item.kind)
			continue
		}
		r := l.rule(item)
		if r.Name == "" {
			continue
		}
		if first, twice := lines[r.Name]; twice {
			l.wrong(r.at, "two rules have the name %q; the first is on line %d", r.Name, first)
		} else {
			lines[r.Name] = r.Line
		}
	}
}

func (l *loader) rule(n *node) *Rule {
	r := &Rule{Line: n.line, at: n}
	what := "rule"
	for _, f := range n.fields {
		if f.key.text == "name" && f.value.kind != isRefused {
			r.at, r.Line = f.value, f.value.line
			if name, ok := l.text(f.value, "name", `"Support calls"`); ok {
				if name = strings.TrimSpace(name); name == "" {
					l.wrong(f.value, "the name is empty")
				}
				r.Name, what = name, fmt.Sprintf("rule %q", cut(name))
			}
		}
	}
	var mute, cont *node
	given := l.keys(n, what, map[string]func(*node){
		"name":       func(*node) {},
		"match":      func(n *node) { l.match(n, what, &r.match) },
		"channel":    func(n *node) { r.Channels = l.channels(n, what) },
		"continue":   func(n *node) { r.Continue, cont = l.bool(n, "continue"), n },
		"mute":       func(n *node) { r.Mute, mute = l.bool(n, "mute"), n },
		"mention":    func(n *node) { r.Options.Mention = l.mentions(n) },
		"transcript": func(n *node) { r.Options.Transcript = l.transcript(n) },
		"redact":     func(n *node) { r.Options.Redact = l.redact(n) },
		"recording":  func(n *node) { r.Options.NoRecording = !l.bool(n, "recording") && n.kind == isBool },
	}, []string{"name", "match", "channel", "continue", "mute", "mention", "transcript", "redact", "recording"})
	if !slices.Contains(given, "name") {
		l.wrong(n, "this rule has no name; add one, as in: name: Support calls")
	}
	if !slices.Contains(given, "match") {
		l.wrong(r.at, "%s has no match; say what it takes, as in: match: {tag: support}, or take everything: match: {}", what)
	}
	switch hasChannel := slices.Contains(given, "channel"); {
	case r.Mute && hasChannel:
		l.wrong(mute, "%s is muted and names a channel; remove one of them", what)
	case r.Mute && r.Continue:
		l.wrong(cont, "%s says mute and continue; a muted event goes no further, remove one of them", what)
	case !r.Mute && !hasChannel:
		l.wrong(r.at, "%s has no channel; name one, as in: channel: \"#support\", or post nothing: mute: true", what)
	}
	l.file.Rules = append(l.file.Rules, r)
	return r
}

func (l *loader) channels(n *node, what string) []string {
	var channels []string
	for _, item := range l.list(n, "channel", `"#support"`) {
		name := l.channel(item, "channel")
		if name != "" && slices.Contains(channels, name) {
			l.wrong(item, "%s names %s twice", what, name)
		} else if name != "" {
			channels = append(channels, name)
		}
	}
	return channels
}

// channel reads one channel; "" if there is a mistake, which is then reported.
func (l *loader) channel(n *node, key string) string {
	if n.kind == isNull {
		l.wrong(n, "%s is empty; write the channel in quotes, as in \"#support\": outside quotes # starts a comment", key)
		return ""
	}
	s, ok := l.text(n, key, `"#support"`)
	if !ok {
		return ""
	}
	name, err := Channel(s)
	if err != nil {
		l.wrong(n, "%s", err)
	}
	return name
}

// text reads a value that must be text; example shows how it would look.
func (l *loader) text(n *node, key, example string) (string, bool) {
	switch n.kind {
	case isText:
		return n.text, true
	case isNull:
		l.wrong(n, "%s is empty; write it as in: %s", key, example)
	case isNumber, isBool:
		l.wrong(n, "%s: %s is %s in YAML; as text it stands in quotes: %q", key, n.text, n.kind, n.text)
	default:
		l.wrong(n, "%s must be text, as in %s; this is %s", key, example, n.kind)
	}
	return "", false
}

func (l *loader) bool(n *node, key string) bool {
	if n.kind != isBool {
		what := n.kind.String()
		if n.text != "" {
			what = strconv.Quote(n.text)
		}
		if n.text == "true" || n.text == "false" {
			what += "; remove the quotes"
		}
		l.wrong(n, "%s is true or false, not %s", key, what)
	}
	return n.kind == isBool && n.text == "true"
}

// list reads one value or a list of them.
func (l *loader) list(n *node, key, example string) []*node {
	if n.kind == isList && len(n.items) == 0 {
		l.wrong(n, "%s is an empty list; write it as in %s, or leave the key out", key, example)
	}
	if n.kind == isList {
		return slices.DeleteFunc(slices.Clone(n.items), func(item *node) bool { return item.kind == isRefused })
	}
	return []*node{n}
}
