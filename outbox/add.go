package outbox

import (
	"context"
	"fmt"
	"time"
)

// Kinds of events.
const (
	Allo = "allo" // an envelope, as Allo sent it
	Note = "note" // what this program itself has to say
)

// Entry is an event to be kept, with where it goes.
type Entry struct {
	Kind     string // Allo or Note
	Topic    string
	Body     []byte
	Received time.Time
	Happened time.Time // zero: not known
	Keys     []Key     // a repeat has one of them; at least one
	Content  string    // recognises a repeat that says the very same; "" if that doesn't matter
	// Subject, State and Change: see allo.Identity.
	Subject, State string
	Change         bool
	Muted          bool // by a rule; tells muted from unrouted where there are no deliveries
	Thread         Thread
	// Asks names whom the event leaves waiting, Answers whom it answers; "" is nobody. What was asked at most
	// AnswerWindow before is answered by the first event that answers, in whatever order the two come in.
	Asks, Answers string
	About         string // the Key of the event that it adds to; "" if it stands for itself
	// Mind is the Key by which others add to this one. If some did before it came, it is not kept: Added.Before tells so,
	// and the event is to be added with what they say, and without Mind.
	Mind       string
	Recovered  bool // it never came, but was found
	Deliveries []Route
}

// Thread is what an event belongs to.
type Thread struct {
	Key string // "" for an event that stands alone
	// Window is how long after its last message a thread is gone on with; 0 is always.
	Window time.Duration
	// Retell says that the message that opened the thread tells of all that is in it.
	Retell bool
}

// AnswerWindow is how long an event may be waited on to be answered.
const AnswerWindow = 7 * 24 * time.Hour

// Key recognises a repeat.
type Key struct {
	Key    string
	Window time.Duration // 0: as long as the event is kept
}

// Route is where an event goes and why.
type Route struct {
	Channel string // as the rule has it
	Rule    string // "" for the default channel
	Options string // the rule's, as JSON
}

// Added tells what became of an Entry.
type Added struct {
	ID        int64 // the event's; of the first one, if this is a repeat; 0 if that one is gone
	Duplicate bool
	News      bool     // a repeat that says what none before it said (see Entry.Content)
	Before    bool     // not kept: see Entry.Mind
	Channels  []string // which have something new waiting: ids where they are known
	Updates   bool     // messages that Slack has have something new to say
}

// Add keeps an event, unless it is a repeat. When it returns without an error the event is on disk.
func (s *Store) Add(ctx context.Context, e Entry) (Added, error) {
	var added Added
	err := s.writer.do(ctx, func(t *tx) (err error) {
		added, err = add(t, e)
		return err
	})
	if err != nil {
		return Added{}, fmt.Errorf("storing the event: %w", err)
	}
	return added, nil
}

