package outbox

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
)

// openOld opens a store whose tables were of a version, and held what the statements wrote.
func openOld(t *testing.T, version int64, statements ...string) *Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	if err := create(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	db, err := connect(path, settings)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		if _, err := db.Exec(statement, start.UnixMilli()); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return reopen(t, "sqlite:"+path)
}

func TestAStoreOfBeforeAppending(t *testing.T) {
	s := openOld(t, 2,
		// A call that was told of twice, and tagged; it left somebody waiting, who was called back.
		`INSERT INTO events (id, kind, topic, fate, received_at, happened_at, body, thread, asks) VALUES (1, 'allo', 'CALL_RECEIVED', 'routed', ?1, ?1 - 1000, 'call', 'call:1', 'x')`,
		`INSERT INTO events (id, kind, topic, fate, received_at, happened_at, body, about) VALUES (2, 'allo', 'CALL_TAGGED', 'unrouted', ?1, ?1, 'tag', 'CALL_RECEIVED:1')`,
		`INSERT INTO events (id, kind, topic, fate, received_at, happened_at, body, thread, answers) VALUES (3, 'allo', 'CALL_RECEIVED', 'unrouted', ?1, ?1, 'back', '4155550100', 'x')`,
		`UPDATE events SET answer = 3 WHERE id = 1`,
		`INSERT INTO dedupe (key, event, at, said) VALUES ('delivery:d', 1, ?1, 'first'), ('CALL_RECEIVED:1', 1, ?1, 'first')`,
		`INSERT INTO dedupe (key, event, at) VALUES ('said:second', 1, ?1), ('CALL_TAGGED:1', 2, ?1), ('CALL_RECEIVED:3', 3, ?1)`,
		`INSERT INTO posts (id, channel, form, state, doubt, attempts, first_attempt, last_attempt, ts, newest) VALUES ('p', 'C1', 'message', 'sent', 0, 1, ?1, ?1, '1.0', 1), ('o', 'C2', 'message', 'open', 1, 1, ?1, ?1, '', 3)`,
		`INSERT INTO deliveries (event, channel, rule, options, state, post, at) VALUES (1, 'C1', 'r', '{}', 'sent', 'p', ?1), (1, 'C2', 'r', '{}', 'posting', 'o', ?1), (1, '#a', 'r', '{}', 'waiting', NULL, ?1)`,
	)
	if got, want := states(t, s, 1), "C1 sent, C2 posting, #a waiting"; got != want {
		t.Errorf("it is in %s; want %s", got, want)
	}
	if open, err := s.OpenPost(t.Context(), "C2"); err != nil || open == nil || !open.Doubt || len(open.Deliveries) != 1 {
		t.Errorf("open post: %+v, %v; want it in doubt", open, err)
	}
	if list := mustUnrouted(t, s); len(list) != 0 {
		t.Errorf("unrouted: %v, want nothing", list)
	}
	var got []string
	for _, e := range mustSaid(t, s, "CALL_RECEIVED:1") {
		got = append(got, string(e.Body)+" "+e.Key+">"+e.About)
		if !e.Received.Equal(start) || !e.Said.Equal(start) {
			t.Errorf("%s came at %v, said at %v; want %v", e.Body, e.Received, e.Said, start)
		}
	}
	if want := []string{"call CALL_RECEIVED:1>", "tag CALL_TAGGED:1>CALL_RECEIVED:1"}; !slices.Equal(got, want) {
		t.Errorf("said %q, want %q", got, want)
	}
	for mark, want := range map[string]Mark{"asks:x": {"asks:x", start.Add(-time.Second), 1}, "answers:x": {"answers:x", start, 3}, "call:1": {"call:1", start.Add(-time.Second), 1}} {
		list, err := s.Marked(t.Context(), mark, start.Add(-time.Hour), start.Add(time.Hour), 10)
		if err != nil || len(list) != 1 || !list[0].At.Equal(want.At) || list[0].Event != want.Event {
			t.Errorf("marked %s: %+v, %v; want %+v", mark, list, err, want)
		}
	}
	if list, err := s.Marked(t.Context(), "4155550100", time.Time{}, start.Add(time.Hour), 10); err != nil || len(list) != 0 {
		t.Errorf("a conversation: %+v, %v; want no marks", list, err)
	}
	for _, step := range []struct {
		name      string
		entry     Entry
		duplicate bool
	}{
		{"as it was told first", said("CALL_RECEIVED:1", "first"), true},
		{"as it was told then", said("CALL_RECEIVED:1", "second"), true},
		{"by its delivery", func() Entry { e := said("CALL_RECEIVED:1", "else"); e.Delivery = "d"; return e }(), true},
		{"what it never said", said("CALL_RECEIVED:1", "third"), false},
		{"the tag", said("CALL_TAGGED:1", ""), true},
	} {
		if _, duplicate, err := s.Append(t.Context(), step.entry); err != nil || duplicate != step.duplicate {
			t.Errorf("%s: duplicate %v, %v; want %v", step.name, duplicate, err, step.duplicate)
		}
	}
	if list := mustSaid(t, s, "CALL_RECEIVED:1"); len(list) != 3 || list[2].About != "CALL_RECEIVED:1" {
		t.Errorf("said: %+v, want the new telling about the first", list)
	}
}

