package outbox

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// maxBatch bounds how many writes share a commit, so that the first of them never waits long for the last.
	maxBatch = 256
	// batchWait bounds how long a batch waits for another process's lock, all its runs together: one run waits as long
	// as SQLite does (see settings), the others get what that leaves.
	batchWait = 9 * time.Second
	// closeWait is how long a lock is waited for once the store is to close.
	closeWait = time.Second
	// roomWait is how long the log, to begin anew, waits for those who read what it holds.
	roomWait = time.Second
)

// writer is the one goroutine that writes. Writes that are asked for while a commit is on its way to disk share
// the next one.
type writer struct {
	conn    *sql.Conn
	stmts   map[string]*sql.Stmt
	files   files
	reserve reserve
	ops     chan *op
	frees   chan *op // which share no commit
	quit    chan struct{}
	done    chan struct{}
	once    sync.Once
	waits   context.Context // ends when no lock is to be waited for any more
	hurry   context.CancelFunc
	noRoom  atomic.Bool // a write found the disk full since this was last cleared
}

// op is one write. run may be called more than once, when the commit it was part of failed.
type op struct {
	ctx    context.Context
	run    func(*tx) error
	result chan error
	frees  bool // it makes room on a full disk
}

func newWriter(conn *sql.Conn, files files, reserve reserve) *writer {
	w := &writer{
		conn:    conn,
		stmts:   map[string]*sql.Stmt{},
		files:   files,
		reserve: reserve,
		ops:     make(chan *op, maxBatch),
		frees:   make(chan *op),
		quit:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	w.waits, w.hurry = context.WithCancel(context.Background())
	go w.loop()
	return w
}

// do makes a write and returns once it is on disk. When ctx ends first the write may still be made: whoever asks
// again must recognise it.
func (w *writer) do(ctx context.Context, run func(*tx) error) error {
	return w.ask(w.ops, &op{ctx: ctx, run: run, result: make(chan error, 1)})
}

// doFree makes a write that makes room, in a transaction of its own: it must not fail for the room that others want, and
// may have the reserve.
func (w *writer) doFree(ctx context.Context, run func(*tx) error) error {
	return w.ask(w.frees, &op{ctx: ctx, run: run, result: make(chan error, 1), frees: true})
}

func (w *writer) ask(ops chan<- *op, o *op) error {
	ctx := o.ctx
	select {
	case ops <- o:
	case <-w.quit:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("waiting for the store: %w", context.Cause(ctx))
	}
	select {
	case err := <-o.result:
		return err
	case <-w.done:
		// It was asked for beside quit: it was drained, or nobody is left to write it.
		select {
		case err := <-o.result:
			return err
		default:
			return ErrClosed
		}
	case <-ctx.Done():
		return fmt.Errorf("waiting for the store: %w", context.Cause(ctx))
	}
}

// close lets what was asked for be written, and refuses what comes after. No lock is waited for longer than closeWait.
func (w *writer) close() error {
	w.once.Do(func() { close(w.quit) })
	late := time.AfterFunc(closeWait, w.hurry)
	<-w.done
	late.Stop()
	w.hurry()
	for _, s := range w.stmts {
		s.Close()
	}
	w.stmts = nil
	return w.conn.Close()
}

func (w *writer) loop() {
	defer close(w.done)
	batch := make([]*op, 0, maxBatch)
	for {
		var err error
		select {
		case o := <-w.ops:
			err = w.write(w.gather(append(batch, o)))
		case o := <-w.frees:
			err = w.write(append(batch, o))
		case <-w.quit:
			w.drain(batch)
			return
		}
		if isLocked(err) {
			w.refuse(err) // it waited beside the batch: had it waited alone, it would be no further
		}
	}
}

// gather adds what is asked for by now to a batch.
func (w *writer) gather(batch []*op) []*op {
	for len(batch) < maxBatch {
		select {
		case o := <-w.ops:
			batch = append(batch, o)
		default:
			return batch
		}
	}
	return batch
}

// refuse answers what is asked for by now.
func (w *writer) refuse(err error) {
	for range len(w.ops) {
		o := <-w.ops
		o.result <- err
	}
}

// drain answers what was asked for before quit. Once the store failed as a whole nothing more is tried.
func (w *writer) drain(batch []*op) {
	defer func() {
		if w.files.same() != nil {
			w.emptyLog()
		}
	}()
	for {
		next := w.gather(batch)
		if len(next) == 0 {
			return
		}
		if err := w.write(next); err != nil {
			w.refuse(err)
			return
		}
	}
}

// write makes the writes of a batch and answers them. Where one of them failed for what it writes they are made again one
// by one, so that one bad write spoils no other; where the store failed all of them get that error, as it would fail each
// of them. The error is the store's.
func (w *writer) write(batch []*op) error {
	wanted := batch[:0]
	for _, o := range batch {
		if o.ctx.Err() != nil {
			o.result <- context.Cause(o.ctx) // nobody waits for it any more
			continue
		}
		wanted = append(wanted, o)
	}
	if len(wanted) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(w.waits, batchWait)
	defer cancel()
	again, err := w.commit(ctx, wanted)
	if !again {
		answer(wanted, err)
		return err
	}
	if len(wanted) == 1 {
		answer(wanted, err)
		return nil
	}
	for i := range wanted {
		again, err := w.commit(ctx, wanted[i:i+1])
		if err != nil && !again {
			answer(wanted[i:], err)
			return err
		}
		answer(wanted[i:i+1], err)
	}
	return nil
}

// answer tells writes what became of them.
func answer(ops []*op, err error) {
	for _, o := range ops {
		o.result <- err
	}
}

// commit runs writes and commits them all, or none. again is true if it failed for one of the writes and not for the
// store, so that the others are worth another run. Where the disk is full they are tried once more, with the log begun
// anew: most of what it holds has its place in the database already. For what has none the reserve is spent, if these
// writes make room.
func (w *writer) commit(ctx context.Context, batch []*op) (again bool, err error) {
	if again, err = w.transaction(ctx, batch); !isFull(err) {
		return again, err
	}
	w.noRoom.Store(true)
	if w.restart(ctx) == nil {
		if again, err = w.transaction(ctx, batch); !isFull(err) {
			return again, err
		}
	}
	if !batch[0].frees || !w.reserve.spend() || w.restart(ctx) != nil {
		return again, err
	}
	return w.transaction(ctx, batch)
}

// restart moves what the log holds into the database, so that the log begins anew in the room that it has.
func (w *writer) restart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, roomWait)
	defer cancel()
	return (&tx{ctx, w}).exec(`PRAGMA wal_checkpoint(RESTART)`)
}

