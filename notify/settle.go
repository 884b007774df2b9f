package notify

import (
	"context"
	"errors"
	"time"

	"allo-slack/format"
	"allo-slack/outbox"
)

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
				if settled, err := w.settledByLook(ctx, p); err != nil || settled {
					return err
				}
				w.inDoubt(ctx, p, o.Reason(), w.blind != p.ID)
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
	return w.settledByLook(ctx, p)
}

// settledByLook looks for a post, and settles it if Slack has it.
func (w *worker) settledByLook(ctx context.Context, p *outbox.Post) (bool, error) {
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
