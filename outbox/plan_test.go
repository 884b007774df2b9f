package outbox

import (
	"strings"
	"testing"
	"time"
)

// TestNoQueryReadsAWholeTable holds every query that runs while there is a lot to its index.
func TestNoQueryReadsAWholeTable(t *testing.T) {
	s, _ := openTemp(t)
	ctx := t.Context()
	queries := map[string]string{"busy": busyQuery, "waiting": waitingQuery, "waits": waitsQuery, "post": postDeliveriesQuery, "stuck": stuckQuery,
		"untold": untoldQuery, "stored": storedQuery, "unrouted": unroutedQuery, "said": saidQuery, "event": selectEvents + `WHERE e.id = ?`,
		"marked": markedQuery, "deliveries": ofEventQuery, "updates": updatesQuery, "counts": countsQuery}

	// What writes is prepared once and kept: all of it is looked at.
	e := chain("1", 0)
	e.Saying, e.Delivery, e.Subject = "x", "x", Subject{"s", "1", true}
	first := mustAdd(t, s, e).ID
	e = chain("1", 0)
	e.Saying, e.Subject = "y", Subject{"s", "2", false}
	mustAdd(t, s, e)
	mustDecide(t, s, Decision{Event: first, Touched: []int64{first}, Marks: []Mark{{Mark: "m", At: start}}, Routes: routes("C2"),
		Spared: redact("C1"), Muted: true})
	p := post(t, s, 1, 0, Shown{})
	mustSettle(t, s, p, Transition{Form: Plain, Tries: 1, Reason: "no", Top: true}, Tick{At: start})
	mustSettle(t, s, p, Transition{Fate: Sent, Shown: Shown{TS: "1.0", Parts: 1}}, Tick{At: start})
	mustAdd(t, s, text("2", "a", 0))
	post(t, s, 1, 0, Shown{TS: "2.0"}) // a reply
	mustAdd(t, s, text("3", "a", 0))
	for _, fate := range []Fate{Split, Back, Aside} {
		mustSettle(t, s, post(t, s, 1, 0, Shown{}), Transition{Fate: fate, Reason: "no"}, Tick{At: start})
	}
	steps := []error{
		s.Tell(ctx, "C1"), s.Updated(ctx, Update{}, nil, 0, start), s.Pause(ctx, start),
		s.Resolve(ctx, start, strictest, Channel{Ref: "#a", ID: "C1"}), s.Resolve(ctx, start, strictest, Channel{Ref: "#a", ID: "C3"}),
	}
	for _, to := range []string{"", "C4"} {
		_, err := replayNow(ctx, s, Selection{From: "C3", To: to}, start)
		steps = append(steps, err)
	}
	_, err := s.SetAsideOld(ctx, "C1", "old", start, start)
	steps = append(steps, err)
	_, err = s.Purge(ctx, start.Add(-time.Hour))
	for _, err := range append(steps, err) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for query := range s.writer.stmts {
		if verb, _, _ := strings.Cut(query, " "); verb == "INSERT" || verb == "UPDATE" || verb == "DELETE" || verb == "SELECT" {
			queries[query] = query
		}
	}
	// Read once an hour or less, small by nature, or an index of what is under way.
	small := []string{"pace", "updates u", "SCAN u", "SCAN users", "SCAN keys", "SCAN m", "INDEX events_new", "INDEX posts_open",
		"INDEX deliveries_waiting", "INDEX deliveries_posting", "INDEX deliveries_aside", "INDEX deliveries_untold"}
	for name, query := range queries {
		for _, detail := range plan(t, s, query) {
			scan := strings.HasPrefix(detail, "SCAN") && !strings.Contains(detail, "busy") && detail != "SCAN CONSTANT ROW"
			for _, table := range small {
				scan = scan && !strings.Contains(detail, table)
			}
			if scan || strings.Contains(detail, "AUTOMATIC") {
				t.Errorf("%s: %s", name, detail)
			}
		}
	}
}

// plan is how SQLite runs a query.
func plan(t *testing.T, s *Store, query string) []string {
	t.Helper()
	var args []any
	for {
		rows, err := s.db.Query("EXPLAIN QUERY PLAN "+query, args...)
		if err != nil && len(args) < 20 {
			args = append(args, 1)
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		defer rows.Close()
		var details []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			details = append(details, detail)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return details
	}
}
