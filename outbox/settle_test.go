package outbox

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// everyFate has a transition of each fate that changes all that one of its fate can.
var everyFate = []Transition{
	{Fate: StaysOpen, Reason: "no", Tries: 1, Doubt: true, Looked: true, Form: Plain, Top: true},
	{Fate: Sent, Shown: Shown{TS: "9.0", Parts: 2}},
	{Fate: Back},
	{Fate: Split},
	{Fate: Aside, Reason: "msg_too_long"},
}

// reply begins a post that replies in a thread which tells what is in it, with something new to be told of both.
func reply(t *testing.T, s *Store) *Post {
	t.Helper()
	mustAdd(t, s, chain("1", 0))
	post(t, s, 1, 0, Shown{TS: "1.0"})
	mustAdd(t, s, chain("2", time.Minute))
	p := post(t, s, 1, time.Minute, Shown{})
	mustAdd(t, s, chain("3", time.Minute))
	if p.Thread != "1.0" || len(updates(t, s)) != 1 {
		t.Fatalf("the post is %+v and updates are %v, want a reply and one", p, updates(t, s))
	}
	return p
}

// dump returns all rows that routing an event or settling a post may change.
func dump(t *testing.T, s *Store) string {
	t.Helper()
	var all strings.Builder
	for _, table := range []string{"events", "dedupe", "marks", "subjects", "posts", "deliveries", "threads", "updates", "pace", "channels"} {
		rows, err := s.db.Query(`SELECT * FROM ` + table + ` ORDER BY 1, 2`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&all, table, values)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

// mustBeGone fails the test unless a transition is refused, as its post is gone, and changes nothing.
func mustBeGone(t *testing.T, s *Store, p *Post, to Transition) {
	t.Helper()
	rows, was := dump(t, s), *p
	if err := s.Settle(t.Context(), p, to, Tick{At: start.Add(time.Hour), Tokens: 5}); !errors.Is(err, ErrGone) {
		t.Errorf("err = %v, want ErrGone", err)
	}
	if got := dump(t, s); got != rows {
		t.Errorf("the store has\n%s\nwant\n%s", got, rows)
	}
	if !reflect.DeepEqual(*p, was) {
		t.Errorf("the post is %+v, want %+v", *p, was)
	}
}

// What was sent elsewhere by hand, or settled by another run, is not touched.
func TestSettlingAPostThatIsGone(t *testing.T) {
	for name, goes := range map[string]func(*testing.T, *Store, *Post){
		"sent elsewhere": func(t *testing.T, s *Store, p *Post) {
			mustSettle(t, s, p, Transition{Reason: "HTTP 403"}, Tick{At: start})
			done, err := replayNow(t.Context(), s, Selection{IDs: []int64{p.Deliveries[0].ID}, To: "C2"}, start)
			if err != nil || done.Sent != 1 {
				t.Fatalf("replayed %+v, %v; want one", done, err)
			}
		},
		"sent": func(t *testing.T, s *Store, p *Post) {
			mustSettle(t, s, p, Transition{Fate: Sent, Shown: Shown{TS: "2.0", Thread: p.Thread}}, Tick{At: start})
		},
		"back, and in another post": func(t *testing.T, s *Store, p *Post) {
			mustSettle(t, s, p, Transition{Fate: Back}, Tick{At: start})
			post(t, s, 1, time.Minute, Shown{})
		},
	} {
		for _, to := range everyFate {
			t.Run(name+", then "+to.Fate.String(), func(t *testing.T) {
				s, _ := openTemp(t)
				p := reply(t, s)
				goes(t, s, p)
				mustBeGone(t, s, p, to)
			})
		}
	}
}

// Whoever doesn't know whether a transition was committed, as the answer was lost, asks again.
func TestSettlingTwice(t *testing.T) {
	for _, to := range append(everyFate, Transition{Tries: 1, Doubt: true}, Transition{Tries: -1, Reason: "ratelimited"}) {
		t.Run(fmt.Sprint(to.Fate, to.Tries), func(t *testing.T) {
			s, _ := openTemp(t)
			p := reply(t, s)
			rows, was := dump(t, s), *p
			mustSettle(t, s, p, to, Tick{At: start.Add(time.Minute)})
			settled := dump(t, s)
			if settled == rows {
				t.Error("nothing was changed")
			}
			if to.Fate == StaysOpen {
				mustSettle(t, s, &was, to, Tick{At: start.Add(time.Minute)})
				if again := dump(t, s); again != settled {
					t.Errorf("the second time made it\n%s\nit was\n%s", again, settled)
				}
				return
			}
			mustBeGone(t, s, p, to)
		})
	}
}

// A post that stays open is known as the store has it, and what a transition doesn't name stays as it was.
func TestAPostThatStaysOpen(t *testing.T) {
	s, _ := openTemp(t)
	p := reply(t, s)
	want := *p
	later := start.Add(2 * time.Hour)
	for _, step := range []struct {
		name   string
		to     Transition
		tick   Tick
		change func()
	}{
		{"in doubt", Transition{Reason: "HTTP 500", Doubt: true}, Tick{}, func() { want.Reason = "HTTP 500" }},
		{"looked for", Transition{Doubt: true, Looked: true}, Tick{}, func() { want.Looked = true }},
		{"tried again", Transition{Tries: 1, Doubt: true, Form: Plain}, Tick{At: start.Add(time.Hour), Early: later, Late: later}, func() {
			want.Looked, want.Form, want.Attempts, want.LastAttempt = false, Plain, 2, later
		}},
		{"by a clock that was set back", Transition{Tries: 1, Doubt: true}, Tick{At: start}, func() { want.Attempts = 3 }},
		{"put off", Transition{Reason: "ratelimited", Tries: -1}, Tick{At: later.Add(time.Hour)}, func() {
			want.Reason, want.Doubt, want.Attempts = "ratelimited", false, 2
		}},
		{"at the top", Transition{Top: true}, Tick{}, func() { want.Thread = "" }},
	} {
		before, err := s.Pace(t.Context(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		mustSettle(t, s, p, step.to, step.tick)
		step.change()
		if !reflect.DeepEqual(*p, want) {
			t.Errorf("%s: the post is %+v, want %+v", step.name, *p, want)
		}
		open, err := s.OpenPost(t.Context(), "C1")
		if err != nil || open == nil {
			t.Fatalf("%s: open post: %v, %v", step.name, open, err)
		}
		if !open.LastAttempt.Equal(want.LastAttempt) || !open.FirstAttempt.Equal(want.FirstAttempt) {
			t.Errorf("%s: the store has attempts from %v to %v, want %v to %v", step.name, open.FirstAttempt, open.LastAttempt, want.FirstAttempt, want.LastAttempt)
		}
		open.FirstAttempt, open.LastAttempt, open.Deliveries = want.FirstAttempt, want.LastAttempt, want.Deliveries
		if !reflect.DeepEqual(*open, want) {
			t.Errorf("%s: the store has %+v, want %+v", step.name, *open, want)
		}
		pace, err := s.Pace(t.Context(), time.Time{})
		last := before.Channels["C1"]
		if !step.tick.At.IsZero() {
			last = step.tick.At
		}
		if err != nil || !pace.Channels["C1"].Equal(last) || !pace.Workspace.At.Equal(last) {
			t.Errorf("%s: pace = %+v, %v; want %v", step.name, pace, err, last)
		}
	}
	var threads int
	if err := s.db.QueryRow(`SELECT count(*) FROM threads`).Scan(&threads); err != nil || threads != 0 {
		t.Errorf("%d threads are known (%v), want none: the one there was takes no replies", threads, err)
	}
}
