package outbox

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// pageSize nearly halves the file against SQLite's 4096, as bodies are a few KB each.
	pageSize = 8192
	// applicationID marks a file as ours: "ALLO".
	applicationID = 0x414c4c4f
	// lockWait is how long a bot waits for a command that has the store to itself.
	lockWait = 2 * time.Second
	// readers is how many connections read beside the writer; each may take 2 MiB of cache.
	readers = 3
)

// settings hold for each connection; in the driver's DSN each is run as a PRAGMA when a connection is opened.
var settings = []string{
	"busy_timeout(8000)", // a replay may be writing; an answer has 10 s
	"journal_mode(WAL)",
	"synchronous(FULL)",
	"foreign_keys(1)",
	"cache_size(-2000)",
	"temp_store(MEMORY)",
	"journal_size_limit(16777216)",
}

// ParsePath returns the path of `sqlite:PATH`, or an error that says what DATABASE_URL takes.
func ParsePath(databaseURL string) (string, error) {
	path, ok := strings.CutPrefix(databaseURL, "sqlite:")
	path = strings.TrimPrefix(path, "//")
	switch {
	case strings.HasPrefix(databaseURL, "postgres://"), strings.HasPrefix(databaseURL, "postgresql://"):
		return "", errors.New("this version stores to SQLite only; set DATABASE_URL to sqlite:PATH, such as sqlite:/data/allo-slack.db")
	case !ok || path == "":
		return "", errors.New("DATABASE_URL must be sqlite:PATH, such as sqlite:/data/allo-slack.db")
	case strings.HasPrefix(path, ":memory:"):
		return "", errors.New("DATABASE_URL must name a file: what is kept in memory is lost with the process")
	}
	return path, nil
}

func open(ctx context.Context, databaseURL string, exclusive bool) (_ *Store, err error) {
	path, err := ParsePath(databaseURL)
	if err != nil {
		return nil, err
	}
	s := &Store{}
	defer func() {
		if err != nil && s.lock != nil {
			err = errors.Join(err, s.lock.Close())
		}
	}()
	if exclusive {
		lock, err := lockFile(ctx, path)
		if err != nil {
			return nil, err
		}
		s.lock = lock
		if err := create(ctx, path); err != nil {
			return nil, fmt.Errorf("%s: %w", path, explain(err))
		}
	} else if err := exists(path); err != nil {
		return nil, err
	}
	keep := &keeper{}
	if keep.Connector, err = connector(path, url.Values{"_pragma": settings, "mode": {"rw"}}); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	db := sql.OpenDB(keep)
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	db.SetMaxOpenConns(readers + 1)
	db.SetMaxIdleConns(readers + 1)
	var spare reserve
	if exclusive {
		spare = reserve(path + "-reserve")
	}
	err = ours(ctx, db)
	if isFull(err) && spare.spend() {
		s.full = fmt.Errorf("%s: %w", path, err)
		err = ours(ctx, db)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := migrate(ctx, db, path, exclusive); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, explain(err))
	}
	if err := assert(ctx, conn); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, explain(err)), conn.Close())
	}
	if keep.files, err = identify(path); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), conn.Close())
	}
	s.path, s.db, s.writer = path, db, newWriter(conn, keep.files, spare)
	if !exclusive {
		return s, nil
	}
	switch err := s.Check(ctx); {
	case isFull(err):
		// What it holds can be read, and a purge may make room: a bot that did not start would never do that.
		s.full = fmt.Errorf("%s can't be written: %w", path, err)
	case err != nil:
		return nil, errors.Join(fmt.Errorf("%s can't be written: %w", path, err), s.writer.close())
	}
	if s.full == nil {
		spare.lay()
	}
	s.writer.noRoom.Store(s.full != nil)
	return s, nil
}

// lockFile keeps a second bot off the same file. The lock is the operating system's, so it ends with its process
// however that ends.
func lockFile(ctx context.Context, path string) (*flock.Flock, error) {
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%s: the folder %s doesn't exist; create it, or mount the volume there", path, dir)
	}
	lock := flock.New(path + ".lock")
	// A command may have it for a moment, see Take.
	patience, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	locked, err := lock.TryLockContext(patience, lockWait/20)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%s: the folder %s can't be written by user %d; make that user its owner (chown %d %s), or let DATABASE_URL name a folder that can be written: %w",
			path, dir, os.Getuid(), os.Getuid(), dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: locking: %w", path, err)
	}
	if !locked {
		return nil, fmt.Errorf("%s: another allo-slack has it open; stop that one first, or give this one a DATABASE_URL of its own", path)
	}
	return lock, nil
}

func exists(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: there is no such store; DATABASE_URL must name the one that the bot uses", path)
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a folder; DATABASE_URL must name a file", path)
	}
	return nil
}

// create makes a new file with the page size that it keeps for life: it must be set before the first table, and
// in the driver's DSN it silently does nothing.
func create(ctx context.Context, path string) error {
	if info, err := os.Stat(path); err == nil && (info.Size() > 0 || info.IsDir()) {
		return exists(path)
	}
	db, err := connect(path, []string{"busy_timeout(8000)"})
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, pragma := range []string{
		fmt.Sprintf("PRAGMA page_size = %d", pageSize),
		"PRAGMA auto_vacuum = INCREMENTAL",
		fmt.Sprintf("PRAGMA application_id = %d", applicationID),
		"PRAGMA journal_mode = WAL",
	} {
		if _, err := db.ExecContext(ctx, pragma); err != nil {
			return fmt.Errorf("%s: %w", pragma, err)
		}
	}
	return db.Close()
}

// connect opens a file, and makes one where there is none.
func connect(path string, pragmas []string) (*sql.DB, error) {
	c, err := connector(path, url.Values{"_pragma": pragmas})
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(c), nil
}

