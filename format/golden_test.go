package format_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"allo-slack/allo"
	"allo-slack/format"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// options is the form of a NAME.options.json: what surrounds an event.
type options struct {
	Zone          string
	Recording     string
	TranscriptURL string
	Redact        format.Redact
	Mention       string
	Recovered     bool
	Received      time.Time
	Known         format.Known
	With          []string // further events, by name: the golden is a digest of all
	Transcript    bool     // the golden is the transcript
	Plain         bool     // the golden is the plain form
}

// golden is the form of a NAME.golden.json.
type golden struct {
	Text   string        `json:"text"`
	Blocks []slack.Block `json:"blocks,omitempty"`
}

func readEvent(t testing.TB, path string) allo.Event {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	e, err := allo.Parse(body)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return e
}

// readItem reads NAME.event.json and, if it is there, NAME.options.json.
func readItem(t testing.TB, name string) (format.Item, options) {
	t.Helper()
	var o options
	body, err := os.ReadFile(name + ".options.json")
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		err = d.Decode(&o)
	}
	if err != nil && !os.IsNotExist(err) {
		t.Fatalf("%s: %v", name, err)
	}
	zone, err := time.LoadLocation(o.Zone)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return format.Item{
		Event:    readEvent(t, name+".event.json"),
		Received: o.Received,
		Known:    o.Known,
		Options: format.Options{
			Zone: zone, Recording: o.Recording, TranscriptURL: o.TranscriptURL,
			Redact: o.Redact, Mention: o.Mention, Recovered: o.Recovered,
		},
	}, o
}

func names(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.event.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for i, p := range paths {
		paths[i] = strings.TrimSuffix(p, ".event.json")
	}
	return paths
}

// render makes what a case's golden holds.
func render(t testing.TB, name string) ([]format.Message, format.Options) {
	t.Helper()
	it, o := readItem(t, name)
	switch {
	case o.Transcript:
		return format.Transcript(it), it.Options
	case o.Plain:
		return []format.Message{format.Plain(it)}, it.Options
	case len(o.With) > 0:
		items := []format.Item{it}
		for _, other := range o.With {
			more, _ := readItem(t, filepath.Join("testdata", other))
			items = append(items, more)
			it.Options.Recording += " " + more.Options.Recording
			it.Options.Mention += " " + more.Options.Mention
		}
		m, n := format.Digest(items)
		if n != len(items) {
			t.Errorf("%s: the digest shows %d of %d events", name, n, len(items))
		}
		return []format.Message{m}, it.Options
	}
	return []format.Message{format.Event(it)}, it.Options
}

func TestGolden(t *testing.T) {
	for _, name := range names(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			messages, holdTo := render(t, name)
			var out any
			all := make([]golden, len(messages))
			for i, m := range messages {
				hold(t, m, holdTo)
				all[i] = golden(m)
			}
			if out = all; len(all) == 1 {
				out = all[0]
			}
			var b bytes.Buffer
			e := json.NewEncoder(&b)
			e.SetEscapeHTML(false)
			e.SetIndent("", "  ")
			if err := e.Encode(out); err != nil {
				t.Fatal(err)
			}
			path := name + ".golden.json"
			if *update {
				if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("%v; go test ./format -update writes it", err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("%s is out of date (-want +got):\n%s", path, diff)
			}
		})
	}
}
