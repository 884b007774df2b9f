package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kinds of events.
const (
	Allo  = "allo"  // an envelope, as Allo sent it
	Note  = "note"  // what this program itself has to say
	Asked = "asked" // what a person asks the bot to do, see Request
)

// Entry is what is to be appended.
type Entry struct {
	Kind     string // Allo, Note or Asked
	Topic    string
	Body     []byte
	Received time.Time
	Said     time.Time // by its sender's clock; zero: Received
	Key      Key       // what the event is: its repeats have it too, and others are about it by it
	// Saying, where it isn't "", tells what has the Key of another event from its repeats: only what has both is one. What
	// has another Saying is kept too, about the first that has the Key.
	Saying    string
	Delivery  string // what else recognises a repeat; "" is nothing
	About     string // the Key of the event that it is about; "" if it stands for itself
	Recovered bool   // it never came, but was found
}

// Key recognises a repeat.
type Key struct {
	Key    string
	Window time.Duration // 0: as long as the event is kept
}

// Append keeps what was said, unless it is a repeat. When it returns without an error the event is on disk, and is one of
// those that Unrouted lists. Where it goes is decided later, see Route.
func (s *Store) Append(ctx context.Context, e Entry) (id int64, duplicate bool, err error) {
	err = s.writer.do(ctx, func(t *tx) (err error) {
		id, err = add(t, e)
		return err
	})
	if err != nil {
		return 0, false, fmt.Errorf("storing the event: %w", err)
	}
	return id, id == 0, nil
}

// add writes one event and what recognises its repeats; its id is 0 if it is one.
func add(t *tx, e Entry) (id int64, err error) {
	now, said := millis(e.Received), e.Said
	if said.IsZero() {
		said = e.Received
	}
	repeat := e.Key.Key
	if e.Saying != "" {
		repeat += "#" + e.Saying
	}
	since := int64(0) // a key is known if it was given after that
	if e.Key.Window > 0 {
		since = now - e.Key.Window.Milliseconds()
	}
	delivery := repeat
	if e.Delivery != "" {
		delivery = "delivery:" + e.Delivery
	}
	var about string
	found, err := t.scan(`INSERT INTO events (kind, topic, fate, received_at, happened_at, said_at, body, key, recovered, about)
		SELECT ?1, ?2, '', ?3, ?3, ?4, ?5, ?6, ?7, CASE WHEN ?8 <> '' THEN ?8 WHEN ?9 <> ?6 AND EXISTS (SELECT 1 FROM dedupe WHERE key = ?6) THEN ?6 ELSE '' END
		WHERE NOT EXISTS (SELECT 1 FROM dedupe WHERE key = ?9 AND at > ?10) AND (?11 = ?9 OR NOT EXISTS (SELECT 1 FROM dedupe WHERE key = ?11))
		RETURNING id, about`,
		[]any{e.Kind, e.Topic, now, millis(said), e.Body, e.Key.Key, e.Recovered, e.About, repeat, since, delivery}, &id, &about)
	if err != nil || !found {
		return 0, err
	}
	// A key whose window is over is given to the newer event; the one that others are about an event by stays the first's.
	return id, t.exec(`INSERT INTO dedupe (key, event, at) SELECT key, ?3, ?4 FROM (SELECT ?1 AS key UNION SELECT ?2 UNION SELECT ?5) AS keys WHERE true
		ON CONFLICT (key) DO UPDATE SET event = excluded.event, at = excluded.at WHERE dedupe.key <> ?5 OR ?5 = ?1`, repeat, delivery, id, now, e.Key.Key)
}

// Event is what was said, as it was said.
type Event struct {
	ID        int64
	Kind      string
	Topic     string
	Key       string // see Entry
	About     string
	Body      []byte
	Received  time.Time
	Said      time.Time
	Recovered bool
	New       bool // it is not routed yet
}

const selectEvents = `SELECT e.id, e.kind, e.topic, e.key, e.about, e.body, e.received_at, e.said_at, e.recovered, e.routed = 0 FROM events e `

func (s *Store) events(ctx context.Context, maxBytes int, query string, args ...any) ([]Event, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	var list []Event
	for size := 0; size <= maxBytes && rows.Next(); {
		var e Event
		var received, said int64
		if err := rows.Scan(&e.ID, &e.Kind, &e.Topic, &e.Key, &e.About, &e.Body, &received, &said, &e.Recovered, &e.New); err != nil {
			return nil, err
		}
		e.Received, e.Said = fromMillis(received), fromMillis(said)
		size += len(e.Body)
		list = append(list, e)
	}
	return list, explain(rows.Err())
}

