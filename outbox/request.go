package outbox

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

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
	// Channels are those in which something waits now that did not.
	Channels []string
}

// Request appends that deliveries are to be sent again: the bot that has the store open carries it out or, where there is
// none, whoever takes the store, see Take.
func (s *Store) Request(ctx context.Context, sel Selection, now time.Time) (id int64, err error) {
	body, err := json.Marshal(sel)
	if err != nil {
		return 0, err
	}
	id, _, err = s.Append(ctx, Entry{Kind: Asked, Topic: "replay", Body: body, Received: now, Key: Key{Key: "request:" + rand.Text()}})
	return id, err
}

// CarryOut does what was requested, once: what was carried out is left alone. It is for who has the store to himself.
func (s *Store) CarryOut(ctx context.Context, request int64, now time.Time) (Replayed, error) {
	var done Replayed
	err := s.writer.do(ctx, func(t *tx) error {
		done = Replayed{}
		var body []byte
		found, err := t.scan(`UPDATE events SET routed = 1 WHERE id = ? AND routed = 0 RETURNING body`, []any{request}, &body)
		if err != nil || !found {
			return err
		}
		var sel Selection
		if err := json.Unmarshal(body, &sel); err != nil {
			return err
		}
		if done, err = replayAll(t, sel, now); err != nil {
			return err
		}
		answer, err := json.Marshal(done)
		if err != nil {
			return err
		}
		return t.exec(`INSERT INTO routings (event, fate, answer) VALUES (?, ?, ?)`, request, string(Routed), string(answer))
	})
	if err != nil {
		return Replayed{}, fmt.Errorf("sending again: %w", err)
	}
	return done, nil
}

// Answer tells what became of a request; it is false as long as it was not carried out.
func (s *Store) Answer(ctx context.Context, request int64) (done Replayed, carriedOut bool, err error) {
	var answer string
	err = s.db.QueryRowContext(ctx, `SELECT answer FROM routings WHERE event = ?`, request).Scan(&answer)
	if errors.Is(err, sql.ErrNoRows) {
		return done, false, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(answer), &done)
	}
	if err != nil {
		return done, false, fmt.Errorf("reading what became of a request: %w", explain(err))
	}
	return done, true, nil
}

// replayAll lets deliveries wait again, last in their channel or in another. The rows get new ids.
func replayAll(t *tx, sel Selection, now time.Time) (done Replayed, err error) {
	from, err := idOf(t, sel.From)
	if err != nil {
		return done, err
	}
	to, err := idOf(t, sel.To)
	if err != nil {
		return done, err
	}
	chosen, err := choose(t, sel, from)
	if err != nil {
		return done, err
	}
	for _, id := range sel.IDs {
		if !slices.ContainsFunc(chosen, func(c candidate) bool { return c.id == id }) {
			done.Unknown = append(done.Unknown, id)
		}
	}
	if to != "" {
		if err := dropOpen(t, chosen, to); err != nil {
			return done, err
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
			return done, err
		}
		if !again {
			done.Already++
			continue
		}
		done.Sent++
		if !slices.Contains(done.Channels, target) {
			done.Channels = append(done.Channels, target)
		}
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
