package e2e

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"allo-slack/tests/process"
)

// room lets a process's files grow to so many bytes, 0 for any: to the process a disk that is full, and has room again.
func room(t *testing.T, b *process.Bot, bytes uint64) {
	t.Helper()
	limit := unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}
	if bytes == 0 {
		limit.Cur = unix.RLIM_INFINITY
	}
	if err := unix.Prlimit(b.Pid(), unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Fatal(err)
	}
}

func TestAFullDisk(t *testing.T) {
	r := newRig(t, byTag, "a", "b", "c")
	b := r.start()
	r.post(b, call(0, "a"))
	r.wait("a", 1)
	wal, err := os.Stat(strings.TrimPrefix(setting(r.env, "DATABASE_URL"), "sqlite:") + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	room(t, b, uint64(wal.Size())+20_000)

	answered, refused := []int{0}, 0
	for n := 1; n < 60 && refused < 3; n++ {
		status, answer, err := b.Post(t.Context(), strings.Replace(call(n, "a"), `"data":{`, `"data":{"summary":"`+strings.Repeat("word ", 800)+`",`, 1))
		switch {
		case err != nil:
			t.Fatalf("event %d: %v\n%s", n, err, b.Log())
		case status == http.StatusOK:
			answered = append(answered, n)
		case status == http.StatusServiceUnavailable:
			refused++
		default:
			t.Fatalf("event %d: %d %s", n, status, answer)
		}
	}
	if refused == 0 {
		t.Fatal("the disk never was full")
	}
	room(t, b, 1) // not even what is left for something small
	public, _ := b.URL()
	if resp, err := http.Get(public + "/healthz"); err != nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("healthz: %v, %v; want 503", resp, err)
	} else {
		resp.Body.Close()
	}
	for n := 60; n < 100; n++ { // Allo goes on trying
		if status, answer, err := b.Post(t.Context(), call(n, "a")); err != nil || status != http.StatusServiceUnavailable {
			t.Fatalf("event %d: %d %s, %v; want 503", n, status, answer, err)
		}
	}
	if lines := strings.Count(b.Log(), "event not stored"); lines == 0 || lines > 2 {
		t.Errorf("the log says %d times that an event was not stored, want once a minute", lines)
	}
	room(t, b, 0)
	for n := 100; n < 103; n++ {
		r.post(b, call(n, "a"))
		answered = append(answered, n)
	}
	r.waitCases("a", len(answered))
	var want []string
	for _, n := range answered {
		want = append(want, fmt.Sprintf("case %03d", n))
	}
	if got := r.cases("a"); !slices.Equal(got, want) {
		t.Errorf("#a shows %q, want what was answered: %q", got, want)
	}
	t.Logf("%d answered, %d refused", len(answered), refused)
}
