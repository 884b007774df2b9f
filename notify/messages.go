package notify

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"time"

	"allo-slack/allo"
	"allo-slack/format"
	"allo-slack/outbox"
	"allo-slack/rules"
	"allo-slack/slackapi"
)

// pathMost is how many calls of a transfer chain are read for its path.
const pathMost = 12

// farAhead is after all that happens, in seconds since 1970.
const farAhead = 1 << 36

// messages makes messages of what is stored.
type messages struct {
	store    *outbox.Store
	people   *people
	restored *restored
	zone     func() *time.Location
	callLink func(event int64, rule string, received time.Time) string // nil: links go straight to Allo
	log      *slog.Logger
}

// item is a delivery that was read: its envelopes parsed, and what its rule says.
type item struct {
	outbox.Delivery
	shown   format.Item
	first   allo.Event // as it was told first
	options rules.Options
	broken  error // it can't be read: what panicked
}

// read reads deliveries with what is known of their events, each once: what was read already serves again as long as
// nothing more is known. The error is the store's.
func (m *messages) read(ctx context.Context, deliveries []outbox.Delivery, known []item) ([]item, error) {
	before := make(map[int64]item, len(known))
	for _, it := range known {
		before[it.ID] = it
	}
	items := make([]item, len(deliveries))
	for i, d := range deliveries {
		if it, ok := before[d.ID]; ok && it.Known == d.Known {
			items[i] = it
			items[i].Delivery = d
			continue
		}
		items[i].Delivery = d
		var err error
		items[i].broken = guard(func() { err = m.readOne(ctx, &items[i]) })
		if err != nil {
			return nil, err
		}
	}
	return items, nil
}

func (m *messages) readOne(ctx context.Context, it *item) error {
	if it.Kind == outbox.Note {
		it.shown = noteItem(&it.Delivery)
		return nil
	}
	if err := json.Unmarshal([]byte(it.Options), &it.options); err != nil {
		m.log.ErrorContext(ctx, "a stored delivery's options can't be read", "event_id", it.Event, "err", err)
	}
	stored := outbox.Event{ID: it.Event, Topic: it.Topic, Key: it.Key, Body: it.Body, Said: it.Said}
	it.first = read(ctx, m.log, stored)
	event, err := known(ctx, m.store, m.log, stored, it.first)
	if err != nil {
		return err
	}
	shown := format.Item{Event: event, Received: it.Received}
	shown.Options = formatOptions(&shown.Event, it.options, m.zone())
	shown.Options.Recovered = it.Recovered
	m.linkCall(&it.Delivery, &shown)
	switch e := &shown.Event; {
	case e.Contact != nil && it.Subject != "":
		shown.Known.FirstSight = it.Before == nil
		if it.Before != nil {
			before := parse(ctx, m.log, it.Event, it.Topic, it.Before)
			shown.Known.Before = before.Contact
		}
	case e.Call != nil:
		if shown.Known.Followup, err = m.followup(ctx, e, it.Received); err != nil {
			return err
		}
	}
	it.shown = shown
	return nil
}

// followup is how a missed call was answered; nil if it wasn't, or is none.
func (m *messages) followup(ctx context.Context, e *allo.Event, received time.Time) (*format.Followup, error) {
	who := asks(e)
	if who == "" {
		return nil, nil
	}
	at := happened(e, received)
	answers, err := m.store.Marked(ctx, answering+who, at, at.Add(answerWindow), 1)
	if err != nil || len(answers) == 0 {
		return nil, err
	}
	event, err := m.store.Events(ctx, answers[0].Event)
	if err != nil || len(event) == 0 {
		return nil, err
	}
	answer, err := Known(ctx, m.store, m.log, event[0])
	return followup(&answer), err
}

// shown are items as a message shows them: with whom they mention by now and, of a call that stands alone, the path that it
// went.
func (m *messages) shown(ctx context.Context, items []item) ([]format.Item, error) {
	all := make([]format.Item, len(items))
	for i := range items {
		it := &items[i]
		if it.broken != nil {
			return nil, it.broken
		}
		all[i] = it.shown
		all[i].Options.Mention = m.people.mention(&it.shown.Event, it.options.Mention)
	}
	if len(items) == 1 && items[0].Part == 0 && all[0].Event.Call != nil {
		all[0].Known.Path = m.path(ctx, &items[0].Delivery)
	}
	return all, nil
}

