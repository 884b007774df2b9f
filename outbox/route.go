package outbox

import (
	"context"
	"fmt"
	"time"
)

// Routing is what was decided about an event that was only appended.
type Routing struct {
	Event     int64
	Fate      EventFate
	Thread    Thread
	Subject   Subject
	Decisions []Decision // about itself, and about the event that it says something new of
}

// EventFate is what became of an event.
type EventFate string

// What becomes of events.
const (
	Routed    EventFate = "routed"
	Muted     EventFate = "muted"     // a rule took it, and has it not posted
	Unrouted  EventFate = "unrouted"  // no rule took it
	Amended   EventFate = "amended"   // it said something new of the event that it is about, and is nothing by itself
	Duplicate EventFate = "duplicate" // it said nothing new
)

// Decision is what follows from all that is known of an event. It is made when the event itself is routed, and whenever
// something new is known of it: then the messages that show it have something new to say.
type Decision struct {
	Event  int64
	Marks  []Mark // all that it has
	Retold string // the thread whose first message tells of the event, as of all that have its key for a mark; "" is none
	// Touched are other events whose messages have something new to say.
	Touched []int64
	Routes  []Route // where it is to wait, if the channel never had it; one that has it keeps back what these options do, too
	Spared  []Route // where it isn't to wait; a channel that has it all the same keeps back what these options do, too
	Quiet   bool    // nothing new is known: messages stay as they are, unless they are to keep more back
	Parts   bool    // what follows its messages has something new to say, too
	Muted   bool    // what still waits for other channels than those of Routes isn't to be posted
}

// Thread is what an event belongs to.
type Thread struct {
	Key string // "" for an event that stands alone
	// Window is how long after its last message a thread is gone on with; 0 is always.
	Window time.Duration
}

// Subject is what an event tells the whole state of.
type Subject struct {
	Name  string // "" is nothing
	State string // what is the same for the same state
	// Change says that the event tells of a change: one that leaves the state as it is known is a Duplicate.
	Change bool
}

// Route is where an event goes and why.
type Route struct {
	Channel string // as the rule has it
	Rule    string // "" for the default channel
	Options string // the rule's, as JSON
}

// Effect is what a Routing brought about.
type Effect struct {
	Fate     EventFate // "" if it was routed before
	Channels []string  // which have something new waiting: ids where they are known
	Updates  bool      // messages that Slack has have something new to say
}

