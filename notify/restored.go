package notify

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"allo-slack/allo"
	"allo-slack/outbox"
	"allo-slack/slackapi"
)

const (
	// beatEvery is how often it is noted that the store is the one that is worked with, and beatMost how old that may be at a
	// start. A store where it is older may have been restored from a copy: its channels may show what it doesn't know.
	beatEvery = 10 * time.Second
	beatMost  = 30 * time.Second
	// gapLasts is how long channels are looked through once a process: calls are looked for so far back, and what is found of
	// them may be in Slack already.
	gapLasts = 48 * time.Hour
	// readsMost is how many places are read back before what is clear by then is posted.
	readsMost = 10
	// macSize is how much of a signature a message carries for each delivery: 72 bits.
	macSize = 9
)

// The facts that restored works with.
const (
	heartbeat   = "heartbeat"
	gapFact     = "gap"
	deliveryKey = "key of deliveries"
)

// beat is when the store was worked with last, by our clock and by Slack's.
type beat struct{ Ours, Slacks time.Time }

// gap is a time that the store knows nothing of: from Slack's time on, until ours.
type gap struct{ From, To, Noted time.Time }

// restored finds in Slack what a store that was restored from a copy doesn't know: each channel, and each thread that is
// posted in, is read back once in a process, from when the store was last worked with. Each message carries, for each
// delivery that it shows, a signature of what makes that delivery the same in any copy of the store: never of a row's id,
// which a restored store gives to another.
type restored struct {
	store    *outbox.Store
	slack    *slackapi.Client
	channels *directory
	metrics  *Metrics
	log      *slog.Logger
	key      []byte

	gap  gap // zero if there is none
	mu   sync.Mutex
	read map[slackapi.Place]map[string]slackapi.Posted // by signature
	shut map[slackapi.Place]bool                       // those of them that could not be read
}

// begin finds out whether the store may have been restored.
func (r *restored) begin(ctx context.Context, now time.Time) (err error) {
	r.read, r.shut = map[slackapi.Place]map[string]slackapi.Posted{}, map[slackapi.Place]bool{}
	if r.key, err = r.store.Fact(ctx, deliveryKey); err != nil {
		return err
	}
	if len(r.key) == 0 {
		r.key = make([]byte, sha256.Size)
		rand.Read(r.key) // never fails
		if err := r.store.SetFact(ctx, deliveryKey, r.key); err != nil {
			r.log.WarnContext(ctx, "the key of deliveries could not be stored; what is posted now isn't recognised after a restore", "err", err)
		}
	}
	var last beat
	known, err := r.store.Fact(ctx, heartbeat)
	if err != nil {
		return err
	}
	_ = json.Unmarshal(known, &last) // none yet
	if known, err = r.store.Fact(ctx, gapFact); err != nil {
		return err
	}
	_ = json.Unmarshal(known, &r.gap)
	if now.Sub(r.gap.Noted) > gapLasts {
		r.gap = gap{}
	}
	if last.Ours.IsZero() || now.Sub(last.Ours).Abs() <= beatMost {
		return nil
	}
	if r.gap.From.IsZero() || last.Slacks.Before(r.gap.From) {
		r.gap.From = last.Slacks
	}
	r.gap.To, r.gap.Noted = now, now
	r.log.InfoContext(ctx, "the store was not worked with for a while; if it was restored from a copy, what Slack has already is found there",
		"since", last.Ours.UTC().Format(time.RFC3339))
	return r.keep(ctx, gapFact, r.gap)
}

func (r *restored) keep(ctx context.Context, fact string, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := r.store.SetFact(ctx, fact, value); err != nil && ctx.Err() == nil {
		r.log.WarnContext(ctx, "until when the store was worked with could not be stored", "err", err) // the disk may be full
	}
	return nil
}

// beat notes that the store is worked with, until ctx ends, and then once more.
func (r *restored) beat(ctx context.Context) {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		early, _, _ := r.slack.Now()
		_ = r.keep(context.WithoutCancel(ctx), heartbeat, beat{time.Now(), early})
		if ctx.Err() != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// sign is what recognises a delivery to a channel in any copy of the store. What is said again and again with one key is
// told apart by when it came in.
func (r *restored) sign(channel string, d *outbox.Delivery) string {
	key := d.Key
	if key == "" || d.Kind == outbox.Note || d.Topic == string(allo.ContactUpdated) {
		key = fmt.Sprintf("%s@%d", key, d.Received.UnixMilli())
	}
	mac := hmac.New(sha256.New, r.key)
	fmt.Fprintf(mac, "%q %q %d %d", key, channel, d.Part, d.Again)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:macSize])
}

// shown is what a post's message carries to be recognised by.
func (r *restored) shown(p *outbox.Post) string {
	all := make([]string, len(p.Deliveries))
	for i := range p.Deliveries {
		all[i] = r.sign(p.Channel, &p.Deliveries[i])
	}
	return strings.Join(all, " ")
}

