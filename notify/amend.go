package notify

import (
	"context"
	"errors"
	"time"

	"allo-slack/allo"
	"allo-slack/outbox"
)

const (
	// aboutMost is how many events of tags and summaries are read for one call.
	aboutMost = 100
	// amendTries is how often an event is amended again that others amend at the same time.
	amendTries = 20
)

// addWithWhatCameBefore stores a call with the tags and summaries whose events came before its own, so that rules see
// it as it is.
func (n *Notifier) addWithWhatCameBefore(ctx context.Context, e *allo.Event, identity allo.Identity, recovered bool, now time.Time) (outbox.Added, string, error) {
	bodies, err := n.store.About(ctx, identity.Key, aboutMost)
	if err != nil {
		return outbox.Added{}, "", err
	}
	call := *e
	for _, body := range bodies {
		later := parse(ctx, n.log, 0, string(e.Topic), body)
		call = allo.Amend(&call, &later)
	}
	entry, muted, err := n.entry(ctx, &call, identity, now)
	if err != nil {
		return outbox.Added{}, "", err
	}
	entry.Recovered = recovered
	added, err := n.store.Add(ctx, entry)
	return added, muted, err
}

// amend brings a stored call up to date with what is told of it later: a tag or a summary, which may come before the
// call itself, or the same call told again. Its messages are updated, and a rule that matches only now posts it to its
// channel. It reports whether there was anything new.
//
// It is called after the event was stored, so that of a call and its tag that come at the same time one sees the other.
// All that is told of a call is added to it each time, in its order, so that a crash between the two commits loses
// nothing: the event was not answered, and comes again.
func (n *Notifier) amend(ctx context.Context, e *allo.Event, identity allo.Identity, news bool) (bool, error) {
	about := e.About()
	switch {
	case e.Topic == allo.CallReceived && e.ID != "":
		about = identity.Key
	case about == "":
		return false, nil
	}
	content := ""
	if news {
		content = identity.Content
	}
	for range amendTries {
		changed, err := n.amendOnce(ctx, e, about, content)
		if !errors.Is(err, outbox.ErrChanged) {
			return changed, err
		}
	}
	return false, outbox.ErrChanged
}

// amendOnce amends the call with a key. With content the event itself is one that has news.
func (n *Notifier) amendOnce(ctx context.Context, e *allo.Event, key, content string) (bool, error) {
	bodies, err := n.store.About(ctx, key, aboutMost)
	if err != nil {
		return false, err
	}
	var later []allo.Event
	if content != "" {
		later = append(later, *e)
	}
	for _, body := range bodies {
		later = append(later, parse(ctx, n.log, 0, string(e.Topic), body))
	}
	if len(later) == 0 {
		return false, nil
	}
	found, err := n.store.Find(ctx, key)
	if err != nil || found == nil {
		return false, err
	}
	was := parse(ctx, n.log, found.ID, string(allo.CallReceived), found.Body)
	call := was
	for i := range later {
		call = allo.Amend(&call, &later[i])
	}
	if call.Says(&was) {
		return false, nil
	}
	now := time.Now()
	routes, _, err := n.route(ctx, &call, now)
	if err != nil {
		return false, err
	}
	added, err := n.store.Amend(ctx, found.ID, found.Body, call.Raw, content, routes, now)
	if err != nil {
		return false, err
	}
	n.moved(added)
	n.log.InfoContext(ctx, "call brought up to date", "event_id", found.ID, "event_kind", e.Topic.Kind(), "channels", len(added.Channels))
	return true, nil
}
