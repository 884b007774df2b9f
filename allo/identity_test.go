package allo_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"allo-slack/allo"
)

func TestIdentityOfTheSamples(t *testing.T) {
	tests := []struct {
		sample string
		key    string // its beginning
		want   allo.Identity
	}{
		{"call_received", "CALL_RECEIVED:call_abc123", allo.Identity{}},
		{"sms_received", "SMS_RECEIVED:sms_abc123", allo.Identity{}},
		{"sms_sent", "SMS_SENT:sms_xyz789", allo.Identity{}},
		{"contact_created", "CONTACT_CREATED:cnt_abc123", allo.Identity{Subject: "contact:cnt_abc123"}},
		{"contact_updated", "CONTACT_UPDATED#", allo.Identity{Subject: "contact:cnt_abc123", Window: 15 * time.Minute, Change: true}},
	}
	for _, tt := range tests {
		t.Run(tt.sample, func(t *testing.T) {
			e := parse(t, string(readSample(t, tt.sample)))
			got := e.Identity()
			if !strings.HasPrefix(got.Key, tt.key) || !strings.HasSuffix(tt.key, "#") && got.Key != tt.key {
				t.Errorf("got key %s, want %s", got.Key, tt.key)
			}
			if (got.State != "") != (got.Subject != "") {
				t.Errorf("got state %q of %q, want a state of what has one", got.State, got.Subject)
			}
			if (got.Saying != "") != (e.Topic == allo.CallReceived) {
				t.Errorf("got saying %q, want it for calls only", got.Saying)
			}
			got.Key, got.State, got.Saying = "", "", ""
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWhichEventsAreRepeats(t *testing.T) {
	const again = ""
	long := strings.Repeat("x", 200)
	tests := []struct {
		name   string
		first  string
		second string // again: the first, once more
		repeat bool
	}{
		{"a call sent again", `{"topic":"CALL_RECEIVED","data":{"id":"call_1"}}`, again, true},
		{"a call told again with a tag", `{"topic":"CALL_RECEIVED","data":{"id":"call_1"}}`, `{"topic":"CALL_RECEIVED","data":{"id":"call_1","tag":"vip"}}`, true},
		{"a call through both generations", `{"topic":"CALL_RECEIVED","data":{"id":"call_1"}}`,
			`{"topic":"call.completed","version":"2.0","timestamp":"2024-01-15T10:41:00Z","data":{"id":"call_1","to_number":"+1415"}}`, true},
		{"a call that ended and one that rings", `{"topic":"CALL_RECEIVED","data":{"id":"call_1"}}`, `{"topic":"call.received","data":{"id":"call_1"}}`, false},
		{"two calls", `{"topic":"CALL_RECEIVED","data":{"id":"call_1"}}`, `{"topic":"CALL_RECEIVED","data":{"id":"call_2"}}`, false},
		{"a call and a text with one id", `{"topic":"CALL_RECEIVED","data":{"id":"1"}}`, `{"topic":"SMS_RECEIVED","data":{"id":"1"}}`, false},
		{"ids of another case", `{"topic":"CALL_RECEIVED","data":{"id":"call_a"}}`, `{"topic":"CALL_RECEIVED","data":{"id":"call_A"}}`, false},
		{"long ids that are the same", `{"topic":"CALL_RECEIVED","data":{"id":"` + long + `"}}`, again, true},
		{"long ids that end in another way", `{"topic":"CALL_RECEIVED","data":{"id":"` + long + `1"}}`, `{"topic":"CALL_RECEIVED","data":{"id":"` + long + `2"}}`, false},
		{"calls whose id says nothing", `{"topic":"CALL_RECEIVED","data":{"id":true,"length":"1m"}}`, `{"topic":"CALL_RECEIVED","data":{"id":true,"length":"2m"}}`, false},

		{"a text sent, through both generations", `{"topic":"SMS_SENT","data":{"id":"sms_1","direction":"OUTBOUND"}}`, `{"topic":"sms.sent","data":{"id":"sms_1","type":"OUTBOUND"}}`, true},
		{"a text sent, where one topic serves both ways", `{"topic":"SMS_SENT","data":{"id":"sms_1"}}`, `{"topic":"SMS_RECEIVED","data":{"id":"sms_1","direction":"OUTBOUND"}}`, true},
		{"a text received and one sent", `{"topic":"SMS_RECEIVED","data":{"id":"sms_1"}}`, `{"topic":"SMS_SENT","data":{"id":"sms_1"}}`, false},

		{"a contact made, told for each number", `{"topic":"CONTACT_CREATED","data":{"id":"cnt_1"}}`, `{"topic":"CONTACT_CREATED","data":{"id":"cnt_1","name":"John"}}`, true},
		{"a contact made and changed", `{"topic":"CONTACT_CREATED","data":{"id":"cnt_1"}}`, `{"topic":"CONTACT_UPDATED","data":{"id":"cnt_1"}}`, false},
		{"a contact changed, sent again", `{"topic":"CONTACT_UPDATED","data":{"id":"cnt_1","name":"John"}}`, again, true},
		{"a contact changed in two ways", `{"topic":"CONTACT_UPDATED","data":{"id":"cnt_1","name":"John"}}`, `{"topic":"CONTACT_UPDATED","data":{"id":"cnt_1","name":"Jack"}}`, false},
		{"two contacts changed to the same", `{"topic":"CONTACT_UPDATED","data":{"id":"cnt_1","name":"John"}}`, `{"topic":"CONTACT_UPDATED","data":{"id":"cnt_2","name":"John"}}`, false},

		{"no id, the same content", `{"topic":"CALL_RECEIVED","data":{"length":"1m"}}`, again, true},
		{"no id, another content", `{"topic":"CALL_RECEIVED","data":{"length":"1m"}}`, `{"topic":"CALL_RECEIVED","data":{"length":"2m"}}`, false},
		{"no id, another order", `{"topic":"SMS_RECEIVED","data":{"content":"a","from":{"number":"1","name":"b"}}}`,
			`{"data":{"from":{"name":"b","number":"1"},"content":"a"},"topic":"SMS_RECEIVED"}`, true},
		{"no id, other white space", `{"topic":"SMS_RECEIVED","data":{"content":"a","tags":["b","c"]}}`,
			"\n{ \"topic\" : \"SMS_RECEIVED\",\r\n\t\"data\": {\"content\": \"a\", \"tags\": [ \"b\" , \"c\" ] } } ", true},
		{"no id, texts written in another way", `{"topic":"SMS_RECEIVED","data":{"content":"caf\u00e9 <b>"}}`, `{"topic":"SMS_RECEIVED","data":{"content":"café \u003cb\u003e"}}`, true},
		{"no id, a list in another order", `{"topic":"SMS_RECEIVED","data":{"tags":["b","c"]}}`, `{"topic":"SMS_RECEIVED","data":{"tags":["c","b"]}}`, false},
		{"no id, a number and a text", `{"topic":"SMS_RECEIVED","data":{"content":1}}`, `{"topic":"SMS_RECEIVED","data":{"content":"1"}}`, false},
		{"no id, null and missing", `{"topic":"SMS_RECEIVED","data":{"content":null}}`, `{"topic":"SMS_RECEIVED","data":{}}`, false},
		{"no id, other topics", `{"topic":"SMS_RECEIVED","data":{}}`, `{"topic":"CALL_RECEIVED","data":{}}`, false},

		{"an unknown topic by its content", `{"topic":"NEW","data":{"id":"1","a":1}}`, again, true},
		{"an unknown topic with one id", `{"topic":"NEW","data":{"id":"1","a":1}}`, `{"topic":"NEW","data":{"id":"1","a":2}}`, false},
		{"a tag added twice", `{"topic":"tag.added","timestamp":"2024-01-15T10:41:00Z","data":{"id":"call_1","tag":"vip"}}`,
			`{"topic":"tag.added","timestamp":"2024-01-15T10:45:00Z","data":{"id":"call_1","tag":"vip"}}`, false},
		{"a tag added, sent again", `{"topic":"tag.added","timestamp":"2024-01-15T10:41:00Z","data":{"id":"call_1","tag":"vip"}}`, again, true},
		{"a tag added, without a time", `{"topic":"tag.added","data":{"id":"call_1","tag":"vip"}}`, again, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.second == again {
				tt.second = tt.first
			}
			one, two := parse(t, tt.first), parse(t, tt.second)
			a, b := one.Identity().Key, two.Identity().Key
			if (a == b) != tt.repeat {
				t.Errorf("got %s and %s, want repeats: %v", a, b, tt.repeat)
			}
		})
	}
}

// A key goes into an index of the store: it is short, and of characters that every database takes.
func TestAKeyIsShortAndPlain(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, body := range []string{
		`{"topic":"CALL_RECEIVED","data":{"id":"` + long + `"}}`,
		`{"topic":"CALL_RECEIVED","data":{"id":"a\u0000b"}}`,
		`{"topic":"CONTACT_UPDATED","data":{"id":"` + long + `"}}`,
		`{"topic":"` + long + `","data":{}}`,
		`{"topic":"A\u0000B","data":{}}`,
		`{"topic":"tag.added","data":{"call_id":"a\u0000` + long + `"}}`,
	} {
		e := parse(t, body)
		identity := e.Identity()
		for _, key := range []string{identity.Key, identity.Subject, e.About()} {
			if len(key) > 250 || strings.ContainsRune(key, 0) {
				t.Errorf("%.60s…: got a key of %d bytes, %.60q, want a short one without control characters", body, len(key), key)
			}
		}
	}
}

func TestAKeyHoldsNothingPersonal(t *testing.T) {
	for _, name := range samples {
		_, data := envelope(t, name)
		delete(data, "id")
		e := parse(t, write(t, sampleEvents[name].Wire, data))
		said := fmt.Sprintf("%+v", e.Identity())
		for _, word := range []string{"John", "Doe", "1234567890", "0987654321", "protected", "status", "appointment"} {
			if strings.Contains(said, word) {
				t.Errorf("%s: got %s, want nothing of what people wrote", name, said)
			}
		}
	}
}

func TestAContactsState(t *testing.T) {
	state := func(t *testing.T, fields string) string {
		t.Helper()
		e := parse(t, `{"topic":"CONTACT_UPDATED","data":{"id":"cnt_1",`+fields+`}}`)
		return e.Identity().State
	}
	const known = `"name":"John","last_name":"Doe","company":"Acme","emails":["a@acme.example","b@acme.example"],"numbers":["+14155550199"],"tag":"vip"`
	tests := []struct {
		name   string
		fields string
		same   bool
	}{
		{"the same", known, true},
		{"a list in another order", strings.Replace(known, `"a@acme.example","b@acme.example"`, `"b@acme.example","a@acme.example"`, 1), true},
		{"when it was changed", known + `,"updated_at":"2024-01-15T10:41:00Z"`, true},
		{"the other spelling", strings.Replace(known, "last_name", "lastName", 1), true},
		{"another name", strings.Replace(known, "John", "Jack", 1), false},
		{"another last name", strings.Replace(known, "Doe", "Smith", 1), false},
		{"another company", strings.Replace(known, "Acme", "Apex", 1), false},
		{"an address less", strings.Replace(known, `,"b@acme.example"`, "", 1), false},
		{"another number", strings.Replace(known, "0199", "0100", 1), false},
		{"another tag", strings.Replace(known, "vip", "lead", 1), false},
		{"names that read the same together", strings.Replace(known, `"name":"John","last_name":"Doe"`, `"name":"John Doe"`, 1), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if was, is := state(t, known), state(t, tt.fields); (was == is) != tt.same {
				t.Errorf("got %s and %s, want the same: %v", was, is, tt.same)
			}
		})
	}
	created := parse(t, `{"topic":"contact.created","data":{"id":"cnt_1",`+known+`}}`)
	if got := created.Identity(); got.State != state(t, known) || got.Change {
		t.Errorf("got %+v, want the state that an update without a change has, and no change", got)
	}
}