// clear reports whether it is known that Slack doesn't have what waits for a channel, as far as that can be known.
func (r *restored) clear(channel string, d *outbox.Delivery) bool {
	if !r.inGap() {
		return true
	}
	for _, place := range r.places(channel, d) {
		read, known := r.at(place)
		if _, shown := read[r.sign(channel, d)]; shown || !known {
			return false
		}
	}
	return true
}

// inGap reports whether channels are read back.
func (r *restored) inGap() bool { return !r.gap.From.IsZero() && time.Since(r.gap.Noted) <= gapLasts }

// places are where a message may stand that shows a delivery and that the store doesn't know. A thread that was opened since
// is none of them.
func (r *restored) places(channel string, d *outbox.Delivery) []slackapi.Place {
	top := slackapi.Place{Channel: channel}
	if opened, err := strconv.ParseFloat(d.Reply, 64); d.Reply == "" || err == nil && opened > float64(r.until().Unix()) {
		return []slackapi.Place{top}
	}
	return []slackapi.Place{top, {Channel: channel, Thread: d.Reply}}
}

// until is the end of the gap, by Slack's clock.
func (r *restored) until() time.Time {
	_, late, _ := r.slack.Now()
	return r.gap.To.Add(time.Until(late) + lookAfter)
}

func (r *restored) at(place slackapi.Place) (map[string]slackapi.Posted, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	read, known := r.read[place]
	return read, known
}

// recognise settles what a channel shows already of what waits for it, or is being posted. It reads back what was not read
// since the start, but for most places and no further. Where that can't be read it is as if it were empty; that is logged and
// counted. The error is the store's, or ctx's.
func (r *restored) recognise(ctx context.Context, channel string, items []item, most int, patience slackapi.Patience, parts func(item) int) (settled int, err error) {
	if !r.inGap() {
		return 0, nil
	}
	var found []outbox.Recognised
	reads := 0
	for _, it := range items {
		if reads >= most {
			break
		}
		for _, place := range r.places(channel, &it.Delivery) {
			read, known := r.at(place)
			if !known {
				if read, err = r.look(ctx, place, patience); err != nil {
					return 0, err
				}
				reads++
			}
			m, shown := read[r.sign(channel, &it.Delivery)]
			if !shown {
				continue
			}
			one := outbox.Recognised{Delivery: it.Delivery, Post: m.ID, Holds: len(strings.Fields(m.Shown)), Shown: outbox.Shown{TS: m.TS, Thread: m.Thread}}
			if one.Holds == 1 {
				one.Shown.Parts = parts(it)
			}
			found = append(found, one)
			break
		}
	}
	if len(found) == 0 {
		return 0, nil
	}
	settled, err = r.store.Recognise(ctx, channel, found, outbox.Tick{At: time.Now()})
	if err == nil && settled > 0 {
		r.metrics.unsure.WithLabelValues("found").Add(float64(settled))
		r.log.InfoContext(ctx, "found in slack, though the store didn't know", "channel", r.channels.name(channel), "deliveries", settled)
	}
	return settled, err
}

// again has what could not be read of a channel be read again, once the channel may be another.
func (r *restored) again(channel string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for place := range r.shut {
		if place.Channel == channel {
			delete(r.shut, place)
			delete(r.read, place)
		}
	}
}

// look reads a place back. The error is ctx's.
func (r *restored) look(ctx context.Context, place slackapi.Place, patience slackapi.Patience) (map[string]slackapi.Posted, error) {
	if _, _, told := r.slack.Now(); !told {
		r.slack.Answers(ctx)
	}
	until := r.until()
	posted, o := readHistory(ctx, r.channels, place.Channel, func() ([]slackapi.Posted, slackapi.Outcome) {
		return r.slack.Posted(ctx, patience, place, r.gap.From.Add(-lookBefore), until)
	})
	switch {
	case o.Kind == slackapi.Stopped:
		return nil, o.Err
	case o.Kind == slackapi.RefusedThread: // what was replied to is gone, and with it the replies
	case o.Kind != slackapi.Sent:
		r.metrics.unsure.WithLabelValues("unreadable").Inc()
		r.log.WarnContext(ctx, "history can't be read, so what the store doesn't know of may be posted again",
			"channel", r.channels.name(place.Channel), "err", o.Reason(), "todo", "invite the bot (/invite @allo-slack) and reinstall the app with slack-app.yaml")
	}
	read := map[string]slackapi.Posted{}
	for _, m := range posted {
		for _, signature := range strings.Fields(m.Shown) {
			read[signature] = m
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read[place] = read
	if o.Kind != slackapi.Sent && o.Kind != slackapi.RefusedThread {
		r.shut[place] = true
	}
	return read, nil
}
