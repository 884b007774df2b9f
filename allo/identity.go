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
	content := digest(canonicalJSON(e.Data))
	byContent := Identity{Key: string(e.Topic) + "#" + content}
	if e.ID == "" {
		return byContent
	}
	id := e.ID
	if len(id) > maxID {
		id = "#" + digest([]byte(id))
	}
	switch e.Topic {
	case CallReceived, SMSReceived, SMSSent:
		return Identity{Key: string(e.Topic) + ":" + id}
	case ContactCreated:
		return Identity{Key: string(e.Topic) + ":" + id, Subject: "contact:" + id, State: content}
	case ContactUpdated:
		return Identity{Key: byContent.Key, Window: contactWindow, Subject: "contact:" + id, State: content, Change: true}
	}
	return byContent
}

// maxID is how many bytes of an id are kept as they are; Allo's have 36 at most (seen).
const maxID = 100

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
