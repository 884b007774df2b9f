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
	"maps"
	"regexp"
	"slices"
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
	// clocksMost is how far ahead of Slack's clock ours may be.
	clocksMost = 24 * time.Hour
	// readLeast is how long a place is read in whose channel another one could not be.
	readLeast = 2 * time.Second
	// readsMost is how many places are read back before what is clear by then is posted.
	readsMost = 10
	// macSize is how much of a signature a message carries for each delivery: 72 bits.
	macSize = 9
)

// ourID is what the id of a post is like.
var ourID = regexp.MustCompile(`^[A-Z2-7]{26}$`)

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

	heard time.Time // Slack's time, as far as it is known to have come

	gap  gap // zero if there is none
	mu   sync.Mutex
	read map[slackapi.Place]shownAt
	// unreadable are the channels of which some place could not be read.
	unreadable map[string]bool
}

// shownAt is what was found in a place.
type shownAt struct {
	by     map[string]slackapi.Posted // by the signature of a delivery
	opened map[string][]string        // the ts of the messages that opened a thread, by its signature
}

// begin finds out whether the store may have been restored.
func (r *restored) begin(ctx context.Context, now time.Time) (err error) {
	r.read, r.unreadable = map[slackapi.Place]shownAt{}, map[string]bool{}
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
	r.heard = last.Slacks
	if last.Ours.IsZero() || now.Sub(last.Ours).Abs() <= beatMost { // a clock that was set back hides nothing
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
		// Until Slack tells its time, ours may be far ahead of it; and nothing was posted since it was told last.
		early, _, told := r.slack.Now()
		switch {
		case told:
			r.heard = early
		case r.heard.IsZero():
			r.heard = early.Add(-clocksMost)
		}
		_ = r.keep(context.WithoutCancel(ctx), heartbeat, beat{time.Now(), r.heard})
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
// told apart by when it was said.
func (r *restored) sign(channel string, d *outbox.Delivery) string {
	key := d.Key
	if key == "" || d.Kind == outbox.Note || d.Topic == string(allo.ContactUpdated) {
		key = fmt.Sprintf("%s@%d", key, d.Said.UnixMilli())
	}
	return r.mac("%q %q %d %d", key, channel, d.Part, d.Again)
}

// signThread is what recognises the thread of a delivery in a channel; "" if it has none.
func (r *restored) signThread(channel string, d *outbox.Delivery) string {
	if d.Thread == "" {
		return ""
	}
	return r.mac("thread %q %q", d.Thread, channel)
}

func (r *restored) mac(form string, of ...any) string {
	mac := hmac.New(sha256.New, r.key)
	fmt.Fprintf(mac, form, of...)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:macSize])
}

// shown is what a post's message carries to be recognised by: a word for each delivery. One that stands alone may open a
// thread, so its word tells of that too: what is in the thread may be told again before what opened it.
func (r *restored) shown(p *outbox.Post) string {
	all := make([]string, len(p.Deliveries))
	for i := range p.Deliveries {
		all[i] = r.sign(p.Channel, &p.Deliveries[i])
	}
	if d := &p.Deliveries[0]; len(all) == 1 && d.Thread != "" && d.Part == 0 {
		all[0] += threadMark + r.signThread(p.Channel, d)
	}
	return strings.Join(all, " ")
}

// threadMark parts the signature of a delivery from that of its thread.
const threadMark = "."

// over reports whether there is nothing to be found, or no more.
func (r *restored) over() bool { return r.gap.From.IsZero() || time.Since(r.gap.Noted) > gapLasts }

// clear reports whether it is known that Slack doesn't have what waits for a channel, as far as that can be known.
func (r *restored) clear(channel string, d *outbox.Delivery) bool {
	if r.over() {
		return true
	}
	_, shown, known, _ := r.find(channel, d, func(place slackapi.Place) (shownAt, bool, error) { // never an error
		read, known := r.at(place)
		return read, known, nil
	})
	return known && !shown
}

// find returns the message that shows a delivery, if there is one; known is false if that isn't known, as a place was not
// read where it may stand. The error is read's.
func (r *restored) find(channel string, d *outbox.Delivery, read func(slackapi.Place) (shownAt, bool, error)) (m slackapi.Posted, shown, known bool, err error) {
	signature := r.sign(channel, d)
	places := []slackapi.Place{{Channel: channel}}
	for i := 0; i < len(places); i++ {
		at, known, err := read(places[i])
		if err != nil || !known {
			return m, false, false, err
		}
		if m, shown := at.by[signature]; shown {
			return m, true, true, nil
		}
		if i == 0 {
			places = append(places, r.threads(channel, d, at)...)
		}
	}
	return m, false, true, nil
}