// digest is how many of several items one message holds. It is 1 where that can't be found out.
func (m *messages) digest(ctx context.Context, items []item) (n int) {
	if i := slices.IndexFunc(items, func(it item) bool { return it.broken != nil }); i >= 0 {
		items = items[:i]
	}
	if len(items) < 2 {
		return 1
	}
	if err := guard(func() {
		shown, _ := m.shown(ctx, items) // none of them is broken
		_, n = format.Digest(shown)
	}); err != nil {
		m.log.ErrorContext(ctx, "a digest can't be made, so its first event goes alone", "event_id", items[0].Event, "err", err)
		return 1
	}
	return n
}

// render makes a post's message, of one that Slack has with what is known by now. The error says why it can't be made.
func (m *messages) render(ctx context.Context, p *outbox.Post, items []item) (message slackapi.Message, err error) {
	broken := guard(func() {
		var shown []format.Item
		if shown, err = m.shown(ctx, items); err != nil {
			return
		}
		if len(shown) > 1 {
			if shown = fitting(shown, items); shown == nil {
				err = errors.New("a digest would no longer hold all that it shows")
				return
			}
		}
		made := render(p, shown)
		message = slackapi.Message{ID: p.ID, Shown: m.restored.shown(p), Text: made.Text, Blocks: made.Blocks, Broadcast: fromCustomer(shown)}
	})
	return message, errors.Join(broken, err)
}

// parts is how many parts are to follow the message of an item that stands alone.
func (m *messages) parts(ctx context.Context, it item) (n int) {
	if it.Part > 0 || it.broken != nil || it.options.Transcript != "thread" {
		return 0
	}
	if err := guard(func() { n = len(format.Transcript(it.shown)) }); err != nil {
		m.log.ErrorContext(ctx, "what follows a message can't be made and is left out", "event_id", it.Event, "err", err)
	}
	return n
}

// render makes a post's message. It shows all that the post holds, whatever is known around it by now.
func render(p *outbox.Post, items []format.Item) format.Message {
	first := items[0]
	switch {
	case p.Deliveries[0].Part > 0:
		m := part(first, p.Deliveries[0].Part)
		if p.Form == outbox.Plain {
			m.Blocks = nil
		}
		return m
	case p.Form == outbox.Plain:
		return format.Plain(first)
	case len(items) > 1:
		m, _ := format.Digest(items)
		return m
	}
	return format.Event(first)
}

// fitting returns what a digest shows so that it holds all of it. What became known since it was begun may have made it too
// long: then what is known around the events is left out, and then all that was said of them later; never what is to be
// kept back. It is nil if even that doesn't fit.
func fitting(shown []format.Item, items []item) []format.Item {
	if fits(shown) {
		return shown
	}
	for i := range shown {
		shown[i].Known = format.Known{Before: shown[i].Known.Before, FirstSight: shown[i].Known.FirstSight}
	}
	if fits(shown) {
		return shown
	}
	for i := range shown {
		shown[i].Event = items[i].first
	}
	if fits(shown) {
		return shown
	}
	return nil
}

// part makes the nth of the messages that follow that of a call.
func part(it format.Item, n int) format.Message {
	if parts := format.Transcript(it); n <= len(parts) {
		return parts[n-1]
	}
	return format.NoPart(it)
}

// fits reports whether a digest holds all items.
func fits(items []format.Item) bool {
	_, n := format.Digest(items)
	return n == len(items)
}

// fromCustomer reports whether a customer's text is among the items: a reply that holds one is shown in the channel
// too, as people miss replies in threads.
func fromCustomer(items []format.Item) bool {
	for _, it := range items {
		if it.Event.Text != nil && it.Event.Text.Direction == allo.Inbound {
			return true
		}
	}
	return false
}

