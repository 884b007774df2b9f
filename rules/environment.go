package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"allo-slack/allo"
)

// What an `if` sees of an event, at most.
const (
	maxItems = 1000
	maxText  = 256 << 10
)

// environment is what an `if` can use.
type environment struct {
	Topic       string         `expr:"topic"`
	Direction   string         `expr:"direction"`
	Tag         string         `expr:"tag"`
	Tags        []string       `expr:"tags"`
	From        string         `expr:"from"`
	To          string         `expr:"to"`
	Line        string         `expr:"line"`
	Names       []string       `expr:"names"`
	Minutes     float64        `expr:"minutes"`
	Missed      bool           `expr:"missed"`
	Transferred bool           `expr:"transferred"`
	Result      string         `expr:"result"`
	User        string         `expr:"user"`
	Summary     string         `expr:"summary"`
	Text        string         `expr:"text"`
	Data        map[string]any `expr:"data"`
	Contact     contactFields  `expr:"contact"`
	Weekday     string         `expr:"weekday"`
	Hour        int            `expr:"hour"`
}

type contactFields struct {
	Name     string   `expr:"name"`
	LastName string   `expr:"last_name"`
	Company  string   `expr:"company"`
	Emails   []string `expr:"emails"`
	Numbers  []string `expr:"numbers"`
	Tags     []string `expr:"tags"`
}

// environmentWords lists the names that an `if` can use.
func environmentWords() []string {
	t := reflect.TypeFor[environment]()
	words := make([]string, t.NumField())
	for i := range words {
		words[i] = t.Field(i).Tag.Get("expr")
	}
	return words
}

func newEnvironment(f *facts) *environment {
	e := f.event
	env := &environment{
		Topic:     string(e.Topic),
		Direction: string(e.Direction()),
		Tags:      bounded(e.Tags()),
	}
	if len(env.Tags) > 0 {
		env.Tag = env.Tags[0]
	}
	at := e.At()
	if at.IsZero() {
		at = f.now
	}
	at = at.In(f.zone)
	env.Weekday, env.Hour = strings.ToLower(at.Weekday().String()), at.Hour()
	switch {
	case e.Call != nil:
		c := e.Call
		env.sides(c.From, c.To, c.OurLine())
		env.Minutes, env.Missed, env.Transferred, env.Result = c.Minutes, c.Missed, c.Transferred(), c.Result
		env.User, env.Summary = c.UserEmail, bound(c.Summary)
	case e.Text != nil:
		env.sides(e.Text.From, e.Text.To, e.Text.OurLine())
		env.User, env.Text = e.Text.UserEmail, bound(e.Text.Content)
	case e.Contact != nil:
		c := e.Contact
		env.Contact = contactFields{c.Name, c.LastName, c.Company, bounded(c.Emails), numbersOf(c.Numbers), env.Tags}
		env.Names = []string{bound(c.FullName())}
	}
	return env
}

func (env *environment) sides(from, to, line allo.Party) {
	env.From, env.To, env.Line = numberOf(from.Number), numberOf(to.Number), numberOf(line.Number)
	for _, p := range []allo.Party{from, to, line} {
		if p.Name != "" && (len(env.Names) == 0 || env.Names[len(env.Names)-1] != p.Name) {
			env.Names = append(env.Names, bound(p.Name))
		}
	}
}

// numberOf is + and digits where it is a number, else what Allo wrote.
func numberOf(s string) string {
	if number, ok := eventNumber(s); ok {
		return number
	}
	return bound(s)
}

func numbersOf(list []string) []string {
	numbers := bounded(list)
	for i, s := range numbers {
		numbers[i] = numberOf(s)
	}
	return numbers
}

// bounded copies a list as far as an `if` sees it.
func bounded(list []string) []string {
	out := make([]string, 0, min(len(list), maxItems))
	for _, s := range list[:min(len(list), maxItems)] {
		out = append(out, bound(s))
	}
	return out
}

