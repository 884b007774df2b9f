package notify

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"allo-slack/outbox"
	"allo-slack/slackapi"
)

const (
	// channelTry is how often a channel that refuses everything is tried again.
	channelTry = time.Minute
	// grace is how long a send that is in flight when the process is told to stop is given to be answered.
	grace = 8 * time.Second
)

// worker works off one channel, alone: it claims the next post, renders it, sends it, and settles what became of it, step by
// step until nothing waits.
type worker struct {
	channel  string // Slack's id, or as a rule has it until Slack was asked
	store    *outbox.Store
	slack    *slackapi.Client
	channels *directory
	people   *people
	messages *messages
	restored *restored
	pace     *pacer
	troubles *troubles
	metrics  *Metrics
	log      *slog.Logger
	wake     func(channel string)
	updates  chan<- struct{} // something is to be updated
	aside    chan<- struct{} // something was set aside

	again    bool        // something came while it worked; guarded by Notifier.mu
	post     *post       // the one that is worked on; nil if none is known of
	waiting  []item      // what waits behind it, as far as it was read
	turn     outbox.Tick // at the pace, if it was taken and not used
	last     string      // the error that was logged last
	rejoined time.Time   // when it last tried to become a member of the channel
}

// post is an open post, or the next: what the outbox has of it, what it shows, read once, and how it goes.
type post struct {
	*outbox.Post // nil until its first attempt claims what waits
	items        []item
	course
}

// run works until nothing is left, or ctx ends. What can't be done now is tried again by the next scan.
func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		id, err := w.resolved(ctx)
		if err == nil && id != w.channel {
			if id != "" {
				w.wake(id) // what waited has moved there
			}
			return
		}
		more := true
		if err == nil {
			more, err = w.step(ctx)
		}
		if err != nil && ctx.Err() == nil {
			w.log.ErrorContext(ctx, "the store can't be worked with, will retry", "channel", w.name(), "err", err)
			_ = slackapi.Sleep(ctx, time.Second)
			continue
		}
		if !more {
			return
		}
	}
}

// resolved returns the id of the worker's channel, asking Slack for as long as it takes; "" if nothing waits under this name
// any more. The error is the store's, or ctx's.
func (w *worker) resolved(ctx context.Context) (string, error) {
	for {
		if id, ok := w.channels.known(w.channel); ok {
			return id, w.channels.checked(ctx)
		}
		if waits, err := w.store.Waits(ctx, w.channel); err != nil || !waits {
			return "", err
		}
		id, o, err := w.channels.resolve(ctx, w.channel, w.patience(ctx, resolveMost, "channel not looked up, will retry"))
		switch {
		case err != nil:
			return "", err
		case o.Kind == slackapi.Sent:
			w.healed(ctx)
			return id, nil
		}
		if err := w.hold(ctx, o); err != nil {
			return "", err
		}
	}
}

// step brings the channel's posts one step further; more is false if nothing waits. The error is the store's, or ctx's.
func (w *worker) step(ctx context.Context) (more bool, err error) {
	if w.post == nil {
		if more, err := w.open(ctx); err != nil || w.post == nil {
			return more, err
		}
	}
	p := w.post
	if err := slackapi.Sleep(ctx, time.Until(p.due)); err != nil {
		return false, err
	}
	var o slackapi.Outcome
	if p.do == look {
		o = w.look(ctx, p)
	} else {
		o = w.attempt(ctx, p)
	}
	switch {
	case o.Kind == slackapi.Stopped, o.Err != nil && o.Kind == slackapi.NotAsked:
		return true, o.Err
	case o.Kind == slackapi.NotAsked:
		p.do, p.due = look, o.At // it has to be looked for first, unless it is gone
		return true, nil
	}
	return true, w.settle(ctx, p, o)
}

// open has the worker go on with the channel's open post or, where there is none, make the next of what waits ready: then
// its first attempt claims it. more is false if nothing waits.
func (w *worker) open(ctx context.Context) (more bool, err error) {
	open, err := w.store.OpenPost(ctx, w.channel)
	if err != nil {
		return false, err
	}
	if open != nil {
		items, err := w.messages.read(ctx, open.Deliveries, nil)
		if err != nil {
			return false, err
		}
		if settled, err := w.recognise(ctx, items, len(items)+1); err != nil || settled > 0 {
			return true, err
		}
		w.post = &post{Post: open, items: items, course: resume(open, time.Now())}
		return true, nil
	}
	waiting, err := w.store.Waiting(ctx, w.channel, time.Now(), digestMost, digestBytes)
	if err != nil || len(waiting) == 0 {
		return false, err
	}
	if ref := w.channels.heir(w.channel); ref != "" {
		return w.handOver(ctx, ref)
	}
	if w.waiting, err = w.messages.read(ctx, waiting, nil); err != nil {
		return false, err
	}
	if settled, err := w.recognise(ctx, w.waiting, readsMost); err != nil || settled > 0 {
		return true, err
	}
	// Slack is asked for people before the pace is waited for: that may take long.
	if err := w.people.meet(ctx, w.waiting); err != nil {
		return false, err
	}
	w.post = &post{course: course{do: try}}
	return true, nil
}

