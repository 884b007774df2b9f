package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Failed is a delivery that needs a person: set aside, or waiting for longer than it should.
type Failed struct {
	ID       int64
	Event    int64
	Topic    string
	Channel  string // as people know it, where it is known
	Rule     string
	Aside    bool // otherwise it waits, and goes out by itself once its channel is mended
	Reason   string
	Received time.Time
}

const failedQuery = `
SELECT d.id, d.event, e.topic, COALESCE((SELECT '#' || c.name FROM channels c WHERE c.id = d.channel AND c.name <> '' LIMIT 1), d.channel),
	d.rule, d.state = 'aside', CASE d.state WHEN 'aside' THEN d.reason ELSE ` + whyStuck + ` END, e.received_at
FROM deliveries d JOIN events e ON e.id = d.event
WHERE d.state = 'aside' OR d.state IN ('waiting', 'posting') AND (d.channel IN (SELECT channel FROM troubles)
	OR d.channel IN (SELECT channel FROM posts WHERE state = 'open' AND reason <> '') OR e.received_at < ?)
ORDER BY d.state <> 'aside', d.id LIMIT ?`

// whyStuck is why the channel of a delivery is stuck: what it refuses, or what its open post was answered last.
const whyStuck = `COALESCE((SELECT t.reason FROM troubles t WHERE t.channel = d.channel),
	(SELECT p.reason FROM posts p WHERE p.channel = d.channel AND p.state = 'open'), '')`

// Failed lists what was set aside, and what waits for a channel that is stuck (it refuses everything, or its open post
// was answered with an error) or has waited since before a time; what was set aside first, then the oldest; at most limit.
func (s *Store) Failed(ctx context.Context, before time.Time, limit int) ([]Failed, error) {
	rows, err := s.db.QueryContext(ctx, failedQuery, millis(before), limit)
	if err != nil {
		return nil, fmt.Errorf("reading what failed: %w", explain(err))
	}
	defer rows.Close()
	var list []Failed
	for rows.Next() {
		var f Failed
		var received int64
		if err := rows.Scan(&f.ID, &f.Event, &f.Topic, &f.Channel, &f.Rule, &f.Aside, &f.Reason, &received); err != nil {
			return nil, fmt.Errorf("reading what failed: %w", err)
		}
		f.Received = fromMillis(received)
		list = append(list, f)
	}
	return list, explain(rows.Err())
}

// Stuck is a channel that needs a person.
type Stuck struct {
	Channel string
	Waiting int       // deliveries that wait or are being posted
	Oldest  time.Time // when the oldest of those came in; zero if none waits
	Why     string    // what the open post was answered last; "" if nothing is wrong with it
	Aside   int       // deliveries that were set aside and not yet told
	Reason  string    // why the last of those was set aside
}

const stuckQuery = `SELECT
	(SELECT count(*) FROM deliveries WHERE state = 'waiting' AND channel = ?1) + (SELECT count(*) FROM deliveries WHERE state = 'posting' AND channel = ?1),
	COALESCE((SELECT min(e.received_at) FROM deliveries d JOIN events e ON e.id = d.event WHERE d.state = 'posting' AND d.channel = ?1),
		(SELECT e.received_at FROM deliveries d JOIN events e ON e.id = d.event WHERE d.state = 'waiting' AND d.channel = ?1 ORDER BY d.part > 0, d.id LIMIT 1)),
	COALESCE((SELECT reason FROM posts WHERE state = 'open' AND channel = ?1), ''),
	(SELECT count(*) FROM deliveries WHERE state = 'aside' AND told = 0 AND channel = ?1),
	COALESCE((SELECT reason FROM deliveries WHERE state = 'aside' AND told = 0 AND channel = ?1 ORDER BY id DESC LIMIT 1), '')`

// StuckAt tells how a channel stands.
func (s *Store) StuckAt(ctx context.Context, channel string) (Stuck, error) {
	at := Stuck{Channel: channel}
	var oldest sql.NullInt64
	err := s.db.QueryRowContext(ctx, stuckQuery, channel).
		Scan(&at.Waiting, &oldest, &at.Why, &at.Aside, &at.Reason)
	if err != nil {
		return at, fmt.Errorf("reading what is stuck: %w", explain(err))
	}
	if oldest.Valid {
		at.Oldest = fromMillis(oldest.Int64)
	}
	return at, nil
}

// Untold lists the channels in which something was set aside that nobody was told of.
func (s *Store) Untold(ctx context.Context) ([]string, error) {
	return s.strings(ctx, untoldQuery)
}

const untoldQuery = `SELECT DISTINCT channel FROM deliveries WHERE state = 'aside' AND told = 0`

// Tell notes that a person was told of all that was set aside in a channel until now.
func (s *Store) Tell(ctx context.Context, channel string) error {
	err := s.writer.do(ctx, func(t *tx) error {
		return t.exec(`UPDATE deliveries SET told = 1 WHERE state = 'aside' AND told = 0 AND channel = ?`, channel)
	})
	if err != nil {
		return fmt.Errorf("recording what was told: %w", err)
	}
	return nil
}