const unroutedQuery = selectEvents + `WHERE e.routed = 0 ORDER BY e.id LIMIT ?`

// Unrouted returns the events that were only appended, in the order in which they came in: at most limit, and no further
// one once their bodies have come to maxBytes. Some are left out by their ids.
func (s *Store) Unrouted(ctx context.Context, limit, maxBytes int, but ...int64) ([]Event, error) {
	query, args := unroutedQuery, make([]any, 0, len(but)+1)
	if len(but) > 0 {
		query = selectEvents + `WHERE e.routed = 0 AND e.id NOT IN (?` + strings.Repeat(", ?", len(but)-1) + `) ORDER BY e.id LIMIT ?`
		for _, id := range but {
			args = append(args, id)
		}
	}
	list, err := s.events(ctx, maxBytes, query, append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("reading what isn't routed: %w", err)
	}
	return list, nil
}

const saidQuery = selectEvents + `WHERE e.id = (SELECT event FROM dedupe WHERE key = ?1) AND e.about = '' AND e.id <> ?2
UNION ALL ` + selectEvents + `WHERE e.about = ?1 AND e.about <> ''`

// Said returns all that was said of one thing: the first event that has a key, if there is one, unless it is that with an id,
// which who asks has already, and those about it, in no order.
func (s *Store) Said(ctx context.Context, key string, but int64) ([]Event, error) {
	if key == "" {
		return nil, nil
	}
	list, err := s.events(ctx, everything, saidQuery, key, but)
	if err != nil {
		return nil, fmt.Errorf("reading what was said of an event: %w", err)
	}
	return list, nil
}

// everything is a bound that bounds nothing.
const everything = 1 << 40

// Events returns some events by their ids, in that order. Those that are gone are left out.
func (s *Store) Events(ctx context.Context, ids ...int64) ([]Event, error) {
	var all []Event
	for _, id := range ids {
		one, err := s.events(ctx, everything, selectEvents+`WHERE e.id = ?`, id)
		if err != nil {
			return nil, fmt.Errorf("reading an event: %w", err)
		}
		all = append(all, one...)
	}
	return all, nil
}

// Mark is by what an event is found, and when it happened.
type Mark struct {
	Mark  string
	At    time.Time
	Event int64
}

const markedQuery = `SELECT mark, at, event FROM marks WHERE mark = ? AND at BETWEEN ? AND ? ORDER BY at, event LIMIT ?`

// Marked returns which events have a mark and happened within a time, in the order in which they did; at most limit.
func (s *Store) Marked(ctx context.Context, mark string, from, to time.Time, limit int) ([]Mark, error) {
	rows, err := s.db.QueryContext(ctx, markedQuery, mark, millis(from), millis(to), limit)
	if err != nil {
		return nil, fmt.Errorf("reading marks: %w", explain(err))
	}
	defer rows.Close()
	var list []Mark
	for rows.Next() {
		var m Mark
		var at int64
		if err := rows.Scan(&m.Mark, &at, &m.Event); err != nil {
			return nil, fmt.Errorf("reading marks: %w", err)
		}
		m.At = fromMillis(at)
		list = append(list, m)
	}
	return list, explain(rows.Err())
}

const heardQuery = `SELECT received_at FROM events WHERE kind = ? ORDER BY id DESC LIMIT 1`

// LastHeard returns when the last event of Allo's came in or, before the first one ever, when this was asked first.
func (s *Store) LastHeard(ctx context.Context, now time.Time) (time.Time, error) {
	var last sql.NullInt64
	// From the newest backwards: notes are few.
	err := s.db.QueryRowContext(ctx, heardQuery, Allo).Scan(&last)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return now, fmt.Errorf("reading the last event: %w", explain(err))
	}
	if last.Valid {
		return fromMillis(last.Int64), nil
	}
	const fact = "waiting for the first event since"
	since, err := s.Fact(ctx, fact)
	if err != nil {
		return now, err
	}
	if at, err := time.Parse(time.RFC3339, string(since)); err == nil {
		return at, nil
	}
	return now, s.SetFact(ctx, fact, []byte(now.UTC().Format(time.RFC3339)))
}
