package notify

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"allo-slack/outbox"
	"allo-slack/slackapi"
)

// directory knows which id each channel that a rule names has. What it learned is in the store, so that it is
// learned once: names change in Slack, ids don't.
type directory struct {
	slack *slackapi.Client
	store *outbox.Store
	log   *slog.Logger
	named func() []string // the channels that the rules name
	wake  func(id string)
	start time.Time
	sure  chan struct{} // closed once the names were asked for since the start
	asked singleflight.Group

	mu     sync.Mutex
	ids    map[string]string  // by reference, and by id
	names  map[string]string  // by id, for people
	listed []slackapi.Channel // what Slack told last, for what is asked for soon after
	at     time.Time
	heirs  map[string]string // by the id of a channel whose name another one has now: that name
	hidden string            // the scope without which some channels can't be seen; "" if all can
	hidAt  time.Time         // when Slack said so
}

// listTTL is how long one listing of channels serves what is asked for: at the start all names are resolved by
// one, and a name that Slack doesn't know costs one a minute.
const listTTL = 10 * time.Second

// againTTL is how long a listing stands for what it doesn't have: channels are made.
const againTTL = time.Second

var channelID = regexp.MustCompile(`^[CGD][A-Z0-9]{6,}$`)

const (
	// resolveMost is how long a channel is looked up that Slack answers badly for, before its trouble is told.
	resolveMost = time.Minute
	// joinMost is the same for what is only tried: to become a member again, or to find a successor.
	joinMost = 30 * time.Second
)

// newDirectory starts with what the store knows.
func newDirectory(ctx context.Context, slack *slackapi.Client, store *outbox.Store, named func() []string, wake func(id string), log *slog.Logger) (*directory, error) {
	d := &directory{slack: slack, store: store, named: named, wake: wake, log: log, start: time.Now(), sure: make(chan struct{}), ids: map[string]string{}, names: map[string]string{}, heirs: map[string]string{}}
	known, err := store.Channels(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range known {
		d.learn(c)
	}
	asked, err := store.Fact(ctx, namesAsked)
	if err != nil {
		return nil, err
	}
	if at, err := time.Parse(time.RFC3339, string(asked)); err == nil && time.Since(at).Abs() < time.Minute {
		close(d.sure) // a crash loop must not wait for what was asked for a moment ago
	}
	return d, nil
}

func (d *directory) learn(c outbox.Channel) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ids[c.Ref], d.ids[c.ID] = c.ID, c.ID
	if c.Name != "" {
		d.names[c.ID] = c.Name
	}
}

// checkMost is how long after the start what is known of names waits to be asked for again.
const checkMost = 10 * time.Second

// namesAsked is the fact that tells when the names were asked for last.
const namesAsked = "names asked"

// certain notes that the names were asked for.
func (d *directory) certain(ctx context.Context) {
	select {
	case <-d.sure:
	default:
		close(d.sure)
	}
	if err := d.store.SetFact(ctx, namesAsked, []byte(time.Now().UTC().Format(time.RFC3339))); err != nil && ctx.Err() == nil {
		d.log.WarnContext(ctx, "when channels were looked up could not be stored", "err", err)
	}
}

