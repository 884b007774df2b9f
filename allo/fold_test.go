package allo_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

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

const (
	bare = `{"topic":"call.completed","version":"2.0","timestamp":"2024-01-15T10:41:02.5Z","data":{"id":"call_1","length":"1m","extra":1.50}}`
	told = `{"topic":"CALL_RECEIVED","data":{"id":"call_1","recordingUrl":"https://api.withallo.com/a","tag":"support","summary":"Old.","data_collected":{"a":1}}}`
)

func TestFold(t *testing.T) {
	tests := []struct {
		name  string
		call  string
		later string
		want  string // the data; "" for nothing new
	}{
		{"a tag", bare, `{"topic":"tag.added","data":{"call_id":"call_1","tag":"vip"}}`, `{"id":"call_1","length":"1m","extra":1.50,"tags":["vip"]}`},
		{"a second tag", told, `{"topic":"tag.added","data":{"call_id":"call_1","tags":["vip"]}}`,
			`{"id":"call_1","recordingUrl":"https://api.withallo.com/a","summary":"Old.","data_collected":{"a":1},"tags":["support","vip"]}`},
		{"a tag it has in another spelling", told, `{"topic":"tag.added","data":{"call_id":"call_1","tag":"Support"}}`, ""},
		{"a tag removed", told, `{"topic":"tag.removed","data":{"call_id":"call_1","tag":"SUPPORT"}}`,
			`{"id":"call_1","recordingUrl":"https://api.withallo.com/a","summary":"Old.","data_collected":{"a":1},"tags":[]}`},
		{"a tag removed that it hasn't", told, `{"topic":"tag.removed","data":{"call_id":"call_1","tag":"vip"}}`, ""},
		{"a summary", bare, `{"topic":"summary.updated","data":{"call_id":"call_1","summary":"New.","one_sentence_summary":"N.","length":"9m"}}`,
			`{"id":"call_1","length":"1m","extra":1.50,"summary":"New.","one_sentence_summary":"N."}`},
		{"another summary", told, `{"topic":"summary.updated","data":{"call_id":"call_1","summary":"New."}}`,
			`{"id":"call_1","recordingUrl":"https://api.withallo.com/a","tag":"support","summary":"New.","data_collected":{"a":1}}`},
		{"an empty summary", told, `{"topic":"summary.updated","data":{"call_id":"call_1","summary":""}}`, ""},
		{"a summary, told of a tag", told, `{"topic":"tag.added","data":{"call_id":"call_1","summary":"New.","tag":"support"}}`, ""},
		{"the same call", told, told, ""},
		{"the call with all that came to be known", bare, `{"topic":"CALL_RECEIVED","data":{"id":"call_1","tag":"vip","summary":"New.",
			"recording_url":"https://api.withallo.com/b","user_email":"kim@acme.example","concatenated_transcript":"Hi.",
			"transcriptions":[{"text":"Hi."}],"extracted_data":{"b":2},"length":"2m"}}`,
			`{"id":"call_1","length":"1m","extra":1.50,"tags":["vip"],"summary":"New.","recording_url":"https://api.withallo.com/b",` +
				`"user_email":"kim@acme.example","concatenated_transcript":"Hi.","transcriptions":[{"text":"Hi."}],"extracted_data":{"b":2}}`},
		{"what was collected, under its other name", told, `{"topic":"CALL_RECEIVED","data":{"id":"call_1","extracted_data":{"b":2}}}`, ""},
		{"fields of the other generation", told, `{"topic":"call.completed","data":{"id":"call_1","from":"+14155550123","started_at":"2024-01-15T10:00:00Z"}}`, ""},
		{"the call with less, and another recording", told, `{"topic":"CALL_RECEIVED","data":{"id":"call_1","recording_url":"https://api.withallo.com/b","tag":null,"tags":[]}}`, ""},
		{"the call with another tag, and a summary in another spelling", told, `{"topic":"CALL_RECEIVED","data":{"id":"call_1","Summary":"New.","tags":["vip"]}}`,
			`{"id":"call_1","recordingUrl":"https://api.withallo.com/a","summary":"New.","data_collected":{"a":1},"tags":["support","vip"]}`},
		{"a text", told, `{"topic":"SMS_SENT","data":{"id":"call_1","tag":"vip"}}`, ""},
		{"of a text", `{"topic":"SMS_SENT","data":{"id":"call_1"}}`, `{"topic":"tag.added","data":{"call_id":"call_1","tag":"vip"}}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			call, later := said(t, 1, tt.call), said(t, 2, tt.later)
			before := said(t, 1, tt.call)
			got := allo.Fold(call, later)
			if diff := cmp.Diff(before, call); diff != "" {
				t.Errorf("the call itself changed:\n%s", diff)
			}
			if tt.want == "" {
				if !got.Says(&before) {
					t.Errorf("got %v, want nothing new", got.Data)
				}
				if diff := cmp.Diff(before, got, asRead); diff != "" {
					t.Errorf("nothing new, and yet:\n%s", diff)
				}
				return
			}
			want := parse(t, `{"topic":"CALL_RECEIVED","data":`+tt.want+`}`)
			if diff := cmp.Diff(byKey(want.Data), byKey(got.Data)); diff != "" {
				t.Errorf("data:\n%s", diff)
			}
			if !got.Says(&want) {
				t.Errorf("the call doesn't say what its data says:\n%s", cmp.Diff(want.Call, got.Call))
			}
			if got.Topic != before.Topic || got.Wire != before.Wire || got.Version != before.Version || !got.Sent.Equal(before.Sent) {
				t.Errorf("got the envelope %s %s %s %v, want %s %s %s %v", got.Topic, got.Wire, got.Version, got.Sent, before.Topic, before.Wire, before.Version, before.Sent)
			}
			if again := allo.Fold(call, later, later); !again.Says(&got) {
				t.Errorf("told once more it became %v, want it to stay %v", again.Data, got.Data)
			}
		})
	}
}

// byKey is the fields of an object, whatever their order.
func byKey(o allo.Object) map[string]any {
	all := map[string]any{}
	for _, f := range o {
		all[f.Key] = f.Value
	}
	return all
}

// said is an event that was said at a time, in minutes.
func said(t testing.TB, minute int, body string) allo.Event {
	e := parse(t, body)
	e.Said = time.Date(2024, 1, 15, 10, minute, 0, 0, time.UTC)
	return e
}

// saidLater is what is said of call_1 at a time.
func saidLater(t testing.TB, minute int, topic, data string) allo.Event {
	return said(t, minute, `{"topic":"`+topic+`","data":{"call_id":"call_1",`+data+`}}`)
}

// The order in which things were said counts, not the one in which they are given.
func TestFoldInAnyOrder(t *testing.T) {
	all := []allo.Event{
		said(t, 0, bare),
		saidLater(t, 1, "tag.added", `"tags":["vip","gone"]`),
		saidLater(t, 2, "tag.removed", `"tags":["GONE","vip"]`),
		saidLater(t, 3, "summary.updated", `"summary":"Old."`),
		said(t, 4, told),
		saidLater(t, 5, "tag.added", `"tag":"VIP"`),
		saidLater(t, 6, "summary.updated", `"summary":"New."`),
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		got := allo.Fold(all[slices.IndexFunc(all, func(e allo.Event) bool { return e.Topic == allo.CallReceived })], all...)
		if want := []string{"VIP", "support"}; !slices.Equal(got.Call.Tags, want) || got.Call.Summary != "New." || got.Call.Length != "1m" || got.Wire != "call.completed" {
			t.Fatalf("got tags %v, summary %q, length %q, %s", got.Call.Tags, got.Call.Summary, got.Call.Length, got.Wire)
		}
	}
}

// Of what was said at one time the order counts in which it came in.
func TestFoldOfOneMoment(t *testing.T) {
	first, second := saidLater(t, 1, "tag.added", `"tag":"vip"`), saidLater(t, 1, "tag.removed", `"tag":"vip"`)
	for order := range 2 {
		first.Order, second.Order = int64(2+order), int64(3-order)
		if got := allo.Fold(said(t, 0, bare), second, first); len(got.Call.Tags) != order {
			t.Errorf("order %d: got tags %v, want %d", order, got.Call.Tags, order)
		}
	}
}

// Tags are a set, so many of them cost no more than reading them does.
func BenchmarkFoldManyTags(b *testing.B) {
	tags := make([]string, 20_000)
	for i := range tags {
		tags[i] = strconv.Itoa(i)
	}
	list, err := json.Marshal(tags)
	if err != nil {
		b.Fatal(err)
	}
	call := said(b, 0, `{"topic":"CALL_RECEIVED","data":{"id":"call_1","tags":`+string(list)+`}}`)
	added, removed := saidLater(b, 1, "tag.added", `"tags":`+string(list)), saidLater(b, 2, "tag.removed", `"tags":`+string(list))
	for b.Loop() {
		if folded := allo.Fold(call, added, removed); len(folded.Call.Tags) != 0 {
			b.Fatalf("%d tags are left", len(folded.Call.Tags))
		}
	}
}
