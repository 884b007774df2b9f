package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Delivery is one event on its way to one channel.
type Delivery struct {
	ID        int64
	Event     int64
	Kind      string
	Topic     string
	Key       string // the event's, see Entry
	Body      []byte // as it was said; what is known of the event is that and all that was said about its Key
	Received  time.Time
	Said      time.Time
	Known     int64 // grows each time that something new is known of the event
	Channel   string
	Rule      string
	Options   string
	State     State
	Again     int    // how often a person had it sent again
	Alone     bool   // a digest that held it was refused: it goes alone
	Part      int    // 0 is the event's message; 1 and more are what follows it in its thread
	Thread    string // what the event belongs to
	Reply     string // the ts of the message that it replies to, if it is posted by itself and now; "" is the top of the channel
	Subject   string // what the event tells the whole state of
	Before    []byte // the envelope that told that state before; nil if there was none
	Recovered bool   // the event never came, but was found
}

// State is how far a delivery has come.
type State string

// The states of a delivery.
const (
	StateWaiting   State = "waiting"
	StatePosting   State = "posting" // an open post holds it
	StateSent      State = "sent"
	StateAside     State = "aside"
	StateMoved     State = "moved"     // it waits for another channel, or is there
	StateWithdrawn State = "withdrawn" // a rule muted its event before Slack had it
)

// Form is how a post is rendered.
type Form string

// The forms of a post.
const (
	Message Form = "message"
	Digest  Form = "digest"
	Plain   Form = "plain" // as text, since Slack refused the blocks
)

// Post is one message to Slack and what it holds.
type Post struct {
	ID           string
	Channel      string // Slack's id
	Thread       string // the ts that it is a reply to; "" is the top of the channel
	Form         Form
	Doubt        bool   // Slack may have it
	Looked       bool   // its history was read since the last attempt and didn't show it (or never will be), so that it may be sent elsewhere by hand
	Reason       string // why Slack doesn't have it, as it was said last; "" if nothing went wrong
	Attempts     int
	FirstAttempt time.Time
	LastAttempt  time.Time
	TS           string     // Slack's, once it is sent
	Deliveries   []Delivery // in order
}

// Busy lists the channels in which something waits or is being posted, by id, or as a rule has them where the id
// isn't known. It steps from channel to channel through the index, so what waits costs nothing, only how many
// channels there are.
func (s *Store) Busy(ctx context.Context) ([]string, error) {
	return s.strings(ctx, busyQuery)
}

const busyQuery = `
WITH RECURSIVE busy (channel) AS (
	SELECT min(channel) FROM deliveries WHERE state = 'waiting'
	UNION ALL
	SELECT (SELECT min(channel) FROM deliveries WHERE state = 'waiting' AND channel > busy.channel)
	FROM busy WHERE busy.channel IS NOT NULL
)
SELECT channel FROM busy WHERE channel IS NOT NULL
UNION SELECT channel FROM posts WHERE state = 'open'`

func (s *Store) strings(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var item string
		if err := rows.Scan(&item); err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, explain(rows.Err())
}

// selectDeliveries reads deliveries as what they are at a time (?1).
const selectDeliveries = `SELECT d.id, d.event, e.kind, e.topic, e.key, e.body, e.received_at, e.said_at, r.known, d.channel, d.rule, d.options, d.state, d.again,
	d.alone, d.part, r.thread, CASE WHEN d.part > 0 THEN d.reply ELSE COALESCE((SELECT t.ts FROM threads t
		WHERE t.thread = r.thread AND r.thread <> '' AND t.channel = d.channel AND (r.thread_for = 0 OR t.at + r.thread_for > ?1)), '') END,
	r.subject, r.before, e.recovered
	FROM deliveries d JOIN events e ON e.id = d.event JOIN routings r ON r.event = d.event `

const waitingQuery = selectDeliveries + `WHERE d.state = 'waiting' AND d.channel = ? ORDER BY d.part > 0, d.id LIMIT ?`

// Waiting returns what waits for a channel, in the order in which it is to be posted: events as they came in, then
// the parts that follow others. At most limit, and no further one once their bodies have come to maxBytes.
func (s *Store) Waiting(ctx context.Context, channel string, now time.Time, limit, maxBytes int) ([]Delivery, error) {
	list, err := s.deliveries(ctx, maxBytes, waitingQuery, millis(now), channel, limit)
	if err != nil {
		return nil, fmt.Errorf("reading what waits: %w", err)
	}
	return list, nil
}