// checked returns when the names were asked for since the start, as channels may have been made anew while the bot was
// down, or when that takes too long. The error is ctx's.
func (d *directory) checked(ctx context.Context) error {
	select {
	case <-d.sure:
		return nil
	default:
	}
	timer := time.NewTimer(time.Until(d.start.Add(checkMost)))
	defer timer.Stop()
	select {
	case <-d.sure:
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// inherit notes that a name which stood for a channel stands for another one, to which what waits goes once nothing is in
// doubt in the old one. An empty ref ends that.
func (d *directory) inherit(before, ref string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ref == "" {
		delete(d.heirs, before)
		return
	}
	d.heirs[before] = ref
}

// heir returns the name by which what waits for a channel goes to another one; "" if it stays.
func (d *directory) heir(id string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.heirs[id]
}

// known returns the id of a channel, without asking Slack.
func (d *directory) known(ref string) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok := d.ids[ref]
	return id, ok
}

// name says a channel as people know it.
func (d *directory) name(channel string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if name := d.names[channel]; name != "" {
		return "#" + name
	}
	return channel
}

// successor asks Slack again for the names that a channel is known by, after it was refused there: a channel that was
// archived or deleted may have a successor of the same name. What waits goes to it; "" if there is none.
func (d *directory) successor(ctx context.Context, id string) string {
	d.mu.Lock()
	var names []string
	for ref, known := range d.ids {
		if known == id && ref != id {
			names = append(names, ref)
		}
	}
	d.mu.Unlock()
	slices.Sort(names)
	for _, name := range names {
		patience := slackapi.Patience{For: joinMost}
		c, o := d.find(ctx, name, patience)
		if o.Kind != slackapi.Sent || c.ID == id || c.Archived {
			continue
		}
		if _, o, err := d.resolve(ctx, name, patience); err == nil && o.Kind == slackapi.Sent {
			return c.ID
		}
	}
	return ""
}

// rejoin makes the bot a member of a public channel that it was one of; the outcome is Sent if it is.
func (d *directory) rejoin(ctx context.Context, id string, p slackapi.Patience) slackapi.Outcome {
	c, o := d.slack.Channel(ctx, p, id)
	switch {
	case o.Kind != slackapi.Sent:
		return o
	case c.Private || c.Archived:
		return slackapi.Outcome{Kind: slackapi.RefusedChannel, Code: "not_in_channel", Answered: true}
	}
	return d.slack.Join(ctx, p, id)
}

// resolve asks Slack which channel a reference stands for, joins it if it is public, and keeps the answer. The outcome is
// Sent if it did. Those who ask for one at the same time share the answer. The error is the store's, or ctx's.
func (d *directory) resolve(ctx context.Context, ref string, p slackapi.Patience) (string, slackapi.Outcome, error) {
	type answer struct {
		id string
		o  slackapi.Outcome
	}
	v, err, _ := d.asked.Do("resolve "+ref, func() (any, error) {
		id, o, err := d.resolveOnce(ctx, ref, p)
		return answer{id, o}, err
	})
	a := v.(answer)
	return a.id, a.o, err
}

func (d *directory) resolveOnce(ctx context.Context, ref string, p slackapi.Patience) (string, slackapi.Outcome, error) {
	channel, o := d.find(ctx, ref, p)
	if o.Kind != slackapi.Sent {
		return "", o, stopped(o)
	}
	if !channel.Member && !channel.Private && !channel.Archived {
		joined := d.slack.Join(ctx, p, channel.ID)
		if !joined.Answered && !joined.Strange {
			return "", joined, stopped(joined) // it is tried again: without being in it a lost message can't be looked for
		}
		if joined.Kind != slackapi.Sent {
			d.log.WarnContext(ctx, "channel not joined, so a message that may have been posted can't be looked for",
				"channel", "#"+channel.Name, "err", joined.Reason(), "todo", "in Slack type /invite @allo-slack in #"+channel.Name)
		}
	}
	known := outbox.Channel{Ref: ref, ID: channel.ID, Name: channel.Name}
	before, _ := d.known(ref)
	if err := d.store.Resolve(ctx, time.Now(), stricter, known, d.named()...); err != nil {
		if errors.Is(err, outbox.ErrPosting) {
			d.inherit(before, ref)
		}
		return "", o, err
	}
	d.learn(known)
	d.inherit(before, "")
	return channel.ID, o, nil
}

// stopped is ctx's error where that is why there is no answer.
func stopped(o slackapi.Outcome) error {
	if o.Kind == slackapi.Stopped {
		return o.Err
	}
	return nil
}

// find asks Slack for a channel by its id, or by its name.
func (d *directory) find(ctx context.Context, ref string, p slackapi.Patience) (slackapi.Channel, slackapi.Outcome) {
	if channelID.MatchString(ref) {
		return d.slack.Channel(ctx, p, ref)
	}
	name := strings.ToLower(strings.TrimPrefix(ref, "#"))
	all, o := d.list(ctx, p, func(all []slackapi.Channel) bool {
		return slices.ContainsFunc(all, func(c slackapi.Channel) bool { return c.Name == name })
	})
	if o.Kind != slackapi.Sent {
		return slackapi.Channel{}, o
	}
	var archived *slackapi.Channel
	for _, c := range all {
		if c.Name != name {
			continue
		}
		if !c.Archived {
			return c, o
		}
		archived = &c
	}
	if archived != nil {
		return *archived, o // posting to it will say so
	}
	return slackapi.Channel{}, slackapi.Outcome{Kind: slackapi.RefusedChannel, Code: "channel_not_found", Answered: true, Detail: d.notFound()}
}

// notFound says where a name was looked for.
func (d *directory) notFound() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch d.hidden {
	case slackapi.SeePrivate:
		return "no public channel has this name, and private ones can't be seen without the scope groups:read: reinstall the app with slack-app.yaml"
	case slackapi.SeePublic:
		return "no private channel that the bot is in has this name, and public ones can't be seen without the scope channels:read: reinstall the app with slack-app.yaml"
	}
	return "no public channel has this name, and no private one that the bot is in"
}

// list lists all channels; those who ask at one time share the answer. What Slack told a moment ago serves if it has
// what is asked for.
func (d *directory) list(ctx context.Context, p slackapi.Patience, has func([]slackapi.Channel) bool) ([]slackapi.Channel, slackapi.Outcome) {
	d.mu.Lock()
	listed, age := d.listed, time.Since(d.at)
	d.mu.Unlock()
	if listed != nil && (age < listTTL && has(listed) || age < againTTL) {
		return listed, slackapi.Outcome{Kind: slackapi.Sent}
	}
	v, _, _ := d.asked.Do("list", func() (any, error) {
		all, o := d.visible(ctx, p)
		if o.Kind == slackapi.Sent {
			d.mu.Lock()
			d.listed, d.at = all, time.Now()
			d.mu.Unlock()
		}
		return listing{all, o}, nil
	})
	l := v.(listing)
	return l.all, l.o
}

// listing is what Slack said when it was asked for all channels.
type listing struct {
	all []slackapi.Channel
	o   slackapi.Outcome
}

// hiddenTTL is how long it is believed that the token lacks a scope: reinstalling the app adds it to the same token.
const hiddenTTL = 10 * time.Minute

// visible lists the channels that the token has the scopes to see. Which those are is remembered for a while.
func (d *directory) visible(ctx context.Context, p slackapi.Patience) ([]slackapi.Channel, slackapi.Outcome) {
	d.mu.Lock()
	hidden := d.hidden
	if time.Since(d.hidAt) > hiddenTTL {
		hidden = ""
	}
	d.mu.Unlock()
	all, now, o := d.slack.Channels(ctx, p, hidden)
	if o.Kind == slackapi.Sent && (hidden == "" || now != hidden) {
		d.hide(now)
	}
	return all, o
}

// hide notes without which scope some channels can't be seen.
func (d *directory) hide(scope string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hidden, d.hidAt = scope, time.Now()
}