// Shown returns a call as a rule has it shown, and whether its recording may be played; nil if it is not kept any more.
// received, if it isn't zero, is when it came in: a store that was restored gives ids out again. What the rule keeps back in
// any of the channels that have it isn't shown.
func (n *Notifier) Shown(ctx context.Context, event int64, rule string, received time.Time) (it *format.Item, playable bool, err error) {
	all, err := n.store.Deliveries(ctx, event)
	if err != nil {
		return nil, false, err
	}
	all = slices.DeleteFunc(all, func(d outbox.Delivery) bool {
		return d.Rule != rule || d.Kind != outbox.Allo || !received.IsZero() && !d.Received.Equal(received)
	})
	if len(all) == 0 {
		return nil, false, nil
	}
	for _, d := range all[1:] {
		if all[0].Options, err = stricter(all[0].Options, d.Options); err != nil {
			return nil, false, err
		}
	}
	items, err := n.messages.read(ctx, all[:1], nil)
	if err != nil {
		return nil, false, err
	}
	shown, err := n.messages.shown(ctx, items)
	if err != nil {
		return nil, false, err
	}
	return &shown[0], !items[0].options.NoRecording, nil
}

// linkCall lets buttons open the call's page rather than what is at Allo.
func (m *messages) linkCall(d *outbox.Delivery, it *format.Item) {
	c := it.Event.Call
	if m.callLink == nil || c == nil {
		return
	}
	link := m.callLink(d.Event, d.Rule, d.Received)
	if it.Options.Recording != "" {
		it.Options.Recording = link
	}
	if len(c.Transcript) > 0 || c.TranscriptText != "" {
		it.Options.TranscriptURL = link + "#transcript"
	}
}

// parse reads a stored envelope.
func parse(ctx context.Context, log *slog.Logger, id int64, topic string, body []byte) allo.Event {
	e, err := allo.Parse(body)
	if err != nil {
		// It could be read when it was accepted; show what is known rather than nothing.
		log.ErrorContext(ctx, "a stored event can't be read", "event_id", id, "err", err)
		return allo.Event{Topic: allo.Topic(topic), Wire: topic}
	}
	return e
}

// path is the way of a transferred call, as far as its calls have come.
func (m *messages) path(ctx context.Context, d *outbox.Delivery) []allo.Party {
	chain, err := m.store.Marked(ctx, d.Thread, time.Time{}, time.Unix(farAhead, 0), pathMost)
	if err == nil && len(chain) < 2 {
		return nil
	}
	ids := make([]int64, len(chain))
	for i, mark := range chain {
		ids[i] = mark.Event
	}
	var events []outbox.Event
	if err == nil {
		events, err = m.store.Events(ctx, ids...)
	}
	if err != nil {
		m.log.WarnContext(ctx, "the other calls of a transfer can't be read; its path is left out", "event_id", d.Event, "err", err)
		return nil
	}
	var calls []*allo.Call
	for _, event := range events {
		if e := read(ctx, m.log, event); e.Topic == allo.CallReceived {
			calls = append(calls, e.Call)
		}
	}
	return path(calls)
}

// Preview is the message that an event makes under a rule's options, as far as it can be known without asking Slack
// (whom it mentions) and the outbox (what came before).
func Preview(e *allo.Event, received time.Time, o rules.Options, zone *time.Location) format.Message {
	return format.Event(format.Item{Event: *e, Received: received, Options: formatOptions(e, o, zone)})
}

// formatOptions turns what a rule says of a message into what the message needs, but for whom it mentions.
func formatOptions(e *allo.Event, o rules.Options, zone *time.Location) format.Options {
	f := format.Options{Zone: zone}
	for _, what := range o.Redact {
		switch what {
		case "numbers":
			f.Redact.Numbers = true
		case "emails":
			f.Redact.Emails = true
		case "cards":
			f.Redact.Cards = true
		}
	}
	if e.Call != nil && !o.NoRecording {
		f.Recording = e.Call.RecordingURL
	}
	return f
}

// kind says what a delivery is about, for the log.
func kind(d *outbox.Delivery) string {
	if d.Kind == outbox.Note {
		return d.Kind
	}
	return allo.Topic(d.Topic).Kind()
}
