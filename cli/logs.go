package cli

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"allo-slack/outbox"
)

const (
	// outageEvery is how often the same message about a store that can't be worked with is logged.
	outageEvery = time.Minute
	// outageGrace is how long the next that may pass is waited for, to tell what was omitted before it.
	outageGrace = 30 * time.Second
	// maxOutages is how many messages are told apart. The program has fewer.
	maxOutages = 100
	// otherOutages stands for all messages beyond maxOutages.
	otherOutages = "other messages"
)

// outageHandler bounds what is logged while the store can't be worked with, when all that happens fails and is tried
// again each second. A record of level Warn or above that holds an error with outbox.ErrUnavailable in its chain passes
// once a minute for each message; the next that passes says how many were omitted. If none follows, a record of its own
// says so within three minutes, unless the process ends before. All other records pass as they are.
type outageHandler struct {
	slog.Handler
	outages *outages
	always  bool // an attribute of all records is such an error
}

func newOutageHandler(next slog.Handler) *outageHandler {
	return &outageHandler{Handler: next, outages: &outages{next: next, of: map[string]*outage{}}}
}

// Handle passes or omits one record.
func (h *outageHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn || !h.always && !holdsOutage(r) {
		return h.Handler.Handle(ctx, r)
	}
	omitted, pass := h.outages.take(r.Message)
	if !pass {
		return nil
	}
	if omitted > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("omitted", omitted))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs counts together with h.
func (h *outageHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &outageHandler{h.Handler.WithAttrs(attrs), h.outages, h.always || slices.ContainsFunc(attrs, unavailable)}
}

// WithGroup counts together with h.
func (h *outageHandler) WithGroup(name string) slog.Handler {
	return &outageHandler{h.Handler.WithGroup(name), h.outages, h.always}
}

func holdsOutage(r slog.Record) (found bool) {
	r.Attrs(func(a slog.Attr) bool {
		found = unavailable(a)
		return !found
	})
	return found
}

// unavailable reports whether an attribute is, or groups, an error that says that the store can't be worked with.
func unavailable(a slog.Attr) bool {
	if a.Value.Kind() == slog.KindGroup {
		return slices.ContainsFunc(a.Value.Group(), unavailable)
	}
	err, ok := a.Value.Any().(error)
	return ok && errors.Is(err, outbox.ErrUnavailable)
}

// outages counts what is omitted.
type outages struct {
	next slog.Handler // logs what nobody else tells
	mu   sync.Mutex
	of   map[string]*outage // by message
	// due says that tell will be called, as it is while anything omitted isn't told. At rest there is no timer.
	due bool
}

type outage struct {
	until   time.Time // the next passes from then on
	omitted int       // since the last that passed
}

func (o *outage) over(now time.Time) bool { return !now.Before(o.until) }

// take reports whether a record passes, and if so how many of the same message were omitted since the last that did.
func (s *outages) take(message string) (omitted int, pass bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	o := s.find(message, now)
	if o.over(now) {
		omitted = o.omitted
		*o = outage{until: now.Add(outageEvery)}
		return omitted, true
	}
	o.omitted++
	if !s.due {
		s.due = true
		time.AfterFunc(outageEvery, s.tell)
	}
	return 0, false
}

// find is a message's outage, which is over if there was none.
func (s *outages) find(message string, now time.Time) *outage {
	if s.of[message] == nil && len(s.of) >= maxOutages {
		maps.DeleteFunc(s.of, func(_ string, o *outage) bool { return o.omitted == 0 && o.over(now) })
		if len(s.of) >= maxOutages {
			message = otherOutages
		}
	}
	if s.of[message] == nil {
		s.of[message] = &outage{}
	}
	return s.of[message]
}

// tell logs what was omitted of the messages that didn't come again when they could pass, and forgets them.
func (s *outages) tell() {
	omitted, messages := s.untold()
	if omitted == 0 {
		return
	}
	// Whoever asked for errors alone is told as well: what was omitted may have been errors.
	r := slog.NewRecord(time.Now(), slog.LevelError, "the store could not be worked with; more was logged than is shown", 0)
	r.AddAttrs(slog.Int("omitted", omitted), slog.Any("messages", messages))
	_ = s.next.Handle(context.Background(), r) // there is nowhere to say that the log can't be written
}

func (s *outages) untold() (omitted int, messages []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	patience := time.Now().Add(-outageGrace)
	s.due = false
	for message, o := range s.of {
		switch {
		case o.over(patience):
			if o.omitted > 0 {
				omitted += o.omitted
				messages = append(messages, message)
			}
			delete(s.of, message)
		case o.omitted > 0:
			s.due = true
		}
	}
	if s.due {
		time.AfterFunc(outageEvery, s.tell)
	}
	slices.Sort(messages)
	return omitted, messages
}