func bound(s string) string {
	if len(s) <= maxText {
		return s
	}
	end := maxText
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// plain is a JSON value as an `if` sees it: objects are maps, numbers are float64.
func plain(v any) any {
	switch v := v.(type) {
	case allo.Object:
		return plainObject(v)
	case []any:
		list := make([]any, min(len(v), maxItems))
		for i := range list {
			list[i] = plain(v[i])
		}
		return list
	case json.Number:
		n, _ := v.Float64()
		return n
	case string:
		return bound(v)
	}
	return v
}

func plainObject(o allo.Object) map[string]any {
	m := make(map[string]any, min(len(o), maxItems))
	for _, f := range o[:min(len(o), maxItems)] {
		m[f.Key] = plain(f.Value)
	}
	return m
}

// runner runs conditions against one event.
type runner struct {
	env     *environment
	event   *allo.Event
	machine vm.VM
	known   map[*condition]result
	sizes   map[string]amount // of what the event holds, for the meter
	spent   float64           // what expressions cost so far
}

type result struct {
	holds bool
	err   error
}

func newRunner(f *facts) *runner {
	return &runner{env: newEnvironment(f), event: f.event, machine: vm.VM{MemoryBudget: memoryBudget}}
}

// run runs a condition, one that several rules have only once.
func (r *runner) run(c *condition) (bool, error) {
	if c.simple != nil {
		return c.simple(r.env), nil
	}
	if !c.shared {
		return r.evaluate(c)
	}
	if have, ok := r.known[c]; ok {
		return have.holds, have.err
	}
	if r.known == nil {
		r.known = map[*condition]result{}
	}
	holds, err := r.evaluate(c)
	r.known[c] = result{holds, err}
	return holds, err
}

func (r *runner) evaluate(c *condition) (bool, error) {
	if c.usesData && r.env.Data == nil {
		r.env.Data = plainObject(r.event.Data)
	}
	if err := r.afford(c); err != nil {
		return false, err
	}
	out, err := r.machine.Run(c.program, r.env)
	if err != nil {
		return false, runtimeError(err)
	}
	switch out := out.(type) {
	case bool:
		return out, nil
	case nil:
		return false, nil // a field of data that is not there
	case string:
		return false, errors.New("it gave text, which is neither true nor false")
	}
	return false, fmt.Errorf("it gave %s, which is neither true nor false", plainType(reflect.TypeOf(out).String()))
}

// afford refuses to run what would take too long, or make too much, of what this event holds.
func (r *runner) afford(c *condition) error {
	if r.sizes == nil {
		r.sizes = map[string]amount{}
	}
	m := meter{env: r.env, patterns: c.patterns, words: r.sizes}
	cost := m.of(c.tree).cost
	switch {
	case m.made > maxMade:
		return errors.New("it would make a text of more than 8 MiB of this event")
	case cost > maxCost:
		return errors.New("it would take too long on this event")
	case r.spent+cost > maxTotalCost:
		return errors.New("all rules together would take too long on this event")
	}
	r.spent += cost
	return nil
}

// runtimeError says what went wrong without the words of the event: it goes to the log.
func runtimeError(err error) error {
	message := firstLine(err.Error())
	if at := (*file.Error)(nil); errors.As(err, &at) {
		message = firstLine(at.Message)
	}
	switch {
	case strings.Contains(message, "memory budget"):
		return errors.New("it needs more memory than a rule may use")
	case strings.HasPrefix(message, "cannot fetch"):
		return errors.New("it reads a field of something that has none; write ?. where a field may be missing, as in data.order?.id")
	case strings.Contains(message, "out of range"):
		return errors.New("it reads past the end of a list or text")
	case strings.Contains(message, "int("), strings.Contains(message, "float("), strings.Contains(message, "strconv"):
		return errors.New("it takes a text, or something else, for a number or for a thing with fields")
	case strings.HasPrefix(message, "interface conversion"), strings.HasPrefix(message, "invalid operation"):
		return errors.New("it compares or combines values whose kinds don't go together")
	}
	return errors.New("it failed on this event")
}

// saw lists what the words of a condition stood for.
func (r *runner) saw(c *condition) string {
	var b strings.Builder
	env := reflect.ValueOf(r.env).Elem()
	for i := range env.NumField() {
		name := env.Type().Field(i).Tag.Get("expr")
		for _, word := range c.words {
			switch {
			case word == name && name != "data" && name != "contact":
				b.WriteString("; " + name + " is " + shown(env.Field(i).Interface()))
			case name == "data" && strings.HasPrefix(word, "data."):
				b.WriteString("; " + word + " is " + shown(r.env.Data[strings.TrimPrefix(word, "data.")]))
			}
		}
	}
	return b.String()
}

func shown(v any) string {
	switch v := v.(type) {
	case nil:
		return "not there"
	case string:
		return fmt.Sprintf("%q", cut(v))
	case []string:
		return "[" + strings.TrimPrefix(seen(v), "none") + "]"
	}
	return cut(fmt.Sprint(v))
}
