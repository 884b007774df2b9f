package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"allo-slack/format"
	"allo-slack/outbox"
	"allo-slack/rules"
	"allo-slack/slackapi"
)

const (
	// watchEvery is how often it is looked whether something needs a person.
	watchEvery = 30 * time.Second
	// stuckAfter is how long something may wait before a person is told.
	stuckAfter = 10 * time.Minute
	// tellEvery is how often at most a person is told of one channel. Of one that has been stuck for longer than
	// oldNews, and where nothing new was set aside, tellOldEvery.
	tellEvery    = time.Hour
	oldNews      = 2 * time.Hour
	tellOldEvery = 24 * time.Hour
	// deadAfter is how long a channel that refuses everything keeps its queue before it is set aside.
	deadAfter = 30 * 24 * time.Hour
)

// silence knows when Allo was last heard of.
type silence struct {
	limit time.Duration
	mu    sync.Mutex
	last  time.Time
}

func (s *silence) heard(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at.After(s.last) {
		s.last = at
	}
}

// since is when Allo was last heard of, and whether that is too long ago.
func (s *silence) since(now time.Time) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, s.limit > 0 && now.Sub(s.last) >= s.limit
}

// watcher tells the ops channel, and the log, what needs a person.
type watcher struct {
	store    *outbox.Store
	rules    func() *rules.File
	channels *directory
	troubles *troubles
	silence  *silence
	metrics  *Metrics
	log      *slog.Logger
	appended chan<- struct{} // something was appended
	aside    <-chan struct{} // something was set aside
}

// run watches until ctx ends.
func (w *watcher) run(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	warned := map[string]time.Time{}
	for {
		select {
		case <-ticker.C:
		case <-w.aside:
		case <-ctx.Done():
			return
		}
		if err := w.watchOnce(ctx, time.Now(), warned); err != nil && ctx.Err() == nil {
			w.log.WarnContext(ctx, "what needs a person can't be read, will retry", "err", err)
		}
	}
}

func (w *watcher) watchOnce(ctx context.Context, now time.Time, warned map[string]time.Time) error {
	busy, err := w.store.Busy(ctx)
	if err != nil {
		return err
	}
	untold, err := w.store.Untold(ctx)
	if err != nil {
		return err
	}
	reasons, err := w.whyStuck(ctx, now, warned)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, channel := range append(busy, untold...) {
		if seen[channel] {
			continue
		}
		seen[channel] = true
		at, err := w.store.StuckAt(ctx, channel)
		if err != nil {
			return err
		}
		reason := reasons[channel]
		if reason == "" {
			reason = at.Why
		}
		if err := w.tellStuck(ctx, at, reason, now); err != nil {
			return err
		}
	}
	return w.tellSilence(ctx, now)
}

// whyStuck returns why channels are stuck. It warns of each once a day, and sets aside what has waited for too long.
func (w *watcher) whyStuck(ctx context.Context, now time.Time, warned map[string]time.Time) (map[string]string, error) {
	list, err := w.store.Troubles(ctx)
	if err != nil {
		return nil, err
	}
	reasons := map[string]string{}
	for _, t := range list {
		if waits, err := w.store.Waits(ctx, t.Channel); err != nil {
			return nil, err
		} else if !waits {
			// It was sent elsewhere by hand: nothing will come to show that the channel is well.
			if _, err := w.troubles.over(ctx, t.Channel); err != nil {
				return nil, err
			}
			continue
		}
		reasons[t.Channel] = t.Reason
		if now.Sub(t.Since) < 24*time.Hour || now.Sub(warned[t.Channel]) < 24*time.Hour {
			continue
		}
		warned[t.Channel] = now
		w.log.WarnContext(ctx, "channel has refused messages for days; what it holds is set aside after 30 days",
			"channel", w.channels.name(t.Channel), "since", t.Since.UTC().Format(time.RFC3339), "err", t.Reason, "todo", slackapi.ChannelTodo(t.Reason))
		moved, err := w.store.SetAsideOld(ctx, t.Channel, t.Reason, now.Add(-deadAfter), now)
		if err != nil {
			return nil, err
		}
		if moved > 0 {
			w.metrics.aside.Add(float64(moved))
			w.log.ErrorContext(ctx, "set aside: the channel refused messages for 30 days", "channel", w.channels.name(t.Channel), "deliveries", moved,
				"todo", "see: allo-slack failed; send it again with: allo-slack replay")
		}
	}
	return reasons, nil
}

