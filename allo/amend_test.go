package allo_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"allo-slack/allo"
)

func TestWhichCallAnEventIsAbout(t *testing.T) {
	tests := []struct {
		name string
		body string
		want string
	}{
		{"a tag, by the call's id", `{"topic":"tag.added","data":{"id":"tag_1","call_id":"call_1"}}`, "CALL_RECEIVED:call_1"},
		{"a tag, by the call inside", `{"topic":"tag.removed","data":{"call":{"id":"call_1"}}}`, "CALL_RECEIVED:call_1"},
		{"a summary, by its own id", `{"topic":"summary.updated","data":{"id":"call_1"}}`, "CALL_RECEIVED:call_1"},
		{"an id of neither text nor number", `{"topic":"summary.updated","data":{"call_id":true,"call":[],"id":"call_1"}}`, "CALL_RECEIVED:call_1"},
		{"a call that is only named", `{"topic":"summary.updated","data":{"call":"call_1"}}`, ""},
		{"nothing that says", `{"topic":"tag.added","data":{"tag":"vip"}}`, ""},
		{"a call", `{"topic":"CALL_RECEIVED","data":{"id":"call_1"}}`, ""},
		{"a call that rings", `{"topic":"call.received","data":{"id":"call_1"}}`, ""},
		{"a text", `{"topic":"SMS_SENT","data":{"id":"sms_1","call_id":"call_1"}}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := parse(t, tt.body)
			if got := e.About(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	call, tag := parse(t, `{"topic":"CALL_RECEIVED","data":{"id":"call_1"}}`), parse(t, `{"topic":"tag.added","data":{"call_id":"call_1"}}`)
	if call.Identity().Key != tag.About() {
		t.Errorf("got %s, want the call's key %s", tag.About(), call.Identity().Key)
	}
}

func TestAmend(t *testing.T) {
	const bare = `{"topic":"call.completed","version":"2.0","timestamp":"2024-01-15T10:41:02.5Z","data":{"id":"call_1","length":"1m","extra":1.50}}`
	const told = `{"topic":"CALL_RECEIVED","data":{"id":"call_1","recordingUrl":"https://api.withallo.com/a","tag":"support","summary":"Old.","data_collected":{"a":1}}}`
	tests := []struct {
		name  string
		call  string
		later string
		want  string // the data; "" for nothing new
	}{
		{"a tag", bare, `{"topic":"tag.added","data":{"call_id":"call_1","tag":"vip"}}`, `{"id":"call_1","length":"1m","extra":1.50,"tag":null,"tags":["vip"]}`},
		{"a second tag", told, `{"topic":"tag.added","data":{"call_id":"call_1","tags":["vip"]}}`,
			`{"id":"call_1","recordingUrl":"https://api.withallo.com/a","tag":null,"summary":"Old.","data_collected":{"a":1},"tags":["support","vip"]}`},
		{"a tag it has in another spelling", told, `{"topic":"tag.added","data":{"call_id":"call_1","tag":"Support"}}`, ""},
		{"a tag removed", told, `{"topic":"tag.removed","data":{"call_id":"call_1","tag":"SUPPORT"}}`,
			`{"id":"call_1","recordingUrl":"https://api.withallo.com/a","tag":null,"summary":"Old.","data_collected":{"a":1},"tags":[]}`},
		{"a tag removed that it hasn't", told, `{"topic":"tag.removed","data":{"call_id":"call_1","tag":"vip"}}`, ""},
		{"a summary", bare, `{"topic":"summary.updated","data":{"call_id":"call_1","summary":"New.","one_sentence_summary":"N."}}`,
			`{"id":"call_1","length":"1m","extra":1.50,"summary":"New.","one_sentence_summary":"N."}`},
		{"another summary", told, `{"topic":"summary.updated","data":{"call_id":"call_1","summary":"New."}}`,
			`{"id":"call_1","recordingUrl":"https://api.withallo.com/a","tag":"support","summary":"New.","data_collected":{"a":1}}`},
		{"an empty summary", told, `{"topic":"summary.updated","data":{"call_id":"call_1","summary":""}}`, ""},
		{"a summary, told of a tag", told, `{"topic":"tag.added","data":{"call_id":"call_1","summary":"New.","tag":"support"}}`, ""},
		{"the same call", told, told, ""},
		{"the call with all that came to be known", bare, `{"topic":"CALL_RECEIVED","data":{"id":"call_1","tag":"vip","summary":"New.",
			"recording_url":"https://api.withallo.com/b","user_email":"kim@acme.example","concatenated_transcript":"Hi.",
			"transcriptions":[{"text":"Hi."}],"extracted_data":{"b":2},"length":"2m"}}`,
			`{"id":"call_1","length":"1m","extra":1.50,"tag":null,"tags":["vip"],"summary":"New.","recording_url":"https://api.withallo.com/b",` +
				`"user_email":"kim@acme.example","concatenated_transcript":"Hi.","transcriptions":[{"text":"Hi."}],"data_collected":{"b":2}}`},
		{"the call with less, and another recording", told, `{"topic":"CALL_RECEIVED","data":{"id":"call_1","recording_url":"https://api.withallo.com/b","tag":null}}`, ""},
		{"a text", told, `{"topic":"SMS_SENT","data":{"id":"call_1","tag":"vip"}}`, ""},
		{"of a text", `{"topic":"SMS_SENT","data":{"id":"call_1"}}`, `{"topic":"tag.added","data":{"call_id":"call_1","tag":"vip"}}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			call, later := parse(t, tt.call), parse(t, tt.later)
			before := parse(t, tt.call)
			got := allo.Amend(&call, &later)
			isNew := !got.Says(&call)
			if diff := cmp.Diff(before, call); diff != "" {
				t.Errorf("the call itself changed:\n%s", diff)
			}
			if isNew != (tt.want != "") {
				t.Fatalf("got new %v: %s, want new %v", isNew, got.Raw, !isNew)
			}
			if !isNew {
				if diff := cmp.Diff(before, got, asRead); diff != "" {
					t.Errorf("nothing new, and yet:\n%s", diff)
				}
				return
			}
			if data, err := got.Data.MarshalJSON(); err != nil || string(data) != tt.want {
				t.Errorf("got %s (%v)\nwant %s", data, err, tt.want)
			}
			if got.Topic != before.Topic || got.Wire != before.Wire || got.Version != before.Version || !got.Sent.Equal(before.Sent) {
				t.Errorf("got the envelope %s %s %s %v, want %s %s %s %v", got.Topic, got.Wire, got.Version, got.Sent, before.Topic, before.Wire, before.Version, before.Sent)
			}
			if diff := cmp.Diff(parse(t, string(got.Raw)), got); diff != "" {
				t.Errorf("Raw says something else:\n%s", diff)
			}
			if got.Identity().Key != before.Identity().Key {
				t.Errorf("got %s, want it to stay %s", got.Identity().Key, before.Identity().Key)
			}
			if again := allo.Amend(&got, &later); !again.Says(&got) {
				t.Errorf("told once more it became %s, want it to stay %s", again.Raw, got.Raw)
			}
		})
	}
}
