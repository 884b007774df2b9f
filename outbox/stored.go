package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

const (
	// storedPage and storedBytes bound what Stored reads at once: whoever visits may take his time, and nothing is held
	// open meanwhile.
	storedPage  = 200
	storedBytes = 4 << 20
)

// Stored is an event that the outbox holds, and where it went or waits to go.
type Stored struct {
	Event
	Fate     EventFate
	Channels []string // by id, or as the rule has them where the id isn't known
}

// Stored calls visit for each of Allo's events that came in since a time, in their order. No transaction is open while
// it does, so visit may take as long as it likes: what comes in meanwhile is visited too, what is deleted is not.
func (s *Store) Stored(ctx context.Context, since time.Time, visit func(Stored) error) error {
	at, id := millis(since), int64(0)
	for {
		page, err := s.stored(ctx, at, id)
		if err != nil {
			return fmt.Errorf("reading events: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		for _, e := range page {
			if err := visit(e); err != nil {
				return err
			}
		}
		last := page[len(page)-1]
		at, id = millis(last.Received), last.ID
	}
}

// storedQuery pages by when events came in and, of those that came in at once, by id.
const storedQuery = `SELECT e.id, e.topic, e.key, e.about, e.body, e.received_at, e.said_at, e.routed = 0, COALESCE((SELECT r.fate FROM routings r WHERE r.event = e.id), 'new'),
	(SELECT group_concat(d.channel, char(10)) FROM deliveries d WHERE d.event = e.id AND d.part = 0 AND d.state NOT IN ('moved', 'withdrawn'))
	FROM events e WHERE (e.received_at, e.id) > (?, ?) AND e.kind = ? ORDER BY e.received_at, e.id LIMIT ?`

// stored reads what follows an event: at most storedPage, and no further one once their bodies have come to storedBytes.
func (s *Store) stored(ctx context.Context, at, id int64) ([]Stored, error) {
	rows, err := s.db.QueryContext(ctx, storedQuery, at, id, Allo, storedPage)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	var page []Stored
	for size := 0; size <= storedBytes && rows.Next(); {
		var e Stored
		var received, said int64
		var channels sql.NullString
		if err := rows.Scan(&e.ID, &e.Topic, &e.Key, &e.About, &e.Body, &received, &said, &e.New, &e.Fate, &channels); err != nil {
			return nil, err
		}
		e.Kind, e.Received, e.Said = Allo, fromMillis(received), fromMillis(said)
		if channels.Valid {
			e.Channels = strings.Split(channels.String, "\n")
		}
		size += len(e.Body)
		page = append(page, e)
	}
	return page, explain(rows.Err())
}
