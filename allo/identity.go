package allo

import (
	"crypto/sha256"
	"encoding/base64"
	"time"
)

// Identity is what a repeat of an event is recognised by. Allo delivers at least once, and a proxy on the way may
// deliver one request twice.
type Identity struct {
	// Key is the same for an event and its repeats. It is opaque, and holds no personal data but Allo's ids.
	Key string
	// Window is how long Key is remembered at most; 0 is for as long as events are kept.
	Window time.Duration
	// Subject names what the event tells the whole state of (a contact), "" for anything else; State is a digest
	// of that state. With Change, an event that repeats its subject's last known state is a repeat whatever its
	// Key; without, it only makes a first state known.
	Subject string
	State   string
	Change  bool
	// Saying is set for a call, which may be told again with something new: only what has the Key and the Saying of
	// another is its repeat. What has but the Key is about it (see Fold).
	Saying string
}

// contactWindow is how long a contact's change is taken for a repeat of an earlier one with the same content.
// A change to B and back to A is three changes when it takes longer.
const contactWindow = 15 * time.Minute

// Identity tells what a repeat of this event is recognised by.
//
// A call, a text and a new contact happen once: topic and data.id. The topic is the canonical one, so that the
// same call through both generations of webhooks is one event. A contact's change has no id of its own: what it
// says counts. Everything else, and what has no id, is recognised by the topic and all of data.
func (e *Event) Identity() Identity {
	if e.Topic == CallReceived && e.ID != "" {
		// The bytes as they came: one that is only written in another way has nothing new either, and is folded for
		// nothing. That is cheaper than a form that all ways of writing share, and calls are most of what comes.
		return Identity{Key: callKey(e.ID), Saying: digest(e.Raw)}
	}
	content := digest(canonicalJSON(e.Data))
	byContent := Identity{Key: bounded(string(e.Topic)) + "#" + content}
	if e.Topic.OnlyWhenNamed() && !e.Sent.IsZero() {
		// A tag that is added, removed and added again is three events: when they were sent tells them apart.
		byContent.Key += "@" + e.Sent.Format(time.RFC3339Nano)
	}
	if e.ID == "" {
		return byContent
	}
	id := bounded(e.ID)
	switch e.Topic {
	case SMSReceived, SMSSent:
		return Identity{Key: string(e.Topic) + ":" + id}
	case ContactCreated:
		return Identity{Key: string(e.Topic) + ":" + id, Subject: "contact:" + id, State: e.Contact.state()}
	case ContactUpdated:
		return Identity{Key: byContent.Key, Window: contactWindow, Subject: "contact:" + id, State: e.Contact.state(), Change: true}
	}
	return byContent
}

// callKey is the Key of the call with an id.
func callKey(id string) string { return string(CallReceived) + ":" + bounded(id) }

func bounded(id string) string {
	if len(id) > maxID {
		return "#" + digest([]byte(id))
	}
	return id
}

// state is a digest of all that is known of a contact. Fields that this program doesn't know, such as when it was
// changed last, don't count: a change of nothing else has nothing to say.
func (c *Contact) state() string {
	list := func(values []string) Object {
		o := make(Object, 0, len(values))
		for _, v := range values {
			o = append(o, Field{v, true})
		}
		return o
	}
	return digest(canonicalJSON(Object{
		{"name", c.Name}, {"last_name", c.LastName}, {"company", c.Company},
		{"emails", list(c.Emails)}, {"numbers", list(c.Numbers)}, {"tags", list(c.Tags)},
	}))
}

// maxID is how many bytes of an id, or of a topic, are kept as they are; Allo's have 36 at most (seen).
const maxID = 100

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
