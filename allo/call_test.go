package allo_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"allo-slack/allo"
)

func TestWhetherACallWasMissed(t *testing.T) {
	tests := []struct {
		name            string
		fields          string
		missed, certain bool
	}{
		{"answered", `"type":"INBOUND","result":"ANSWERED"`, false, true},
		{"missed", `"type":"INBOUND","result":"missed","length_in_minutes":0.4`, true, true},
		{"no answer", `"type":"INBOUND","result":"NO_ANSWER"`, true, true},
		{"voicemail", `"type":"INBOUND","result":"VOICEMAIL","length_in_minutes":1`, true, true},
		{"closed", `"type":"INBOUND","result":"CLOSED"`, true, true},
		{"failed", `"type":"INBOUND","result":"FAILED"`, true, true},
		{"failed outside", `"type":"INBOUND","result":"FAILED_EXTERNAL"`, true, true},
		{"blocked", `"type":"INBOUND","result":"BLOCKED"`, false, true},
		{"answered by AI", `"type":"INBOUND","result":"TRANSFERRED_AI"`, false, true},
		{"a result that is new", `"type":"INBOUND","result":"NEW","length_in_minutes":0`, false, true},
		{"a length of 0", `"type":"INBOUND","length_in_minutes":0`, true, false},
		{"a length", `"type":"INBOUND","length_in_minutes":0.1`, false, false},
		{"no length", `"type":"INBOUND"`, false, false},
		{"no direction, a length of 0", `"length_in_minutes":0`, false, false},
		{"ours, that nobody took", `"type":"OUTBOUND","result":"NO_ANSWER","length_in_minutes":0`, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := call(t, tt.fields)
			if c.Missed != tt.missed || c.MissedIsCertain != tt.certain {
				t.Errorf("got missed %v, certain %v, want %v, %v", c.Missed, c.MissedIsCertain, tt.missed, tt.certain)
			}
		})
	}
}

