package outbox

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// ErrChanged says that an event was amended by somebody else meanwhile: find it again.
var ErrChanged = errors.New("the event was changed meanwhile")

// Found is an event that was looked up by its key.
type Found struct {
	ID       int64
	Body     []byte
	Received time.Time
}

// Find returns the event that has a key; nil if there is none, or none any more.
func (s *Store) Find(ctx context.Context, key string) (*Found, error) {
	var f Found
	var received int64
	err := s.db.QueryRowContext(ctx, `SELECT e.id, e.body, e.received_at FROM dedupe k JOIN events e ON e.id = k.event WHERE k.key = ?`, key).Scan(&f.ID, &f.Body, &received)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking up an event: %w", explain(err))
	}
	f.Received = fromMillis(received)
	return &f, nil
}

// About returns the envelopes of what adds to the event that has a key, in the order in which they came in; at most
// limit.
func (s *Store) About(ctx context.Context, key string, limit int) ([][]byte, error) {
	if key == "" {
		return nil, nil
	}
	list, err := s.bodies(ctx, aboutQuery, key, limit)
	if err != nil {
		return nil, fmt.Errorf("reading what adds to an event: %w", err)
	}
	return list, nil
}

const aboutQuery = `SELECT body FROM events WHERE about = ? AND about <> '' ORDER BY id LIMIT ?`

// Amend commits that an event says something else now, and lets it wait for the channels that did not have it yet.
// The messages that show it have something new to say. was is the envelope that was amended: if the event says
// something else by now, the error is ErrChanged. content, if it isn't "", is news no more (see Entry.Content).
func (s *Store) Amend(ctx context.Context, id int64, was, body []byte, content string, routes []Route, now time.Time) (Added, error) {
	var added Added
	err := s.writer.do(ctx, func(t *tx) error {
		added = Added{ID: id}
		var is []byte
		if found, err := t.scan(`SELECT body FROM events WHERE id = ?`, []any{id}, &is); err != nil {
			return err
		} else if !found || !bytes.Equal(is, was) {
			return ErrChanged
		}
		if err := t.exec(`UPDATE events SET body = ?, fate = CASE WHEN ? THEN 'routed' ELSE fate END WHERE id = ?`, body, len(routes) > 0, id); err != nil {
			return err
		}
		if content != "" {
			if err := remember(t, []Key{{Key: saidKey(content)}}, "", id, millis(now)); err != nil {
				return err
			}
		}
		n, err := t.changed(`INSERT INTO updates (post, turn) SELECT DISTINCT d.post, 1 FROM deliveries d WHERE d.event = ? AND d.part = 0 AND d.post IS NOT NULL `+newTurn, id)
		if err != nil {
			return err
		}
		added.Updates = n > 0
		added.Channels, err = deliver(t, id, routes, millis(now))
		return err
	})
	if err != nil {
		return Added{}, fmt.Errorf("amending an event: %w", err)
	}
	return added, nil
}
