package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"allo-slack/outbox"
	"allo-slack/tests/process"
)

func TestTheStoresFileGoesUnderTheBot(t *testing.T) {
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		take func(t *testing.T, path string)
		back func(t *testing.T, path string) // nil: the bot is started anew instead
		says string
		kept []string // what #a shows in the end besides what was answered after
	}{
		"removed": {func(t *testing.T, path string) { must(t, os.Remove(path)) }, nil, "was removed while it was open", nil},
		"replaced by another database": {func(t *testing.T, path string) {
			other := filepath.Join(t.TempDir(), "other.db")
			store, err := outbox.Open(t.Context(), "sqlite:"+other)
			must(t, err)
			_, _, err = store.Append(t.Context(), outbox.Entry{Kind: outbox.Allo, Topic: "CALL_RECEIVED", Body: []byte(call(7, "a")), Received: time.Now(),
				Key: outbox.Key{Key: "CALL_RECEIVED:call-7"}})
			must(t, err)
			must(t, store.Close())
			must(t, os.Rename(other, path))
		}, nil, "was replaced by another file", []string{"case 007"}},
		"moved away and back": {func(t *testing.T, path string) { must(t, os.Rename(path, path+".away")) },
			func(t *testing.T, path string) { must(t, os.Rename(path+".away", path)) }, "was removed while it was open", nil},
		"its folder removed": {func(t *testing.T, path string) { must(t, os.RemoveAll(filepath.Dir(path))) }, nil, "was removed while it was open", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, byTag, "a", "b", "c")
			path := filepath.Join(t.TempDir(), "data", "test.db")
			must(t, os.Mkdir(filepath.Dir(path), 0o700))
			r.env = append(r.env, "DATABASE_URL=sqlite:"+path)
			b := r.start()
			health := func(b *process.Bot) int {
				t.Helper()
				public, _ := b.URL()
				resp, err := http.Get(public + "/healthz")
				must(t, err)
				resp.Body.Close()
				return resp.StatusCode
			}
			r.post(b, call(1, "a"))
			r.wait("a", 1)
			tc.take(t, path)
			if status, answer, err := b.Post(t.Context(), call(2, "a")); status != http.StatusServiceUnavailable || err != nil {
				t.Errorf("the webhook answers %d %s, %v; want 503", status, answer, err)
			}
			if got := health(b); got != http.StatusServiceUnavailable {
				t.Errorf("/healthz answers %d, want 503", got)
			}
			if !strings.Contains(b.Log(), tc.says) || !strings.Contains(b.Log(), "put the file back, or restart the bot to begin with what is there now") {
				t.Errorf("doesn't say what happened and what to do:\n%s", b.Log())
			}
			if tc.back != nil {
				tc.back(t, path)
			} else {
				if status, err := b.Stop(10 * time.Second); status != 0 || err != nil {
					t.Errorf("stopped with %d, %v", status, err)
				}
				_ = os.Mkdir(filepath.Dir(path), 0o700) // it may be there
				b = r.start()
			}
			if got := health(b); got != http.StatusOK {
				t.Errorf("/healthz answers %d, want 200", got)
			}
			r.post(b, call(2, "a")) // Allo sends it again
			want := append([]string{"case 001"}, append(tc.kept, "case 002")...)
			r.waitCases("a", len(want))
			if got := r.cases("a"); strings.Join(got, ", ") != strings.Join(want, ", ") {
				t.Errorf("#a shows %q, want %q", got, want)
			}
		})
	}
}
