package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// lockedFor lets a store wait so long for a lock, and no 8 s.
func lockedFor(t *testing.T, s *Store, wait time.Duration) {
	t.Helper()
	if _, err := s.writer.conn.ExecContext(t.Context(), fmt.Sprintf("PRAGMA busy_timeout = %d", wait.Milliseconds())); err != nil {
		t.Fatal(err)
	}
}

// hold takes the write lock of a store as another process would, until release is called.
func hold(t *testing.T, url string) (release func()) {
	t.Helper()
	db, err := connect(strings.TrimPrefix(url, "sqlite:"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := db.Exec(`ROLLBACK`); err != nil {
			t.Error(err)
		}
	}
}

// together has writes made in one batch and returns their errors.
func together(s *Store, writes ...func(*tx) error) []error {
	holding, held := make(chan struct{}), make(chan struct{})
	go s.writer.do(context.Background(), func(*tx) error { close(held); <-holding; return nil })
	<-held
	results := make([]chan error, len(writes))
	for i, write := range writes {
		results[i] = make(chan error, 1)
		go func() { results[i] <- s.writer.do(context.Background(), write) }()
		for len(s.writer.ops) <= i {
			runtime.Gosched() // in their order
		}
	}
	close(holding)
	errs := make([]error, len(writes))
	for i := range results {
		errs[i] = <-results[i]
	}
	return errs
}

func TestABatchWaitsForALockOnce(t *testing.T) {
	s, url := openTemp(t)
	const wait, writes = 400 * time.Millisecond, 30
	lockedFor(t, s, wait)
	release := hold(t, url)
	results := make(chan error, writes)
	begun := time.Now()
	for i := range writes {
		go func() { _, _, err := s.Append(context.Background(), call(fmt.Sprint(i)).Entry); results <- err }()
	}
	for range writes {
		if err := <-results; !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "another process kept it locked for over 8 s") {
			t.Errorf("err = %v", err)
		}
	}
	if took := time.Since(begun); took > wait*writes/3 {
		t.Errorf("%d writes were refused after %s; want one wait, or two, of %s", writes, took, wait)
	}
	release()
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("after the lock: %v", err)
	}
}

func TestAStoreThatClosesWaitsForNoLock(t *testing.T) {
	s, url := openTemp(t)
	hold(t, url)
	const writes = 10
	results := make(chan error, writes)
	for i := range writes {
		go func() { _, _, err := s.Append(context.Background(), call(fmt.Sprint(i)).Entry); results <- err }()
	}
	// The first waits for the lock, and those that were there with it.
	for begun := time.Now(); len(s.writer.ops) < writes-1 && time.Since(begun) < 2*time.Second; {
		runtime.Gosched()
	}
	begun := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("closed after %s", took)
	}
	for range writes {
		if err := <-results; !errors.Is(err, ErrClosed) {
			t.Errorf("err = %v, want ErrClosed", err)
		}
	}
}

// fill lets a store's database grow no more, as a full disk does, until more is called.
func fill(t *testing.T, s *Store) (more func()) {
	t.Helper()
	limit := func(pages string) {
		if _, err := s.writer.conn.ExecContext(context.Background(), "PRAGMA max_page_count = "+pages); err != nil {
			t.Fatal(err)
		}
	}
	limit("1") // what it has by now
	return func() { limit("4294967294") }
}

func TestAFullDiskIsTheAnswerForTheWholeBatch(t *testing.T) {
	s, _ := openTemp(t)
	more := fill(t, s)
	large := call("large", "C1")
	large.Body = []byte(strings.Repeat("x", 1<<20))
	runs := 0
	small := func(t *tx) error {
		runs++
		return t.exec(`INSERT INTO facts (name, value) VALUES ('small', 'x') ON CONFLICT DO NOTHING`)
	}
	errs := together(s, small, func(t *tx) error { _, err := add(t, large.Entry); return err }, small, small)
	for i, err := range errs {
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "the disk is full; make room or extend the volume") {
			t.Errorf("write %d: %v", i, err)
		}
	}
	if runs != 2 {
		t.Errorf("the write before the large one ran %d times; want twice: as it came, and with the log begun anew", runs)
	}
	more()
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	mustAdd(t, s, large)
}

func TestAnErrorOfOneWriteIsNoUnavailableStore(t *testing.T) {
	s, _ := openTemp(t)
	ok := func(t *tx) error {
		return t.exec(`INSERT INTO facts (name, value) VALUES ('ok', 'x') ON CONFLICT DO NOTHING`)
	}
	constraint := func(t *tx) error { return t.exec(`INSERT INTO dedupe (key, event, at) VALUES ('k', 999, 0)`) }
	syntax := func(t *tx) error { return t.exec(`INSERT INTO nothing`) }
	bad := errors.New("bad")
	own := func(*tx) error { return bad }
	for i, err := range together(s, ok, constraint, ok, syntax, own, ok) {
		failed := i == 1 || i == 3 || i == 4
		if (err != nil) != failed || errors.Is(err, ErrUnavailable) || i == 4 && !errors.Is(err, bad) {
			t.Errorf("write %d: %v", i, err)
		}
	}
}

func TestWhatIsUnavailableSaysSo(t *testing.T) {
	for name, break_ := range map[string]func(t *testing.T) error{
		"locked": func(t *testing.T) error {
			s, url := openTemp(t)
			lockedFor(t, s, 0)
			hold(t, url)
			return s.SetFact(t.Context(), "x", nil)
		},
		"read-only": func(t *testing.T) error {
			s, _ := openTemp(t)
			if _, err := s.writer.conn.ExecContext(t.Context(), "PRAGMA query_only = 1"); err != nil {
				t.Fatal(err)
			}
			return s.SetFact(t.Context(), "x", nil)
		},
		"no database": func(t *testing.T) error {
			path := filepath.Join(t.TempDir(), "x.db")
			if err := os.WriteFile(path, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(t.Context(), "sqlite:"+path)
			return err
		},
		"damaged, read": func(t *testing.T) error {
			s, url := openTemp(t)
			mustAdd(t, s, call("1", "C1"))
			s.Close()
			path := strings.TrimPrefix(url, "sqlite:")
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			s = reopen(t, url)
			// All but the first page, which holds the schema.
			if err := overwrite(path, pageSize, info.Size()-pageSize); err != nil {
				t.Fatal(err)
			}
			_, err = s.Said(t.Context(), "CALL_RECEIVED:1", 0)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := break_(t); !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), ErrUnavailable.Error()) {
				t.Errorf("err = %v; want ErrUnavailable in its chain, and not in its text", err)
			}
		})
	}
	if errors.Is(explain(sql.ErrNoRows), ErrUnavailable) || errors.Is(ErrClosed, ErrUnavailable) {
		t.Error("what has nothing to do with the store's state counts as such")
	}
}

func overwrite(path string, at, length int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(strings.Repeat("\xff", int(length))), at)
	return errors.Join(err, f.Close())
}
