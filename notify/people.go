package notify

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"allo-slack/allo"
	"allo-slack/outbox"
	"allo-slack/slackapi"
)

const (
	// userTTL is how long what Slack said of an email is believed: people join, leave and change their address.
	userTTL = 24 * time.Hour
	// userRetry is how long Slack isn't asked again for an email after it could not be asked. Meanwhile it is asked for others,
	// and has userBriefly for each.
	userRetry   = 10 * time.Minute
	userBriefly = time.Second
	// usersMost is how many users are known before those that have to be asked for again are forgotten.
	usersMost = 1000
	// meetMost is how long look-ups that Slack answers badly may hold a message up, all of them together: a mention isn't worth
	// more, but for an outage of Slack as a whole. meetLimits is how many of its answers may ask to wait.
	meetMost   = 12 * time.Second
	meetLimits = 2
	// meetAhead is how long Slack is asked for people of what waits behind the first.
	meetAhead = 5 * time.Second
)

// people knows which of Slack's users an email belongs to. What it learned is in the store, also of emails that Slack
// doesn't know, so that each costs one look-up a day.
type people struct {
	store *outbox.Store
	slack *slackapi.Client
	log   *slog.Logger

	mu     sync.Mutex
	users  map[string]outbox.User
	failed time.Time // when Slack answered badly last, and for nobody since
	rest   time.Time // Slack isn't asked for anybody before: it asks to wait each time
}

func newPeople(ctx context.Context, store *outbox.Store, slack *slackapi.Client, log *slog.Logger) (*people, error) {
	known, err := store.Users(ctx)
	if err != nil {
		return nil, err
	}
	p := &people{store: store, slack: slack, log: log, users: map[string]outbox.User{}}
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

// strangers are the emails of those whom an item mentions and who aren't known yet.
func (p *people) strangers(it item) []string {
	if it.Part > 0 || it.broken != nil || len(it.options.Mention) == 0 {
		return nil
	}
	return slices.DeleteFunc(emails(&it.shown.Event, it.options.Mention), func(email string) bool {
		_, ok := p.known(email)
		return ok
	})
}

// meet asks Slack for everybody whom the first of what waits mentions, and for those behind it while that is quick. The
// error is ctx's.
func (p *people) meet(ctx context.Context, waiting []item) error {
	ahead, cancel := context.WithTimeout(ctx, meetAhead)
	defer cancel()
	left := meetMost
	for i, it := range waiting {
		asking := ctx
		if i > 0 && left == meetMost {
			asking = ahead
		}
		for _, email := range p.strangers(it) {
			spent, err := p.lookUp(asking, email, left)
			switch {
			case err != nil && ctx.Err() == nil:
				return nil // the rest is asked for when it is its turn
			case err != nil:
				return err
			}
			left = max(0, left-spent)
		}
	}
	return nil
}

// lookUp asks Slack for a user by email, and takes for unknown, for a while, who can't be asked for within a time. It returns
// how much of that was spent. The error is ctx's.
func (p *people) lookUp(ctx context.Context, email string, most time.Duration) (spent time.Duration, err error) {
	if most = p.patience(most); most <= 0 {
		p.unknown(email)
		return 0, nil
	}
	id, o := p.slack.User(ctx, slackapi.Patience{For: most, Limits: meetLimits}, email)
	switch o.Kind {
	case slackapi.Stopped:
		return 0, o.Err
	case slackapi.Sent:
	default:
		p.log.WarnContext(ctx, "nobody is mentioned: slack could not be asked for an email", "err", o.Reason(),
			"todo", "if a scope is missing, reinstall the app with slack-app.yaml")
		p.unknown(email)
		return p.fails(o, most), nil
	}
	if id == "" {
		p.log.InfoContext(ctx, "nobody is mentioned: slack knows no such email", "domain", email[strings.LastIndexByte(email, '@')+1:])
	}
	u := outbox.User{Email: email, ID: id, At: time.Now()}
	p.learn(u)
	p.mu.Lock()
	p.failed = time.Time{}
	p.mu.Unlock()
	if err := p.store.SetUser(ctx, u); err != nil && ctx.Err() == nil {
		p.log.WarnContext(ctx, "who an email belongs to could not be stored", "err", err)
	}
	return 0, nil
}

// patience is for how long at most Slack may be asked for somebody, of a time that is left: briefly if it answered badly
// lately, and not at all if it asks to wait each time.
func (p *people) patience(left time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case time.Until(p.rest) > 0:
		return 0
	case time.Since(p.failed) < userRetry:
		return min(left, userBriefly)
	}
	return left
}

// fails notes that Slack could not be asked for somebody, and returns how much of a time that spent.
func (p *people) fails(o slackapi.Outcome, most time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch o.Kind {
	case slackapi.Wait:
		p.rest = time.Now().Add(userRetry)
		return most
	case slackapi.Later, slackapi.Unsure:
		p.failed = time.Now()
		return max(most, o.Spent)
	}
	return 0 // a refusal takes no time
}

// unknown has nobody asked for an email for a while.
func (p *people) unknown(email string) {
	p.learn(outbox.User{Email: email, At: time.Now().Add(userRetry - userTTL)})
}
