package notify

import (
	"context"
	"slices"
)

// prepare asks Slack for every channel that the rules name, so that what is wrong with one is known before its first
// event, and says what waits for channels that no rule names any more. It holds nothing up.
func (n *Notifier) prepare(ctx context.Context) {
	named := n.rules.Load().Channels()
	n.warnOfUnnamed(ctx, named)
	for _, ref := range named {
		w := &worker{Notifier: n, channel: ref}
		trying, err := w.enter(ctx)
		if err != nil {
			return
		}
		channel, o := n.directory.find(ctx, ref)
		if ctx.Err() != nil {
			w.leave(trying)
			return
		}
		n.report(ctx, o)
		switch o.Kind {
		case Sent:
			n.inspect(ctx, ref, channel)
		case RefusedChannel, RefusedMessage, RefusedThread:
			n.log.WarnContext(ctx, "a channel that the rules name can't be posted to; its events will be kept", "channel", ref,
				"err", o.Reason(), "todo", channelTodo(o.Code))
		case Wait:
			if n.wait(ctx, o) != nil {
				return
			}
		case RefusedToken:
			_ = n.tokenRefused(ctx, o)
			return // what waits will find out when it works again
		default:
			w.leave(trying)
			return // Slack is away: each channel is looked up when it has something to post
		}
	}
}

// inspect says what is wrong with a channel, and joins a public one.
func (n *Notifier) inspect(ctx context.Context, ref string, c Channel) {
	switch {
	case c.Archived:
		n.log.WarnContext(ctx, "a channel that the rules name is archived; its events will be kept", "channel", ref, "todo", channelTodo("is_archived"))
	case c.Private && !c.Member:
		n.log.WarnContext(ctx, "the bot is not in a private channel that the rules name; its events will be kept", "channel", ref, "todo", channelTodo("not_in_channel"))
	default:
		if id, ok := n.directory.known(ref); ok && id == c.ID && c.Member {
			return
		}
		if _, o := n.directory.resolve(ctx, ref); o.Kind != Sent && ctx.Err() == nil {
			n.log.WarnContext(ctx, "channel not resolved, will retry when it has something to post", "channel", ref, "err", o.Reason())
		}
	}
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
