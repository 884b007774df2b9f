package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"allo-slack/fakeslack"
)

// An outage, here of the real program at real sockets, spends no patience: afterwards every owner is mentioned, and every
// update made.
func TestAfterAnOutageOwnersAreMentionedAndUpdatesMade(t *testing.T) {
	const many, tries = 5, 9 // in vain: one every 5 s
	for name, fault := range map[string]fakeslack.Fault{
		"no answer": {Method: "*", Kind: fakeslack.CutBefore, Count: -1},
		"503":       {Method: "*", Kind: fakeslack.Status, Status: 503, Count: -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRigWith(t, `rules: [{name: all, match: {}, channel: "#a", mention: owner}]`, people(many), "a")
			b := r.start()
			for n := range many {
				r.post(b, call(n, ""))
				r.waitCases("a", n+1)
			}
			r.slack.Fault(fault)
			before := len(r.slack.Calls(""))
			for n := range many {
				r.post(b, strings.Replace(call(n, ""), "case", "the news: case", 1))
				r.post(b, strings.Replace(call(100+n, ""), `"data":{`, fmt.Sprintf(`"data":{"user_email":"p%d@example.com",`, n), 1))
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			if _, err := r.slack.WaitCalls(ctx, "", before+tries); err != nil {
				t.Fatal(err)
			}
			r.slack.ClearFaults()
			eventually(t, "every owner is mentioned, and every update made", func() bool {
				told, pinged := 0, 0
				for _, p := range r.slack.Posts("a") {
					if p.Edited && strings.Contains(string(p.Blocks), "the news") {
						told++
					}
					pinged += len(p.Pings)
				}
				return told == many && pinged == many
			})
			if got := r.cases("a"); len(got) != 2*many {
				t.Errorf("#a shows %q, want each once", got)
			}
		})
	}
}

// people is a workspace with users p0@example.com and so on.
func people(many int) fakeslack.Options {
	var options fakeslack.Options
	for n := range many {
		options.Users = append(options.Users, fakeslack.User{ID: fmt.Sprint("U0P", n), Email: fmt.Sprintf("p%d@example.com", n)})
	}
	return options
}
