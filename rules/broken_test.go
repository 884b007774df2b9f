package rules

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestBroken holds the text of every mistake: testdata/broken/x.yaml is refused with the words of x.golden.
func TestBroken(t *testing.T) {
	files, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no broken files to read: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse("rules.yaml", src)
			if err == nil {
				t.Fatal("accepted")
			}
			checkPositions(t, src, err)
			got := err.Error() + "\n"
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("text differs (-want +got); -update rewrites it\n%s", diff)
			}
		})
	}
}

// checkPositions holds that every problem points at a place that the file has.
func checkPositions(t *testing.T, src []byte, err error) {
	t.Helper()
	var problems Problems
	if !errors.As(err, &problems) || len(problems) == 0 {
		t.Fatalf("error is %T, want Problems: %v", err, err)
	}
	lines := strings.Split(strings.ReplaceAll(strings.TrimPrefix(string(src), "\ufeff"), "\r\n", "\n"), "\n")
	for _, p := range problems {
		if p.Text == "" || p.Warning {
			t.Errorf("problem without text, or a warning: %#v", p)
		}
		if p.Line == 0 {
			continue
		}
		if p.Line < 0 || p.Line > len(lines) {
			t.Fatalf("line %d of %d: %s", p.Line, len(lines), p)
		}
		if p.Source != lines[p.Line-1] {
			t.Errorf("source is %q, want %q", p.Source, lines[p.Line-1])
		}
		if p.Column < 1 || p.Column > utf8.RuneCountInString(p.Source)+1 {
			t.Errorf("column %d of %q", p.Column, p.Source)
		}
	}
}
