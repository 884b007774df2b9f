package notify

import (
	"context"
	"log/slog"
	"slices"

	"allo-slack/allo"
	"allo-slack/outbox"
)

// story is what was said of one thing: of a call the first telling, and what was said of it later.
type story struct {
	first *outbox.Event // as it is stored; nil if it isn't
	event allo.Event    // the same, read
	later []allo.Event  // what was said of it later, as far as that is routed
}

// storyOf reads what was said of the thing that has a key.
func storyOf(ctx context.Context, store *outbox.Store, log *slog.Logger, key string) (story, error) {
	said, err := store.Said(ctx, key)
	if err != nil {
		return story{}, err
	}
	var s story
	for i, e := range said {
		switch {
		case e.About == "":
			s.first, s.event = &said[i], read(ctx, log, e)
		case !e.New:
			s.later = append(s.later, read(ctx, log, e))
		}
	}
	return s, nil
}

// known is what is known of it.
func (s story) known() allo.Event { return allo.Fold(s.event, s.later...) }

// states are what it has been by and by, from the time on at which it was told itself, as if all that was said had come in
// the order in which it was said: each is unlike the one before it. They are at least one and at most statesMost, the latest
// ones.
func (s story) states() []allo.Event {
	later, from := s.inOrder()
	states := []allo.Event{allo.Fold(s.event, later[:from]...)}
	for n := from + 1; n <= len(later); n++ {
		if next := allo.Fold(s.event, later[:n]...); !next.Says(&states[len(states)-1]) {
			states = append(states, next)
		}
	}
	return states
}

// statesBy are those of the states that would be others if one thing had not been said.
func (s story) statesBy(one allo.Event) []allo.Event {
	later, from := s.inOrder()
	at := slices.IndexFunc(later, func(e allo.Event) bool { return e.Order == one.Order })
	var states []allo.Event
	for n := max(at+1, from); n <= len(later); n++ {
		with := allo.Fold(s.event, later[:n]...)
		without := allo.Fold(s.event, slices.Delete(slices.Clone(later[:n]), at, at+1)...)
		if !with.Says(&without) {
			states = append(states, with)
		}
	}
	return states
}

// inOrder is what was said later, in its order, and how much of that makes the first state.
func (s story) inOrder() (later []allo.Event, first int) {
	later = slices.SortedFunc(slices.Values(s.later), allo.InOrder)
	for first < len(later) && allo.InOrder(later[first], s.event) < 0 {
		first++
	}
	return later, max(first, len(later)-statesMost+1)
}

// read reads a stored envelope.
func read(ctx context.Context, log *slog.Logger, e outbox.Event) allo.Event {
	event := parse(ctx, log, e.ID, e.Topic, e.Body)
	event.Said, event.Order = e.Said, e.ID
	return event
}

// Known is what is known of a stored event.
func Known(ctx context.Context, store *outbox.Store, log *slog.Logger, e outbox.Event) (allo.Event, error) {
	event := read(ctx, log, e)
	if event.Topic != allo.CallReceived {
		return event, nil
	}
	s, err := storyOf(ctx, store, log, e.Key)
	return allo.Fold(event, s.later...), err
}
