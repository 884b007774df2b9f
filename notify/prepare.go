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
func (n *Notifier) preparing(ctx context.Context) {
	names, ids := n.named(ctx)
	refs := n.prepare(ctx, names)
	n.directory.certain() // ids stay what they are
	refs = append(refs, ids...)
	for {
		refs = n.prepare(ctx, refs)
		var again <-chan time.Time
		if len(refs) > 0 {
			again = time.After(prepareAgain)
		}
		select {
		case <-n.renamed:
			names, ids = n.named(ctx)
			refs = append(names, ids...)
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}

// named lists the channels that the rules name, and says what waits for others.
func (n *Notifier) named(ctx context.Context) (names, ids []string) {
	named := n.rules.Load().Channels()
	n.warnOfUnnamed(ctx, named)
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
func (n *Notifier) prepare(ctx context.Context, refs []string) (again []string) {
	for _, ref := range refs {
		channel, o := n.directory.find(ctx, ref, slackapi.Patience{For: resolveMost})
		id, known := n.directory.known(ref)
		switch {
		case o.Kind == slackapi.Stopped:
			return nil
		case o.Code == "channel_not_found" && known && id != ref:
			n.log.InfoContext(ctx, "a channel was renamed in Slack; its events go there as before", "channel", ref, "now", n.directory.name(id), "todo", "mend its name in rules.yaml")
		case o.Kind != slackapi.Sent:
			n.log.WarnContext(ctx, "a channel that the rules name can't be posted to; its events will be kept", "channel", ref,
				"err", o.Reason(), "todo", slackapi.ChannelTodo(o.Reason()))
		case !n.inspect(ctx, ref, channel):
			again = append(again, ref)
		}
	}
	return again
}

// inspect says what is wrong with a channel, and joins a public one. It is false if the name stood for another channel,
// in which Slack may have a message.
func (n *Notifier) inspect(ctx context.Context, ref string, c slackapi.Channel) bool {
	switch {
	case c.Archived:
		n.log.WarnContext(ctx, "a channel that the rules name is archived; its events will be kept", "channel", ref, "todo", slackapi.ChannelTodo("is_archived"))
	case c.Private && !c.Member:
		n.log.WarnContext(ctx, "the bot is not in a private channel that the rules name; its events will be kept", "channel", ref, "todo", slackapi.ChannelTodo("not_in_channel"))
	default:
		if id, ok := n.directory.known(ref); ok && id == c.ID && c.Member {
			return true
		}
		id, o, err := n.directory.resolve(ctx, ref, slackapi.Patience{For: resolveMost})
		switch {
		case errors.Is(err, outbox.ErrPosting):
			return false
		case err == nil && o.Kind == slackapi.Sent:
			n.wake(id) // what waited under the name has moved there
		case ctx.Err() == nil:
			n.log.WarnContext(ctx, "channel not resolved, will retry when it has something to post", "channel", ref, "err", cmp.Or(err, errors.New(o.Reason())))
		}
	}
	return true
}

// warnOfUnnamed says what waits for channels that no rule names: they were renamed in the rules, or mistyped.
func (n *Notifier) warnOfUnnamed(ctx context.Context, named []string) {
	busy, err := n.store.Busy(ctx)
	if err != nil {
		if ctx.Err() == nil {
			n.log.WarnContext(ctx, "what waits can't be read", "err", err)
		}
		return
	}
	for _, channel := range busy {
		if slices.ContainsFunc(named, func(ref string) bool {
			id, ok := n.directory.known(ref)
			return ref == channel || ok && id == channel
		}) {
			continue
		}
		at, err := n.store.StuckAt(ctx, channel)
		if err != nil || at.Waiting == 0 {
			continue
		}
		name := n.directory.name(channel)
		n.log.WarnContext(ctx, "deliveries wait for a channel that no rule names", "channel", name, "deliveries", at.Waiting,
			"todo", "if it should be another one: allo-slack replay -from \""+name+"\" -channel \"#OTHER\"")
	}
}