func connector(path string, query url.Values) (driver.Connector, error) {
	return sqlite.NewConnector("file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode())
}

// keeper opens connections to the files that were opened first, and to no others: one to a database that has taken their
// place would read their log as that one's.
type keeper struct {
	driver.Connector
	files files // none until the first connection is open
}

// Connect opens a connection.
func (k *keeper) Connect(ctx context.Context) (driver.Conn, error) {
	if err := k.files.same(); err != nil {
		return nil, err
	}
	return k.Connector.Connect(ctx)
}

// files are the database and its log, as they were when they were opened. What is written to files that have no name any
// more is gone with the process, and SQLite doesn't mind.
type files []file

type file struct {
	path string
	info fs.FileInfo
}

// identify notes which files a database is in. They are looked at, never opened: closing them would give up SQLite's
// locks.
func identify(path string) (files, error) {
	real, err := filepath.EvalSymlinks(path) // beside which SQLite keeps the log
	if err != nil {
		return nil, err
	}
	var all files
	for _, path := range []string{path, real + "-wal"} {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		all = append(all, file{path, info})
	}
	return all, nil
}

// same reports whether the files are still where they were opened; the error says what happened and what to do. It costs
// a few microseconds.
func (f files) same() error {
	const todo = "nothing is stored until then: put the file back, or restart the bot to begin with what is there now"
	for _, was := range f {
		now, err := os.Stat(was.path)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			return unavailable{fmt.Errorf("%s was removed while it was open; %s", was.path, todo)}
		case err != nil:
			return unavailable{fmt.Errorf("%s can't be looked at: %w", was.path, err)}
		case !os.SameFile(was.info, now):
			return unavailable{fmt.Errorf("%s was replaced by another file while it was open; %s", was.path, todo)}
		}
	}
	return nil
}

// ours refuses a file that is not SQLite, is damaged, or is some other program's.
func ours(ctx context.Context, db *sql.DB) error {
	var id, tables int
	if err := db.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&id); err != nil {
		return explain(err)
	}
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema`).Scan(&tables); err != nil {
		return explain(err)
	}
	if id != applicationID {
		return errors.New("this is some other program's database; let DATABASE_URL name a file of allo-slack's own")
	}
	return nil
}

// migrate brings the tables up to date, and keeps a copy of what was before, or, beside a bot, checks that they are.
func migrate(ctx context.Context, db *sql.DB, path string, change bool) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("reading migrations: %w", err)
	}
	current, newest, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("reading the version of its tables: %w", explain(err))
	}
	switch {
	case current > newest:
		return fmt.Errorf("its tables are of version %d, this program knows %d: a newer allo-slack wrote it; run that one", current, newest)
	case current == newest:
		return nil
	case !change:
		return fmt.Errorf("its tables are of version %d, this program needs %d; start the bot once, it brings them up to date", current, newest)
	}
	if current > 0 {
		if err := keepCopy(ctx, db, path, current); err != nil {
			return fmt.Errorf("keeping a copy of it as %s before its tables are brought up to date: %w", copyOf(path, fmt.Sprint(current)), explain(err))
		}
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("bringing its tables up to date: %w", explain(err))
	}
	return nil
}

// assert holds the writer's connection to what the promises rest on: a driver that ignored a setting would break
// them in silence.
func assert(ctx context.Context, conn *sql.Conn) error {
	for _, want := range []struct{ pragma, value string }{
		{"journal_mode", "wal"},
		{"synchronous", "2"},
		{"foreign_keys", "1"},
		{"page_size", fmt.Sprint(pageSize)},
	} {
		var got string
		if err := conn.QueryRowContext(ctx, "PRAGMA "+want.pragma).Scan(&got); err != nil {
			return err
		}
		if got != want.value {
			return fmt.Errorf("%s is %s, must be %s; let DATABASE_URL name a new file", want.pragma, got, want.value)
		}
	}
	return nil
}

// unavailable is an error that says that the store as a whole can't be worked with.
type unavailable struct{ error }

func (u unavailable) Unwrap() error { return u.error }

// Is reports that it is ErrUnavailable.
func (u unavailable) Is(target error) bool { return target == ErrUnavailable }

// explain says what SQLite's codes ask a person to do, and which of them are ErrUnavailable.
func explain(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) || errors.Is(err, ErrUnavailable) {
		return err
	}
	switch kind(e) {
	case sqlite3.SQLITE_FULL:
		return unavailable{fmt.Errorf("the disk is full; make room or extend the volume: %w", err)}
	case sqlite3.SQLITE_NOTADB:
		return unavailable{fmt.Errorf("not a SQLite database; let DATABASE_URL name another file, or move this one away: %w", err)}
	case sqlite3.SQLITE_CORRUPT:
		return unavailable{fmt.Errorf("the database is damaged; stop the bot, keep a copy, and restore the volume's last snapshot or recover it (sqlite3 FILE .recover): %w", err)}
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return unavailable{fmt.Errorf("it can't be opened for writing by user %d; check the owner of the file and of its folder: %w", os.Getuid(), err)}
	case sqlite3.SQLITE_IOERR:
		return unavailable{fmt.Errorf("the disk failed: %w", err)}
	case sqlite3.SQLITE_BUSY:
		return unavailable{fmt.Errorf("another process kept it locked for over 8 s: %w", err)}
	case sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL:
		return unavailable{err}
	}
	return err
}

// kind is the kind of an error of SQLite's.
func kind(e *sqlite.Error) int {
	if e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE {
		return sqlite3.SQLITE_FULL // there is no room for the 32 KB that all who read share
	}
	return e.Code() & 0xff
}

// isKind reports whether an error is of a kind of SQLite's.
func isKind(err error, want int) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && kind(e) == want
}
