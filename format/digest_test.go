package format_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"allo-slack/allo"
	"allo-slack/format"
)

// typical are events as a day brings them, with links as long as those of the call page.
func typical(t testing.TB, n int) []format.Item {
	t.Helper()
	kinds := []string{
		`{"topic":"CALL_RECEIVED","data":{"id":"c%d","start_date":"2024-01-15T10:30:00Z","from_number":"+14155550%03d","from_name":"Jordan Example","to":"+14155550100","to_name":"Acme Support","length_in_minutes":5.5,"length":"5m 30s","tag":"support","summary":"Customer called about order status and delivery timeline.","one_sentence_summary":"Order status inquiry about a delayed delivery","type":"INBOUND"}}`,
		`{"topic":"CALL_RECEIVED","data":{"id":"c%d","start_date":"2024-01-15T10:31:00Z","from_number":"+14155550%03d","to":"+14155550100","length_in_minutes":0,"result":"MISSED","type":"INBOUND"}}`,
		`{"topic":"SMS_RECEIVED","data":{"id":"s%d","direction":"INBOUND","type":"SMS","content":"Hi, I'd like to schedule an appointment for the week after next, if there is room on Tuesday morning.","sent_at":"2024-01-15T10:30:00Z","from_number":"+14155550%03d","to_number":"+14155550100","from_name":"John Doe","to_name":"Acme Support"}}`,
	}
	items := make([]format.Item, n)
	for i := range items {
		e, err := allo.Parse(fmt.Appendf(nil, kinds[i%3], i, i%1000))
		if err != nil {
			t.Fatal(err)
		}
		items[i] = format.Item{Event: e, Received: time.Date(2024, 1, 15, 10, 36, 1, 0, time.UTC)}
		if i%3 == 0 {
			items[i].Options.Recording = fmt.Sprintf("https://allo-slack-example.fly.dev/calls/eyJjIjoiY2FsbF8xIiwiciI6IjEifQ.s3nRxkq0Yb2h8vTz5mJw1g%03d", i)
		}
	}
	return items
}

func TestDigestHoldsTypicalEvents(t *testing.T) {
	items := typical(t, 300)
	messages := 0
	for rest := items; len(rest) > 0; messages++ {
		m, n := format.Digest(rest)
		var links, mentions []string
		for _, it := range rest[:n] {
			links = append(links, it.Options.Recording)
		}
		hold(t, m, format.Options{Recording: strings.Join(links, " "), Mention: strings.Join(mentions, " ")})
		rest = rest[n:]
	}
	if messages > 10 {
		t.Errorf("300 events took %d messages, want at most 10", messages)
	}
	t.Logf("300 events in %d messages", messages)
}

// Events at their worst: each message still holds at least one, and all come out, in order.
func TestDigestOfTheWorst(t *testing.T) {
	long := strings.Repeat("<&>👩‍👩‍👧‍👦 ", 3000)
	body := fmt.Sprintf(`{"topic":"CALL_RECEIVED","data":{"from_name":%q,"to_name":%q,"length":%q,"one_sentence_summary":%q,"start_date":"2024-01-15T10:30:00Z","transfer_to":{"user_name":%q}}}`, long, long, long, long, long)
	e, err := allo.Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	link := "https://calls.example.com/" + strings.Repeat("é&", 600)
	items := make([]format.Item, 70)
	for i := range items {
		items[i] = format.Item{Event: e, Options: format.Options{Recording: link, Mention: fmt.Sprintf("<@U%08d> <!subteam^S%08d>", i, i)}}
	}
	for rest := items; len(rest) > 0; {
		m, n := format.Digest(rest)
		if n < 1 {
			t.Fatalf("a digest of %d events", n)
		}
		var mentions []string
		for _, it := range rest[:n] {
			mentions = append(mentions, it.Options.Mention)
		}
		hold(t, m, format.Options{Recording: link, Mention: strings.Join(mentions, " ")})
		rest = rest[n:]
	}
}

func TestDigestOfNothing(t *testing.T) {
	if m, n := format.Digest(nil); n != 0 || m.Text != "" || m.Blocks != nil {
		t.Errorf("got %v, %d; want nothing", m, n)
	}
}

func TestSameArgumentsSameMessage(t *testing.T) {
	for _, name := range names(t) {
		a, _ := render(t, name)
		b, _ := render(t, name)
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("%s differs from itself:\n%s", name, diff)
		}
	}
}

func BenchmarkEvent(b *testing.B) {
	for _, name := range []string{"call_transferred", "call_markdown", "call_60_huge_fields", "text_inbound", "contact_changed"} {
		it, _ := readItem(b, "testdata/"+name)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				format.Event(it)
			}
		})
	}
}

func BenchmarkDigest(b *testing.B) {
	items := typical(b, 60)
	b.ReportAllocs()
	for b.Loop() {
		_, n := format.Digest(items)
		b.ReportMetric(float64(n), "events")
	}
}
