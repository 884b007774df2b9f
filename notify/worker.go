package notify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
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

// settle sends a post until it is settled. With a chance its first attempt was committed and not yet made.
func (w *worker) settle(ctx context.Context, p *outbox.Post, first *chance) error {
	form, doubt := p.Form, false // doubt: Slack may have it from an attempt before the last
	w.strange, w.odd, w.unsure = 0, 0, later(w.started, w.ended)
	for {
		var c chance
		if first != nil {
			c, first = *first, nil
		} else {
			var err error
			if c, err = w.await(ctx, p); err != nil {
				return err
			}
			if c.found != nil {
				return w.sent(ctx, p, c.found.ts, c.found.thread)
			}
			switch {
			case p.Doubt && c.blind:
				w.metrics.unsure.WithLabelValues("unreadable").Inc()
			case p.Doubt:
				w.metrics.unsure.WithLabelValues("missing").Inc()
				w.log.InfoContext(ctx, "message not in the history, so it is sent again", "channel", w.directory.name(p.Channel), "attempt", p.Attempts)
			}
			doubt = p.Doubt && (c.blind || time.Since(w.unsure) < doubtLasts)
			if err := w.store.Attempt(ctx, p, form, w.onTime(ctx, c.tick)); err != nil {
				w.pass(c)
				if errors.Is(err, outbox.ErrGone) {
					return nil // it was sent elsewhere by hand
				}
				return err
			}
		}

		o := w.send(ctx, p)
		w.ended = time.Now()
		tick := w.pace.touch(w.channel)
		w.metrics.posts.WithLabelValues(o.Kind.String()).Inc()
		w.report(ctx, c.entry, o)
		spent := w.spent(ctx, p, o)
		answer := outbox.Answer{Reason: o.Reason(), Attempt: true, Doubt: doubt, Looked: !c.blind || time.Since(w.unsure) > doubtLasts}

		switch o.Kind {
		case Sent:
			return w.sent(ctx, p, o.TS, o.Thread)
		case Unsure:
			w.unsure = w.ended
			w.inDoubt(ctx, p, o.Reason(), false)
			w.changed(ctx, "no clear answer, so the history is looked at before it is sent again", o, p.Attempts)
			if spent {
				return w.giveUp(ctx, p, true, o, tick)
			}
			if p.Attempts > 1 && w.blind != p.ID {
				// Once it was looked for it may be sent elsewhere by hand.
				if err := sleep(ctx, secondLook); err != nil {
					return err
				}
				found, blind, err := w.look(ctx, p, 1)
				switch {
				case err != nil:
					return err
				case found != nil:
					return w.sent(ctx, p, found.ts, found.thread)
				}
				w.inDoubt(ctx, p, o.Reason(), !blind)
			}
			if w.blind == p.ID && p.Attempts > 3 {
				w.inDoubt(ctx, p, o.Reason(), true) // it will never be known
			}
			if p.Attempts > 1 {
				// What keeps failing is tried less and less often; while Slack is away the gate sees to that.
				if err := w.retry(ctx, o, p.Attempts); err != nil {
					return err
				}
			}
		case Wait:
			answer.Attempt = false
			if err := w.notTaken(ctx, p, answer, tick); err != nil {
				return err
			}
			if err := w.pace.rest(ctx); err != nil {
				return err
			}
		case Later:
			if spent {
				return w.giveUp(ctx, p, doubt, o, tick)
			}
			if err := w.notTaken(ctx, p, answer, tick); err != nil {
				return err
			}
			w.changed(ctx, "not posted, will retry", o, p.Attempts)
			if err := w.retry(ctx, o, p.Attempts); err != nil {
				return err
			}
		case RefusedToken:
			answer.Attempt = false
			if err := w.notTaken(ctx, p, answer, tick); err != nil {
				return err
			}
		case RefusedThread:
			if p.Thread != "" {
				if settled, err := w.settledBefore(ctx, p, doubt); err != nil || settled {
					return err
				}
				answer.Doubt = false // it was looked for where it would be
				w.log.WarnContext(ctx, "thread takes no replies; the message goes to the top of the channel", "channel", w.directory.name(w.channel), "err", o.Reason())
				if err := w.keep(ctx, func(ctx context.Context) error { return w.store.Unthread(ctx, p) }); err != nil {
					return err
				}
				if err := w.notTaken(ctx, p, answer, tick); err != nil {
					return err
				}
				continue
			}
			// Not a reply, and yet refused as one: that is about the channel.
			fallthrough
		case RefusedChannel:
			if doubt {
				// It is let go of once it is known, or if another channel has the name now.
				if err := w.notTaken(ctx, p, answer, tick); err != nil {
					return err
				}
				if err := w.hold(ctx, o); err != nil {
					return err
				}
				if w.directory.heir(w.channel) == "" {
					continue
				}
				return w.keep(ctx, func(ctx context.Context) error { return w.store.Release(ctx, p, tick) })
			}
			if err := w.keep(ctx, func(ctx context.Context) error { return w.store.Release(ctx, p, tick) }); err != nil {
				return err
			}
			return w.hold(ctx, o)
		case RefusedMessage:
			if len(p.Deliveries) == 1 && form != outbox.Plain {
				w.log.WarnContext(ctx, "message refused; it goes as plain text", "channel", w.directory.name(w.channel),
					"event_id", p.Deliveries[0].Event, "err", o.Reason())
				form = outbox.Plain
				if err := w.notTaken(ctx, p, answer, tick); err != nil {
					return err
				}
				continue
			}
			return w.giveUp(ctx, p, doubt, o, tick)
		}
	}
}

