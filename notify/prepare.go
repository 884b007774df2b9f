package notify

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"allo-slack/outbox"
	"allo-slack/slackapi"
)

// prepareAgain is when a channel is asked for again whose name went to another while Slack may have a message in it.
const prepareAgain = 10 * time.Second

// preparing asks Slack for every channel that the rules name, at the start and whenever the rules change, until ctx
// ends. However often they change meanwhile, one goes through them at a time, and once more after it.
func (d *directory) preparing(ctx context.Context, renamed <-chan struct{}) {
	names, ids := d.sorted(ctx)
	refs := d.prepare(ctx, names)
	if ctx.Err() == nil {
		d.certain(ctx) // ids stay what they are
	}
	refs = append(refs, ids...)
	for {
		refs = d.prepare(ctx, refs)
		var again <-chan time.Time
		if len(refs) > 0 {
			again = time.After(prepareAgain)
		}
		select {
		case <-renamed:
			names, ids = d.sorted(ctx)
			refs = append(names, ids...)
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}

// sorted lists the channels that the rules name, names before ids, and says what waits for others.
func (d *directory) sorted(ctx context.Context) (names, ids []string) {
	named := d.named()
	d.warnOfUnnamed(ctx, named)
	for _, ref := range named {
		if channelID.MatchString(ref) {
			ids = append(ids, ref)
		} else {
			names = append(names, ref)
		}
	}
	return names, ids
}

// prepare asks Slack for channels, so that what is wrong with one is known before its first event. It holds nothing up. It
// returns those that are to be asked for again.
func (d *directory) prepare(ctx context.Context, refs []string) (again []string) {
	for _, ref := range refs {
		channel, o := d.find(ctx, ref, slackapi.Patience{For: resolveMost})
		id, known := d.known(ref)
		switch {
		case o.Kind == slackapi.Stopped:
			return nil
		case o.Code == "channel_not_found" && known && id != ref:
			d.log.InfoContext(ctx, "a channel was renamed in Slack; its events go there as before", "channel", ref, "now", d.name(id), "todo", "mend its name in rules.yaml")
		case o.Kind != slackapi.Sent:
			d.log.WarnContext(ctx, "a channel that the rules name can't be posted to; its events will be kept", "channel", ref,
				"err", o.Reason(), "todo", slackapi.ChannelTodo(o.Reason()))
		case !d.inspect(ctx, ref, channel):
			again = append(again, ref)
		}
	}
	return again
}

// inspect says what is wrong with a channel, and joins a public one. It is false if the name stood for another channel,
// in which Slack may have a message.
func (d *directory) inspect(ctx context.Context, ref string, c slackapi.Channel) bool {
	switch {
	case c.Archived:
		d.log.WarnContext(ctx, "a channel that the rules name is archived; its events will be kept", "channel", ref, "todo", slackapi.ChannelTodo("is_archived"))
	case c.Private && !c.Member:
		d.log.WarnContext(ctx, "the bot is not in a private channel that the rules name; its events will be kept", "channel", ref, "todo", slackapi.ChannelTodo("not_in_channel"))
	default:
		if id, ok := d.known(ref); ok && id == c.ID && c.Member {
			return true
		}
		id, o, err := d.resolve(ctx, ref, slackapi.Patience{For: resolveMost})
		switch {
		case errors.Is(err, outbox.ErrPosting):
			return false
		case err == nil && o.Kind == slackapi.Sent:
			d.wake(id) // what waited under the name has moved there
		case ctx.Err() == nil:
			d.log.WarnContext(ctx, "channel not resolved, will retry when it has something to post", "channel", ref, "err", cmp.Or(err, errors.New(o.Reason())))
		}
	}
	return true
}

// warnOfUnnamed says what waits for channels that no rule names: they were renamed in the rules, or mistyped.
func (d *directory) warnOfUnnamed(ctx context.Context, named []string) {
	busy, err := d.store.Busy(ctx)
	if err != nil {
		if ctx.Err() == nil {
			d.log.WarnContext(ctx, "what waits can't be read", "err", err)
		}
		return
	}
	for _, channel := range busy {
		if slices.ContainsFunc(named, func(ref string) bool {
			id, ok := d.known(ref)
			return ref == channel || ok && id == channel
		}) {
			continue
		}
		at, err := d.store.StuckAt(ctx, channel)
		if err != nil || at.Waiting == 0 {
			continue
		}
		name := d.name(channel)
		d.log.WarnContext(ctx, "deliveries wait for a channel that no rule names", "channel", name, "deliveries", at.Waiting,
			"todo", "if it should be another one: allo-slack replay -from \""+name+"\" -channel \"#OTHER\"")
	}
}
