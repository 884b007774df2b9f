package allo_test

import (
	"encoding/json"
	"testing"

	"allo-slack/allo"
)

func number(s string) json.Number { return json.Number(s) }

func TestTextOf(t *testing.T) {
	tests := []struct {
		name  string
		value any
		want  string
	}{
		{"null", nil, ""},
		{"a string", " as it is ", " as it is "},
		{"true", true, "true"},
		{"a number as it was written", number("5.50"), "5.50"},
		{"a list", []any{"a", nil, number("2"), []any{}}, "a, 2"},
		{"an object", allo.Object{{Key: "b", Value: "x"}, {Key: "a", Value: []any{true}}, {Key: "c", Value: nil}}, "b: x, a: true"},
		{"an empty object", allo.Object{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := allo.TextOf(tt.value); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestGet(t *testing.T) {
	o := allo.Object{
		{Key: "recording_url", Value: nil},
		{Key: "recordingUrl", Value: "camel"},
		{Key: "to", Value: "short"},
		{Key: "to_number", Value: "long"},
		{Key: "_ID_", Value: "7"},
		{Key: "", Value: "no name"},
	}
	tests := []struct {
		name string
		keys []string
		want any
	}{
		{"of two spellings the one that is not null", []string{"recording_url"}, "camel"},
		{"case and underscores don't matter", []string{"id"}, "7"},
		{"the first key counts", []string{"to", "to_number"}, "short"},
		{"the second, if there is no first", []string{"from", "toNumber"}, "long"},
		{"a beginning is not a key", []string{"recording"}, nil},
		{"more than a key is not one", []string{"too"}, nil},
		{"no key", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := o.Get(tt.keys...)
			if got != tt.want || ok != (tt.want != nil) {
				t.Errorf("got %v, %v, want %v", got, ok, tt.want)
			}
		})
	}
}

func TestAnObjectKeepsItsOrder(t *testing.T) {
	const data = `{"z":1.50,"a":{"y":null,"b":["\u003cb\u003e",true]},"m":{}}`
	e := parse(t, `{"topic":"NEW_TOPIC","data":`+data+`}`)
	if got := written(t, e.Data); got != data {
		t.Errorf("got %s, want %s", got, data)
	}
}
