package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
)

// maxBatch bounds how many writes share a commit, so that the first of them never waits long for the last.
const maxBatch = 256

// writer is the one goroutine that writes. Writes that are asked for while a commit is on its way to disk share
// the next one.
type writer struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	ops   chan *op
	quit  chan struct{}
	done  chan struct{}
	once  sync.Once
}

// op is one write. run may be called more than once, when the commit it was part of failed.
type op struct {
	ctx    context.Context
	run    func(*tx) error
	result chan error
}

func newWriter(conn *sql.Conn) *writer {
	w := &writer{
		conn:  conn,
		stmts: map[string]*sql.Stmt{},
		ops:   make(chan *op, maxBatch),
		quit:  make(chan struct{}),
		done:  make(chan struct{}),
	}
	go w.loop()
	return w
}

// do makes a write and returns once it is on disk. When ctx ends first the write may still be made: whoever asks
// again must recognise it.
func (w *writer) do(ctx context.Context, run func(*tx) error) error {
	o := &op{ctx, run, make(chan error, 1)}
	select {
	case w.ops <- o:
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

// close lets what was asked for be written, and refuses what comes after.
func (w *writer) close() error {
	w.once.Do(func() { close(w.quit) })
	<-w.done
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
		batch = batch[:0]
		select {
		case o := <-w.ops:
			batch = append(batch, o)
		case <-w.quit:
			w.drain()
			return
		}
	more:
		for len(batch) < maxBatch {
			select {
			case o := <-w.ops:
				batch = append(batch, o)
			default:
				break more
			}
		}
		w.write(batch)
	}
}

// drain answers what was asked for before quit.
func (w *writer) drain() {
	for {
		select {
		case o := <-w.ops:
			w.write([]*op{o})
		default:
			return
		}
	}
}

func (w *writer) write(batch []*op) {
	wanted := batch[:0]
	for _, o := range batch {
		if o.ctx.Err() != nil {
			o.result <- context.Cause(o.ctx) // nobody waits for it any more
			continue
		}
		wanted = append(wanted, o)
	}
	if len(wanted) == 0 {
		return
	}
	err := w.transaction(wanted)
	if err == nil || len(wanted) == 1 {
		for _, o := range wanted {
			o.result <- err
		}
		return
	}
	for _, o := range wanted {
		o.result <- w.transaction([]*op{o})
	}
}

// transaction runs writes and commits them all, or none. It is not bound to any caller's context: a statement
// that is interrupted would take the others of its batch with it.
func (w *writer) transaction(batch []*op) (err error) {
	t := &tx{context.Background(), w}
	if err := t.exec(`BEGIN IMMEDIATE`); err != nil {
		return fmt.Errorf("beginning a write: %w", explain(err))
	}
	defer func() {
		if err != nil {
			// After a full disk SQLite may have rolled back by itself; then this says so, and nothing is amiss.
			_ = t.exec(`ROLLBACK`)
		}
	}()
	for _, o := range batch {
		if err := o.run(t); err != nil {
			return explain(err)
		}
	}
	if err := t.exec(`COMMIT`); err != nil {
		return fmt.Errorf("committing: %w", explain(err))
	}
	return nil
}

// tx is the writer's connection inside a transaction. Statements are prepared once.
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
