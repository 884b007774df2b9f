package notify

import (
	"context"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"allo-slack/outbox"
)

// directory knows which id each channel that a rule names has. What it learned is in the store, so that it is
// learned once: names change in Slack, ids don't.
type directory struct {
	slack *client
	store *outbox.Store
	log   *slog.Logger
	asked singleflight.Group

	mu     sync.Mutex
	ids    map[string]string // by reference, and by id
	names  map[string]string // by id, for people
	listed []Channel         // what Slack told last, for what is asked for soon after
	at     time.Time
}

// listTTL is how long one listing of channels serves what is asked for: at the start all names are resolved by
// one, and a name that Slack doesn't know costs one a minute.
const listTTL = 10 * time.Second

// againTTL is how long a listing stands for what it doesn't have: channels are made.
const againTTL = time.Second

var channelID = regexp.MustCompile(`^[CGD][A-Z0-9]{6,}$`)

// newDirectory starts with what the store knows.
func newDirectory(ctx context.Context, slack *client, store *outbox.Store, log *slog.Logger) (*directory, error) {
	d := &directory{slack: slack, store: store, log: log, ids: map[string]string{}, names: map[string]string{}}
	known, err := store.Channels(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range known {
		d.learn(c)
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

// moved asks Slack again for the names that a channel is known by, after it was refused there: a channel that was
// archived or deleted may have a successor of the same name. What waits moves to it; "" if there is none.
func (d *directory) moved(ctx context.Context, id string) (string, error) {
	d.mu.Lock()
	var names []string
	for ref, known := range d.ids {
		if known == id && ref != id {
			names = append(names, ref)
		}
	}
	d.mu.Unlock()
	for _, name := range names {
		c, o := d.find(ctx, name)
		if o.Kind != Sent || c.ID == id || c.Archived {
			continue
		}
		if _, o := d.resolve(ctx, name); o.Kind != Sent {
			continue
		}
		return c.ID, d.store.Move(ctx, id, c.ID)
	}
	return "", nil
}

// rejoin makes the bot a member of a public channel that it was one of; it reports whether it is.
func (d *directory) rejoin(ctx context.Context, id string) bool {
	c, o := d.slack.channel(ctx, id)
	if o.Kind != Sent || c.Private || c.Archived {
		return false
	}
	return d.slack.join(ctx, id).Kind == Sent
}

// resolve asks Slack which channel a reference stands for, joins it if it is public, and keeps the answer. The
// outcome is Sent if it did. Those who ask for one at the same time share the answer.
func (d *directory) resolve(ctx context.Context, ref string) (string, Outcome) {
	type answer struct {
		id string
		o  Outcome
	}
	v, _, _ := d.asked.Do("resolve "+ref, func() (any, error) {
		id, o := d.resolveOnce(ctx, ref)
		return answer{id, o}, nil
	})
	a := v.(answer)
	return a.id, a.o
}

func (d *directory) resolveOnce(ctx context.Context, ref string) (string, Outcome) {
	channel, o := d.find(ctx, ref)
	if o.Kind != Sent {
		return "", o
	}
	if !channel.Member && !channel.Private && !channel.Archived {
		if o := d.slack.join(ctx, channel.ID); o.Kind != Sent {
			refused := o.Kind == RefusedChannel || o.Kind == RefusedMessage || o.Code == "missing_scope"
			if !refused {
				return "", o // it will be tried again: without being in it a lost message can't be looked for
			}
			d.log.WarnContext(ctx, "channel not joined, so a message that may have been posted can't be looked for",
				"channel", "#"+channel.Name, "err", o.Reason(), "todo", "in Slack type /invite @allo-slack in #"+channel.Name)
		}
	}
	known := outbox.Channel{Ref: ref, ID: channel.ID, Name: channel.Name}
	if err := d.store.Resolve(ctx, known); err != nil {
		return "", Outcome{Kind: Later, Code: "store", Detail: err.Error(), Err: err, Answered: true}
	}
	d.learn(known)
	return channel.ID, o
}

// find asks Slack for a channel by its id, or by its name.
func (d *directory) find(ctx context.Context, ref string) (Channel, Outcome) {
	if channelID.MatchString(ref) {
		return d.slack.channel(ctx, ref)
	}
	name := strings.ToLower(strings.TrimPrefix(ref, "#"))
	all, o := d.list(ctx, func(all []Channel) bool {
		return slices.ContainsFunc(all, func(c Channel) bool { return c.Name == name })
	})
	if o.Kind != Sent {
		return Channel{}, o
	}
	var archived *Channel
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
	return Channel{}, Outcome{Kind: RefusedChannel, Code: "channel_not_found", Answered: true,
		Detail: "no public channel has this name, and no private one that the bot is in"}
}

// list lists all channels; those who ask at one time share the answer. What Slack told a moment ago serves if it has
// what is asked for.
func (d *directory) list(ctx context.Context, has func([]Channel) bool) ([]Channel, Outcome) {
	d.mu.Lock()
	listed, age := d.listed, time.Since(d.at)
	d.mu.Unlock()
	if listed != nil && (age < listTTL && has(listed) || age < againTTL) {
		return listed, Outcome{Kind: Sent, Answered: true}
	}
	type answer struct {
		all []Channel
		o   Outcome
	}
	v, _, _ := d.asked.Do("list", func() (any, error) {
		all, o := d.slack.channels(ctx)
		if o.Kind == Sent {
			d.mu.Lock()
			d.listed, d.at = all, time.Now()
			d.mu.Unlock()
		}
		return answer{all, o}, nil
	})
	a := v.(answer)
	return a.all, a.o
}
