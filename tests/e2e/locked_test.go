package e2e

import (
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"allo-slack/fakeslack"
	"allo-slack/tests/process"

	_ "modernc.org/sqlite"
)

// TestStoppedWhileAnotherProcessHasTheStoreLocked: what Slack answers can't be recorded by any of 30 channels.
func TestStoppedWhileAnotherProcessHasTheStoreLocked(t *testing.T) {
	const channels = 30
	var names []string
	options := fakeslack.Options{Token: process.Token}
	rules := "rules:\n"
	for i := range channels {
		name := fmt.Sprintf("c%02d", i)
		names = append(names, name)
		options.Channels = append(options.Channels, fakeslack.Channel{Name: name, BotIsMember: true})
		rules += fmt.Sprintf("  - {name: %[1]s, match: {tag: %[1]s}, channel: \"#%[1]s\"}\n", name)
	}
	r := newRig(t, rules)
	r.slack = fakeslack.New(options)
	url, stop, err := r.slack.Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	r.env = append(r.env, "SLACK_API_URL="+url)
	b := r.start()
	for i, name := range names {
		r.post(b, call(i, name))
	}
	r.wait("", channels)

	// Slack takes its time, so that every channel has something in flight when the lock is taken.
	r.slack.Fault(fakeslack.Fault{Method: "chat.postMessage", Kind: fakeslack.Slow, Delay: 6 * time.Second, Count: -1})
	before := len(r.slack.Calls("chat.postMessage"))
	for i, name := range names {
		r.post(b, call(100+i, name))
	}
	for tick := time.NewTicker(10 * time.Millisecond); len(r.slack.Calls("chat.postMessage")) < before+channels; {
		<-tick.C
	}
	db, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(setting(r.env, "DATABASE_URL"), "sqlite:")+"?_pragma=busy_timeout(8000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}

	begun := time.Now()
	status, err := b.Stop(90 * time.Second)
	took := time.Since(begun).Round(100 * time.Millisecond)
	t.Logf("ended %s after SIGTERM", took)
	if status != 0 || err != nil || took > 20*time.Second {
		t.Errorf("stopped with %d, %v after %s; want 0 within 20 s", status, err, took)
	}
	if _, err := db.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	r.slack.ClearFaults()
	b = r.start()
	for i, name := range names {
		r.waitCases(name, 2)
		if got, want := r.cases(name), []string{fmt.Sprintf("case %03d", i), fmt.Sprintf("case %03d", 100+i)}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("#%s shows %q, want %q", name, got, want)
		}
	}
	public, _ := b.URL()
	resp, err := http.Get(public + "/healthz")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("healthz: %v, %v", resp, err)
	} else {
		resp.Body.Close()
	}
}