// tellStuck tells of one channel, if there is something to tell.
func (w *watcher) tellStuck(ctx context.Context, at outbox.Stuck, reason string, now time.Time) error {
	stuck := at.Waiting > 0 && now.Sub(at.Oldest) >= stuckAfter
	if !stuck && at.Aside == 0 {
		return nil
	}
	note := note{Key: "stuck:" + at.Channel, Every: tellEvery}
	name := w.channels.name(at.Channel)
	switch {
	case stuck:
		note.Head = fmt.Sprintf("%s: %s since %s", name, count(at.Waiting, "message waits", "messages wait"), w.clock(at.Oldest))
		if reason != "" {
			note.Lines = append(note.Lines, "Slack says: "+reason, slackapi.ChannelTodo(reason))
		}
		if at.Aside == 0 && now.Sub(at.Oldest) > oldNews {
			note.Every = tellOldEvery
		}
	default:
		note.Head = fmt.Sprintf("%s: %s set aside", name, count(at.Aside, "message was", "messages were"))
	}
	if at.Aside > 0 {
		if stuck {
			note.Lines = append(note.Lines, count(at.Aside, "message was", "messages were")+" set aside")
		}
		note.Lines = append(note.Lines, "Set aside since Slack said: "+at.Reason)
		if todo := slackapi.WayTodo(at.Reason); todo != "" {
			note.Lines = append(note.Lines, todo)
		}
		note.Lines = append(note.Lines, "See them with: allo-slack failed. Send them again with: allo-slack replay")
	}
	told, err := w.tell(ctx, note, at.Channel, now)
	if err != nil || !told || at.Aside == 0 {
		return err
	}
	return w.store.Tell(ctx, at.Channel)
}

// tellSilence tells that Allo hasn't been heard of.
func (w *watcher) tellSilence(ctx context.Context, now time.Time) error {
	last, silent := w.silence.since(now)
	if !silent {
		return nil
	}
	told, err := w.tell(ctx, note{
		Key: "silence", Every: w.silence.limit,
		Head:  "No event from Allo since " + w.clock(last),
		Lines: []string{"If there were calls, the webhook may be switched off at Allo, or its URL be wrong there: look at it under Settings, Webhooks."},
	}, "", now)
	if told {
		w.log.WarnContext(ctx, "no event from allo; its webhook may be switched off", "since", last.UTC().Format(time.RFC3339))
	}
	return err
}

func (w *watcher) clock(t time.Time) string {
	return t.In(w.rules().Zone).Format("Mon 2 Jan 15:04 MST")
}

// note is what this program itself has to say. It is kept and delivered as an event is.
type note struct {
	Key   string        `json:"-"` // a note of the same key is not made more often than Every
	Every time.Duration `json:"-"`
	Head  string        `json:"head"`
	Lines []string      `json:"lines,omitempty"`
}

// tell keeps a note for the ops channel. It is false where there is none, if about (a channel) is the ops channel
// itself, and if the same was told not long ago.
func (w *watcher) tell(ctx context.Context, t note, about string, now time.Time) (bool, error) {
	ops := w.rules().OpsChannel
	if id, ok := w.channels.known(ops); ops == "" || about != "" && (about == ops || ok && about == id) {
		return false, nil
	}
	body, err := json.Marshal(t)
	if err != nil {
		return false, err
	}
	_, duplicate, err := w.store.Append(ctx, outbox.Entry{
		Kind: outbox.Note, Topic: "note", Body: body, Received: now, Key: outbox.Key{Key: "note:" + t.Key, Window: t.Every},
	})
	if err != nil || duplicate {
		return false, err
	}
	signal(w.appended)
	return true, nil
}

// noteItem is a note as format needs it.
func noteItem(d *outbox.Delivery) format.Item {
	var t note
	if err := json.Unmarshal(d.Body, &t); err != nil {
		t.Head = "a note that can't be read"
	}
	return format.Item{Received: d.Received, Note: &format.Note{Head: t.Head, Lines: t.Lines}}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
