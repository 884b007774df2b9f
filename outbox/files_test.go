package outbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestFilesThatGo(t *testing.T) {
	for name, c := range map[string]struct {
		take func(t *testing.T, path string)
		back func(t *testing.T, path string) // nil: it doesn't come back
		says string
	}{
		"removed": {func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, nil, "test.db was removed"},
		"its folder removed": {func(t *testing.T, path string) {
			if err := os.RemoveAll(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
		}, nil, "test.db was removed"},
		"its log removed": {func(t *testing.T, path string) {
			if err := os.Remove(path + "-wal"); err != nil {
				t.Fatal(err)
			}
		}, nil, "test.db-wal was removed"},
		"replaced by a copy": {func(t *testing.T, path string) {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path+".copy", content, 0o600); err != nil {
				t.Fatal(err)
			}
			rename(t, path+".copy", path)
		}, nil, "test.db was replaced"},
		"moved and back": {func(t *testing.T, path string) { rename(t, path, path+".away") },
			func(t *testing.T, path string) { rename(t, path+".away", path) }, "test.db was removed"},
		"all moved and back": {func(t *testing.T, path string) { rename(t, filepath.Dir(path), filepath.Dir(path)+".away") },
			func(t *testing.T, path string) { rename(t, filepath.Dir(path)+".away", filepath.Dir(path)) }, "test.db was removed"},
		"in the way of a folder": {func(t *testing.T, path string) {
			rename(t, filepath.Dir(path), filepath.Dir(path)+".away")
			if err := os.WriteFile(filepath.Dir(path), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, nil, "test.db was removed"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "test.db")
			s := reopen(t, "sqlite:"+path)
			mustAdd(t, s, call("before", "C1"))
			c.take(t, path)
			_, _, err := s.Append(t.Context(), call("meanwhile").Entry)
			for what, err := range map[string]error{"an event": err, "the check": s.Check(t.Context())} {
				if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), c.says) ||
					!strings.Contains(err.Error(), "put the file back, or restart the bot to begin with what is there now") {
					t.Errorf("%s: %v", what, err)
				}
			}
			if c.back == nil {
				return
			}
			c.back(t, path)
			if got := mustAdd(t, s, call("meanwhile", "C1")); got.Duplicate {
				t.Error("what was refused was stored")
			}
			s.Close()
			if got := waiting(t, reopen(t, "sqlite:"+path), "C1"); len(got) != 2 {
				t.Errorf("kept %q, want what was before and what came after", got)
			}
		})
	}
}

// TestADatabaseThatTakesAnothersPlaceStaysWhole: the log of the one that was open lies beside it, and is not its own.
func TestADatabaseThatTakesAnothersPlaceStaysWhole(t *testing.T) {
	other, otherURL := openTemp(t)
	mustAdd(t, other, call("theirs", "C1"))
	other.Close()

	s, url := openTemp(t)
	mustAdd(t, s, call("ours", "C1"))
	path := strings.TrimPrefix(url, "sqlite:")
	rename(t, path, path+".away")
	rename(t, strings.TrimPrefix(otherURL, "sqlite:"), path)

	// Readers that come now would take the log for the other one's.
	s.db.SetMaxIdleConns(0)
	if err := s.db.PingContext(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("another database was opened: %v", err)
	}
	if err := s.Check(context.Background()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("check: %v", err)
	}
	s.Close()

	s = reopen(t, url)
	if got := waiting(t, s, "C1"); len(got) != 1 || !strings.Contains(got[0], "theirs") {
		t.Errorf("the other database holds %q, want its own", got)
	}
	var ok string
	if err := s.db.QueryRow(`PRAGMA integrity_check`).Scan(&ok); err != nil || ok != "ok" {
		t.Errorf("integrity: %s, %v", ok, err)
	}
	s.Close()
	if got := waiting(t, reopen(t, url+".away"), "C1"); len(got) != 1 || !strings.Contains(got[0], "ours") {
		t.Errorf("the database that was moved holds %q, want all that was stored", got)
	}
}

func BenchmarkFilesAreTheSame(b *testing.B) {
	s, _ := openTemp(b)
	for b.Loop() {
		if err := s.writer.files.same(); err != nil {
			b.Fatal(err)
		}
	}
}
