package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
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

// Selection says which deliveries to send again, and where.
type Selection struct {
	IDs  []int64
	All  bool   // all that was set aside
	From string // all that was set aside or waits for this channel; with All or IDs: only of those
	To   string // another channel; "" is the one they were for
}

// Replayed tells what became of a Selection.
type Replayed struct {
	Sent    int     // deliveries that wait now, behind all others
	Already int     // left alone: the channel has the event, or it waits there already
	InDoubt int     // left alone: Slack may have it, and its history was not read since
	Unknown []int64 // ids of which there is none, or that were sent long ago
}

// Replay lets deliveries wait again, last in their channel or in another. The rows get new ids.
func (s *Store) Replay(ctx context.Context, sel Selection, now time.Time) (Replayed, error) {
	var done Replayed
	err := s.writer.do(ctx, func(t *tx) (err error) {
		done = Replayed{}
		var from, to string
		if from, err = idOf(t, sel.From); err != nil {
			return err
		}
		if to, err = idOf(t, sel.To); err != nil {
			return err
		}
		chosen, err := choose(t, sel, from)
		if err != nil {
			return err
		}
		for _, id := range sel.IDs {
			if !slices.ContainsFunc(chosen, func(c candidate) bool { return c.id == id }) {
				done.Unknown = append(done.Unknown, id)
			}
		}
		if to != "" {
			if err := dropOpen(t, chosen, to); err != nil {
				return err
			}
		}
		for _, c := range chosen {
			target := to
			if target == "" {
				target = c.channel
			}
			if c.state == "posting" && c.channel != target {
				done.InDoubt++
				continue
			}
			again, err := replay(t, c, target, millis(now))
			if err != nil {
				return err
			}
			if again {
				done.Sent++
			} else {
				done.Already++
			}
		}
		return nil
	})
	if err != nil {
		return Replayed{}, fmt.Errorf("sending again: %w", err)
	}
	return done, nil
}

// idOf returns the id that a channel's name stands for, where that is known, or the reference itself.
func idOf(t *tx, ref string) (string, error) {
	id := ref
	_, err := t.scan(`SELECT id FROM channels WHERE ref = ?`, []any{ref}, &id)
	return id, err
}

type candidate struct {
	id, event              int64
	part, again            int
	channel, rule, options string
	reply, state, post     string
}

// dropOpen settles the open posts of what goes to another channel, and lets what they held wait. A post that Slack may have
// keeps what it holds until its history was read.
func dropOpen(t *tx, chosen []candidate, to string) error {
	for i := range chosen {
		post := chosen[i].post
		if chosen[i].state != "posting" || chosen[i].channel == to {
			continue
		}
		var doubt bool
		if _, err := t.scan(`SELECT doubt AND NOT looked FROM posts WHERE id = ?`, []any{post}, &doubt); err != nil {
			return err
		}
		if doubt {
			continue
		}
		if err := dropPost(t, post, backInQueue); err != nil {
			return err
		}
		for j := range chosen {
			if chosen[j].post == post {
				chosen[j].state, chosen[j].post = "waiting", ""
			}
		}
	}
	return nil
}

// choose returns what a selection names, in its order.
func choose(t *tx, sel Selection, from string) ([]candidate, error) {
	const columns = `SELECT id, event, part, channel, reply, rule, options, again, state, COALESCE(post, '') FROM deliveries `
	var chosen []candidate
	read := func(query string, args ...any) error {
		rows, err := t.w.conn.QueryContext(t.ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var c candidate
			if err := rows.Scan(&c.id, &c.event, &c.part, &c.channel, &c.reply, &c.rule, &c.options, &c.again, &c.state, &c.post); err != nil {
				return err
			}
			if from == "" || c.channel == from || c.channel == sel.From {
				chosen = append(chosen, c)
			}
		}
		return rows.Err()
	}
	switch {
	case len(sel.IDs) > 0:
		for _, id := range sel.IDs {
			if err := read(columns+`WHERE id = ? AND state IN ('aside', 'waiting', 'posting')`, id); err != nil {
				return nil, err
			}
		}
	case sel.All:
		return chosen, read(columns + `WHERE state = 'aside' ORDER BY id`)
	case sel.From != "":
		return chosen, read(columns+`WHERE channel IN (?, ?) AND state IN ('aside', 'waiting', 'posting') ORDER BY id`, sel.From, from)
	}
	return chosen, nil
}

// replay lets one delivery wait again; false if it is left alone. What goes to another channel leaves its row as moved.
func replay(t *tx, c candidate, channel string, now int64) (bool, error) {
	if c.state != "aside" && c.channel == channel {
		return false, nil
	}
	again := c.again
	if c.channel == channel {
		if err := t.exec(`DELETE FROM deliveries WHERE id = ?`, c.id); err != nil {
			return false, err
		}
	} else {
		var state State
		var before int
		there, err := t.scan(`SELECT state, again FROM deliveries WHERE event = ? AND part = ? AND channel = ?`, []any{c.event, c.part, channel}, &state, &before)
		if err != nil || there && state != StateMoved && state != StateWithdrawn {
			return false, err
		}
		again = max(again, before)
		if err := t.exec(`DELETE FROM deliveries WHERE event = ? AND part = ? AND channel = ?`, c.event, c.part, channel); err != nil {
			return false, err
		}
		if err := t.exec(`UPDATE deliveries SET state = 'moved', post = NULL, at = ? WHERE id = ?`, now, c.id); err != nil {
			return false, err
		}
		c.reply = "" // that message is in the other channel
	}
	err := t.exec(`INSERT INTO deliveries (event, part, channel, reply, rule, options, again, state, alone, at) VALUES (?, ?, ?, ?, ?, ?, ?, 'waiting', ?, ?)`,
		c.event, c.part, channel, c.reply, c.rule, c.options, again+1, c.state == "aside", now)
	return err == nil, err
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
