package outbox

import (
	"context"
	"fmt"
	"time"
)

// Routing is what was decided about an event that was only appended: of itself, and of the event that it is about.
type Routing struct {
	Event     int64
	Fate      EventFate
	Decisions []Decision
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

// Decision is what follows from all that is known of an event.
type Decision struct {
	Event   int64
	First   bool      // it was not routed before
	Fate    EventFate // "" is as it was
	Thread  Thread    // of the first
	Subject Subject   // of the first
	Marks   []Mark    // all that it has, if it is the first or there is News
	News    bool      // what is known of it is not what it was, so the messages that show it have something new to say
	Touched []int64   // other events whose messages have something new to say
	Routes  []Route   // where it is to wait, if the channel never had it
	// Options are those of deliveries that it has already, by their ids: they become other ones, also of what follows them,
	// and all that shows it has something new to say.
	Options   map[int64]string
	Withdrawn []int64 // deliveries that are not to be posted, if they still wait
}

// Thread is what an event belongs to.
type Thread struct {
	Key string // "" for an event that stands alone
	// Window is how long after its last message a thread is gone on with; 0 is always.
	Window time.Duration
	// Retell says that the message that opened the thread tells of all that have its Key for a mark.
	Retell bool
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
func (s *Store) Route(ctx context.Context, now time.Time, all ...Routing) ([]Effect, error) {
	var done []Effect
	err := s.writer.do(ctx, func(t *tx) error {
		done = done[:0]
		for _, r := range all {
			one, err := route(t, r, millis(now))
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

func route(t *tx, r Routing, now int64) (Effect, error) {
	done := Effect{Fate: r.Fate}
	n, err := t.changed(`UPDATE events SET routed = 1 WHERE id = ? AND routed = 0`, r.Event)
	if err != nil || n == 0 {
		return Effect{}, err
	}
	if err := t.exec(`INSERT INTO routings (event, fate) VALUES (?, ?)`, r.Event, string(r.Fate)); err != nil {
		return Effect{}, err
	}
	for _, d := range r.Decisions {
		same, err := known(t, d, now)
		if err != nil {
			return Effect{}, err
		}
		if same {
			done.Fate = Duplicate
			return done, t.exec(`UPDATE routings SET fate = ? WHERE event = ?`, string(Duplicate), d.Event)
		}
		if err := decide(t, d, now, &done); err != nil {
			return Effect{}, err
		}
	}
	return done, nil
}

// known keeps the state of an event's subject, with the event that of before. It reports whether the event changes nothing
// of it though it tells of a change.
func known(t *tx, d Decision, now int64) (same bool, err error) {
	if d.Subject.Name == "" {
		return false, nil
	}
	var state string
	found, err := t.scan(`SELECT state FROM subjects WHERE subject = ?`, []any{d.Subject.Name}, &state)
	if err != nil || found && d.Subject.Change && state == d.Subject.State {
		return true, err
	}
	if err := t.exec(`UPDATE routings SET subject = ?1, before = (SELECT body FROM subjects WHERE subject = ?1) WHERE event = ?2`, d.Subject.Name, d.Event); err != nil {
		return false, err
	}
	newer := `DO NOTHING`
	if d.Subject.Change {
		newer = `DO UPDATE SET state = excluded.state, body = excluded.body, at = excluded.at`
	}
	return false, t.exec(`INSERT INTO subjects (subject, state, body, at) SELECT ?, ?, body, ? FROM events WHERE id = ? ON CONFLICT (subject) `+newer,
		d.Subject.Name, d.Subject.State, now, d.Event)
}

// decide writes a decision.
func decide(t *tx, d Decision, now int64, done *Effect) error {
	if d.First && d.Thread.Key != "" {
		if err := t.exec(`UPDATE routings SET thread = ?, thread_for = ? WHERE event = ?`, d.Thread.Key, d.Thread.Window.Milliseconds(), d.Event); err != nil {
			return err
		}
	}
	if !d.First && d.Fate != "" {
		if err := t.exec(`UPDATE routings SET fate = ? WHERE event = ?`, string(d.Fate), d.Event); err != nil {
			return err
		}
	}
	if err := mark(t, d); err != nil {
		return err
	}
	for id, options := range d.Options {
		if err := t.exec(`UPDATE deliveries SET options = ?1 WHERE event = ?2 AND channel = (SELECT channel FROM deliveries WHERE id = ?3 AND event = ?2)`, options, d.Event, id); err != nil {
			return err
		}
	}
	for _, id := range d.Withdrawn {
		if err := t.exec(`UPDATE deliveries SET state = 'withdrawn', at = ? WHERE id = ? AND event = ? AND state = 'waiting'`, now, id, d.Event); err != nil {
			return err
		}
	}
	channels, err := deliver(t, d.Event, d.Routes, now)
	if err != nil {
		return err
	}
	done.Channels = append(done.Channels, channels...)
	return tell(t, d, done)
}

// mark writes by what an event is found.
func mark(t *tx, d Decision) error {
	if !d.First && !d.News {
		return nil
	}
	if !d.First {
		if err := t.exec(`DELETE FROM marks WHERE event = ?`, d.Event); err != nil {
			return err
		}
	}
	for _, m := range d.Marks {
		if err := t.exec(`INSERT INTO marks (mark, at, event) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, m.Mark, millis(m.At), d.Event); err != nil {
			return err
		}
	}
	return nil
}

// deliver lets an event wait for channels; it returns those that never had it.
func deliver(t *tx, event int64, routes []Route, now int64) ([]string, error) {
	var channels []string
	for _, d := range routes {
		// Inside the transaction: between two of them Slack may have told the channel's id.
		channel, err := idOf(t, d.Channel)
		if err != nil {
			return nil, err
		}
		// Two names for one channel: it never gets an event twice.
		n, err := t.changed(`INSERT INTO deliveries (event, channel, rule, options, state, at) VALUES (?, ?, ?, ?, 'waiting', ?)
			ON CONFLICT (event, channel, part) DO NOTHING`, event, channel, d.Rule, d.Options, now)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			channels = append(channels, channel)
		}
	}
	return channels, nil
}

// tell notes which messages have something new to say: those that show the event if there is news of it or other options,
// those that show the others that it means something for, and those that tell of all that is in its thread. What is on its
// way to Slack is told anew once it is there. What follows a message in its thread is told anew only if it may show less
// than it does.
func tell(t *tx, d Decision, done *Effect) error {
	touched := d.Touched
	if d.News || len(d.Options) > 0 {
		touched = append([]int64{d.Event}, touched...)
	}
	for _, event := range touched {
		if err := t.exec(`UPDATE routings SET known = known + 1 WHERE event = ?`, event); err != nil {
			return err
		}
		n, err := t.changed(`INSERT INTO updates (post, turn) SELECT DISTINCT post, 1 FROM deliveries WHERE event = ? AND post IS NOT NULL AND (part = 0 OR ?) `+newTurn, event, event == d.Event && len(d.Options) > 0)
		if err != nil {
			return err
		}
		done.Updates = done.Updates || n > 0
	}
	if !d.Thread.Retell || d.Thread.Key == "" {
		return nil
	}
	n, err := t.changed(`INSERT INTO updates (post, turn) SELECT p.id, 1 FROM posts p WHERE p.id IN (
		SELECT post FROM threads WHERE thread = ?1
		UNION SELECT d.post FROM (SELECT event FROM marks WHERE mark = ?1 AND event <> ?2 LIMIT ?3) m
			JOIN deliveries d ON d.event = m.event AND d.part = 0 JOIN posts o ON o.id = d.post AND o.state = 'open') `+newTurn,
		d.Thread.Key, d.Event, threadMost)
	done.Updates = done.Updates || n > 0
	return err
}

// threadMost bounds how many events of a thread are looked at for one that is on its way to Slack and may open it.
const threadMost = 100

// newTurn ends an INSERT into updates: what is being told while something else becomes new is told once more.
const newTurn = `ON CONFLICT (post) DO UPDATE SET turn = turn + 1`
