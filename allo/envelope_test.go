package allo_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"allo-slack/allo"
)

func TestWhatIsNoEnvelopeIsRefusedWithTheReason(t *testing.T) {
	const (
		empty = `the body is empty; an envelope looks like {"topic": "CALL_RECEIVED", "data": {…}}`
		short = "not JSON: it ends in the middle"
		more  = "not JSON: there is more after the JSON value"
		topic = "not an envelope: topic must be a string that is not empty"
	)
	tests := []struct {
		name string
		body string
		want string
	}{
		{"nothing", "", empty},
		{"white space", " \r\n\t", empty},
		{"words", "hello", "not JSON: invalid character 'h' looking for beginning of value"},
		{"a form", "topic=PING", "not JSON: invalid character 'o' in literal true (expecting 'r')"},
		{"a byte order mark", "\ufeff{}", "not JSON: invalid character 'ï' looking for beginning of value"},
		{"cut in a key", `{"topic":"CALL_RECEIVED","da`, short},
		{"cut before a value", `{"topic":"CALL_RECEIVED","data":`, short},
		{"cut in data", `{"topic":"CALL_RECEIVED","data":{"id":"call_1",`, short},
		{"cut in a list", `{"topic":"CALL_RECEIVED","data":{"tags":["a"`, short},
		{"cut before its last bracket", `{"topic":"CALL_RECEIVED","data":{}`, short},
		{"an object begun", `{`, short},
		{"a bracket too many", `{"topic":"CALL_RECEIVED","data":{}}}`, more},
		{"a list's end too many", `{"topic":"CALL_RECEIVED","data":{}}]`, more},
		{"two envelopes", `{"topic":"PING"}{"topic":"PING"}`, more},
		{"words behind it", `{"topic":"PING"} x`, more},
		{"a comma too many", `{"topic":"PING",}`, "not JSON: invalid character '}' looking for beginning of object key string"},
		{"a colon too few", `{"topic" "PING"}`, `not JSON: invalid character '"' after object key`},
		{"a line break in a text", "{\"topic\":\"PI\nNG\"}", `not JSON: invalid character '\n' in string literal`},
		{"a list", `[{"topic":"PING"}]`, "not an envelope: an object with topic and data is needed, this is a list"},
		{"a string", `"PING"`, "not an envelope: an object with topic and data is needed, this is a string"},
		{"a number", `12`, "not an envelope: an object with topic and data is needed, this is a number"},
		{"a truth", `true`, "not an envelope: an object with topic and data is needed, this is true or false"},
		{"null", `null`, "not an envelope: an object with topic and data is needed, this is null or missing"},
		{"an empty object", `{}`, topic},
		{"no topic", `{"data":{}}`, topic},
		{"topic null", `{"topic":null,"data":{}}`, topic},
		{"topic empty", `{"topic":"","data":{}}`, topic},
		{"topic of white space", `{"topic":" \t","data":{}}`, topic},
		{"topic of control characters", `{"topic":"\u0000","data":{}}`, topic},
		{"topic a number", `{"topic":7,"data":{}}`, topic},
		{"topic an object", `{"topic":{},"data":{}}`, topic},
		{"topic in another spelling", `{"Topic":"CALL_RECEIVED","data":{}}`, topic},
		{"data missing", `{"topic":"CALL_RECEIVED"}`, "not an envelope: data must be an object, this is null or missing"},
		{"data null", `{"topic":"CALL_RECEIVED","data":null}`, "not an envelope: data must be an object, this is null or missing"},
		{"data a list", `{"topic":"CALL_RECEIVED","data":[]}`, "not an envelope: data must be an object, this is a list"},
		{"data a string", `{"topic":"CALL_RECEIVED","data":"{}"}`, "not an envelope: data must be an object, this is a string"},
		{"data a number", `{"topic":"CALL_RECEIVED","data":1}`, "not an envelope: data must be an object, this is a number"},
		{"data a truth", `{"topic":"NEW_TOPIC","data":false}`, "not an envelope: data must be an object, this is true or false"},
		{"nested without end", strings.Repeat("[", 1<<20), "not JSON: invalid character '[' exceeded max depth"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := allo.Parse([]byte(tt.body))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if diff := cmp.Diff(allo.Event{}, e); diff != "" {
				t.Errorf("got an event:\n%s\nwant none", diff)
			}
		})
	}
}