func add(t *tx, e Entry) (Added, error) {
	now := millis(e.Received)
	original, err := repeated(t, e, now)
	if err != nil {
		return Added{}, err
	}
	if original != 0 {
		if err := remember(t, e.Keys, "", original, now); err != nil {
			return Added{}, err
		}
		added := Added{ID: max(original, 0), Duplicate: true}
		if added.News, err = news(t, e); err != nil {
			return Added{}, err
		}
		return added, nil
	}

	if e.Mind != "" {
		var one int
		before, err := t.scan(`SELECT 1 FROM events WHERE about = ? AND about <> '' LIMIT 1`, []any{e.Mind}, &one)
		if err != nil || before {
			return Added{Before: before}, err
		}
	}

	fate := "routed"
	switch {
	case len(e.Deliveries) == 0 && e.Muted:
		fate = "muted"
	case len(e.Deliveries) == 0:
		fate = "unrouted"
	}
	happened := now
	if !e.Happened.IsZero() {
		happened = millis(e.Happened)
	}
	var before []byte
	if e.Subject != "" {
		if _, err := t.scan(`SELECT body FROM subjects WHERE subject = ?`, []any{e.Subject}, &before); err != nil {
			return Added{}, err
		}
	}
	result, err := t.result(`INSERT INTO events (kind, topic, fate, received_at, happened_at, body, subject, before, about, recovered, thread, thread_for, asks, answers)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		e.Kind, e.Topic, fate, now, happened, e.Body, e.Subject, before, e.About, e.Recovered, e.Thread.Key, e.Thread.Window.Milliseconds(), e.Asks, e.Answers)
	if err != nil {
		return Added{}, err
	}
	added := Added{}
	if added.ID, err = result.LastInsertId(); err != nil {
		return Added{}, err
	}
	if added.Updates, err = tell(t, e, added.ID, happened); err != nil {
		return Added{}, err
	}
	if err := remember(t, e.Keys, e.Content, added.ID, now); err != nil {
		return Added{}, err
	}
	if e.Subject != "" {
		newer := `DO NOTHING`
		if e.Change {
			newer = `DO UPDATE SET state = excluded.state, body = excluded.body, at = excluded.at`
		}
		if err := t.exec(`INSERT INTO subjects (subject, state, body, at) VALUES (?, ?, ?, ?) ON CONFLICT (subject) `+newer,
			e.Subject, e.State, e.Body, now); err != nil {
			return Added{}, err
		}
	}
	added.Channels, err = deliver(t, added.ID, e.Deliveries, now)
	return added, err
}

// deliver lets an event wait for channels; it returns those that did not have it yet.
func deliver(t *tx, event int64, routes []Route, now int64) ([]string, error) {
	var channels []string
	for _, d := range routes {
		channel := d.Channel
		// Inside the transaction: between two of them Slack may have told the channel's id.
		if _, err := t.scan(`SELECT id FROM channels WHERE ref = ?`, []any{d.Channel}, &channel); err != nil {
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

// tell notes what a new event means for those before it: which question it answers, or what answered it already, and
// which messages have something new to say. It reports whether there are any.
func tell(t *tx, e Entry, id, happened int64) (bool, error) {
	var updates int64
	count := func(query string, args ...any) error {
		n, err := t.changed(query, args...)
		updates += n
		return err
	}
	if e.Asks != "" {
		if err := t.exec(`UPDATE events SET answer = (SELECT a.id FROM events a WHERE a.answers = ?1 AND a.answers <> '' AND a.happened_at BETWEEN ?2 AND ?3 ORDER BY a.happened_at LIMIT 1)
			WHERE id = ?4`, e.Asks, happened, happened+AnswerWindow.Milliseconds(), id); err != nil {
			return false, err
		}
	}
	if e.Answers != "" {
		asked := []any{e.Answers, happened - AnswerWindow.Milliseconds(), happened}
		if err := count(`INSERT INTO updates (post, turn) SELECT DISTINCT d.post, 1 FROM deliveries d WHERE d.part = 0 AND d.post IS NOT NULL AND d.event IN
			(SELECT id FROM events WHERE asks = ?1 AND asks <> '' AND answer IS NULL AND happened_at BETWEEN ?2 AND ?3) `+newTurn, asked...); err != nil {
			return false, err
		}
		if err := t.exec(`UPDATE events SET answer = ?4 WHERE asks = ?1 AND asks <> '' AND answer IS NULL AND happened_at BETWEEN ?2 AND ?3`, append(asked, id)...); err != nil {
			return false, err
		}
	}
	if e.Thread.Key != "" && e.Thread.Retell {
		if err := count(`INSERT INTO updates (post, turn) SELECT t.post, 1 FROM threads t JOIN posts p ON p.id = t.post WHERE t.thread = ? `+newTurn, e.Thread.Key); err != nil {
			return false, err
		}
	}
	return updates > 0, nil
}

// newTurn ends an INSERT into updates: what is being told while something else becomes new is told once more.
const newTurn = `ON CONFLICT (post) DO UPDATE SET turn = turn + 1`

// news reports whether a repeat says what none before it said.
func news(t *tx, e Entry) (bool, error) {
	if e.Content == "" {
		return false, nil
	}
	var one int
	said, err := t.scan(`SELECT 1 FROM dedupe WHERE key = ? AND said = ?`, []any{e.Keys[0].Key, e.Content}, &one)
	if err != nil || said {
		return false, err
	}
	said, err = t.scan(`SELECT 1 FROM dedupe WHERE key = ?`, []any{saidKey(e.Content)}, &one)
	return !said, err
}

// saidKey is the key of what a repeat said that had news.
func saidKey(content string) string { return "said:" + content }

// repeated returns the id of the event that e repeats, or 0.
func repeated(t *tx, e Entry, now int64) (int64, error) {
	for _, k := range e.Keys {
		var event, at int64
		found, err := t.scan(`SELECT event, at FROM dedupe WHERE key = ?`, []any{k.Key}, &event, &at)
		if err != nil {
			return 0, err
		}
		if found && (k.Window == 0 || now-at < k.Window.Milliseconds()) {
			return event, nil
		}
	}
	if !e.Change {
		return 0, nil
	}
	var state string
	known, err := t.scan(`SELECT state FROM subjects WHERE subject = ?`, []any{e.Subject}, &state)
	if err != nil || !known || state != e.State {
		return 0, err
	}
	return -1, nil // of an event that may be gone already
}

// remember keeps keys of an event, and what it said. A key whose window is over is given to the newer event.
func remember(t *tx, keys []Key, said string, event, now int64) error {
	if event < 0 {
		return nil
	}
	for _, k := range keys {
		query := `INSERT INTO dedupe (key, event, at, said) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO NOTHING`
		args := []any{k.Key, event, now, said}
		if k.Window > 0 {
			query = `INSERT INTO dedupe (key, event, at, said) VALUES (?, ?, ?, ?)
				ON CONFLICT (key) DO UPDATE SET event = excluded.event, at = excluded.at WHERE dedupe.at < ?`
			args = append(args, now-k.Window.Milliseconds()+1)
		}
		if err := t.exec(query, args...); err != nil {
			return err
		}
	}
	return nil
}
