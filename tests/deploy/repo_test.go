package deploy

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the folder of go.mod, seen from this package.
const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestREADMEHasTheFirstCommands: whoever opens the project tries it and tests it with these two, and nothing else.
func TestREADMEHasTheFirstCommands(t *testing.T) {
	readme := read(t, "README.md")
	for _, command := range []string{"go run . demo", "go test ./..."} {
		if !strings.Contains(readme, command) {
			t.Errorf("README.md does not show %q", command)
		}
	}
}

// TestFilesNameNoMachine: a path of one developer's machine works nowhere else, and a token in a repository is stolen.
func TestFilesNameNoMachine(t *testing.T) {
	// Cut in two, so that this file is not its own first finding.
	unwanted := map[string]*regexp.Regexp{
		"a path of one machine": regexp.MustCompile(`/wo` + `rk/|/Use` + `rs/[a-z]|/root/` + `go\b|[A-Z]:\\Use` + `rs\\`),
		"a Slack token":         regexp.MustCompile(`xox[abp]-` + `[0-9]{10,}-[0-9]{10,}-[A-Za-z0-9]{20,}`),
		"an unfinished place":   regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME)\b`),
	}
	files := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == ".git" {
			return filepath.SkipDir
		}
		if !entry.Type().IsRegular() || ignored(entry.Name()) {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		if bytes.IndexByte(data, 0) >= 0 {
			return nil // not text
		}
		for what, pattern := range unwanted {
			if at := pattern.FindIndex(data); at != nil {
				line := 1 + bytes.Count(data[:at[0]], []byte("\n"))
				t.Errorf("%s:%d: holds %s: %q", path, line, what, data[at[0]:at[1]])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 10 {
		t.Errorf("read %d files, want the whole repository", files)
	}
}

// ignored tells whether .gitignore keeps a file of this name out of the repository: a developer's own .env may hold a token.
func ignored(name string) bool {
	if name == "allo-slack" || name == "allo-slack.exe" {
		return true
	}
	for _, pattern := range []string{".env", ".env.*", "*.db", "*.db-*", "*.db.lock", "*.test", "*.out", "*.prof", "*.swp", ".DS_Store"} {
		if hit, _ := filepath.Match(pattern, name); hit {
			return true
		}
	}
	return false
}

// TestSecretsStayOutOfTheRepository: what the program writes and what people keep beside it must be ignored by git.
func TestSecretsStayOutOfTheRepository(t *testing.T) {
	lines := strings.Fields(read(t, ".gitignore"))
	for _, want := range []string{".env", "*.db", "*.db-wal", "/allo-slack"} {
		found := false
		for _, line := range lines {
			found = found || line == want
		}
		if !found {
			t.Errorf(".gitignore does not name %s", want)
		}
	}
}
