package notify

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"allo-slack/allo"
	"allo-slack/outbox"
	"allo-slack/rules"
)

const (
	// userTTL is how long what Slack said of an email is believed: people join, leave and change their address.
	userTTL = 24 * time.Hour
	// usersMost is how many users are known before those that have to be asked for again are forgotten.
	usersMost = 1000
)

// userPatience is how often Slack is asked for a user before a message goes without the mention: that isn't worth holding
// up what it is about, but for an outage.
var userPatience = patience{odd: 3, lost: 3}

// people knows which of Slack's users an email belongs to. What it learned is in the store, also of emails that Slack
// doesn't know, so that each costs one look-up a day.
type people struct {
	mu    sync.Mutex
	users map[string]outbox.User
}

func newPeople(ctx context.Context, store *outbox.Store) (*people, error) {
	known, err := store.Users(ctx)
	if err != nil {
		return nil, err
	}
	p := &people{users: map[string]outbox.User{}}
	for _, u := range known {
		p.users[u.Email] = u
	}
	return p, nil
}

// known returns the user's id, "" if Slack knows none; ok is false if it has to be asked.
func (p *people) known(email string) (id string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u, ok := p.users[email]
	return u.ID, ok && time.Since(u.At) < userTTL
}

func (p *people) learn(u outbox.User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.users) >= usersMost {
		maps.DeleteFunc(p.users, func(_ string, u outbox.User) bool { return time.Since(u.At) >= userTTL })
	}
	p.users[u.Email] = u
}

// emails are those that a rule's mentions stand for in an event.
func emails(e *allo.Event, mentions []string) []string {
	var all []string
	for _, m := range mentions {
		switch {
		case m == "owner":
			if email := owner(e); email != "" {
				all = append(all, email)
			}
		case strings.Contains(m, "@") && m != "@here":
			all = append(all, strings.ToLower(m))
		}
	}
	return all
}

// owner is the email of the person whose phone it was; "" if it isn't known.
func owner(e *allo.Event) string {
	email := ""
	switch {
	case e.Call != nil:
		email = e.Call.UserEmail
	case e.Text != nil:
		email = e.Text.UserEmail
	}
	email = strings.ToLower(strings.TrimSpace(email))
	if !strings.Contains(email, "@") || len(email) > 320 {
		return ""
	}
	return email
}

// mention writes a rule's mentions in Slack's form. Who isn't known to Slack isn't mentioned.
func (p *people) mention(e *allo.Event, mentions []string) string {
	var all []string
	for _, m := range mentions {
		switch {
		case m == "@here":
			all = append(all, "<!here>")
		case m == "owner" || strings.Contains(m, "@"):
			for _, email := range emails(e, []string{m}) {
				p.mu.Lock()
				if id := p.users[email].ID; id != "" {
					all = append(all, "<@"+id+">")
				}
				p.mu.Unlock()
			}
		case strings.HasPrefix(m, "S"):
			all = append(all, "<!subteam^"+m+">")
		default:
			all = append(all, "<@"+m+">")
		}
	}
	return strings.Join(all, " ")
}

// strangers are the emails of those whom a delivery's rule mentions and who aren't known yet.
func (w *worker) strangers(ctx context.Context, d *outbox.Delivery) []string {
	var o rules.Options
	if err := json.Unmarshal([]byte(d.Options), &o); err != nil || len(o.Mention) == 0 || d.Part > 0 {
		return nil
	}
	var mentioned []string
	if guard(func() {
		e := w.event(ctx, d.Event, d.Topic, d.Body)
		mentioned = emails(&e, o.Mention)
	}) != nil {
		return nil // sending it will say so
	}
	return slices.DeleteFunc(mentioned, func(email string) bool {
		_, ok := w.people.known(email)
		return ok
	})
}

const (
	// meetMost is how long look-ups may fail before the others of what waits go without.
	meetMost = 30 * time.Second
	// meetAhead is how long Slack is asked for people of what waits behind the first.
	meetAhead = 5 * time.Second
)

// meet asks Slack for everybody whom the first of what waits mentions, and for those behind it while that is quick.
func (w *worker) meet(ctx context.Context, waiting []outbox.Delivery) error {
	began, failing := time.Now(), time.Duration(0)
	for i := range waiting {
		for _, email := range w.strangers(ctx, &waiting[i]) {
			asked := time.Now()
			switch {
			case failing >= meetMost:
				w.unknown(email)
				continue
			case i > 0 && failing == 0 && time.Since(began) >= meetAhead:
				return nil
			}
			found, err := w.lookUp(ctx, email)
			if err != nil {
				return err
			}
			if !found {
				failing += time.Since(asked)
			}
		}
	}
	return nil
}

// unknown has nobody asked for an email for a while.
func (w *worker) unknown(email string) {
	w.people.learn(outbox.User{Email: email, At: time.Now().Add(userRetry - userTTL)})
}

// lookUp asks Slack for a user by email; it is false if Slack could not be asked. The error is ctx's.
func (w *worker) lookUp(ctx context.Context, email string) (bool, error) {
	var id string
	o, err := w.ask(ctx, userPatience, func(Outcome, int) {}, func(ctx context.Context) (o Outcome) {
		id, o = w.slack.user(ctx, email)
		return o
	})
	if err != nil {
		return false, err
	}
	if o.Kind != Sent {
		w.log.WarnContext(ctx, "nobody is mentioned: slack could not be asked for an email", "err", o.Reason(),
			"todo", "if a scope is missing, reinstall the app with slack-app.yaml")
		w.unknown(email)
		return false, nil
	}
	if id == "" {
		w.log.InfoContext(ctx, "nobody is mentioned: slack knows no such email", "domain", email[strings.LastIndexByte(email, '@')+1:])
	}
	u := outbox.User{Email: email, ID: id, At: time.Now()}
	w.people.learn(u)
	if err := w.store.SetUser(ctx, u); err != nil {
		w.log.WarnContext(ctx, "who an email belongs to could not be stored", "err", err)
	}
	return true, nil
}

// userRetry is how long Slack isn't asked again for an email after it could not be asked.
const userRetry = 10 * time.Minute
