package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"allo-slack/outbox"
)

const (
	// failedAfter is how long something may wait before it is listed.
	failedAfter = 10 * time.Minute
	// failedMost is how many deliveries are listed.
	failedMost = 1000
)

// failed lists what was set aside or is stuck. The bot may run.
func (p *program) failed(ctx context.Context, asJSON bool) (err error) {
	store, err := p.openBeside(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	now := time.Now()
	list, err := store.Failed(ctx, now.Add(-failedAfter), failedMost)
	if err != nil {
		return err
	}
	if asJSON {
		return p.failedJSON(list)
	}
	if len(list) == 0 {
		_, err = fmt.Fprintln(p.out, "nothing was set aside, and nothing is stuck")
		return err
	}
	table := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tCHANNEL\tSTATE\tAGE\tTOPIC\tRULE\tREASON")
	for _, f := range list {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", f.ID, f.Channel, state(f), age(now.Sub(f.Received)), f.Topic, dash(f.Rule), dash(f.Reason))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(list) == failedMost {
		fmt.Fprintf(p.errs, "only the oldest %d are listed\n", failedMost)
	}
	fmt.Fprintln(p.errs, "\nsend again: allo-slack replay ID… (or -all); elsewhere: allo-slack replay -from \"#old\" -channel \"#new\"")
	return nil
}

func (p *program) failedJSON(list []outbox.Failed) error {
	encoder := json.NewEncoder(p.out)
	encoder.SetEscapeHTML(false)
	for _, f := range list {
		err := encoder.Encode(struct {
			ID       int64     `json:"id"`
			Event    int64     `json:"event_id"`
			Channel  string    `json:"channel"`
			State    string    `json:"state"`
			Topic    string    `json:"topic"`
			Rule     string    `json:"rule,omitempty"`
			Reason   string    `json:"reason,omitempty"`
			Received time.Time `json:"received"`
		}{f.ID, f.Event, f.Channel, state(f), f.Topic, f.Rule, f.Reason, f.Received.UTC()})
		if err != nil {
			return err
		}
	}
	return nil
}

func state(f outbox.Failed) string {
	if f.Aside {
		return "set aside"
	}
	return "waits"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// age says how long ago something was, in its largest unit.
func age(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd", int(d.Hours())/24)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dm", int(d.Minutes()))
}

// openBeside opens the bot's store. Of all settings only DATABASE_URL is needed.
func (p *program) openBeside(ctx context.Context) (*outbox.Store, error) {
	s, err := loadSome(p.environ)
	if err != nil {
		return nil, err
	}
	return outbox.OpenBeside(ctx, s.DatabaseURL)
}
