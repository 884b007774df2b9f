package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"allo-slack/allo"
	"allo-slack/notify"
	"allo-slack/outbox"
	"allo-slack/rules"
)

// explain says what the rules make of one event: what each rule says to it, the channels, and the message.
func (p *program) explain(file string, asJSON bool) error {
	f, rulesErr := p.rules()
	e, eventErr := p.event(file)
	if err := errors.Join(rulesErr, eventErr); err != nil {
		return err
	}
	now := time.Now()
	x := f.Explain(&e, now)
	if asJSON {
		return p.explainJSON(f, &e, x)
	}
	fmt.Fprintln(p.out, x)
	for _, err := range x.Errors {
		fmt.Fprintln(p.errs, "warning:", err)
	}
	shown := ""
	for _, t := range x.Targets {
		m := notify.Preview(&e, time.Time{}, t.Options, f.Zone)
		fmt.Fprintf(p.out, "\n%s%s\n", t.Channel, extras(t.Options))
		if m.Text == shown {
			fmt.Fprintln(p.out, "    the same message")
			continue
		}
		shown = m.Text
		fmt.Fprintln(p.out, "    "+strings.ReplaceAll(m.Text, "\n", "\n    "))
	}
	return nil
}

// extras says what a message has besides what explain shows of it.
func extras(o rules.Options) string {
	var all []string
	if len(o.Mention) > 0 {
		all = append(all, "mentions "+strings.Join(o.Mention, ", "))
	}
	if o.Transcript != "" {
		all = append(all, "transcript in its thread")
	}
	if len(o.Redact) > 0 {
		all = append(all, "redacted: "+strings.Join(o.Redact, ", "))
	}
	if len(all) == 0 {
		return ""
	}
	return " (" + strings.Join(all, "; ") + ")"
}

// explainJSON prints the message of the first channel, or that of an event that goes nowhere as it would be.
func (p *program) explainJSON(f *rules.File, e *allo.Event, x rules.Explanation) error {
	var o rules.Options
	if len(x.Targets) > 0 {
		o = x.Targets[0].Options
	}
	m := notify.Preview(e, time.Time{}, o, f.Zone)
	encoder := json.NewEncoder(p.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		Text   string        `json:"text"`
		Blocks []slack.Block `json:"blocks"`
	}{m.Text, m.Blocks})
}

// rules loads the rules file that RULES_FILE names.
func (p *program) rules() (*rules.File, error) {
	s, err := loadSome(p.environ)
	if err != nil {
		return nil, err
	}
	return rules.Load(s.RulesFile)
}

// maxEvent is how much of an event is read; the webhook takes no more either.
const maxEvent = 10 << 20

// event reads an envelope from a file or, with "-" or "", from standard input.
func (p *program) event(file string) (allo.Event, error) {
	in, name := p.in, "standard input"
	if file != "" && file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return allo.Event{}, err
		}
		defer opened.Close()
		in, name = opened, file
	} else if isTerminal(p.in) {
		if file == "" {
			return allo.Event{}, usage(errors.New("explain which event? name a file that holds one as Allo sends it, or - for standard input"))
		}
		fmt.Fprintln(p.errs, "reading an event from standard input; end it with Ctrl-D")
	}
	body, err := io.ReadAll(io.LimitReader(in, maxEvent+1))
	if err != nil {
		return allo.Event{}, fmt.Errorf("%s: %w", name, err)
	}
	if len(body) > maxEvent {
		return allo.Event{}, fmt.Errorf("%s: over 10 MiB, which the webhook refuses too", name)
	}
	e, err := allo.Parse(body)
	if err != nil {
		return e, fmt.Errorf("%s: %w", name, err)
	}
	return e, nil
}

// explainStored tells which of the events that the outbox holds would go elsewhere under the rules as they are now.
func (p *program) explainStored(ctx context.Context, since time.Duration) (err error) {
	f, err := p.rules()
	if err != nil {
		return err
	}
	store, err := p.openBeside(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	known, err := store.Channels(ctx)
	if err != nil {
		return err
	}
	ids, names := map[string]string{}, map[string]string{}
	for _, c := range known {
		ids[c.Ref] = c.ID
		if c.Name != "" {
			names[c.ID] = "#" + c.Name
		}
	}
	total, elsewhere := 0, 0
	err = store.Stored(ctx, time.Now().Add(-since), func(s outbox.Stored) error {
		if s.New || s.Fate == outbox.Amended || s.Fate == outbox.Duplicate {
			return nil // it goes where it goes in a moment, or what it said is part of another
		}
		e, err := notify.Known(ctx, store, slog.New(slog.DiscardHandler), s.Event)
		if err != nil {
			return err
		}
		total++
		was, now := routes(s.Channels, s.Fate == outbox.Muted, ids, names), []string(nil)
		d := f.Route(&e, s.Received)
		for _, t := range d.Targets {
			now = append(now, t.Channel)
		}
		would := routes(now, d.Muted != "", ids, names)
		if was == would {
			return nil
		}
		elsewhere++
		_, err = fmt.Fprintf(p.out, "event %d  %s  %s: %s -> %s\n", s.ID, s.Received.In(f.Zone).Format(time.DateTime), e.Topic, was, would)
		return err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.out, "%s in the last %s, %d of them would go elsewhere\n", count(total, "event", "events"), since, elsewhere)
	return err
}

// routes says a set of channels, each as people know it, so that two sets are equal exactly if they say the same.
func routes(channels []string, muted bool, ids, names map[string]string) string {
	said := make([]string, 0, len(channels))
	for _, c := range channels {
		if id, ok := ids[c]; ok {
			c = id
		}
		if name, ok := names[c]; ok {
			c = name
		}
		said = append(said, c)
	}
	slices.Sort(said)
	said = slices.Compact(said)
	switch {
	case len(said) > 0:
		return strings.Join(said, ", ")
	case muted:
		return "muted"
	}
	return "nowhere"
}
