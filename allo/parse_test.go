package allo_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"allo-slack/allo"
)

// maxNested is more brackets than any JSON reader of the library follows.
const maxNested = 10_000

func FuzzParse(f *testing.F) {
	for _, name := range samples {
		f.Add(readSample(f, name))
	}
	for _, seed := range []string{
		`{"topic":"PING"}`,
		`{"topic":"call.completed","version":"2.0","timestamp":"2024-01-15T10:41:02.5Z","data":{"id":1,"type":"OUTBOUND","ivr_result":[{"dtmf_key":1}]}}`,
		`{"topic":"tag.added","timestamp":1705314600,"data":{"call":{"id":"call_1"},"tags":[{"name":"VIP"},null]}}`,
		`{"topic":"SMS_RECEIVED","data":{"direction":"OUTBOUND","from":{"number":["x"]},"tag":{}}}`,
		`{"topic":"CALL_RECEIVED","data":{"length_in_minutes":1e999,"start_date":[],"transcriptions":["a"],"transfer_to":"b"}}`,
		`{"topic":"NEW_TOPIC","data":{"a":{"b":[1.50,"\ud800",{}]},"a":null}}`,
		"{\"topic\":\"SMS_SENT\",\"data\":{\"content\":\"\xff\"}}",
		`{"topic":"","data":{}}`, `{"topic":"PING"}}`, `[{}]`, `{"topic":"CALL_RECEIVED","data":{`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		sent := bytes.Clone(body)
		e, err := allo.Parse(body)
		if !bytes.Equal(body, sent) {
			t.Fatalf("the body was changed from %q to %q", sent, body)
		}
		if bytes.Count(body, []byte("[")) < maxNested && bytes.Count(body, []byte("{")) < maxNested {
			if want := isEnvelope(body); (err == nil) != want {
				t.Fatalf("%q: got %v, want an envelope: %v", body, err, want)
			}
		}
		if err != nil {
			if err.Error() == "" || len(err.Error()) > 200 {
				t.Fatalf("%q: got %q, want a reason that can be read", body, err)
			}
			return
		}
		wantSound(t, &e)

		again := parse(t, string(e.Raw))
		if diff := cmp.Diff(e, again); diff != "" {
			t.Fatalf("%q: read again it says something else:\n%s", body, diff)
		}
		if e.Identity() != again.Identity() {
			t.Fatalf("%q: got %+v and %+v, want one identity", body, e.Identity(), again.Identity())
		}
		if e.Topic == allo.CallReceived {
			if folded := allo.Fold(e, again); !folded.Says(&e) {
				t.Fatalf("%q: got %v of the same call", body, folded.Data)
			}
		}
		wantOneIdentity(t, e.Data)
	})
}

// isEnvelope tells by encoding/json alone what is an envelope.
func isEnvelope(body []byte) bool {
	body = bytes.ToValidUTF8(body, []byte("\ufffd"))
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return false
	}
	var topic string
	if json.Unmarshal(fields["topic"], &topic) != nil {
		return false
	}
	topic = strings.TrimSpace(strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return -1
		}
		return c
	}, topic))
	if topic == "" {
		return false
	}
	data := fields["data"]
	return topic == "PING" || len(data) > 0 && data[0] == '{'
}

// wantSound fails the test unless the event keeps what its documentation promises.
func wantSound(t *testing.T, e *allo.Event) {
	t.Helper()
	if e.Topic == "" || e.Wire == "" {
		t.Fatalf("%q: got topic %q, sent as %q, want neither empty", e.Raw, e.Topic, e.Wire)
	}
	if e.Identity().Key == "" {
		t.Fatalf("%q: got no key", e.Raw)
	}
	parts := 0
	for _, is := range []bool{e.Call != nil, e.Text != nil, e.Contact != nil} {
		if is {
			parts++
		}
	}
	_, known := allo.Canonical(string(e.Topic))
	if about := known && e.Topic != allo.Ping; about != (parts == 1) || parts > 1 {
		t.Fatalf("%q: got %d of call, text and contact", e.Raw, parts)
	}
	if c := e.Call; c != nil && (!c.HasMinutes && c.Minutes != 0 || c.Minutes < 0 || c.ID != e.ID) {
		t.Fatalf("%q: got %v minutes, %v, id %q of %q", e.Raw, c.Minutes, c.HasMinutes, c.ID, e.ID)
	}
	if e.Text != nil && (e.Topic == allo.SMSSent) != (e.Text.Direction == allo.Outbound) {
		t.Fatalf("%q: got %s %s", e.Raw, e.Text.Direction, e.Topic)
	}
	if at := e.At(); !at.IsZero() && (at.Year() < 2000 || at.Year() > 2999) {
		t.Fatalf("%q: got %v", e.Raw, at)
	}
	seen := map[string]bool{}
	for _, name := range e.Odd {
		if name == "" || seen[name] {
			t.Fatalf("%q: got odd %q, want each name once", e.Raw, e.Odd)
		}
		seen[name] = true
	}
}

// wantOneIdentity fails the test unless the same data, in another order and with other white space, is a repeat.
func wantOneIdentity(t *testing.T, data allo.Object) {
	t.Helper()
	one := written(t, data)
	var any map[string]any
	dec := json.NewDecoder(strings.NewReader(one))
	dec.UseNumber()
	if err := dec.Decode(&any); err != nil {
		t.Fatalf("%s: %v", one, err)
	}
	two, err := json.MarshalIndent(any, " ", "\t")
	if err != nil {
		t.Fatal(err)
	}
	a, b := parse(t, `{"topic":"NEW_TOPIC","data":`+one+`}`), parse(t, `{"data":`+string(two)+`,"topic":"NEW_TOPIC"}`)
	if a.Identity() != b.Identity() {
		t.Fatalf("got %+v and %+v, want one identity of\n%s\n%s", a.Identity(), b.Identity(), one, two)
	}
}

func BenchmarkParse(b *testing.B) {
	for _, name := range samples {
		b.Run(name, func(b *testing.B) {
			body := readSample(b, name)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := allo.Parse(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