// inDoubt stores why Slack may or may not have a post.
func (w *worker) inDoubt(ctx context.Context, p *outbox.Post, reason string, looked bool) {
	if err := w.store.InDoubt(context.WithoutCancel(ctx), p, reason, looked); err != nil {
		w.log.WarnContext(ctx, "why a message is in doubt could not be stored", "channel", w.directory.name(w.channel), "err", err)
	}
}

// settledBefore looks once more for a post in doubt before it is let go of, and settles it if Slack has it.
func (w *worker) settledBefore(ctx context.Context, p *outbox.Post, doubt bool) (bool, error) {
	if !doubt {
		return false, nil
	}
	if w.blind != p.ID {
		if err := sleep(ctx, time.Until(w.unsure.Add(doubtLasts))); err != nil {
			return false, err
		}
	}
	found, _, err := w.look(ctx, p, 1)
	if err != nil || found == nil {
		return false, err
	}
	return true, w.sent(ctx, p, found.ts, found.thread)
}

// notTaken commits that an attempt at a post was surely not taken.
func (w *worker) notTaken(ctx context.Context, p *outbox.Post, a outbox.Answer, tick outbox.Tick) error {
	return w.keep(ctx, func(ctx context.Context) error { return w.store.NotTaken(ctx, p, a, tick) })
}

// spent reports whether a post was tried often enough with outcomes that aren't for ever. One that isn't Slack's answer
// counts only if Slack answers other calls meanwhile: something between us and Slack may refuse everything for hours.
func (w *worker) spent(ctx context.Context, p *outbox.Post, o Outcome) bool {
	if !o.Bounded {
		return false
	}
	var tries, most int
	if o.Strange {
		if w.strange++; !w.answers(ctx) {
			w.strange = 0
		}
		tries, most = w.strange, strangeMost
	} else {
		w.odd++
		tries, most = w.odd, unknownMost
	}
	if len(p.Deliveries) > 1 {
		most = splitAfter
	}
	return tries >= most
}

