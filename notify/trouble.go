package notify

import (
	"context"
	"errors"
	"sync"
	"time"

	"allo-slack/outbox"
	"allo-slack/slackapi"
)

// troubles knows which channels are stuck, as the store has them.
type troubles struct {
	store *outbox.Store
	stuck sync.Map // by channel
}

func newTroubles(ctx context.Context, store *outbox.Store) (*troubles, error) {
	list, err := store.Troubles(ctx)
	if err != nil {
		return nil, err
	}
	t := &troubles{store: store}
	for _, one := range list {
		t.stuck.Store(one.Channel, true)
	}
	return t, nil
}

// note commits why a channel is stuck.
func (t *troubles) note(ctx context.Context, channel, reason string) error {
	t.stuck.Store(channel, true)
	return t.store.SetTrouble(ctx, channel, reason, time.Now())
}

// over commits that a channel is stuck no more; was is false if it wasn't. What could not be cleared is still to be.
func (t *troubles) over(ctx context.Context, channel string) (was bool, err error) {
	if _, was = t.stuck.LoadAndDelete(channel); !was {
		return false, nil
	}
	if err = t.store.ClearTrouble(context.WithoutCancel(ctx), channel); err != nil {
		t.stuck.Store(channel, true)
	}
	return true, err
}

// hold keeps the queue of a channel that refuses everything, says so, and returns when it is time to try again. What waits
// goes to the channel that has the name by then.
func (w *worker) hold(ctx context.Context, o slackapi.Outcome) error {
	if o.Code == "not_in_channel" && time.Since(w.rejoined) > channelTry {
		// A channel that was archived and is not any more has lost its bots; of a public one they can be members again.
		w.rejoined = time.Now()
		if w.channels.rejoin(ctx, w.channel, slackapi.Once).Kind == slackapi.Sent {
			w.log.InfoContext(ctx, "channel joined again", "channel", w.name())
			return nil
		}
	}
	if w.last != o.Code {
		w.last = o.Code
		w.log.ErrorContext(ctx, "channel refuses messages; they are kept, and tried again every minute",
			"channel", w.name(), "err", o.Reason(), "todo", slackapi.ChannelTodo(o.Code))
	}
	if err := w.troubles.note(ctx, w.channel, o.Reason()); err != nil && ctx.Err() == nil {
		w.log.WarnContext(ctx, "the channel's trouble could not be stored", "err", err)
	}
	if err := slackapi.Sleep(ctx, channelTry); err != nil {
		return err
	}
	w.restored.again(w.channel)
	if successor := w.channels.successor(ctx, w.channel); successor != "" {
		w.log.InfoContext(ctx, "another channel has the name now; what waited goes there", "channel", w.channels.name(successor))
		w.healed(ctx)
		w.wake(successor)
	}
	if w.post != nil && w.channels.heir(w.channel) != "" {
		err := w.keep(ctx, func(ctx context.Context) error { return w.store.Settle(ctx, w.post.Post, abandoned, outbox.Tick{}) })
		if err != nil && !errors.Is(err, outbox.ErrGone) {
			return err
		}
		w.post = nil
	}
	return context.Cause(ctx)
}

// handOver has what waits go to the channel that has the name now. Where that can't be found the old one is tried again.
func (w *worker) handOver(ctx context.Context, ref string) (more bool, err error) {
	id, o, err := w.channels.resolve(ctx, ref, w.patience(ctx, resolveMost, "channel not looked up, will retry"))
	switch {
	case err != nil:
		return false, err
	case o.Kind == slackapi.Sent:
		w.wake(id)
		return true, nil
	}
	if err := w.hold(ctx, o); err != nil {
		return false, err
	}
	w.channels.inherit(w.channel, "")
	return true, nil
}

// healed notes that a channel takes messages.
func (w *worker) healed(ctx context.Context) {
	w.last = ""
	switch was, err := w.troubles.over(ctx, w.channel); {
	case err != nil:
		w.log.WarnContext(ctx, "the channel's trouble could not be cleared, will retry", "channel", w.name(), "err", err)
	case was:
		w.log.InfoContext(ctx, "channel takes messages again", "channel", w.name())
	}
}
