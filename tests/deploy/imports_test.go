package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module   = "allo-slack"
	slackLib = "github.com/slack-go/slack"
)

// goPackage is what "go list -json" says of a package.
type goPackage struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// folders are the program's packages. The list is the architecture: a new one is a decision, to be taken here and in the README.
var folders = []string{"", "cli", "allo", "webhook", "rules", "format", "outbox", "slackapi", "notify", "web", "fakeslack", "fakeallo", "tests"}

// forbidden names what a package must not import, subpackages included; "ours" stands for everything in this module.
var forbidden = map[string][]string{
	// The shared vocabulary.
	"allo": {"ours", slackLib},
	// Rules say which channels; they know no message, no store and no Slack.
	"rules": {"cli", "webhook", "format", "outbox", "slackapi", "notify", "web", "fakeslack", slackLib},
	// From an event to a message and nothing else.
	"format": {"cli", "webhook", "outbox", "slackapi", "notify", "web", "fakeslack"},
	// Keeps what it is given: it knows neither Slack nor rules.
	"outbox": {"cli", "webhook", "rules", "format", "slackapi", "notify", "web", "fakeslack", slackLib},
	// The only caller of Slack: it knows nothing of ours.
	"slackapi": {"ours"},
	// These two don't know each other: cli hands one to the other.
	"webhook": {"cli", "slackapi", "notify", "format", "web", "fakeslack", slackLib},
	"notify":  {"cli", "webhook", "web", "fakeslack", slackLib},
	// Pages show what the store holds.
	"web": {"cli", "webhook", "slackapi", "fakeslack", slackLib},
	// A Slack for the demo and for tests: were it to use the bot's code, a mistake in it would look right on both sides.
	"fakeslack": {"cli", "webhook", "rules", "outbox", "slackapi", "notify", "web"},
	// Allo's API for tests, for the same reason.
	"fakeallo": {"ours", slackLib},
}

// violations checks packages against the tables above. Tests may import what they like, but for what is below.
func violations(packages []goPackage) []error {
	var errs []error
	for _, p := range packages {
		from, ours := folder(p.ImportPath)
		if !ours {
			continue
		}
		if !slices.Contains(folders, from) {
			errs = append(errs, fmt.Errorf("%s: a new package; if it has to be, add it to folders in this test and to the README", p.ImportPath))
		}
		for _, imported := range p.Imports {
			to, ours := folder(imported)
			for _, no := range forbidden[from] {
				switch {
				case no == "ours" && ours && to != from,
					no == to && ours,
					no == imported || strings.HasPrefix(imported, no+"/"):
					errs = append(errs, fmt.Errorf("%s imports %s", p.ImportPath, imported))
				}
			}
			if ours && to == "fakeallo" && from != "fakeallo" {
				errs = append(errs, fmt.Errorf("%s imports %s outside of tests: it is for tests only", p.ImportPath, imported))
			}
			if ours && to == "fakeslack" && from != "cli" && from != "fakeslack" {
				errs = append(errs, fmt.Errorf("%s imports %s outside of tests: it is for the demo and for tests", p.ImportPath, imported))
			}
		}
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if to, ours := folder(imported); ours && to == "cli" && from != "" && from != "cli" && from != "tests" {
				errs = append(errs, fmt.Errorf("%s imports %s: the wiring is for main and its own tests", p.ImportPath, imported))
			}
		}
	}
	return errs
}

// folder returns the first folder of a package of this module, "" for the one at its root.
func folder(importPath string) (name string, ours bool) {
	if importPath == module {
		return "", true
	}
	rest, ours := strings.CutPrefix(importPath, module+"/")
	name, _, _ = strings.Cut(rest, "/")
	return name, ours
}

func TestImportsGoOneWay(t *testing.T) {
	packages := goList(t, "./...")
	if !slices.ContainsFunc(packages, func(p goPackage) bool { return p.ImportPath == module+"/tests/deploy" }) {
		t.Fatalf("go list names %d packages, but not this one", len(packages))
	}
	for _, err := range violations(packages) {
		t.Error(err)
	}
}