// transaction is one try of commit. Only the wait for a lock is bound to ctx, and nothing to any caller's context: a
// statement that is interrupted would take the others of its batch with it.
func (w *writer) transaction(ctx context.Context, batch []*op) (again bool, err error) {
	t := &tx{context.Background(), w}
	defer func() {
		if err == nil {
			return
		}
		// After a full disk SQLite may have rolled back by itself; then this says so, and nothing is amiss.
		_ = t.exec(`ROLLBACK`)
		if w.files.same() != nil {
			w.emptyLog()
		}
	}()
	if err := (&tx{ctx, w}).exec(`BEGIN IMMEDIATE`); err != nil {
		return false, fmt.Errorf("beginning a write: %w", w.cause(ctx, err))
	}
	for _, o := range batch {
		if err := o.run(t); err != nil {
			err = explain(err)
			return !isStore(err), err
		}
	}
	if err := w.files.same(); err != nil {
		return false, err
	}
	if err := t.exec(`COMMIT`); err != nil {
		return false, fmt.Errorf("committing: %w", explain(err))
	}
	return false, w.files.same() // it may have gone while this was written
}

// cause explains why a write could not begin.
func (w *writer) cause(ctx context.Context, err error) error {
	switch {
	case w.waits.Err() != nil:
		return fmt.Errorf("another process has it locked: %w", ErrClosed)
	case ctx.Err() != nil:
		return errLocked
	}
	return explain(err)
}

// errLocked says that the runs of a batch together waited too long.
var errLocked error = unavailable{errors.New("another process kept it locked for over 8 s")}

// isLocked reports whether an error is about another process's lock, which was waited for.
func isLocked(err error) bool {
	return errors.Is(err, errLocked) || isKind(err, sqlite3.SQLITE_BUSY) || isKind(err, sqlite3.SQLITE_LOCKED)
}

// isFull reports whether an error is about a disk without room.
func isFull(err error) bool { return isKind(err, sqlite3.SQLITE_FULL) }

// isStore reports whether an error that came while a write was made is the store's, and not of what was written.
func isStore(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone)
}

// emptyLog moves what the log holds into the database that was opened, and empties it. The log of a database that was
// moved away stays behind under its name; beside another database it would be taken for that one's, and break it.
func (w *writer) emptyLog() {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	// Where this fails the error that brought us here says what to do.
	_ = (&tx{ctx, w}).exec(`PRAGMA wal_checkpoint(TRUNCATE)`)
}

// tx is the writer's connection, in an op inside of a transaction. Statements are prepared once.
type tx struct {
	ctx context.Context
	w   *writer
}

func (t *tx) stmt(query string) (*sql.Stmt, error) {
	if s, ok := t.w.stmts[query]; ok {
		return s, nil
	}
	s, err := t.w.conn.PrepareContext(t.ctx, query)
	if err != nil {
		return nil, err
	}
	t.w.stmts[query] = s
	return s, nil
}

func (t *tx) exec(query string, args ...any) error {
	_, err := t.result(query, args...)
	return err
}

func (t *tx) result(query string, args ...any) (sql.Result, error) {
	s, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(t.ctx, args...)
}

// changed runs a statement and tells how many rows it changed.
func (t *tx) changed(query string, args ...any) (int64, error) {
	r, err := t.result(query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// scan reads one row; false if there is none.
func (t *tx) scan(query string, args []any, into ...any) (bool, error) {
	s, err := t.stmt(query)
	if err != nil {
		return false, err
	}
	err = s.QueryRowContext(t.ctx, args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// ids reads the first column of rows.
func (t *tx) ids(query string, args ...any) ([]int64, error) {
	s, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(t.ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		all = append(all, id)
	}
	return all, rows.Err()
}