// recognise settles what Slack has already of what waits or is being posted, if the store was restored from a copy.
func (w *worker) recognise(ctx context.Context, items []item, most int) (settled int, err error) {
	settled, err = w.restored.recognise(ctx, w.channel, items, most, w.patience(ctx, historyMost, "history not read, will retry"),
		func(it item) int { return w.messages.parts(ctx, it) })
	if settled > 0 {
		w.healed(ctx)
		signal(w.updates)
		w.metrics.shown.Add(float64(settled))
	}
	return settled, err
}

// attempt makes one attempt, once Slack can be worked with. The outcome is NotAsked, with the store's error or ctx's, or
// without one where there was nothing to be sent, or where it has to be looked for first.
func (w *worker) attempt(ctx context.Context, p *post) slackapi.Outcome {
	var unmade error
	o := w.slack.Ask(ctx, slackapi.Posting, slackapi.Once, func(ctx context.Context) slackapi.Outcome {
		if claimed, err := w.claim(ctx, p); !claimed {
			return slackapi.Unasked(err)
		}
		var m slackapi.Message
		if m, unmade = w.messages.render(ctx, p.Post, p.items); unmade != nil {
			return slackapi.Unasked(nil)
		}
		return w.send(ctx, p, m)
	})
	if unmade != nil {
		w.log.ErrorContext(ctx, "a message can't be made", "channel", w.name(), "event_id", p.Deliveries[0].Event, "err", unmade)
		o.Kind, o.Code, o.Err = slackapi.RefusedMessage, "the message can't be made", unmade
	}
	return o
}

// send sends a message. It is not cut short when ctx ends, but given grace: Slack may have the message already.
func (w *worker) send(ctx context.Context, p *post, m slackapi.Message) slackapi.Outcome {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-sending.Done():
		}
	})
	defer stop()
	o := w.slack.Post(sending, slackapi.Place{Channel: p.Channel, Thread: p.Thread}, m)
	w.metrics.posts.WithLabelValues(o.Kind.String()).Inc()
	return o
}

// settle commits what becomes of a post, and waits before what comes next if that is to be waited for. Until it is on disk
// nothing else is done in the channel: what Slack said must not be forgotten for a full disk.
func (w *worker) settle(ctx context.Context, p *post, o slackapi.Outcome) error {
	t, c := next(p, o)
	tick := outbox.Tick{} // a look is none
	if p.do != look || t.Fate != outbox.StaysOpen {
		tick = w.pace.touch(w.channel)
	}
	if t.Fate == outbox.Sent && len(p.items) == 1 {
		t.Shown.Parts = w.messages.parts(ctx, p.items[0])
	}
	err := w.keep(ctx, func(ctx context.Context) error { return w.store.Settle(ctx, p.Post, t, tick) })
	switch {
	case errors.Is(err, outbox.ErrGone) && t.Fate != outbox.Sent: // it was sent elsewhere by hand
		w.post = nil
		return nil
	case err != nil && !errors.Is(err, outbox.ErrGone): // one that is sent already is, by this very commit
		return err
	}
	w.tell(ctx, p, o, t, c)
	p.course = c
	if t.Fate != outbox.StaysOpen {
		w.post = nil
		w.passTurn()
	}
	switch {
	case c.do == hold:
		p.do = try // after it
		return w.hold(ctx, o)
	case c.backoff:
		return w.slack.Sleep(ctx, slackapi.Backoff(p.Attempts), o)
	}
	return nil
}

// keep writes to the store until it succeeds, or the post is gone. When ctx has ended it is tried once more.
func (w *worker) keep(ctx context.Context, write func(context.Context) error) error {
	writing := context.WithoutCancel(ctx)
	for {
		err := write(writing)
		if err == nil || errors.Is(err, outbox.ErrGone) {
			return err
		}
		w.log.ErrorContext(ctx, "what slack answered could not be stored, will retry", "channel", w.name(), "err", err)
		if ctx.Err() != nil {
			return err
		}
		_ = slackapi.Sleep(ctx, time.Second)
	}
}

// name is the channel's, as people know it.
func (w *worker) name() string { return w.channels.name(w.channel) }

// patience lasts for a time, and logs each failure that is tried again.
func (w *worker) patience(ctx context.Context, d time.Duration, message string) slackapi.Patience {
	return slackapi.Patience{For: d, Failed: func(o slackapi.Outcome, try int) {
		w.changed(ctx, message, o, try)
	}}
}