// What joined a transferred call while its message was on its way was to be told once Slack had the message.
func TestAStoreOfBeforeAppendingWithATransferOnItsWay(t *testing.T) {
	s := openOld(t, 2,
		`INSERT INTO events (id, kind, topic, fate, received_at, happened_at, body, thread) VALUES (1, 'allo', 'CALL_RECEIVED', 'routed', ?1, ?1, 'first', 'call:1'), (2, 'allo', 'CALL_RECEIVED', 'unrouted', ?1, ?1, 'passed on', 'call:1'),
			(3, 'allo', 'CALL_RECEIVED', 'routed', ?1, ?1, 'alone', 'call:3'), (4, 'allo', 'SMS_RECEIVED', 'routed', ?1, ?1, 'text', 'texts:4'), (5, 'allo', 'SMS_RECEIVED', 'routed', ?1, ?1, 'text', 'texts:4')`,
		`INSERT INTO posts (id, channel, form, state, doubt, attempts, first_attempt, last_attempt, ts, newest) VALUES ('a', 'C1', 'message', 'open', 1, 1, ?1, ?1, '', 1), ('b', 'C2', 'message', 'open', 1, 1, ?1, ?1, '', 2),
			('c', 'C3', 'message', 'open', 1, 1, ?1, ?1, '', 3), ('d', 'C4', 'message', 'open', 1, 1, ?1, ?1, '', 4), ('e', 'C5', 'message', 'sent', 0, 1, ?1, ?1, '1.0', 1)`,
		`INSERT INTO deliveries (event, channel, rule, options, state, post, at) VALUES (1, 'C1', 'r', '{}', 'posting', 'a', ?1), (1, 'C2', 'r', '{}', 'posting', 'b', ?1), (3, 'C3', 'r', '{}', 'posting', 'c', ?1), (4, 'C4', 'r', '{}', 'posting', 'd', ?1), (1, 'C5', 'r', '{}', 'sent', 'e', ?1)`,
	)
	got, err := s.strings(t.Context(), `SELECT post FROM updates ORDER BY post`)
	if want := []string{"a"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("to be told anew are %v, %v; want %v", got, err, want)
	}
}

// What was before is kept beside the store until what it holds is to be deleted.
func TestACopyIsKeptOfWhatWas(t *testing.T) {
	s := openOld(t, 2, `INSERT INTO events (id, kind, topic, fate, received_at, happened_at, body) VALUES (1, 'allo', 'CALL_RECEIVED', 'unrouted', ?1, ?1, 'call')`)
	kept := s.path + "-v2"
	info, err := os.Stat(kept)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the copy: %v, %v; want it to be its owner's alone", info, err)
	}
	db, err := connect(kept, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var body string
	var version int
	if err := db.QueryRow(`SELECT body, (SELECT max(version_id) FROM goose_db_version) FROM events WHERE fate = 'unrouted' AND happened_at = received_at`).Scan(&body, &version); err != nil || body != "call" || version != 2 {
		t.Errorf("the copy holds %q, of version %d, %v", body, version, err)
	}
	db.Close()

	if _, err := s.Purge(t.Context(), info.ModTime().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("before its time: %v", err)
	}
	if _, err := s.Purge(t.Context(), info.ModTime().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kept); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after its time: %v, want it to be gone", err)
	}
	if files, err := filepath.Glob(s.path + "*half"); err != nil || len(files) > 0 {
		t.Errorf("%v is left, %v", files, err)
	}
}

// A copy that was begun and not ended is made anew; one of before takes no new one's place.
func TestACopyIsOfNow(t *testing.T) {
	s, _ := openTemp(t)
	kept := s.path + "-v2"
	if err := os.WriteFile(kept+".half", []byte("part of it"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(kept, []byte("of before"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustAdd(t, s, call("1", "C1"))
	if err := keepCopy(t.Context(), s.db, s.path, 2); err != nil {
		t.Fatal(err)
	}
	db, err := connect(kept, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err := db.QueryRow(`SELECT count(*) FROM events`).Scan(&n); err != nil || n != 1 {
		t.Errorf("the copy holds %d events, %v; want one", n, err)
	}
}
