package notify

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"time"

	"allo-slack/format"
	"allo-slack/outbox"
)

const (
	// digestAbove is how many may wait for a channel before they go out together.
	digestAbove = 4
	// digestMost and digestBytes bound what is read for one digest. A message holds fewer.
	digestMost  = 80
	digestBytes = 4 << 20
	// channelTry is how often a channel that refuses everything is tried again.
	channelTry = time.Minute
	// grace is how long a send that is in flight when the process is told to stop is given to be answered.
	grace = 8 * time.Second
	// unknownMost is how often a message is tried that Slack refuses with an error this program doesn't know. With
	// the backoff that is about half an hour. strangeMost is the same for one that something else refuses, or whose
	// answers can't be read, while Slack answers others: about three minutes.
	unknownMost = 40
	strangeMost = 12
	// splitAfter is how often a digest is tried that draws such answers, before its events go alone: it may be for one
	// of them.
	splitAfter = 3
)

// worker works off one channel, alone.
type worker struct {
	*Notifier
	channel string    // Slack's id, or as a rule has it until Slack was asked
	again   bool      // something came while it worked; guarded by Notifier.mu
	last    string    // the error that was logged last
	ended   time.Time // when its last attempt ended; zero if it made none
	unsure  time.Time // when an attempt ended last that Slack may have taken
	blind   string    // the post whose history can't be read
	odd     int       // attempts at its post that Slack answered in a way which isn't believed for ever
	strange int       // attempts at its post that something answered in Slack's place, while Slack answered other calls

	rejoined time.Time // when it last tried to become a member of the channel
}

// run works until nothing is left, or ctx ends. What can't be done now is tried again by the next scan.
func (w *worker) run(ctx context.Context) {
	id, ok := w.resolved(ctx)
	if !ok {
		return
	}
	if id != w.channel {
		w.wake(id) // what waited has moved there
		return
	}
	for ctx.Err() == nil {
		more, err := w.next(ctx)
		if err != nil && ctx.Err() == nil {
			w.log.ErrorContext(ctx, "the store can't be worked with, will retry", "channel", w.directory.name(w.channel), "err", err)
			_ = sleep(ctx, time.Second)
			continue
		}
		if !more {
			return
		}
	}
}

// resolvePatience is how often a channel is looked up with answers that aren't believed for ever, before its trouble is
// told.
var resolvePatience = patience{odd: 5, lost: 40}

// resolved returns the id of the worker's channel, asking Slack for as long as it takes. It is false when ctx ended, or
// nothing waits under this name any more.
func (w *worker) resolved(ctx context.Context) (string, bool) {
	for ctx.Err() == nil {
		if id, ok := w.directory.known(w.channel); ok {
			return id, w.directory.checked(ctx)
		}
		if waits, err := w.store.Waits(ctx, w.channel); err == nil && !waits {
			return "", false
		}
		if id, ok, err := w.lookUpChannel(ctx, w.channel); err != nil {
			return "", false
		} else if ok {
			w.healed(ctx)
			return id, true
		}
	}
	return "", false
}

// lookUpChannel asks Slack which channel a reference stands for. Where it is refused the queue is held; then ok is false,
// and it is time to try again. The error is ctx's.
func (w *worker) lookUpChannel(ctx context.Context, ref string) (id string, ok bool, err error) {
	o, err := w.ask(ctx, resolvePatience, func(o Outcome, attempt int) {
		w.changed(ctx, "channel not looked up, will retry", o, attempt)
	}, func(ctx context.Context) (o Outcome) {
		id, o = w.directory.resolve(ctx, ref)
		return o
	})
	if err != nil || o.Kind == Sent {
		return id, err == nil, err
	}
	return "", false, w.hold(ctx, o)
}

// next settles one post; more is false if nothing waits. The error is the store's, or ctx's.
func (w *worker) next(ctx context.Context) (more bool, err error) {
	post, err := w.store.OpenPost(ctx, w.channel)
	if err != nil {
		return false, err
	}
	if post != nil {
		return true, w.settle(ctx, post, nil)
	}
	waiting, err := w.store.Waiting(ctx, w.channel, digestMost, digestBytes)
	if err != nil || len(waiting) == 0 {
		return false, err
	}
	if ref := w.directory.heir(w.channel); ref != "" {
		return w.handOver(ctx, ref)
	}
	// Slack is asked for people before the pace is waited for: that may take long.
	if err := w.meet(ctx, waiting); err != nil {
		return false, err
	}
	var c chance
	if c.entry, err = w.enter(ctx); err != nil {
		return false, err
	}
	if c.tick, err = w.pace.wait(ctx, w.channel); err != nil {
		w.leave(c.entry)
		return false, err
	}
	// Only now: a digest takes all that came while the pace was waited for.
	post, err = w.begin(ctx, &c)
	if err != nil || post == nil {
		w.pass(c)
		return err == nil, err
	}
	return true, w.settle(ctx, post, &c)
}

