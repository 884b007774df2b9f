// Package rules reads rules.yaml and says which Slack channels hear of an event.
//
// Load and Parse promise: a file is accepted whole or refused whole, and a refusal names every mistake, each with
// its line and column and in the words of the file. A mistake in the YAML itself hides those after it; that a rule is
// never reached is told once nothing else is wrong; past 1,000 mistakes the rest are counted.
// Reading is bounded: a file has at most 4 MiB, and aliases can add at most 100,000 values to it.
//
// A File does not change once it is read: any number of goroutines may use it. Route promises: rules are asked from
// top to bottom; the first that matches takes the event, and those below it are asked only if it says `continue:
// true`; a channel appears once, with the options of the first rule that named it, but for what any of them keeps back
// (redact, recording), which counts from all; an `if` that fails while it runs
// counts as no match and is reported. Its time and memory are bounded: what an `if` costs is computed from what the
// event holds before it runs, and one that could take longer than 0.2 s is not run (2 s for all of them together); it
// sees at most the first 1,000 items of a list and 256 KiB of a text. Explain says why, from the very same evaluation.
//
// The package reads no clock and talks to nobody. Whether a channel exists is not its business.
package rules

import (
	"fmt"
	"slices"
	"time"

	"allo-slack/allo"
)

// File is a rules file that was accepted.
type File struct {
	Name           string
	Zone           *time.Location // UTC if the file names none
	DefaultChannel string         // "" if the file names none: what no rule takes is not posted
	OpsChannel     string         // "" if the file names none
	Rules          []*Rule
	Tests          []Test
	Warnings       []Problem // what looks wrong but may be meant
}

// Rule is one entry of `rules`.
type Rule struct {
	Name     string
	Line     int
	Channels []string // as Target.Channel; empty if Mute
	Continue bool     // the rules below may take the event too
	Mute     bool     // taken, kept, not posted
	Options  Options

	match match
	at    *node
}

// Options is how a rule wants its messages. It is kept as JSON with each delivery, so its keys stay as they are.
type Options struct {
	Redact      []string `json:"redact,omitempty"` // of numbers, emails, cards
	NoRecording bool     `json:"no_recording,omitempty"`
	Mention     []string `json:"mention,omitempty"`
	Transcript  string   `json:"transcript,omitempty"`
}

// Target is one channel that hears of an event. Channel is "#name", or an id as it is. Rule is "" where
// default_channel took what no rule took.
type Target struct {
	Channel string
	Rule    string
	Options Options
}

// Decision is where an event goes.
type Decision struct {
	Targets []Target
	Muted   string   // the rule that muted it
	Matched []string // the rules that took it, in their order
	Errors  []error  // expressions that failed while they ran; their rules did not match
}

// Channels lists every channel that the file names, each once: those of the rules, then the default, then ops.
func (f *File) Channels() []string {
	var channels []string
	seen := map[string]bool{"": true}
	add := func(channel string) {
		if !seen[channel] {
			seen[channel] = true
			channels = append(channels, channel)
		}
	}
	for _, r := range f.Rules {
		for _, channel := range r.Channels {
			add(channel)
		}
	}
	add(f.DefaultChannel)
	add(f.OpsChannel)
	return channels
}

// Route says where the event goes. now stands in where the event has no time of its own.
func (f *File) Route(e *allo.Event, now time.Time) Decision {
	return f.walk(newFacts(e, now, f.Zone), nil)
}

// walk asks the rules in order until one keeps the event. With visit it tells the verdict of each rule that it asked.
func (f *File) walk(asked *facts, visit func(i int, v verdict)) Decision {
	var d Decision
	e := asked.event
	if e.Topic == allo.Ping {
		return d
	}
	taken := false
	for i, r := range f.Rules {
		v := r.match.ask(asked)
		if visit != nil {
			visit(i, v)
		}
		if v.err != nil {
			d.Errors = append(d.Errors, fmt.Errorf("%s:%d: rule %q: if: %w", f.Name, r.Line, r.Name, v.err))
		}
		if v.no != nothing {
			continue
		}
		taken = true
		d.Matched = append(d.Matched, r.Name)
		if r.Mute {
			d.Muted = r.Name
		}
		for _, channel := range r.Channels {
			d.Targets = Add(d.Targets, Target{channel, r.Name, r.Options})
		}
		if !r.Continue {
			break
		}
	}
	if !taken && f.DefaultChannel != "" && !e.Topic.OnlyWhenNamed() {
		d.Targets = Add(d.Targets, Target{Channel: f.DefaultChannel})
	}
	return d
}

// Add adds a target to others. A channel that is there already is told by the rule that named it first, as strictly as any
// rule wants it. Channels are kept in one spelling, so equal is the same.
func Add(targets []Target, t Target) []Target {
	for i, have := range targets {
		if have.Channel == t.Channel {
			targets[i].Options = have.Options.Stricter(t.Options)
			return targets
		}
	}
	return append(targets, t)
}

// Stricter returns the options with all that others keep back: what one of them redacts is redacted, and a recording that
// one of them leaves out is left out.
func (o Options) Stricter(than Options) Options {
	redact := slices.Clone(o.Redact)
	for _, what := range than.Redact {
		if !slices.Contains(redact, what) {
			redact = append(redact, what)
		}
	}
	o.Redact, o.NoRecording = redact, o.NoRecording || than.NoRecording
	return o
}

// Named lists the tags and the numbers (+ and digits) that rules match, each once, in the order of the file. Those
// that stand in an `if` are not among them.
func (f *File) Named() (tags, numbers []string) {
	for _, r := range f.Rules {
		for _, tag := range r.match.tagText {
			if !slices.Contains(tags, tag) {
				tags = append(tags, tag)
			}
		}
		for _, number := range r.match.numbers {
			if !slices.Contains(numbers, number) {
				numbers = append(numbers, number)
			}
		}
	}
	return tags, numbers
}