func TestAPingNeedsNoData(t *testing.T) {
	for _, body := range []string{
		`{"topic":"PING"}`,
		`{"topic":"PING","data":null}`,
		`{"topic":"PING","data":{}}`,
		`{"topic":"PING","data":{"id":"ping_1","message":"hello"}}`,
		`{"topic":"PING","data":"hello"}`,
	} {
		e := parse(t, body)
		if e.Topic != allo.Ping || e.Call != nil || e.Text != nil || e.Contact != nil {
			t.Errorf("%s: got %+v, want a PING about nothing", body, e)
		}
	}
}

func TestAnUnknownTopicIsAnEvent(t *testing.T) {
	e := parse(t, `{"topic":"VOICEMAIL_LEFT","data":{"z":"1","a":{"c":true,"b":[1,null]},"id":"vm_1"}}`)
	want := allo.Event{
		Topic: "VOICEMAIL_LEFT", Wire: "VOICEMAIL_LEFT", ID: "vm_1",
		Data: allo.Object{
			{Key: "z", Value: "1"},
			{Key: "a", Value: allo.Object{{Key: "c", Value: true}, {Key: "b", Value: []any{number("1"), nil}}}},
			{Key: "id", Value: "vm_1"},
		},
		Raw: e.Raw,
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestATopicIsReadWithoutWhatNobodySees(t *testing.T) {
	e := parse(t, `{"topic":" CALL_RECEIVED\u0000\n","data":{}}`)
	if e.Topic != allo.CallReceived || e.Wire != " CALL_RECEIVED\x00\n" {
		t.Errorf("got %q, sent as %q, want %q, sent as it was", e.Topic, e.Wire, allo.CallReceived)
	}
}

func TestOfADuplicateKeyTheLastCounts(t *testing.T) {
	e := parse(t, `{"topic":"PING","topic":"SMS_SENT","data":{"id":"one"},"data":{"id":"two","content":"a","id":"three"}}`)
	if e.Topic != allo.SMSSent || e.ID != "three" || e.Text.Content != "a" {
		t.Errorf("got %s, id %s, %q, want SMS_SENT, id three, a", e.Topic, e.ID, e.Text.Content)
	}
}

func TestInvalidUTF8IsReplaced(t *testing.T) {
	body := "{\"topic\":\"SMS_RECEIVED\",\"data\":{\"id\":\"sms_\xff\",\"content\":\"caf\xe9 \\ud83d!\"}}"
	e := parse(t, body)
	if want := "caf\ufffd \ufffd!"; e.Text.Content != want {
		t.Errorf("got %q, want %q", e.Text.Content, want)
	}
	if want := "sms_\ufffd"; e.ID != want {
		t.Errorf("got %q, want %q", e.ID, want)
	}
	if string(e.Raw) != body {
		t.Errorf("got %q as Raw, want the body as it came", e.Raw)
	}
}

func TestDeepNestingIsNoError(t *testing.T) {
	for _, depth := range []int{10, 198, 199, 200, 201, 5000} {
		for _, shape := range [][2]string{{"[", "]"}, {`{"a":`, "}"}} {
			deep := strings.Repeat(shape[0], depth) + `"bottom"` + strings.Repeat(shape[1], depth)
			e := parse(t, `{"topic":"CALL_RECEIVED","data":{"id":"call_1","data_collected":{"x":`+deep+`},"summary":`+deep+`,"type":"INBOUND"}}`)
			if e.ID != "call_1" || e.Call.Direction != allo.Inbound {
				t.Errorf("%d of %q deep: got %q, %s, want the fields around", depth, shape[0], e.ID, e.Call.Direction)
			}
			if said := allo.TextOf(e.Call.Collected); !strings.Contains(said, "bottom") {
				t.Errorf("%d of %q deep: got %.80s…, want all of it kept", depth, shape[0], said)
			}
		}
	}
}
