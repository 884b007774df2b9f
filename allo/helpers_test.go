package allo_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp/cmpopts"

	"allo-slack/allo"
)

// samples names the five payloads of Allo's page.
var samples = []string{"call_received", "sms_received", "sms_sent", "contact_created", "contact_updated"}

// asRead compares what was read and not how it was written.
var asRead = cmpopts.IgnoreFields(allo.Event{}, "Data", "Raw")

func readSample(t testing.TB, name string) []byte {
	t.Helper()
	body, err := allo.Samples.ReadFile("samples/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func parse(t testing.TB, body string) allo.Event {
	t.Helper()
	e, err := allo.Parse([]byte(body))
	if err != nil {
		t.Fatalf("%s\ngot %v, want an event", body, err)
	}
	return e
}

// call is an ended call with these fields.
func call(t testing.TB, fields string) *allo.Call {
	t.Helper()
	return parse(t, `{"topic":"CALL_RECEIVED","data":{`+fields+`}}`).Call
}

// envelope is a sample whose fields can be changed: its topic, and data.
func envelope(t testing.TB, name string) (topic string, data map[string]any) {
	t.Helper()
	var e struct {
		Topic string
		Data  map[string]any
	}
	if err := json.Unmarshal(readSample(t, name), &e); err != nil {
		t.Fatal(err)
	}
	return e.Topic, e.Data
}

func write(t testing.TB, topic string, data any) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"topic": topic, "data": data})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// written is a value as JSON, with the fields of objects in their order.
func written(t testing.TB, v any) string {
	t.Helper()
	var items []string
	switch v := v.(type) {
	case allo.Object:
		for _, f := range v {
			items = append(items, written(t, f.Key)+":"+written(t, f.Value))
		}
		return "{" + strings.Join(items, ",") + "}"
	case []any:
		for _, item := range v {
			items = append(items, written(t, item))
		}
		return "[" + strings.Join(items, ",") + "]"
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