// threads are where a message may stand that shows a delivery, besides the top of its channel, where some was found. What
// began since the start holds nothing that the store doesn't know.
func (r *restored) threads(channel string, d *outbox.Delivery, top shownAt) []slackapi.Place {
	var all []slackapi.Place
	for _, ts := range append([]string{d.Reply}, top.opened[r.signThread(channel, d)]...) {
		if place := (slackapi.Place{Channel: channel, Thread: ts}); ts != "" && !r.younger(ts) && !slices.Contains(all, place) {
			all = append(all, place)
		}
	}
	return all
}

// younger reports whether a message was posted since the start.
func (r *restored) younger(ts string) bool {
	_, late, told := r.slack.Now()
	at, ok := slackapi.TimeOf(ts)
	return told && ok && at.After(r.gap.To.Add(time.Until(late)+lookAfter))
}

func (r *restored) at(place slackapi.Place) (read shownAt, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	read, known = r.read[place]
	return read, known
}

// recognise settles what a channel shows already of what waits for it, or is being posted. It reads back what was not read
// since the start, at most so many places. Where that can't be read it is as if it were empty; that is logged, once a channel,
// and counted. The error is the store's, or ctx's.
func (r *restored) recognise(ctx context.Context, channel string, items []item, most int, patience slackapi.Patience, parts func(item) int) (settled int, err error) {
	if r.over() {
		return 0, nil
	}
	reads := 0
	read := func(place slackapi.Place) (read shownAt, known bool, err error) {
		if read, known = r.at(place); !known {
			reads++
			read, err = r.look(ctx, place, patience)
		}
		return read, true, err
	}
	var found []outbox.Recognised
	for _, it := range items {
		if reads >= most {
			break
		}
		m, shown, _, err := r.find(channel, &it.Delivery, read)
		if err != nil {
			return 0, err
		}
		if !shown {
			continue
		}
		one := outbox.Recognised{Delivery: it.Delivery, Post: m.ID, Holds: len(strings.Fields(m.Shown)), Shown: outbox.Shown{TS: m.TS, Thread: m.Thread}}
		if one.Holds == 1 {
			one.Shown.Parts = parts(it)
		}
		found = append(found, one)
	}
	if len(found) == 0 {
		return 0, nil
	}
	settled, err = r.store.Recognise(ctx, channel, found, outbox.Tick{At: time.Now()}, r.gap.To)
	if err == nil && settled > 0 {
		r.metrics.unsure.WithLabelValues("found").Add(float64(settled))
		r.log.InfoContext(ctx, "found in slack, though the store didn't know", "channel", r.channels.name(channel), "deliveries", settled)
	}
	return settled, err
}

// again has a channel that could not be read be read again: it may be another by now, or the bot a member of it.
func (r *restored) again(channel string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unreadable[channel] {
		delete(r.unreadable, channel)
		maps.DeleteFunc(r.read, func(place slackapi.Place, _ shownAt) bool { return place.Channel == channel })
	}
}

// look reads a place back. The error is ctx's.
func (r *restored) look(ctx context.Context, place slackapi.Place, patience slackapi.Patience) (read shownAt, err error) {
	if _, _, told := r.slack.Now(); !told {
		r.slack.Answers(ctx)
	}
	_, late, _ := r.slack.Now()
	find := func() ([]slackapi.Posted, slackapi.Outcome) {
		return r.slack.Posted(ctx, patience, place, r.gap.From.Add(-lookBefore), late.Add(clocksMost))
	}
	r.mu.Lock()
	before := r.unreadable[place.Channel]
	r.mu.Unlock()
	var posted []slackapi.Posted
	var o slackapi.Outcome
	if before {
		patience.For = readLeast // a channel may have many threads
		posted, o = find()
	} else {
		posted, o = readHistory(ctx, r.channels, place.Channel, find)
	}
	unreadable := false
	switch {
	case o.Kind == slackapi.Stopped:
		return read, o.Err
	case o.Kind == slackapi.RefusedThread: // what was replied to is gone, and with it the replies
	case o.Kind != slackapi.Sent:
		unreadable = true
		r.metrics.unsure.WithLabelValues("unreadable").Inc()
		if before {
			break
		}
		r.log.WarnContext(ctx, "history can't be read, so what the store doesn't know of may be posted again",
			"channel", r.channels.name(place.Channel), "err", o.Reason(), "todo", "invite the bot (/invite @allo-slack) and reinstall the app with slack-app.yaml")
	}
	read = shownAt{map[string]slackapi.Posted{}, map[string][]string{}}
	for _, m := range posted {
		if !ourID.MatchString(m.ID) {
			continue // none of ours, whatever else was copied from one
		}
		for _, word := range strings.Fields(m.Shown) {
			signature, thread, _ := strings.Cut(word, threadMark)
			if was, again := read.by[signature]; !again || m.TS < was.TS { // who copies ours does so later
				read.by[signature] = m
			}
			if thread != "" && m.Thread == "" {
				read.opened[thread] = append(read.opened[thread], m.TS)
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read[place], r.unreadable[place.Channel] = read, before || unreadable
	return read, nil
}