// giveUp settles a post that can't be posted as it is. The events of a digest go alone, as it may be for one of them; one
// alone is set aside.
func (w *worker) giveUp(ctx context.Context, p *outbox.Post, doubt bool, o Outcome, tick outbox.Tick) error {
	if settled, err := w.settledBefore(ctx, p, doubt); err != nil || settled {
		return err
	}
	if len(p.Deliveries) == 1 {
		return w.setAside(ctx, p, o, tick)
	}
	w.log.WarnContext(ctx, "digest refused; its events go alone", "channel", w.directory.name(w.channel), "err", o.Reason())
	return w.keep(ctx, func(ctx context.Context) error { return w.store.Split(ctx, p, tick) })
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
	var message format.Message
	to := place{channel: p.Channel, thread: p.Thread}
	if err := guard(func() {
		items := w.items(ctx, p.Deliveries)
		message, to.broadcast = render(p, items), fromCustomer(items)
	}); err != nil {
		w.log.ErrorContext(ctx, "a message can't be made", "channel", w.directory.name(w.channel), "event_id", p.Deliveries[0].Event, "err", err)
		return Outcome{Kind: RefusedMessage, Local: true, Code: "the message can't be made", Err: err}
	}
	return w.slack.post(sending, to, p.ID, message)
}

// sent commits that Slack has a post. Until that is on disk nothing else is done: a crash before would find it in
// the history.
func (w *worker) sent(ctx context.Context, p *outbox.Post, ts, thread string) error {
	now := time.Now()
	tick := w.pace.touch(w.channel)
	shown := outbox.Shown{TS: ts, Thread: thread}
	if len(p.Deliveries) == 1 && p.Deliveries[0].Part == 0 {
		if err := guard(func() {
			it, options := w.item(ctx, &p.Deliveries[0])
			shown.Retell = it.Event.Call != nil
			if options.Transcript == "thread" {
				shown.Parts = len(format.Transcript(it))
			}
		}); err != nil {
			w.log.ErrorContext(ctx, "what follows a message can't be made and is left out", "event_id", p.Deliveries[0].Event, "err", err)
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

// channelTodo says what a person can do about a channel that refuses messages, or whose messages get no further.
func channelTodo(reason string) string {
	switch code(reason) {
	case "channel_not_found":
		return "create the channel or mend its name in rules.yaml; for a private one type /invite @allo-slack in it"
	case "not_in_channel":
		return "in Slack type /invite @allo-slack in the channel"
	case "is_archived":
		return "unarchive the channel, or name another in rules.yaml and send what waits there: allo-slack replay -from CHANNEL -channel OTHER"
	}
	if todo := wayTodo(reason); todo != "" {
		return todo
	}
	return "let the app post in this channel (channel settings, posting permissions)"
}

// code is what a reason begins with, which says what is wrong (see Outcome.Reason).
func code(reason string) string {
	code, _, _ := strings.Cut(strings.TrimPrefix(reason, unreadable), ":")
	return code
}

// wayTodo says what a person can do about what is wrong on the way to any channel; "" if nothing is.
func wayTodo(reason string) string {
	code := code(reason)
	switch {
	case strings.HasPrefix(code, "HTTP 4"), strings.HasPrefix(code, "an answer that"):
		return "something between this machine and Slack answers in its place: look at SLACK_API_URL and at proxies"
	case strings.HasPrefix(code, "HTTP 5"), code == "no answer", code == "no connection":
		return "see whether Slack is up (https://slack-status.com) and whether this machine reaches it"
	}
	switch code {
	case "not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired":
		return "reinstall the app in Slack and set SLACK_BOT_TOKEN to the new xoxb- token"
	case "missing_scope":
		return "add the scope under OAuth & Permissions, or reinstall the app with slack-app.yaml"
	case "message_limit_exceeded", noHeader:
		return "the workspace has reached the limit of its plan: see its billing page; what waits goes out once there is room"
	case "ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable":
		return "nothing: it is tried again by itself"
	}
	return ""
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
