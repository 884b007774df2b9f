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

// storyOf reads what was said of the thing that has a key, but for an event, by its id, which who asks has already.
func storyOf(ctx context.Context, store *outbox.Store, log *slog.Logger, key string, but int64) (story, error) {
	said, err := store.Said(ctx, key, but)
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

// states are what it has been by and by, from the time on at which it was told itself first, as if all that was said had come
// in the order in which it was said: each is unlike the one before it. They are at least one and at most statesMost, the
// latest ones.
func (s story) states() []allo.Event {
	said, first := s.inOrder()
	states := []allo.Event{fold(said[:first])}
	for n := first + 1; n <= len(said); n++ {
		if next := fold(said[:n]); !next.Says(&states[len(states)-1]) {
			states = append(states, next)
		}
	}
	return states
}

// statesBy are those of the states that would be others if some of what was said later had not been, and, if there are any,
// the last of all states: what it is known to be now, which it was not before where that would be another, too.
func (s story) statesBy(more []allo.Event) (states []allo.Event, before, now allo.Event) {
	isNew := map[int64]bool{}
	for _, e := range more {
		isNew[e.Order] = true
	}
	said, first := s.inOrder()
	rest := slices.DeleteFunc(slices.Clone(said), func(e allo.Event) bool { return isNew[e.Order] })
	told := 1 + slices.IndexFunc(rest, s.tells)
	old := 0 // how much of rest is in said[:n]
	for n := 1; n <= len(said); n++ {
		if !isNew[said[n-1].Order] {
			old++
		}
		if n < first || n == old {
			continue
		}
		now, before = fold(said[:n]), fold(rest[:max(old, told)])
		if !now.Says(&before) || n == len(said) && len(states) > 0 {
			states = append(states, now)
		}
	}
	return states, before, now
}

// inOrder is all that was said, in its order, and how much of that makes the first state.
func (s story) inOrder() (said []allo.Event, first int) {
	said = append(slices.Clone(s.later), s.event)
	slices.SortFunc(said, allo.InOrder)
	first = 1 + slices.IndexFunc(said, s.tells)
	return said, max(first, len(said)-statesMost+1)
}

// tells reports whether an event tells of the thing itself, rather than something about it.
func (s story) tells(e allo.Event) bool { return e.Topic == s.event.Topic }

// fold is what is known by some of what was said.
func fold(said []allo.Event) allo.Event {
	at := max(0, slices.IndexFunc(said, func(e allo.Event) bool { return e.Topic == allo.CallReceived }))
	return allo.Fold(said[at], slices.Delete(slices.Clone(said), at, at+1)...)
}

// read reads a stored envelope.
func read(ctx context.Context, log *slog.Logger, e outbox.Event) allo.Event {
	event := parse(ctx, log, e.ID, e.Topic, e.Body)
	event.Said, event.Order = e.Said, e.ID
	return event
}

// Known is what is known of a stored event.
func Known(ctx context.Context, store *outbox.Store, log *slog.Logger, e outbox.Event) (allo.Event, error) {
	return known(ctx, store, log, e, read(ctx, log, e))
}

// known is what is known of a stored event that was read.
func known(ctx context.Context, store *outbox.Store, log *slog.Logger, e outbox.Event, event allo.Event) (allo.Event, error) {
	if event.Topic != allo.CallReceived {
		return event, nil
	}
	s, err := storyOf(ctx, store, log, e.Key, e.ID)
	return allo.Fold(event, s.later...), err
}
