// Package outbox keeps events on disk from the moment a webhook is answered until Slack has them.
//
// It promises:
//
//   - Append returns after fsync, so what was answered survives a crash at any instant. The event and what recognises its
//     repeats are one transaction, and the event never changes from then on.
//   - Route decides what follows from events: in one transaction that marks them as routed, one delivery a channel, and
//     what messages have something new to say. A channel that once had an event never gets it by itself again.
//   - Deliveries of one channel are handed out in the order in which they were added, through a single open post at
//     a time; channels do not wait for each other.
//   - What a post holds is committed before it is first tried, and never changes until it is settled: sent, refused,
//     or split. A post that was being tried when the process died is found again, in doubt.
//   - Nothing is deleted before it was delivered, muted or unrouted for the time that Purge is given.
//
// Writes share commits: what is asked for while one is on its way to disk goes into the next (group commit). A
// commit that fails for one of its writes is run again one by one, so that one bad write spoils no other. One that fails
// for the store, whose disk is full or whose file is locked or gone, is the answer for all of them: see ErrUnavailable.
//
// The package knows neither Slack nor rules. Its engine is SQLite: WAL, synchronous=FULL, one writer, readers
// beside it.
package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gofrs/flock"
)

// Store is an outbox that is open. Its methods may be used by any number of goroutines.
type Store struct {
	path   string
	db     *sql.DB // for reading
	writer *writer
	lock   io.Closer
	full   error // see Full
}

// ErrClosed says that the store was closed before a write was made.
var ErrClosed = errors.New("the store is closed")

// Open opens the outbox of a bot, and creates it where there is none. url is `sqlite:PATH`; beside it are PATH.lock,
// PATH-reserve for when the disk is full (see Purge), and, once the tables of an older version were brought up to date, a copy
// of what was before, PATH-v2 of version 2, for as long as events are kept. Only one process may have a store open this way; the lock dies with
// its process. The error says what to do. A store that can be read, and
// can't be written only because its disk is full, is opened: see Full.
func Open(ctx context.Context, url string) (*Store, error) {
	return open(ctx, url, true)
}

// OpenBeside opens an outbox that a bot may have open too, to look at what it holds and to ask for things to be
// sent again. There must be one.
func OpenBeside(ctx context.Context, url string) (*Store, error) {
	return open(ctx, url, false)
}

// Take takes a store that was opened beside a bot for oneself; it is false if a bot has it open. Then what is asked for is to
// be appended, see Request.
func (s *Store) Take() (bool, error) {
	if s.lock != nil {
		return true, nil
	}
	lock := flock.New(s.path + ".lock")
	locked, err := lock.TryLock()
	if err != nil {
		return false, fmt.Errorf("%s: locking: %w", s.path, err)
	}
	if locked {
		s.lock = lock
	}
	return locked, nil
}

// Full returns that the disk was full when the store was opened; nil if it wasn't. What is written fails until there is
// room. Purge may make some, so it should be called at once.
func (s *Store) Full() error { return s.full }

// Close ends the writes that were begun and closes the store. For another process's lock it waits a second, for all
// writes together.
func (s *Store) Close() error {
	errs := []error{s.writer.close(), s.db.Close()}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// Check reports whether the store can be written now, to the files that were opened, by writing: something else each time, as SQLite writes nothing
// where nothing changes.
func (s *Store) Check(ctx context.Context) error {
	return s.SetFact(ctx, "checked", []byte(time.Now().UTC().Format(time.RFC3339Nano)))
}

// SetFact keeps a small value under a name.
func (s *Store) SetFact(ctx context.Context, name string, value []byte) error {
	return s.writer.do(ctx, func(t *tx) error {
		return t.exec(`INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	})
}

// Fact returns what SetFact kept; nil if nothing was.
func (s *Store) Fact(ctx context.Context, name string) ([]byte, error) {
	var value []byte
	err := s.db.QueryRowContext(ctx, `SELECT value FROM facts WHERE name = ?`, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, explain(err))
	}
	return value, nil
}

func millis(t time.Time) int64 { return t.UnixMilli() }

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms) }
