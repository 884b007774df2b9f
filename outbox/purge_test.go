package outbox

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func pragma(t *testing.T, s *Store, name string) int64 {
	t.Helper()
	var value int64
	if err := s.db.QueryRow("PRAGMA " + name).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func mustPurge(t *testing.T, s *Store, before time.Time, want int64) {
	t.Helper()
	if n, err := s.Purge(t.Context(), before); err != nil || n != want {
		t.Fatalf("purged %d, %v; want %d", n, err, want)
	}
}

func contact(id, state string, received time.Time, channels ...string) given {
	e := call("contact "+id+state, channels...)
	e.Topic, e.Received, e.Subject = "CONTACT_UPDATED", received, Subject{"contact:" + id, state, true}
	return e
}

func TestPurgeForgetsContactsAndPeople(t *testing.T) {
	s, _ := openTemp(t)
	ctx := t.Context()
	mustAdd(t, s, contact("gone", "A", start))
	mustAdd(t, s, contact("changed", "A", start))
	mustAdd(t, s, contact("changed", "B", start.Add(2*time.Hour)))
	mustAdd(t, s, contact("waits", "A", start, "C1")) // kept, as it isn't delivered yet
	for i := range 2*purgeStep + 1 {
		mustAdd(t, s, contact(fmt.Sprint("many ", i), "A", start))
	}
	for email, at := range map[string]time.Time{"old@example.com": start, "new@example.com": start.Add(2 * time.Hour)} {
		if err := s.SetUser(ctx, User{Email: email, ID: "U1", At: at}); err != nil {
			t.Fatal(err)
		}
	}
	mustPurge(t, s, start.Add(time.Hour), 2*purgeStep+3)
	left, err := s.strings(ctx, `SELECT subject FROM subjects ORDER BY subject`)
	if want := []string{"contact:changed", "contact:waits"}; err != nil || !slices.Equal(left, want) {
		t.Errorf("subjects: %q, %v; want %q", left, err, want)
	}
	people, err := s.Users(ctx)
	if err != nil || len(people) != 1 || people[0].Email != "new@example.com" {
		t.Errorf("people: %+v, %v; want new@example.com alone", people, err)
	}
	if again := mustAdd(t, s, contact("changed", "B", start.Add(24*time.Hour))); !again.Duplicate {
		t.Error("a contact that is kept isn't recognised")
	}
}

// TestNothingOfAPersonOutlivesItsTime goes through each table: a new one is to be thought of here.
func TestNothingOfAPersonOutlivesItsTime(t *testing.T) {
	s, _ := openTemp(t)
	ctx := t.Context()
	e := text("1", "a", 0)
	e.Subject, e.Marks = Subject{"contact:1", "1", true}, []Mark{{Mark: "asks:x", At: start}}
	e.Routes = routes("C1", "C2", "C3")
	event := mustAdd(t, s, e).ID
	list := deliveries(t, s, event)
	mustReplay(t, s, Selection{IDs: []int64{list[1].ID}, To: "C4"}, 1)
	mustDecide(t, s, Decision{Event: event, Marks: e.Marks, Routes: routes("C1"), Muted: true})
	tag := call("tag").Entry
	tag.About = e.Key.Key
	mustRoute(t, s, Routing{Event: mustAppend(t, s, tag), Fate: Amended, Decisions: []Decision{{Event: event, Marks: e.Marks}}})
	post(t, s, 1, 0, Shown{TS: "1.0"})
	if err := s.SetUser(ctx, User{Email: "x@example.com", At: start}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Purge(ctx, start.Add(48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	tables, err := s.strings(ctx, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'goose_db_version'`)
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	// These hold nobody's data: what channels are called, when they were written to, why they are stuck, and facts of this program.
	nobody := []string{"channels", "pace", "troubles", "facts"}
	for _, table := range tables {
		var n int
		if err := s.db.QueryRow(`SELECT count(*) FROM ` + table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 && !slices.Contains(nobody, table) {
			t.Errorf("%s has %d rows left", table, n)
		}
	}
}

func TestPurgeReadsNoWholeTable(t *testing.T) {
	s, _ := openTemp(t)
	for _, query := range []string{purgeEvents, purgeThreads, purgePosts, purgeUsers, purgePace, oldSubjects, `DELETE FROM subjects WHERE subject = ? AND at < ?`} {
		for _, detail := range plan(t, s, query) {
			// Small by nature, or read beside the writer (see oldSubjects).
			small := strings.HasPrefix(detail, "SCAN users") || strings.HasPrefix(detail, "SCAN pace") || query == oldSubjects && detail == "SCAN subjects"
			if strings.HasPrefix(detail, "SCAN") && !small || strings.Contains(detail, "AUTOMATIC") {
				t.Errorf("%s: %s", query, detail)
			}
		}
	}
}

func TestPurgeGivesRoomBack(t *testing.T) {
	s, url := openTemp(t)
	if got := pragma(t, s, "auto_vacuum"); got != 2 {
		t.Fatalf("auto_vacuum = %d, want 2: incremental", got)
	}
	body := []byte(strings.Repeat("x", 100<<10))
	for i := range 400 { // 40 MB
		e := call(fmt.Sprint(i))
		e.Body = body
		if i >= 300 {
			e.Received = start.Add(2 * time.Hour)
		}
		mustAdd(t, s, e)
	}
	pages := pragma(t, s, "page_count")
	mustPurge(t, s, start.Add(time.Hour), 300)
	if free := pragma(t, s, "freelist_count"); free > freeKept || free < freeKept/4 {
		t.Errorf("%d pages are free, want some, and %d at most", free, freeKept)
	}
	if now := pragma(t, s, "page_count"); now > pages/2 {
		t.Errorf("%d of %d pages are left, want fewer than half", now, pages)
	}
	var ok string
	if err := s.db.QueryRow(`PRAGMA integrity_check`).Scan(&ok); err != nil || ok != "ok" {
		t.Errorf("integrity: %s, %v", ok, err)
	}
	s.Close()
	info, err := os.Stat(strings.TrimPrefix(url, "sqlite:"))
	if err != nil || info.Size() > pages*pageSize/2 {
		t.Errorf("the file has %d bytes, %v; want fewer than half of %d", info.Size(), err, pages*pageSize)
	}
}

func TestPurgeKeepsALittleFreeRoom(t *testing.T) {
	s, _ := openTemp(t)
	for i := range 50 { // 5 MB
		e := call(fmt.Sprint(i))
		e.Body = []byte(strings.Repeat("x", 100<<10))
		mustAdd(t, s, e)
	}
	pages := pragma(t, s, "page_count")
	mustPurge(t, s, start.Add(time.Hour), 50)
	if now := pragma(t, s, "page_count"); now != pages {
		t.Errorf("%d of %d pages are left, want all: what comes next takes them", now, pages)
	}
}

func TestPurgeTakesAsManyStepsAsItNeeds(t *testing.T) {
	s, _ := openTemp(t)
	for i := range purgeStep + 50 {
		e := call(fmt.Sprint(i), "C1")
		mustAdd(t, s, e)
		p := take(t, s, "C1", 1)
		mustSettle(t, s, p, Transition{Fate: Sent, Shown: Shown{TS: "1.0"}}, Tick{At: start})
	}
	mustPurge(t, s, start.Add(time.Hour), purgeStep+50)
	for _, table := range []string{"events", "deliveries", "posts", "dedupe"} {
		var n int
		if err := s.db.QueryRow(`SELECT count(*) FROM ` + table).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d rows, %v", table, n, err)
		}
	}
}
