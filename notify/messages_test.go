package notify

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"allo-slack/allo"
	"allo-slack/outbox"
)

// waitingCalls are deliveries of calls, each of a chain of its own.
func waitingCalls(n int) []outbox.Delivery {
	list := make([]outbox.Delivery, n)
	for i := range list {
		list[i] = outbox.Delivery{ID: int64(i + 1), Event: int64(i + 1), Kind: outbox.Allo, Topic: string(allo.CallReceived), Body: []byte(aCall(i, "")),
			Options: `{}`, Thread: fmt.Sprint("call:", i)}
	}
	return list
}

// storeless makes messages without a store: to ask one would panic.
func storeless() *messages {
	return &messages{restored: &restored{}, people: &people{users: map[string]outbox.User{}}, zone: func() *time.Location { return time.UTC },
		log: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func readAll(t testing.TB, m *messages, deliveries []outbox.Delivery, known []item) []item {
	t.Helper()
	items, err := m.read(t.Context(), deliveries, known)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// Of what a digest holds each envelope is parsed once, and nothing more is asked of the store.
func TestADigestIsReadOnce(t *testing.T) {
	m := storeless()
	waiting := waitingCalls(digestMost)
	first := readAll(t, m, waiting, nil)
	if n := m.digest(t.Context(), first); n < 40 {
		t.Errorf("a digest holds %d of %d calls, want more", n, len(waiting))
	}
	again := readAll(t, m, waiting[:60], first)
	for i := range again {
		if again[i].shown.Event.Call != first[i].shown.Event.Call {
			t.Errorf("call %d was parsed again", i)
		}
	}
	p := &outbox.Post{ID: "p", Form: outbox.Digest, Deliveries: waiting[:60]}
	if message, err := m.render(t.Context(), p, again); err != nil || !strings.Contains(message.Text, "60") {
		t.Errorf("got %q, %v, want a digest of 60", message.Text, err)
	}
	waiting[3].Known++
	amended := readAll(t, m, waiting, first)
	if amended[3].shown.Event.Call == first[3].shown.Event.Call || amended[4].shown.Event.Call != first[4].shown.Event.Call {
		t.Error("want the one of which more is known to be read again, and no other")
	}
}

// BenchmarkDigest is what it costs to make the message of a burst.
func BenchmarkDigest(b *testing.B) {
	m := storeless()
	waiting := waitingCalls(digestMost)
	b.ReportAllocs()
	for b.Loop() {
		items := readAll(b, m, waiting, nil)
		p := &outbox.Post{ID: "p", Form: outbox.Digest, Deliveries: waiting[:m.digest(b.Context(), items)]}
		if _, err := m.render(b.Context(), p, readAll(b, m, p.Deliveries, items)); err != nil {
			b.Fatal(err)
		}
	}
}
