package notify

import (
	"context"
	"errors"
	"time"

	"allo-slack/outbox"
)

const (
	// digestAbove is how many may wait for a channel before they go out together.
	digestAbove = 4
	// digestMost and digestBytes bound what is read for one digest. A message holds fewer.
	digestMost  = 80
	digestBytes = 4 << 20
)

// claim waits for the pace of channel and workspace and commits that an attempt is about to be made: at the open post, or at
// a new one of what waits. It is false if there is nothing to be sent any more, or if the post has to be looked for first:
// all other waiting comes before the last look, as it may take an hour.
func (w *worker) claim(ctx context.Context, p *post) (claimed bool, err error) {
	if _, _, told := w.slack.Now(); !told {
		w.slack.Answers(ctx) // before the turn: that may take long
	}
	if err := w.takeTurn(ctx); err != nil {
		return false, err
	}
	if p.stale(time.Now()) {
		return false, nil // it keeps the turn: who gave it back would wait behind all others each time
	}
	tick := w.onTime(w.turn)
	if p.Post == nil {
		claimed, err = w.begin(ctx, p, tick)
	} else {
		claimed, err = w.retry(ctx, p, tick)
	}
	if claimed {
		w.turn = outbox.Tick{}
	} else {
		w.passTurn()
	}
	return claimed, err
}

// takeTurn waits for the worker's turn at the pace, unless it has it.
func (w *worker) takeTurn(ctx context.Context) (err error) {
	if !w.turn.At.IsZero() {
		if time.Since(w.turn.At) <= turnKeeps && w.slack.Paused() == 0 {
			w.turn = w.pace.touch(w.channel)
			return nil
		}
		w.passTurn()
	}
	w.turn, err = w.pace.wait(ctx, w.channel)
	return err
}

// passTurn gives back a turn that isn't needed.
func (w *worker) passTurn() {
	w.pace.giveBack(w.turn)
	w.turn = outbox.Tick{}
}

// retry commits another attempt at a post.
func (w *worker) retry(ctx context.Context, p *post, tick outbox.Tick) (bool, error) {
	switch err := w.store.Settle(ctx, p.Post, attempting, tick); {
	case errors.Is(err, outbox.ErrGone):
		w.post = nil // it was sent elsewhere by hand
		return false, nil
	case err != nil:
		return false, err
	case p.looks == 0: // Slack surely didn't take it before
	case p.blind:
		w.metrics.unsure.WithLabelValues("unreadable").Inc()
	default:
		w.metrics.unsure.WithLabelValues("missing").Inc()
		w.log.InfoContext(ctx, "message not in the history, so it is sent again", "channel", w.name(), "attempt", p.Attempts-1)
	}
	return true, nil
}

// begin commits the next post: the oldest delivery, or as many as a digest holds, up to the first that Slack may have already
// or that mentions somebody who isn't known yet. It is read only now: a digest takes all that came while the pace was waited for.
func (w *worker) begin(ctx context.Context, p *post, tick outbox.Tick) (bool, error) {
	waiting, err := w.store.Waiting(ctx, w.channel, time.Now(), digestMost, digestBytes)
	if err != nil {
		return false, err
	}
	items, err := w.messages.read(ctx, waiting, w.waiting)
	if err != nil {
		return false, err
	}
	for i, it := range items {
		if len(w.people.strangers(it)) > 0 || !w.restored.clear(w.channel, &it.Delivery) {
			items = items[:i]
			break
		}
	}
	form, n := outbox.Message, min(1, len(items))
	if together := together(items); len(together) > digestAbove {
		if n = w.messages.digest(ctx, together); n > 1 {
			form = outbox.Digest
		}
	}
	w.waiting = nil
	if n == 0 {
		w.post = nil
		return false, nil
	}
	if p.Post, err = w.store.Begin(ctx, w.channel, form, waiting[:n], tick); err != nil || p.Post == nil {
		w.post = nil
		return false, err
	}
	if p.items, err = w.messages.read(ctx, p.Deliveries, items); err != nil {
		w.post = nil // it is found again in the store
		return false, err
	}
	return true, nil
}

// together returns what may stand in one digest.
func together(waiting []item) []item {
	for i, it := range waiting {
		if it.Alone || it.Part > 0 {
			return waiting[:i]
		}
	}
	return waiting
}

// onTime adds to a tick what Slack's clock says.
func (w *worker) onTime(tick outbox.Tick) outbox.Tick {
	tick.Early, tick.Late, _ = w.slack.Now()
	return tick
}