func TestWhetherACallWasTransferred(t *testing.T) {
	tests := []struct {
		name   string
		fields string
		want   bool
	}{
		{"no", `"transfer_from":null,"transfer_to":null,"result":"ANSWERED"`, false},
		{"empty parties", `"transfer_from":{},"transfer_to":{"number":null,"user_name":""}`, false},
		{"from", `"transfer_from":{"number":"+14155550100"}`, true},
		{"to", `"transfer_to":{"user_email":"kim@acme.example"}`, true},
		{"as its result says", `"result":"transferred_external"`, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := call(t, tt.fields).Transferred(); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	half := at("10:30:00")
	tests := []struct {
		name  string
		value string
		want  time.Time
		odd   bool
	}{
		{"with Z", `"2024-01-15T10:30:00Z"`, half, false},
		{"without a zone", `"2024-01-15T10:30:00"`, half, false},
		{"with microseconds", `"2024-01-15T10:30:00.123456"`, half.Add(123456 * time.Microsecond), false},
		{"with microseconds and Z", `"2024-01-15T10:30:00.123456Z"`, half.Add(123456 * time.Microsecond), false},
		{"with an offset", `"2024-01-15T11:30:00+01:00"`, half, false},
		{"with an offset without a colon", `"2024-01-15T05:30:00.5-0500"`, half.Add(500 * time.Millisecond), false},
		{"with a space", `"2024-01-15 10:30:00"`, half, false},
		{"with a space and an offset", `"2024-01-15 11:30:00+01:00"`, half, false},
		{"without seconds", `"2024-01-15T10:30Z"`, half, false},
		{"with white space around", `" 2024-01-15T10:30:00Z\n"`, half, false},
		{"in seconds since 1970", `1705314600`, half, false},
		{"in milliseconds since 1970", `1705314600500`, half.Add(500 * time.Millisecond), false},
		{"null", `null`, time.Time{}, false},
		{"empty", `""`, time.Time{}, false},
		{"garbage", `"yesterday"`, time.Time{}, true},
		{"a day that is none", `"2024-02-30T10:30:00Z"`, time.Time{}, true},
		{"a day without a time", `"2024-01-15"`, time.Time{}, true},
		{"before 2000", `"1970-01-01T00:00:00Z"`, time.Time{}, true},
		{"year 1", `"0001-01-01T00:00:00Z"`, time.Time{}, true},
		{"beyond 2999", `"9999-12-31T23:59:59Z"`, time.Time{}, true},
		{"a number too large", `1e300`, time.Time{}, true},
		{"a number below 0", `-1705314600`, time.Time{}, true},
		{"a list", `["2024-01-15T10:30:00Z"]`, time.Time{}, true},
		{"true", `true`, time.Time{}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := parse(t, `{"topic":"CALL_RECEIVED","timestamp":`+tt.value+`,"data":{"start_date":`+tt.value+`}}`)
			if !e.Call.Start.Equal(tt.want) || !e.Sent.Equal(tt.want) {
				t.Errorf("got %v, sent %v, want %v", e.Call.Start, e.Sent, tt.want)
			}
			if e.Call.Start.Location() != time.UTC {
				t.Errorf("got %v, want UTC", e.Call.Start.Location())
			}
			if odd := len(e.Odd) > 0; odd != tt.odd {
				t.Errorf("got odd %v, want %v", e.Odd, tt.odd)
			}
		})
	}
}

func TestWhenAnEventHappened(t *testing.T) {
	const sent = `"timestamp":"2024-01-15T10:41:00Z"`
	tests := []struct {
		name string
		body string
		want time.Time
	}{
		{"a call", `{"topic":"CALL_RECEIVED",` + sent + `,"data":{"start_date":"2024-01-15T10:30:00Z"}}`, at("10:30:00")},
		{"a call by its other name", `{"topic":"call.completed","data":{"start_date":"soon","started_at":"2024-01-15T10:30:00Z"}}`, at("10:30:00")},
		{"a call without a start", `{"topic":"CALL_RECEIVED",` + sent + `,"data":{}}`, at("10:41:00")},
		{"a text", `{"topic":"SMS_SENT",` + sent + `,"data":{"sent_at":"2024-01-15T10:30:00Z"}}`, at("10:30:00")},
		{"a text by its other names", `{"topic":"SMS_SENT","data":{"started_at":"2024-01-15T10:30:00Z"}}`, at("10:30:00")},
		{"a contact", `{"topic":"CONTACT_CREATED",` + sent + `,"data":{}}`, at("10:41:00")},
		{"unknown", `{"topic":"CONTACT_CREATED","data":{}}`, time.Time{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := parse(t, tt.body)
			if got := e.At(); !got.Equal(tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestTags(t *testing.T) {
	tests := []struct {
		name   string
		fields string
		want   []string
	}{
		{"tag", `"tag":"support"`, []string{"support"}},
		{"tags", `"tags":["support","Follow up later"]`, []string{"support", "Follow up later"}},
		{"both, the same in other spellings", `"tag":"follow_up_later","tags":["Follow up later","follow-up-later","VIP"]`, []string{"follow_up_later", "VIP"}},
		{"an empty list beside a tag", `"tag":"support","tags":[]`, []string{"support"}},
		{"null beside a list", `"tag":null,"tags":["support"]`, []string{"support"}},
		{"both null", `"tag":null,"tags":null`, nil},
		{"empty ones", `"tag":" ","tags":["","-","_ "]`, nil},
		{"as objects", `"tag":{"id":1,"name":" support "},"tags":[{"id":2,"name":"VIP"}]`, []string{"support", "VIP"}},
		{"a list as tag", `"tag":["support","VIP"]`, []string{"support", "VIP"}},
		{"a text as tags", `"tags":"support"`, []string{"support"}},
		{"a number", `"tag":7`, []string{"7"}},
	}
	for _, topic := range []string{"CALL_RECEIVED", "SMS_RECEIVED", "CONTACT_CREATED"} {
		for _, tt := range tests {
			t.Run(topic+" "+tt.name, func(t *testing.T) {
				e := parse(t, `{"topic":"`+topic+`","data":{`+tt.fields+`}}`)
				if diff := cmp.Diff(tt.want, e.Tags()); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		}
	}
	if e := parse(t, `{"topic":"NEW_TOPIC","data":{"tag":"support"}}`); e.Tags() != nil {
		t.Errorf("got %v, want no tags of what is neither call, text nor contact", e.Tags())
	}
}

func TestFoldTag(t *testing.T) {
	for _, spelled := range []string{"follow_up_later", "Follow up later", "follow-up-LATER", "FollowUpLater", " follow\tup\u00a0later "} {
		if got := allo.FoldTag(spelled); got != "followuplater" {
			t.Errorf("%q: got %q, want followuplater", spelled, got)
		}
	}
	if allo.FoldTag("Café") != allo.FoldTag("CAFÉ") || allo.FoldTag("a.b") == allo.FoldTag("ab") {
		t.Error("got letters with accents kept apart, or a dot passed over")
	}
}

func TestFullName(t *testing.T) {
	for _, tt := range []struct{ first, last, want string }{
		{"John", "Doe", "John Doe"}, {"John", "", "John"}, {"", "Doe", "Doe"}, {"", "", ""},
	} {
		c := allo.Contact{Name: tt.first, LastName: tt.last}
		if got := c.FullName(); got != tt.want {
			t.Errorf("%q and %q: got %q, want %q", tt.first, tt.last, got, tt.want)
		}
	}
}
