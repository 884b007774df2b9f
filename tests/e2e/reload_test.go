package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"allo-slack/tests/process"
)

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !so() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not so after 20 s: %s", what)
		}
	}
}

func setting(env []string, name string) string {
	for _, s := range env {
		if value, ok := strings.CutPrefix(s, name+"="); ok {
			return value
		}
	}
	return ""
}

func TestRulesAreReadAgainOnSighup(t *testing.T) {
	r := newRig(t, `rules: [{name: one, match: {}, channel: "#a"}]`, "a", "b")
	b := r.start()
	r.post(b, call(1, ""))
	r.wait("a", 1)
	save := func(text, says string) {
		t.Helper()
		before := strings.Count(b.Log(), says)
		if err := os.WriteFile(setting(r.env, "RULES_FILE"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(b.Pid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, says, func() bool { return strings.Count(b.Log(), says) > before })
	}
	save(`rules: [{name: one, match: {}, chanel: "#b"}]`, `did you mean \"channel\"`)
	r.post(b, call(2, ""))
	r.waitCases("a", 2) // the old rules stay
	save(`rules: [{name: one, match: {}, channel: "#b"}]`, "rules taken")
	r.post(b, call(3, ""))
	r.waitCases("b", 1)
}

func TestABurstAndACrashLoop(t *testing.T) {
	r := newRig(t, byTag, "a", "b", "c")
	b := r.start()
	began := time.Now()
	for n := range 300 {
		r.post(b, call(n, "a"))
	}
	for range 15 { // what waits goes out no faster for being started again and again
		b.Kill()
		b = process.Run(t, r.env)
		b.Ready()
	}
	r.waitCases("a", 300)
	t.Logf("300 events, with 15 kills in between, were shown after %s", time.Since(began).Round(time.Millisecond))
	var want []string
	for n := range 300 {
		want = append(want, fmt.Sprintf("case %03d", n))
	}
	if got := r.cases("a"); !slices.Equal(got, want) {
		t.Errorf("#a shows %d events, want 300, once and in order", len(got))
	}
	posts := r.slack.Posts("a")
	for i := 1; i < len(posts); i++ {
		if gap := posts[i].At.Sub(posts[i-1].At); gap < time.Second {
			t.Errorf("message %d came %s after the one before", i, gap)
		}
	}
	if n := r.slack.RateLimited(); n != 0 {
		t.Errorf("%d calls were over Slack's pace", n)
	}
}

func TestBurstWithoutKills(t *testing.T) {
	r := newRig(t, byTag, "a", "b", "c")
	b := r.start()
	began := time.Now()
	for n := range 300 {
		r.post(b, call(n, "a"))
	}
	r.waitCases("a", 300)
	t.Logf("300 events at once were shown after %s", time.Since(began).Round(time.Millisecond))
	if got := r.cases("a"); len(got) != 300 || !slices.IsSorted(got) || r.slack.RateLimited() != 0 {
		t.Errorf("#a shows %d events, sorted %v, with %d calls over the pace", len(got), slices.IsSorted(got), r.slack.RateLimited())
	}
}