func (s *Store) deliveries(ctx context.Context, maxBytes int, query string, args ...any) ([]Delivery, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	var list []Delivery
	for size := 0; size <= maxBytes && rows.Next(); {
		var d Delivery
		var received, said int64
		if err := rows.Scan(&d.ID, &d.Event, &d.Kind, &d.Topic, &d.Key, &d.Body, &received, &said, &d.Known, &d.Channel, &d.Rule, &d.Options, &d.State, &d.Again,
			&d.Alone, &d.Part, &d.Thread, &d.Reply, &d.Subject, &d.Before, &d.Recovered); err != nil {
			return nil, err
		}
		d.Received, d.Said = fromMillis(received), fromMillis(said)
		size += len(d.Body)
		list = append(list, d)
	}
	return list, explain(rows.Err())
}

const postDeliveriesQuery = selectDeliveries + `WHERE d.post = ? ORDER BY d.id`

// Waits reports whether anything waits for a channel, or is being posted there.
func (s *Store) Waits(ctx context.Context, channel string) (bool, error) {
	var waits bool
	err := s.db.QueryRowContext(ctx, waitsQuery, channel).Scan(&waits)
	if err != nil {
		return false, fmt.Errorf("reading what waits: %w", explain(err))
	}
	return waits, nil
}

const waitsQuery = `SELECT EXISTS (SELECT 1 FROM deliveries WHERE state = 'waiting' AND channel = ?1)
	OR EXISTS (SELECT 1 FROM posts WHERE state = 'open' AND channel = ?1)`

// OpenPost returns the post of a channel that is not settled yet; nil if there is none.
func (s *Store) OpenPost(ctx context.Context, channel string) (*Post, error) {
	p, err := s.post(ctx, `state = 'open' AND channel = ?`, channel)
	if err != nil {
		return nil, fmt.Errorf("reading the open post: %w", err)
	}
	return p, nil
}

// post reads one post with what it holds; nil if there is none.
func (s *Store) post(ctx context.Context, where, arg string) (*Post, error) {
	var p Post
	var first, last int64
	err := s.db.QueryRowContext(ctx, `SELECT id, channel, thread, form, doubt, looked, reason, attempts, first_attempt, last_attempt, ts FROM posts WHERE `+where, arg).
		Scan(&p.ID, &p.Channel, &p.Thread, &p.Form, &p.Doubt, &p.Looked, &p.Reason, &p.Attempts, &first, &last, &p.TS)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(err)
	}
	p.FirstAttempt, p.LastAttempt = fromMillis(first), fromMillis(last)
	if p.Deliveries, err = s.deliveries(ctx, everything, postDeliveriesQuery, 0, p.ID); err != nil {
		return nil, err
	}
	return &p, nil
}

// Counts is how many deliveries are in which state, and how old the oldest of those that wait is. An event that isn't routed
// yet counts as one that waits.
type Counts struct {
	Waiting, Aside int
	Oldest         time.Time // zero if none waits
}

const countsQuery = `SELECT
	(SELECT count(*) FROM deliveries WHERE state = 'waiting') + (SELECT count(*) FROM deliveries WHERE state = 'posting')
		+ (SELECT count(*) FROM events WHERE routed = 0),
	(SELECT count(*) FROM deliveries WHERE state = 'aside'),
	(SELECT min(at) FROM (
		SELECT received_at AS at FROM events WHERE id = (SELECT min(id) FROM events WHERE routed = 0)
		UNION ALL
		SELECT e.received_at FROM deliveries d JOIN events e ON e.id = d.event WHERE d.state = 'posting'
		UNION ALL
		SELECT e.received_at FROM deliveries d JOIN events e ON e.id = d.event WHERE d.id = (SELECT min(id) FROM deliveries WHERE state = 'waiting')))`

// Counts counts what waits, which is also what is being posted, and what is set aside.
func (s *Store) Counts(ctx context.Context) (Counts, error) {
	var c Counts
	var oldest sql.NullInt64
	err := s.db.QueryRowContext(ctx, countsQuery).
		Scan(&c.Waiting, &c.Aside, &oldest)
	if err != nil {
		return Counts{}, fmt.Errorf("counting what waits: %w", explain(err))
	}
	if oldest.Valid {
		c.Oldest = fromMillis(oldest.Int64)
	}
	return c, nil
}

const ofEventQuery = selectDeliveries + `WHERE d.event = ? AND d.part = 0 ORDER BY d.id`

// Deliveries returns all deliveries of an event, but for what follows its messages, in whatever state they are.
func (s *Store) Deliveries(ctx context.Context, event int64) ([]Delivery, error) {
	list, err := s.deliveries(ctx, everything, ofEventQuery, 0, event)
	if err != nil {
		return nil, fmt.Errorf("reading where an event went: %w", err)
	}
	return list, nil
}