// begin commits the next post: the oldest delivery, or as many as a digest holds, up to the first that mentions somebody
// who isn't known yet. nil if there is none.
func (w *worker) begin(ctx context.Context, c *chance) (*outbox.Post, error) {
	waiting, err := w.store.Waiting(ctx, w.channel, digestMost, digestBytes)
	if err != nil {
		return nil, err
	}
	for i := range waiting {
		if len(w.strangers(ctx, &waiting[i])) > 0 {
			waiting = waiting[:i]
			break
		}
	}
	if len(waiting) == 0 {
		return nil, nil
	}
	form, n := outbox.Message, 1
	if together := together(waiting); len(together) > digestAbove {
		if err := guard(func() { _, n = format.Digest(w.items(ctx, together)) }); err != nil {
			w.log.ErrorContext(ctx, "a digest can't be made, so its first event goes alone", "channel", w.directory.name(w.channel), "err", err)
			n = 1
		}
		if n > 1 {
			form = outbox.Digest
		}
	}
	return w.store.Begin(ctx, w.channel, form, waiting[:n], w.onTime(ctx, c.tick))
}

// handOver has what waits go to the channel that has the name now. Where that can't be found the old one is tried again.
func (w *worker) handOver(ctx context.Context, ref string) (more bool, err error) {
	id, ok, err := w.lookUpChannel(ctx, ref)
	switch {
	case err != nil:
		return false, err
	case !ok:
		w.directory.inherit(w.channel, "")
		return true, nil
	}
	w.wake(id)
	return true, nil
}

// onTime adds to a tick what Slack's clock says, which is asked where it isn't known.
func (w *worker) onTime(ctx context.Context, tick outbox.Tick) outbox.Tick {
	early, late, told := w.slack.clock.now()
	if !told {
		w.answers(ctx)
		early, late, _ = w.slack.clock.now()
	}
	tick.Early, tick.Late = early, late
	return tick
}

// together returns the deliveries that may stand in one digest.
func together(waiting []outbox.Delivery) []outbox.Delivery {
	for i, d := range waiting {
		if d.Alone || d.Part > 0 {
			return waiting[:i]
		}
	}
	return waiting
}

// hold keeps the queue of a channel that refuses everything, says so, and returns when it is time to try again.
func (w *worker) hold(ctx context.Context, o Outcome) error {
	if o.Code == "not_in_channel" && time.Since(w.rejoined) > channelTry {
		// A channel that was archived and is not any more has lost its bots; of a public one they can be members again.
		w.rejoined = time.Now()
		if w.directory.rejoin(ctx, w.channel).Kind == Sent {
			w.log.InfoContext(ctx, "channel joined again", "channel", w.directory.name(w.channel))
			return nil
		}
	}
	if w.last != o.Code {
		w.last = o.Code
		w.log.ErrorContext(ctx, "channel refuses messages; they are kept, and tried again every minute",
			"channel", w.directory.name(w.channel), "err", o.Reason(), "todo", channelTodo(o.Code))
	}
	if err := w.store.SetTrouble(ctx, w.channel, o.Reason(), time.Now()); err != nil {
		w.log.WarnContext(ctx, "the channel's trouble could not be stored", "err", err)
	}
	w.troubled.Store(w.channel, true)
	if err := sleep(ctx, channelTry); err != nil {
		return err
	}
	successor := w.directory.successor(ctx, w.channel)
	if successor == "" {
		return ctx.Err()
	}
	w.log.InfoContext(ctx, "another channel has the name now; what waited goes there", "channel", w.directory.name(successor))
	w.healed(ctx)
	w.wake(successor)
	return nil
}

// healed notes that a channel takes messages.
func (w *worker) healed(ctx context.Context) {
	w.last = ""
	if _, was := w.troubled.LoadAndDelete(w.channel); !was {
		return
	}
	w.log.InfoContext(ctx, "channel takes messages again", "channel", w.directory.name(w.channel))
	if err := w.store.ClearTrouble(ctx, w.channel); err != nil {
		w.log.WarnContext(ctx, "the channel's trouble could not be cleared", "err", err)
	}
}

// changed logs a failure that heals by itself, once for each error.
func (w *worker) changed(ctx context.Context, message string, o Outcome, attempt int) {
	if w.last == o.Code {
		return
	}
	w.last = o.Code
	args := []any{"channel", w.directory.name(w.channel), "attempt", attempt, "err", o.Reason()}
	if o.Err != nil && !o.Answered {
		args = append(args, "cause", cause(o.Err))
	}
	w.log.WarnContext(ctx, message, args...)
}

// keep writes to the store until it succeeds: what Slack said must not be forgotten for a full disk. When ctx has
// ended it is tried for the rest of the grace.
func (w *worker) keep(ctx context.Context, write func(context.Context) error) error {
	writing := context.WithoutCancel(ctx)
	for {
		err := write(writing)
		if err == nil {
			return nil
		}
		w.log.ErrorContext(ctx, "what slack answered could not be stored, will retry", "channel", w.directory.name(w.channel), "err", err)
		if ctx.Err() != nil {
			return err
		}
		_ = sleep(ctx, time.Second)
	}
}

// backoff says how long to wait after so many attempts: a random time below 1 s, 2 s, 4 s, … 1 min (full jitter). A
// minute is how long people wait, at most, once Slack is back.
func backoff(attempts int) time.Duration {
	limit := min(time.Minute, time.Second<<min(max(attempts-1, 0), 6))
	return time.Duration(rand.Int64N(int64(limit))) + time.Millisecond
}

// guard turns a panic into an error. What one event holds must not end the process: it would meet that event again at
// each start.
func guard(f func()) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("panic: %w\n%s", v, debug.Stack())
		default:
			err = fmt.Errorf("panic: %T\n%s", v, debug.Stack()) // the value may hold the event's words
		}
	}()
	f()
	return nil
}
