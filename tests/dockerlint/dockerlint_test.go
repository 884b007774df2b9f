package dockerlint

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

const root = "../.."

func TestDockerfileHasNoWarnings(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, warning := range lint(t, text) {
		t.Errorf("Dockerfile:%s", warning)
	}
}

// TestMistakesAreFound proves that the linter is awake: a silent one would pass every Dockerfile.
func TestMistakesAreFound(t *testing.T) {
	for _, test := range []struct{ rule, text string }{
		{"JSONArgsRecommended", "FROM scratch\nENTRYPOINT /allo-slack\n"},
		{"FromAsCasing", "FROM golang:1.26-bookworm as build\nFROM scratch\nCOPY --from=build /go /go\n"},
		{"UndefinedVar", "FROM golang:1.26-bookworm\nCOPY $folder .\n"},
		{"SecretsUsedInArgOrEnv", "FROM scratch\nENV WEBHOOK_SECRET=x\n"},
		{"WorkdirRelativePath", "FROM scratch\nWORKDIR app\n"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			warnings := lint(t, []byte(test.text))
			if len(warnings) != 1 || !strings.Contains(warnings[0], test.rule) {
				t.Errorf("got %q, want one warning of %s", warnings, test.rule)
			}
		})
	}
}

// TestIgnoreFileSparesWhatTheBuildReads: the Dockerfile copies the folder less what .dockerignore names, and a source
// or an embedded page that is missing there is found only when somebody deploys.
func TestIgnoreFileSparesWhatTheBuildReads(t *testing.T) {
	file, err := os.Open(filepath.Join(root, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	patterns, err := ignorefile.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	ignore, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	ignored := func(name string) bool {
		t.Helper()
		hit, err := ignore.MatchesOrParentMatches(name)
		if err != nil {
			t.Fatal(err)
		}
		return hit
	}

	needed := append([]string{"go.mod", "go.sum", "rules.yaml", "main.go"}, sources(t)...)
	for _, name := range needed {
		if ignored(name) {
			t.Errorf(".dockerignore leaves out %s, which the build reads", name)
		}
	}
	for _, name := range []string{".env", ".env.fly", ".git/config", "allo-slack.db", "data/allo-slack.db-wal", "allo-slack", "cli/serve_test.go"} {
		if !ignored(name) {
			t.Errorf(".dockerignore lets %s into the build, want it left out", name)
		}
	}
}

// sources lists what "go build" reads of the bot's own packages, embedded files too, by their paths from the root.
func sources(t *testing.T) []string {
	t.Helper()
	abs, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-f",
		`{{$dir := .Dir}}{{range .GoFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}`, "./...")
	cmd.Dir = abs
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		name, err := filepath.Rel(abs, strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		if name != "." && !strings.HasPrefix(filepath.ToSlash(name), "tests/") {
			names = append(names, filepath.ToSlash(name))
		}
	}
	if len(names) == 0 {
		t.Fatal("go list names no source file")
	}
	return names
}

// lint converts a Dockerfile as a build would and returns the warnings met on the way.
func lint(t *testing.T, text []byte) []string {
	t.Helper()
	var warnings []string
	_, err := dockerfile2llb.Dockerfile2LLB(t.Context(), text, dockerfile2llb.ConvertOpt{
		MetaResolver: baseImages{},
		AllStages:    true,
		Warn: func(rule, description, url, detail string, location []parser.Range) {
			line := 0
			if len(location) > 0 {
				line = location[0].Start.Line
			}
			warnings = append(warnings, fmt.Sprintf("%d: %s: %s (%s)", line, rule, detail, url))
		},
	})
	if err != nil {
		t.Fatalf("the Dockerfile does not build: %v", err)
	}
	return warnings
}

// baseImages answers for every base image, so that linting asks no registry.
type baseImages struct{}

func (baseImages) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config, err := json.Marshal(ocispecs.Image{
		Platform: ocispecs.Platform{OS: "linux", Architecture: "amd64"},
		Config:   ocispecs.ImageConfig{Env: []string{"PATH=/usr/local/go/bin:/usr/bin:/bin"}},
	})
	return ref, digest.FromBytes(config), config, err
}
