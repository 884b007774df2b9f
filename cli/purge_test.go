package cli

import (
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"allo-slack/fakeslack"
	"allo-slack/outbox"
	"allo-slack/rules"
)

// A clock that is far ahead at the start must not have everything deleted: nothing is older than Slack's clock says, and
// without that only what our own events make plausible.
func TestAClockThatIsFarAheadPurgesNothing(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		name    string
		ahead   time.Duration // of Slack's
		away    bool          // Slack is
		age     time.Duration // of the newest event, by our clock
		deleted int64
		wrong   bool
	}{
		{"the clock is right", 0, false, 31 * day, 1, false},
		{"the clock is ahead", 40 * day, false, 31 * day, 0, false},
		{"the clock is behind", -40 * day, false, 31 * day, 1, false},
		{"nobody tells the time", 0, true, 31 * day, 0, true},
		{"nobody tells the time, and an event came today", 0, true, time.Hour, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			slack := fakeslack.New(fakeslack.Options{Token: cmdToken, Clock: func() time.Time { return time.Now().Add(-c.ahead) }})
			if c.away {
				slack.Fault(fakeslack.Fault{Method: "*", Kind: fakeslack.CutBefore, Count: -1})
			}
			url, stop, err := slack.Listen()
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			path := "sqlite:" + filepath.Join(t.TempDir(), "test.db")
			store, err := outbox.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			ages := []time.Duration{31 * day, c.age}
			for _, age := range slices.Compact(ages) {
				route(t, store, outbox.Entry{Kind: outbox.Allo, Topic: "CALL_RECEIVED", Body: []byte(`{"topic":"CALL_RECEIVED"}`), Received: time.Now().Add(-age),
					Key: outbox.Key{Key: age.String()}}, "")
			}
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			file, err := rules.Parse("rules.yaml", []byte(`rules: [{name: all, match: {}, channel: "#support"}]`))
			if err != nil {
				t.Fatal(err)
			}
			a, err := newApp(t.Context(), settings{SlackBotToken: cmdToken, WebhookSecret: cmdSecret, SlackAPIURL: url, DatabaseURL: path, Retention: 30 * day},
				file, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			n, err := a.purgeOnce(t.Context())
			if n != c.deleted || (err != nil) != c.wrong {
				t.Errorf("deleted %d (%v), want %d, and an error: %v", n, err, c.deleted, c.wrong)
			}
			if err := a.close(); err != nil {
				t.Error(err)
			}
		})
	}
}
