package notify

import (
	"context"
	"encoding/json"
	"time"

	"allo-slack/allo"
	"allo-slack/format"
	"allo-slack/outbox"
	"allo-slack/rules"
)

// pathMost is how many calls of a transfer chain are read for its path.
const pathMost = 12

// render makes a post's message. It shows all that the post holds, whatever is known around it by now.
func render(p *outbox.Post, items []format.Item) format.Message {
	first := items[0]
	switch {
	case p.Form == outbox.Plain:
		return format.Plain(first)
	case len(items) > 1:
		m, n := format.Digest(items)
		if n < len(items) {
			// What became known since the post was begun made it too long: then that is left out.
			for i := range items {
				items[i].Known = format.Known{Before: items[i].Known.Before, FirstSight: items[i].Known.FirstSight}
			}
			m, _ = format.Digest(items)
		}
		return m
	case p.Deliveries[0].Part > 0:
		parts := format.Transcript(first)
		if n := p.Deliveries[0].Part; n <= len(parts) {
			return parts[n-1]
		}
	}
	return format.Event(first)
}

// fits reports whether a post's message still holds all that the post does.
func fits(p *outbox.Post, items []format.Item) bool {
	if len(items) < 2 {
		return true
	}
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

func (n *Notifier) items(ctx context.Context, deliveries []outbox.Delivery) []format.Item {
	items := make([]format.Item, len(deliveries))
	for i := range deliveries {
		items[i], _ = n.item(ctx, &deliveries[i])
	}
	return items
}

// item is a delivery as format needs it, and what its rule says.
func (n *Notifier) item(ctx context.Context, d *outbox.Delivery) (format.Item, rules.Options) {
	if d.Kind == outbox.Note {
		return noteItem(d), rules.Options{}
	}
	it := format.Item{Event: n.event(ctx, d.Event, d.Topic, d.Body), Received: d.Received}
	var o rules.Options
	if err := json.Unmarshal([]byte(d.Options), &o); err != nil {
		n.log.ErrorContext(ctx, "a stored delivery's options can't be read", "event_id", d.Event, "err", err)
	}
	it.Options = formatOptions(&it.Event, o, n.zone())
	it.Options.Mention = n.people.mention(&it.Event, o.Mention)
	it.Options.Recovered = d.Recovered
	n.linkCall(d, &it)
	it.Known = n.known(ctx, d, &it.Event)
	return it, o
}

// Shown returns a call as a rule has it shown, and whether its recording may be played; nil if it is not kept any more.
func (n *Notifier) Shown(ctx context.Context, event int64, rule string) (it *format.Item, playable bool, err error) {
	d, err := n.store.Delivered(ctx, event, rule)
	if err != nil || d == nil || d.Kind != outbox.Allo {
		return nil, false, err
	}
	shown, o := n.item(ctx, d)
	return &shown, !o.NoRecording, nil
}

// linkCall lets buttons open the call's page rather than what is at Allo.
func (n *Notifier) linkCall(d *outbox.Delivery, it *format.Item) {
	c := it.Event.Call
	if n.callLink == nil || c == nil {
		return
	}
	link := n.callLink(d.Event, d.Rule, d.Received)
	if it.Options.Recording != "" {
		it.Options.Recording = link
	}
	if len(c.Transcript) > 0 || c.TranscriptText != "" {
		it.Options.TranscriptURL = link + "#transcript"
	}
}

// event reads a stored envelope.
func (n *Notifier) event(ctx context.Context, id int64, topic string, body []byte) allo.Event {
	e, err := allo.Parse(body)
	if err != nil {
		// It could be read when it was accepted; show what is known rather than nothing.
		n.log.ErrorContext(ctx, "a stored event can't be read", "event_id", id, "err", err)
		return allo.Event{Topic: allo.Topic(topic), Wire: topic}
	}
	return e
}

// known is what the outbox knows around an event.
func (n *Notifier) known(ctx context.Context, d *outbox.Delivery, e *allo.Event) format.Known {
	var k format.Known
	switch {
	case e.Contact != nil && d.Subject != "":
		k.FirstSight = d.Before == nil
		if d.Before != nil {
			before := n.event(ctx, d.Event, d.Topic, d.Before)
			k.Before = before.Contact
		}
	case e.Call != nil:
		k.Path = n.path(ctx, d, e.Call)
		if d.Answer != nil {
			answer := n.event(ctx, d.Event, d.Topic, d.Answer)
			k.Followup = followup(&answer)
		}
	}
	return k
}

// path is the way of a transferred call, as far as its calls have come.
func (n *Notifier) path(ctx context.Context, d *outbox.Delivery, c *allo.Call) []allo.Party {
	bodies, err := n.store.InThread(ctx, d.Thread, pathMost)
	if err != nil {
		n.log.WarnContext(ctx, "the other calls of a transfer can't be read; its path is left out", "event_id", d.Event, "err", err)
		return nil
	}
	if len(bodies) < 2 {
		return nil
	}
	var calls []*allo.Call
	for _, body := range bodies {
		if e := n.event(ctx, d.Event, d.Topic, body); e.Topic == allo.CallReceived {
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

func (n *Notifier) zone() *time.Location { return n.rules.Load().Zone }

// kind says what a delivery is about, for the log.
func kind(d *outbox.Delivery) string {
	if d.Kind == outbox.Note {
		return d.Kind
	}
	return allo.Topic(d.Topic).Kind()
}