// Route commits what was decided about events, and that they are routed, all or none. What was routed before is left
// alone, so that the same may be committed twice.
func (s *Store) Route(ctx context.Context, now time.Time, stricter Stricter, all ...Routing) ([]Effect, error) {
	var done []Effect
	err := s.writer.do(ctx, func(t *tx) error {
		done = done[:0]
		for _, r := range all {
			one, err := route(t, r, stricter, millis(now))
			if err != nil {
				return err
			}
			done = append(done, one)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("routing events: %w", err)
	}
	return done, nil
}

func route(t *tx, r Routing, stricter Stricter, now int64) (Effect, error) {
	n, err := t.changed(`UPDATE events SET routed = 1 WHERE id = ? AND routed = 0`, r.Event)
	if err != nil || n == 0 {
		return Effect{}, err
	}
	done := Effect{Fate: r.Fate}
	if r.Subject.Name != "" {
		same, err := isKnown(t, r.Subject)
		if err != nil {
			return Effect{}, err
		}
		if same {
			done.Fate, r.Subject, r.Decisions = Duplicate, Subject{}, nil
		}
	}
	if err := t.exec(`INSERT INTO routings (event, fate, thread, thread_for, subject, before) VALUES (?1, ?2, ?3, ?4, ?5, (SELECT body FROM subjects WHERE subject = ?5))`,
		r.Event, string(done.Fate), r.Thread.Key, r.Thread.Window.Milliseconds(), r.Subject.Name); err != nil {
		return Effect{}, err
	}
	if err := learn(t, r, now); err != nil {
		return Effect{}, err
	}
	for _, d := range r.Decisions {
		if err := decide(t, d, d.Event == r.Event, stricter, now, &done); err != nil {
			return Effect{}, err
		}
	}
	return done, nil
}

// isKnown reports whether an event that tells of a change of its subject changes nothing.
func isKnown(t *tx, s Subject) (bool, error) {
	var state string
	known, err := t.scan(`SELECT state FROM subjects WHERE subject = ?`, []any{s.Name}, &state)
	return known && s.Change && state == s.State, err
}

// learn keeps the state of an event's subject.
func learn(t *tx, r Routing, now int64) error {
	if r.Subject.Name == "" {
		return nil
	}
	newer := `DO NOTHING`
	if r.Subject.Change {
		newer = `DO UPDATE SET state = excluded.state, body = excluded.body, at = excluded.at`
	}
	return t.exec(`INSERT INTO subjects (subject, state, body, at) SELECT ?, ?, body, ? FROM events WHERE id = ? ON CONFLICT (subject) `+newer,
		r.Subject.Name, r.Subject.State, now, r.Event)
}

// decide writes a decision; first says that the event was not routed before.
func decide(t *tx, d Decision, first bool, stricter Stricter, now int64, done *Effect) error {
	if !first {
		if err := t.exec(`DELETE FROM marks WHERE event = ?`, d.Event); err != nil {
			return err
		}
	}
	for _, m := range d.Marks {
		if err := t.exec(`INSERT INTO marks (mark, at, event) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, m.Mark, millis(m.At), d.Event); err != nil {
			return err
		}
	}
	added, changed, err := deliver(t, d, stricter, now)
	if err != nil {
		return err
	}
	done.Channels = append(done.Channels, added...)
	if !first {
		if err := again(t, d, len(added) > 0, now); err != nil {
			return err
		}
	}
	return tell(t, d, first, changed, done)
}

// again withdraws what a rule mutes by now of an event that was routed before, and keeps what became of it.
func again(t *tx, d Decision, added bool, now int64) error {
	fate := Routed
	if d.Muted {
		withdrawn, left, err := withdraw(t, d, now)
		if err != nil {
			return err
		}
		if withdrawn > 0 && !left {
			added, fate = true, Muted
		}
	}
	if !added {
		return nil
	}
	return t.exec(`UPDATE routings SET fate = ? WHERE event = ?`, string(fate), d.Event)
}

// tell notes which messages have something new to say: those that show the event if there is news of it or other options,
// those that show the others that it means something for, and those that tell of all that is in its thread. What is on its
// way to Slack is told anew once it is there. What follows a message in its thread is told anew only if it may show less
// than it does.
func tell(t *tx, d Decision, first, strict bool, done *Effect) error {
	touched := d.Touched
	if !first && (!d.Quiet || strict) {
		touched = append([]int64{d.Event}, touched...)
	}
	for _, event := range touched {
		n, err := renewed(t, event, (strict || d.Parts) && event == d.Event)
		if err != nil {
			return err
		}
		done.Updates = done.Updates || n
	}
	if d.Retold == "" {
		return nil
	}
	n, err := t.changed(`INSERT INTO updates (post, turn) SELECT p.id, 1 FROM posts p WHERE p.id IN (
		SELECT post FROM threads WHERE thread = ?1
		UNION SELECT d.post FROM (SELECT event FROM marks WHERE mark = ?1 AND event <> ?2 LIMIT ?3) m
			JOIN deliveries d ON d.event = m.event AND d.part = 0 JOIN posts o ON o.id = d.post AND o.state = 'open') `+newTurn,
		d.Retold, d.Event, threadMost)
	done.Updates = done.Updates || n > 0
	return err
}

// renewed notes that the messages that show an event have something new to say, with what follows them if that has, too. It
// reports whether there are any.
func renewed(t *tx, event int64, parts bool) (bool, error) {
	if err := t.exec(`UPDATE routings SET known = known + 1 WHERE event = ?`, event); err != nil {
		return false, err
	}
	n, err := t.changed(`INSERT INTO updates (post, turn) SELECT DISTINCT post, 1 FROM deliveries WHERE event = ? AND post IS NOT NULL AND (part = 0 OR ?) `+newTurn, event, parts)
	return n > 0, err
}

// threadMost bounds how many events of a thread are looked at for one that is on its way to Slack and may open it.
const threadMost = 100

// newTurn ends an INSERT into updates: what is being told while something else becomes new is told once more.
const newTurn = `ON CONFLICT (post) DO UPDATE SET turn = turn + 1`
