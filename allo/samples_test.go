package allo_test

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"allo-slack/allo"
)

// hidden is how Allo's page writes every email address.
const hidden = "[email\u00a0protected]"

func at(clock string) time.Time {
	t, err := time.Parse(time.DateTime, "2024-01-15 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

// sampleEvents is what the samples say, without Data and Raw.
var sampleEvents = map[string]allo.Event{
	"call_received": {
		Topic: allo.CallReceived, Wire: "CALL_RECEIVED", ID: "call_abc123",
		Call: &allo.Call{
			ID:           "call_abc123",
			Start:        at("10:30:00"),
			From:         allo.Party{Number: "+1234567890", Name: "John Doe"},
			To:           allo.Party{Number: "+0987654321", Name: "Acme Support"},
			OriginalTo:   allo.Party{Number: "+0987654321", Name: "Main Line"},
			Direction:    allo.Inbound,
			Minutes:      5.5,
			HasMinutes:   true,
			Length:       "5m 30s",
			Tags:         []string{"support"},
			Summary:      "Customer called about order status and delivery timeline.",
			OneSentence:  "Order status inquiry",
			RecordingURL: "https://storage.withallo.com/recordings/abc123.mp3",
			Transcript: []allo.Line{
				{Source: "AGENT", Time: at("10:30:05"), Text: "Hello, how can I help you today?"},
				{Source: "USER", Time: at("10:30:10"), Text: "Hi, I'm calling about my order status."},
			},
			TranscriptText: "AGENT: Hello, how can I help you today?\nUSER: Hi, I'm calling about my order status.",
			Collected:      allo.Object{{Key: "orderNumber", Value: "12345"}, {Key: "customerEmail", Value: hidden}},
			UserEmail:      hidden,
			TransferFrom:   &allo.TransferParty{Number: "+1555000000", UserEmail: hidden, UserName: "First Agent"},
			TransferTo:     &allo.TransferParty{Number: "+1555123456", UserEmail: hidden, UserName: "Support Team"},
			OriginalCallID: "call_original123",
		},
	},
	"sms_received": {
		Topic: allo.SMSReceived, Wire: "SMS_RECEIVED", ID: "sms_abc123",
		Text: &allo.Text{
			ID: "sms_abc123", Direction: allo.Inbound, Type: "SMS",
			Content: "Hi, I'd like to schedule an appointment.",
			SentAt:  at("10:30:00"),
			From:    allo.Party{Number: "+1234567890", Name: "John Doe"},
			To:      allo.Party{Number: "+0987654321", Name: "Acme Support"},
		},
	},
	"sms_sent": {
		Topic: allo.SMSSent, Wire: "SMS_SENT", ID: "sms_xyz789",
		Text: &allo.Text{
			ID: "sms_xyz789", Direction: allo.Outbound, Type: "SMS",
			Content: "Your appointment is confirmed for tomorrow at 2pm.",
			SentAt:  at("10:35:00"),
			From:    allo.Party{Number: "+0987654321", Name: "Acme Support"},
			To:      allo.Party{Number: "+1234567890", Name: "John Doe"},
		},
	},
	"contact_created": {
		Topic: allo.ContactCreated, Wire: "CONTACT_CREATED", ID: "cnt_abc123",
		Contact: &allo.Contact{
			ID: "cnt_abc123", Name: "John", LastName: "Doe", Company: "Acme Inc",
			Emails: []string{hidden}, Numbers: []string{"+15551234567"},
		},
	},
	"contact_updated": {
		Topic: allo.ContactUpdated, Wire: "CONTACT_UPDATED", ID: "cnt_abc123",
		Contact: &allo.Contact{
			ID: "cnt_abc123", Name: "John", LastName: "Smith", Company: "Acme Inc",
			Emails: []string{hidden, hidden}, Numbers: []string{"+15551234567"},
		},
	},
}

func TestParseReadsEveryFieldOfTheSamples(t *testing.T) {
	files, err := fs.Glob(allo.Samples, "samples/*.json")
	if err != nil || len(files) != len(samples) {
		t.Fatalf("got %d samples (%v), want %d", len(files), err, len(samples))
	}
	for _, name := range samples {
		t.Run(name, func(t *testing.T) {
			body := readSample(t, name)
			e := parse(t, string(body))
			if diff := cmp.Diff(sampleEvents[name], e, asRead); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if string(e.Raw) != string(body) {
				t.Errorf("got %q as Raw, want the body", e.Raw)
			}
			_, data := envelope(t, name)
			if len(e.Data) != len(data) {
				t.Errorf("got %d fields in Data, want %d", len(e.Data), len(data))
			}
		})
	}
}

// Allo's page exists with its fields in snake_case and in camelCase.
func TestBothSpellingsAreOneEvent(t *testing.T) {
	word := regexp.MustCompile(`_[a-z]`)
	key := regexp.MustCompile(`"[a-z_]+":`)
	spellings := map[string]func(string) string{
		"camelCase": func(k string) string {
			return word.ReplaceAllStringFunc(k, func(w string) string { return strings.ToUpper(w[1:]) })
		},
		"PascalCase": func(k string) string {
			return word.ReplaceAllStringFunc("_"+k, func(w string) string { return strings.ToUpper(w[1:]) })
		},
	}
	for _, name := range samples {
		for spelling, respell := range spellings {
			t.Run(name+" in "+spelling, func(t *testing.T) {
				topic, data := envelope(t, name)
				body := key.ReplaceAllStringFunc(write(t, topic, data), func(quoted string) string {
					k := quoted[1 : len(quoted)-2]
					if k == "topic" || k == "data" {
						return quoted
					}
					return `"` + respell(k) + `":`
				})
				if strings.Contains(body, "from_number") || strings.Contains(body, "last_name") {
					t.Fatalf("got %s, want it in %s", body, spelling)
				}
				want := parse(t, write(t, topic, data))
				got := parse(t, body)
				if diff := cmp.Diff(want, got, asRead); diff != "" {
					t.Errorf("-snake_case +%s:\n%s", spelling, diff)
				}
			})
		}
	}
}

func TestAnEnvelopeOfTheSecondGeneration(t *testing.T) {
	e := parse(t, `{"topic":"call.completed","version":"2.0","timestamp":"2024-01-15T10:41:02.5Z","data":{
		"id":"call_abc123","direction":"OUTBOUND","started_at":"2024-01-15T10:30:00Z",
		"from_number":"+14155550100","to_number":"+14155550199","to_name":"John Doe","tags":["support"],
		"result":"no_answer","length_in_minutes":0,"ivr_result":[{"dtmf_key":"1","text_key":"sales"},{"dtmf_key":2}],
		"extracted_data":{"order":"4471"},"integration_id":"int_1"}}`)
	want := allo.Event{
		Topic: allo.CallReceived, Wire: "call.completed", Version: "2.0", Sent: at("10:41:02").Add(500 * time.Millisecond),
		ID: "call_abc123",
		Call: &allo.Call{
			ID: "call_abc123", Start: at("10:30:00"), Direction: allo.Outbound,
			From: allo.Party{Number: "+14155550100"}, To: allo.Party{Number: "+14155550199", Name: "John Doe"},
			Tags: []string{"support"}, Result: "NO_ANSWER", HasMinutes: true,
			Choices:   []allo.Choice{{Key: "1", Text: "sales"}, {Key: "2"}},
			Collected: allo.Object{{Key: "order", Value: "4471"}}, IntegrationID: "int_1", MissedIsCertain: true,
		},
	}
	if diff := cmp.Diff(want, e, asRead); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
