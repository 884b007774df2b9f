package format_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"allo-slack/allo"
	"allo-slack/format"
)

// FuzzMessages holds every message that can be made of a payload to Slack's limits and to "nobody is pinged".
func FuzzMessages(f *testing.F) {
	for _, name := range names(f) {
		body, err := os.ReadFile(name + ".event.json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body, uint8(0), "https://calls.example.com/calls/abc", int64(600))
		f.Add(body, uint8(0xff), "https://calls.example.com/calls/?a=1&b=<!channel>", int64(1e6))
	}
	f.Fuzz(func(t *testing.T, body []byte, bits uint8, link string, late int64) {
		e, err := allo.Parse(body)
		if err != nil {
			return // not an envelope: the webhook says so
		}
		it := format.Item{Event: e, Options: format.Options{
			Recording: link,
			Redact:    format.Redact{Numbers: bits&1 != 0, Emails: bits&2 != 0, Cards: bits&4 != 0},
			Recovered: bits&8 != 0,
		}}
		if bits&16 != 0 {
			it.Options.Mention = "<!here>"
		}
		if bits&32 != 0 {
			it.Options.TranscriptURL = link + "#t"
		}
		if bits&64 != 0 {
			it.Received = e.At().Add(time.Duration(late) * time.Second)
		}
		if bits&128 != 0 {
			it.Known.Before = &allo.Contact{Name: link, Emails: []string{link}}
			it.Known.Path = []allo.Party{{Name: link}, {Number: link}}
			it.Known.Followup = &format.Followup{How: format.FollowupKind(link), At: it.Received, By: link}
		}
		digest, n := format.Digest([]format.Item{it, it, it})
		if n < 1 || n > 3 {
			t.Errorf("a digest of %d of 3 events", n)
		}
		messages := append(format.Transcript(it), format.Event(it), format.Plain(it), digest)
		for _, m := range messages {
			hold(t, m, it.Options)
			if it.Options.Redact.Emails {
				holdRedacted(t, m, link)
			}
		}
	})
}

var address = regexp.MustCompile(`[A-Za-z0-9.]+@[A-Za-z0-9]+\.[A-Za-z0-9]+`)

// holdRedacted finds no address in a message, but in a link of ours.
func holdRedacted(t *testing.T, m format.Message, link string) {
	t.Helper()
	b, err := json.Marshal(m.Blocks)
	if err != nil {
		t.Fatal(err)
	}
	said := m.Text + strings.ReplaceAll(string(b), `\n`, "\n")
	if found := address.FindString(said); found != "" && !strings.Contains(link, found) {
		t.Errorf("it says %q", found)
	}
}
