package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"allo-slack/tests/process"
)

func TestAStoreThatCantBeUsedIsRefused(t *testing.T) {
	overwrite := func(path string, at int64, with string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte(with), at); err != nil {
			t.Fatal(err)
		}
	}
	// made is a store that a bot has used and closed.
	made := func(t *testing.T, r *rig) string {
		t.Helper()
		b := r.start()
		r.post(b, call(1, "a"))
		r.wait("a", 1)
		if status, err := b.Stop(10 * time.Second); status != 0 || err != nil {
			t.Fatalf("stopped with %d, %v", status, err)
		}
		return strings.TrimPrefix(setting(r.env, "DATABASE_URL"), "sqlite:")
	}
	for name, tc := range map[string]struct {
		prepare func(t *testing.T, r *rig, dir string) string // returns DATABASE_URL
		says    []string
	}{
		"not a database": {func(t *testing.T, _ *rig, dir string) string {
			path := filepath.Join(dir, "notes.txt")
			if err := os.WriteFile(path, []byte(strings.Repeat("these are my notes\n", 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
			return "sqlite:" + path
		}, []string{"notes.txt", "not a SQLite database", "another file"}},
		"damaged at its start": {func(t *testing.T, r *rig, _ string) string {
			path := made(t, r)
			overwrite(path, 0, strings.Repeat("x", 200))
			return "sqlite:" + path
		}, []string{"not a SQLite database"}},
		"damaged in its tables": {func(t *testing.T, r *rig, _ string) string {
			path := made(t, r)
			overwrite(path, 110, strings.Repeat("\xff", 8000))
			return "sqlite:" + path
		}, []string{"damaged", "snapshot"}},
		"no folder": {func(_ *testing.T, _ *rig, dir string) string { return "sqlite:" + dir + "/none/test.db" }, []string{"doesn't exist", "mount the volume"}},
		"below a file": {func(t *testing.T, _ *rig, dir string) string {
			if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return "sqlite:" + dir + "/file/test.db"
		}, []string{"doesn't exist"}},
		"a folder":        {func(_ *testing.T, _ *rig, dir string) string { return "sqlite:" + dir }, []string{"is a folder"}},
		"another engine":  {func(*testing.T, *rig, string) string { return "mysql://db" }, []string{"DATABASE_URL must be sqlite:PATH"}},
		"only in memory":  {func(*testing.T, *rig, string) string { return "sqlite::memory:" }, []string{"lost with the process"}},
		"a later version": {func(t *testing.T, r *rig, _ string) string { return "postgres://db" }, []string{"SQLite only"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, byTag, "a", "b", "c")
			url := tc.prepare(t, r, t.TempDir())
			env := append(slices.DeleteFunc(slices.Clone(r.env), func(s string) bool { return strings.HasPrefix(s, "DATABASE_URL=") }), "DATABASE_URL="+url)
			b := process.Run(t, env)
			if status, err := b.Wait(20 * time.Second); status != 1 || err != nil {
				t.Errorf("ended with %d, %v; want 1", status, err)
			}
			for _, want := range tc.says {
				if !strings.Contains(b.Log(), want) {
					t.Errorf("doesn't say %q:\n%s", want, b.Log())
				}
			}
		})
	}
}