// TestViolationsAreFound: a table that forbids nothing would be as green.
func TestViolationsAreFound(t *testing.T) {
	for _, test := range []struct {
		p    goPackage
		want int
	}{
		{goPackage{ImportPath: "allo-slack/allo", Imports: []string{"net/http", "golang.org/x/sync/errgroup"}}, 0},
		{goPackage{ImportPath: "allo-slack/allo", Imports: []string{"allo-slack/rules"}}, 1},
		{goPackage{ImportPath: "allo-slack/outbox", Imports: []string{"allo-slack/allo", "database/sql"}}, 0},
		{goPackage{ImportPath: "allo-slack/outbox", Imports: []string{"allo-slack/rules", slackLib, "allo-slack/notify"}}, 3},
		{goPackage{ImportPath: "allo-slack/outbox/migrations", Imports: []string{"allo-slack/format"}}, 1},
		{goPackage{ImportPath: "allo-slack/webhook", Imports: []string{"allo-slack/notify"}}, 1},
		{goPackage{ImportPath: "allo-slack/notify", Imports: []string{"allo-slack/webhook", slackLib, "allo-slack/format", "allo-slack/slackapi"}}, 2},
		{goPackage{ImportPath: "allo-slack/slackapi", Imports: []string{slackLib, "net/http"}}, 0},
		{goPackage{ImportPath: "allo-slack/slackapi", Imports: []string{"allo-slack/outbox"}}, 1},
		{goPackage{ImportPath: "allo-slack/outbox", Imports: []string{"allo-slack/slackapi"}}, 1},
		{goPackage{ImportPath: "allo-slack/format", Imports: []string{slackLib, "allo-slack/allo"}}, 0},
		{goPackage{ImportPath: "allo-slack/format", Imports: []string{"allo-slack/outbox"}}, 1},
		{goPackage{ImportPath: "allo-slack/web", Imports: []string{slackLib + "/slackutilsx"}}, 1},
		{goPackage{ImportPath: "allo-slack/notify", Imports: []string{"allo-slack/fakeslack"}}, 2},
		{goPackage{ImportPath: "allo-slack/notify", XTestImports: []string{"allo-slack/fakeslack"}}, 0},
		{goPackage{ImportPath: "allo-slack/notify", TestImports: []string{"allo-slack/cli"}}, 1},
		{goPackage{ImportPath: "allo-slack", Imports: []string{"allo-slack/cli"}}, 0},
		{goPackage{ImportPath: "allo-slack", Imports: []string{"allo-slack/fakeslack"}}, 1},
		{goPackage{ImportPath: "allo-slack/cli", Imports: []string{"allo-slack/fakeslack", slackLib}}, 0},
		{goPackage{ImportPath: "allo-slack/cli", Imports: []string{"allo-slack/fakeallo"}}, 1},
		{goPackage{ImportPath: "allo-slack/cli", XTestImports: []string{"allo-slack/fakeallo"}}, 0},
		{goPackage{ImportPath: "allo-slack/allo", Imports: []string{"allo-slack/fakeallo"}}, 2},
		{goPackage{ImportPath: "allo-slack/allo", TestImports: []string{"allo-slack/fakeallo"}}, 0},
		{goPackage{ImportPath: "allo-slack/fakeallo", Imports: []string{"allo-slack/allo"}}, 1},
		{goPackage{ImportPath: "allo-slack/util"}, 1},
	} {
		if got := violations([]goPackage{test.p}); len(got) != test.want {
			t.Errorf("%+v: got %d violations, want %d: %v", test.p, len(got), test.want, errors.Join(got...))
		}
	}
}

// TestOnlyTheDemoHasTheFakeSlack: the bot that serves has no stand-in in its wiring.
func TestOnlyTheDemoHasTheFakeSlack(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "cli", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		base := filepath.Base(name)
		if strings.HasSuffix(base, "_test.go") || strings.HasPrefix(base, "demo") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if to, ours := folder(path); ours && to == "fakeslack" {
				t.Errorf("cli/%s imports %s, want only the demo's files to", base, path)
			}
		}
	}
}

// TestZonesTravelWithTheBinary: an empty image has no zone files, and "timezone: Europe/Paris" in rules.yaml needs them.
func TestZonesTravelWithTheBinary(t *testing.T) {
	if _, err := os.Stat(filepath.Join(root, "main.go")); errors.Is(err, fs.ErrNotExist) {
		return // no program, and the build says so
	}
	packages := goList(t, "-deps", ".")
	if !slices.ContainsFunc(packages, func(p goPackage) bool { return p.ImportPath == "time/tzdata" }) {
		t.Error("the program does not import time/tzdata")
	}
}

func goList(t *testing.T, args ...string) []goPackage {
	t.Helper()
	// -e: a package that does not compile is the compiler's to report, its imports are still ours to check.
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports"}, args...)...)
	cmd.Dir = root
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
