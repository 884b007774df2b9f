package notify

import (
	"context"
	"math/rand/v2"
	"strings"
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
	// the backoff that is about half an hour.
	unknownMost = 40
)

// worker works off one channel, alone.
type worker struct {
	*Notifier
	channel string    // Slack's id, or as a rule has it until Slack was asked
	again   bool      // something came while it worked; guarded by Notifier.mu
	last    string    // the error that was logged last
	ended   time.Time // when its last attempt ended; zero if it made none

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

// resolved returns the id of the worker's channel, asking Slack for as long as it takes. It is false when ctx
// ended, or nothing waits under this name any more.
func (w *worker) resolved(ctx context.Context) (string, bool) {
	for attempt := 1; ctx.Err() == nil; attempt++ {
		if id, ok := w.directory.known(w.channel); ok {
			return id, true
		}
		if waits, err := w.store.Waits(ctx, w.channel); err == nil && !waits {
			return "", false
		}
		trying, err := w.enter(ctx)
		if err != nil {
			return "", false
		}
		id, o := w.directory.resolve(ctx, w.channel)
		if ctx.Err() != nil {
			w.leave(trying)
			return "", false
		}
		w.report(ctx, o)
		switch o.Kind {
		case Sent:
			w.healed(ctx)
			return id, true
		case Wait:
			err = w.wait(ctx, o)
		case RefusedToken:
			err = w.tokenRefused(ctx, o)
		case RefusedChannel, RefusedThread, RefusedMessage:
			err = w.hold(ctx, o)
		default:
			w.changed(ctx, "channel not looked up, will retry", o, attempt)
			err = w.retry(ctx, o, attempt)
		}
		if err != nil {
			return "", false
		}
	}
	return "", false
}

// entry is which gates the caller tries for.
type entry struct{ health, token bool }

// enter returns when Slack and the token can be worked with, or when it is this worker's turn to try.
func (w *worker) enter(ctx context.Context) (e entry, err error) {
	if e.token, err = w.token.enter(ctx); err != nil {
		return e, err
	}
	if e.health, err = w.health.gate.enter(ctx); err != nil {
		w.leave(e)
		return entry{}, err
	}
	return e, nil
}

func (w *worker) leave(e entry) {
	if e.token {
		w.token.left()
	}
	if e.health {
		w.health.gate.left()
	}
}

// next settles one post; more is false if nothing waits. The error is the store's, or ctx's.
func (w *worker) next(ctx context.Context) (more bool, err error) {
	post, err := w.store.OpenPost(ctx, w.channel)
	if err != nil {
		return false, err
	}
	if post != nil {
		return true, w.settle(ctx, post, false)
	}
	if waits, err := w.store.Waits(ctx, w.channel); err != nil || !waits {
		return false, err
	}
	trying, err := w.enter(ctx)
	if err != nil {
		return false, err
	}
	tick, err := w.pace.wait(ctx, w.channel)
	if err != nil {
		w.leave(trying)
		return false, err
	}
	// Only now: a digest takes all that came while the pace was waited for.
	post, err = w.begin(ctx, tick)
	if err != nil || post == nil {
		w.leave(trying)
		w.pace.giveBack()
		return err == nil, err
	}
	return true, w.settle(ctx, post, true)
}

// begin commits the next post: the oldest delivery, or as many as a digest holds.
func (w *worker) begin(ctx context.Context, tick outbox.Tick) (*outbox.Post, error) {
	waiting, err := w.store.Waiting(ctx, w.channel, digestMost, digestBytes)
	if err != nil || len(waiting) == 0 {
		return nil, err
	}
	if err := w.meet(ctx, waiting); err != nil {
		return nil, err
	}
	form, n := outbox.Message, 1
	if together := together(waiting); len(together) > digestAbove {
		_, n = format.Digest(w.items(ctx, together))
		if n > 1 {
			form = outbox.Digest
		}
	}
	return w.store.Begin(ctx, w.channel, form, waiting[:n], tick)
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

// settle sends a post until it is settled. fresh is true when its first attempt was committed and not yet made.
func (w *worker) settle(ctx context.Context, p *outbox.Post, fresh bool) error {
	form := p.Form
	for {
		if !fresh {
			if p.Doubt {
				ended := w.ended
				if ended.IsZero() {
					ended = w.started // an attempt of the process before this one ended with it
				}
				ts, err := w.look(ctx, p, ended)
				if err != nil {
					return err
				}
				if ts != "" {
					return w.sent(ctx, p, ts, p.Thread)
				}
			}
			trying, err := w.enter(ctx)
			if err != nil {
				return err
			}
			tick, err := w.pace.wait(ctx, w.channel)
			if err == nil {
				err = w.store.Attempt(ctx, p, form, tick)
			}
			if err != nil {
				w.leave(trying)
				return err
			}
		}
		fresh = false

		o := w.send(ctx, p)
		w.ended = time.Now()
		tick := w.pace.answered(w.channel)
		w.metrics.posts.WithLabelValues(o.Kind.String()).Inc()
		w.report(ctx, o)

		switch o.Kind {
		case Sent:
			return w.sent(ctx, p, o.TS, o.Thread)
		case Unsure:
			w.changed(ctx, "no clear answer, so the history is looked at before it is sent again", o, p.Attempts)
			if p.Attempts > 1 {
				// What keeps failing is tried less and less often; while Slack is away the gate sees to that.
				if err := w.retry(ctx, o, p.Attempts); err != nil {
					return err
				}
			}
		case Wait:
			if err := w.keep(ctx, func(ctx context.Context) error { return w.store.NotTaken(ctx, p, false, tick) }); err != nil {
				return err
			}
			if err := w.wait(ctx, o); err != nil {
				return err
			}
		case Later:
			if o.Bounded && p.Attempts >= unknownMost {
				return w.setAside(ctx, p, o, tick)
			}
			if err := w.keep(ctx, func(ctx context.Context) error { return w.store.NotTaken(ctx, p, true, tick) }); err != nil {
				return err
			}
			w.changed(ctx, "not posted, will retry", o, p.Attempts)
			if err := w.retry(ctx, o, p.Attempts); err != nil {
				return err
			}
		case RefusedToken:
			if err := w.keep(ctx, func(ctx context.Context) error { return w.store.NotTaken(ctx, p, false, tick) }); err != nil {
				return err
			}
			if err := w.tokenRefused(ctx, o); err != nil {
				return err
			}
		case RefusedChannel:
			if err := w.keep(ctx, func(ctx context.Context) error { return w.store.Release(ctx, p, tick) }); err != nil {
				return err
			}
			return w.hold(ctx, o)
		case RefusedThread:
			if p.Thread == "" {
				// Not a reply, and yet refused as one: that is about the channel.
				if err := w.keep(ctx, func(ctx context.Context) error { return w.store.Release(ctx, p, tick) }); err != nil {
					return err
				}
				return w.hold(ctx, o)
			}
			w.log.WarnContext(ctx, "thread takes no replies; the message goes to the top of the channel", "channel", w.directory.name(w.channel), "err", o.Reason())
			if err := w.keep(ctx, func(ctx context.Context) error { return w.store.Unthread(ctx, p) }); err != nil {
				return err
			}
			if err := w.keep(ctx, func(ctx context.Context) error { return w.store.NotTaken(ctx, p, true, tick) }); err != nil {
				return err
			}
		case RefusedMessage:
			switch {
			case len(p.Deliveries) > 1:
				w.log.WarnContext(ctx, "digest refused; its events go alone", "channel", w.directory.name(w.channel), "err", o.Reason())
				return w.keep(ctx, func(ctx context.Context) error { return w.store.Split(ctx, p, tick) })
			case form != outbox.Plain:
				w.log.WarnContext(ctx, "message refused; it goes as plain text", "channel", w.directory.name(w.channel),
					"event_id", p.Deliveries[0].Event, "err", o.Reason())
				form = outbox.Plain
				if err := w.keep(ctx, func(ctx context.Context) error { return w.store.NotTaken(ctx, p, true, tick) }); err != nil {
					return err
				}
			default:
				return w.setAside(ctx, p, o, tick)
			}
		}
	}
}

// send makes one attempt. It is not cut short when ctx ends, but given grace: Slack may have the message already.
func (w *worker) send(ctx context.Context, p *outbox.Post) Outcome {
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
	items := w.items(ctx, p.Deliveries)
	return w.slack.post(sending, place{p.Channel, p.Thread, fromCustomer(items)}, p.ID, render(p, items))
}

// sent commits that Slack has a post. Until that is on disk nothing else is done: a crash before would find it in
// the history.
func (w *worker) sent(ctx context.Context, p *outbox.Post, ts, thread string) error {
	now := time.Now()
	tick := w.pace.answered(w.channel)
	shown := outbox.Shown{TS: ts, Thread: thread}
	if len(p.Deliveries) == 1 && p.Deliveries[0].Part == 0 {
		it, options := w.item(ctx, &p.Deliveries[0])
		shown.Retell = it.Event.Call != nil
		if options.Transcript == "thread" {
			shown.Parts = len(format.Transcript(it))
		}
	}
	err := w.keep(ctx, func(ctx context.Context) error { return w.store.Sent(ctx, p, shown, tick) })
	if err != nil {
		return err
	}
	w.healed(ctx)
	signal(w.updates)
	for _, d := range p.Deliveries {
		w.metrics.shown.Inc()
		w.metrics.delay.Observe(now.Sub(d.Received).Seconds())
		w.log.InfoContext(ctx, "sent", "event_id", d.Event, "event_kind", kind(&d), "channel", w.directory.name(w.channel),
			"rule", d.Rule, "attempt", p.Attempts, "duration", now.Sub(d.Received).Round(time.Millisecond).String())
	}
	return nil
}

func (w *worker) setAside(ctx context.Context, p *outbox.Post, o Outcome, tick outbox.Tick) error {
	err := w.keep(ctx, func(ctx context.Context) error { return w.store.SetAside(ctx, p, o.Reason(), tick) })
	if err != nil {
		return err
	}
	for _, d := range p.Deliveries {
		w.metrics.aside.Inc()
		w.log.ErrorContext(ctx, "set aside: slack refuses it for good", "event_id", d.Event, "event_kind", kind(&d),
			"channel", w.directory.name(w.channel), "rule", d.Rule, "err", o.Reason(),
			"todo", "see: allo-slack failed; send it again with: allo-slack replay")
	}
	signal(w.Notifier.aside)
	return nil
}

// hold keeps the queue of a channel that refuses everything, says so, and returns when it is time to try again.
func (w *worker) hold(ctx context.Context, o Outcome) error {
	if o.Code == "not_in_channel" && time.Since(w.rejoined) > channelTry {
		// A channel that was archived and is not any more has lost its bots; of a public one they can be members again.
		w.rejoined = time.Now()
		if w.directory.rejoin(ctx, w.channel) {
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
	successor, err := w.directory.moved(ctx, w.channel)
	if err != nil || successor == "" {
		return err
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

// channelTodo says what a person can do about a channel that refuses messages.
func channelTodo(reason string) string {
	code, _, _ := strings.Cut(reason, ":")
	switch code {
	case "channel_not_found":
		return "create the channel or mend its name in rules.yaml; for a private one type /invite @allo-slack in it"
	case "not_in_channel":
		return "in Slack type /invite @allo-slack in the channel"
	case "is_archived":
		return "unarchive the channel, or name another in rules.yaml and send what waits there: allo-slack replay -from CHANNEL -channel OTHER"
	}
	return "let the app post in this channel (channel settings, posting permissions)"
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
