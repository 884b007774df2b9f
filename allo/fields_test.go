package allo_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"allo-slack/allo"
)

// anyValue is every shape that a value can have.
var anyValue = map[string]any{
	"null":             nil,
	"true":             true,
	"false":            false,
	"a number":         12,
	"a text":           "words",
	"an empty text":    "",
	"an empty list":    []any{},
	"a list of nulls":  []any{nil, nil},
	"a list of texts":  []any{"a", "b"},
	"a list of truths": []any{true},
	"an empty object":  map[string]any{},
	"an object":        map[string]any{"a": "b"},
}

// The values of anyValue that a field may have without being odd.
var (
	asText   = []string{"null", "a text", "an empty text", "a number"}
	asTime   = []string{"null", "an empty text"}
	asNumber = []string{"null", "a number"}
	asObject = []string{"null", "an object", "an empty object"}
	asList   = []string{"null", "an empty list", "a list of nulls"} // of objects
	asTexts  = append([]string{"a list of texts"}, asList...)
	asParty  = append([]string{"an object", "an empty object"}, asText...)
)

// payloadFields says of each field what it may be, and which of ours are read from it.
var payloadFields = []struct {
	sample string
	key    string
	may    []string
	ours   string
}{
	{"call_received", "id", asText, "ID"},
	{"call_received", "start_date", asTime, "Start"},
	{"call_received", "recording_url", asText, "RecordingURL"},
	{"call_received", "from_number", asText, "From"},
	{"call_received", "from_name", asText, "From"},
	{"call_received", "from", asParty, "From"},
	{"call_received", "to", asParty, "To"},
	{"call_received", "to_number", asText, "To"},
	{"call_received", "to_name", asText, "To"},
	{"call_received", "length_in_minutes", asNumber, "Minutes HasMinutes"},
	{"call_received", "length", asText, "Length"},
	{"call_received", "tag", asText, "Tags"},
	{"call_received", "tags", asTexts, "Tags"},
	{"call_received", "summary", asText, "Summary"},
	{"call_received", "one_sentence_summary", asText, "OneSentence"},
	{"call_received", "transcriptions", asList, "Transcript"},
	{"call_received", "concatenated_transcript", asText, "TranscriptText"},
	{"call_received", "data_collected", asObject, "Collected"},
	{"call_received", "type", asText, "Direction MissedIsCertain"},
	{"call_received", "direction", asText, "Direction"},
	{"call_received", "result", asText, "Result MissedIsCertain"},
	{"call_received", "ivr_result", asList, "Choices"},
	{"call_received", "integration_id", asText, "IntegrationID"},
	{"call_received", "transfer_from", asObject, "TransferFrom"},
	{"call_received", "transfer_to", asObject, "TransferTo"},
	{"call_received", "transfer_original_call_id", asText, "OriginalCallID"},
	{"call_received", "user_email", asText, "UserEmail"},
	{"call_received", "original_to_number", asText, "OriginalTo"},
	{"call_received", "original_to_name", asText, "OriginalTo"},
	{"sms_received", "id", asText, "ID"},
	{"sms_received", "direction", asText, ""},
	{"sms_received", "type", asText, "Type"},
	{"sms_received", "content", asText, "Content"},
	{"sms_received", "sent_at", asTime, "SentAt"},
	{"sms_received", "from_number", asText, "From"},
	{"sms_received", "to_number", asText, "To"},
	{"sms_received", "from_name", asText, "From"},
	{"sms_received", "to_name", asText, "To"},
	{"sms_received", "user_email", asText, "UserEmail"},
	{"sms_received", "tags", asTexts, "Tags"},
	{"contact_updated", "id", asText, "ID"},
	{"contact_updated", "name", asText, "Name"},
	{"contact_updated", "last_name", asText, "LastName"},
	{"contact_updated", "company", asText, "Company"},
	{"contact_updated", "emails", asTexts, "Emails"},
	{"contact_updated", "numbers", asTexts, "Numbers"},
	{"contact_updated", "tags", asTexts, "Tags"},
}

// about is the call, text or contact of an event, by the names of its fields.
func about(e allo.Event) map[string]any {
	for _, of := range []any{e.Call, e.Text, e.Contact} {
		v := reflect.ValueOf(of)
		if v.IsNil() {
			continue
		}
		values := map[string]any{}
		for i := range v.Elem().NumField() {
			values[v.Elem().Type().Field(i).Name] = v.Elem().Field(i).Interface()
		}
		return values
	}
	return nil
}

// Inside data nothing is an error: a field of an unexpected type is named in Odd, and takes no other field with it.
func TestAFieldOfAnyTypeSpoilsNoOther(t *testing.T) {
	for _, f := range payloadFields {
		for shape, value := range anyValue {
			t.Run(f.sample+" with "+f.key+" "+shape, func(t *testing.T) {
				topic, data := envelope(t, f.sample)
				delete(data, f.key)
				without := parse(t, write(t, topic, data))
				data[f.key] = value
				e := parse(t, write(t, topic, data))

				var odd []string
				if !slices.Contains(f.may, shape) {
					odd = []string{f.key}
				}
				if diff := cmp.Diff(odd, e.Odd); diff != "" {
					t.Errorf("Odd: -want +got:\n%s", diff)
				}
				if e.Topic != without.Topic {
					t.Errorf("got topic %s, want %s", e.Topic, without.Topic)
				}
				was := about(without)
				for name, is := range about(e) {
					if !slices.Contains(strings.Fields(f.ours), name) && !cmp.Equal(was[name], is) {
						t.Errorf("got %s %v, want %v as without %s", name, is, was[name], f.key)
					}
				}
				if shape == "null" && !cmp.Equal(without, e, asRead) {
					t.Errorf("null and missing differ:\n%s", cmp.Diff(without, e, asRead))
				}
			})
		}
	}
}

// The names in payloadFields are all that the samples have.
func TestEveryFieldOfTheSamplesIsTried(t *testing.T) {
	tried := map[string]bool{}
	for _, f := range payloadFields {
		tried[f.sample[:3]+f.key] = true // both texts, and both contacts, have the same fields
	}
	for _, name := range samples {
		_, data := envelope(t, name)
		for key := range data {
			if !tried[name[:3]+key] {
				t.Errorf("%s has %s, which no test gives an unexpected type", name, key)
			}
		}
	}
}

func TestWithoutItsFieldsAnEventIsStillOne(t *testing.T) {
	for _, name := range samples {
		t.Run(name, func(t *testing.T) {
			topic, data := envelope(t, name)
			missing := parse(t, write(t, topic, map[string]any{}))
			if missing.Topic != sampleEvents[name].Topic || missing.Odd != nil {
				t.Errorf("got %s, odd %v, want %s, nothing odd", missing.Topic, missing.Odd, topic)
			}
			for key := range maps.Keys(data) {
				data[key] = nil
			}
			if diff := cmp.Diff(missing, parse(t, write(t, topic, data)), asRead); diff != "" {
				t.Errorf("-missing +null:\n%s", diff)
			}
		})
	}
}

// What can be read is kept, whatever its type.
func TestWhatCanBeReadIsKept(t *testing.T) {
	tests := []struct {
		name   string
		fields string
		got    func(*allo.Call) any
		want   any
		odd    []string
	}{
		{"minutes as a text", `"length_in_minutes":" 5.5 "`, minutes, 5.5, []string{"length_in_minutes"}},
		{"minutes of no number", `"length_in_minutes":"five"`, minutes, nil, []string{"length_in_minutes"}},
		{"minutes beyond counting", `"length_in_minutes":1e999`, minutes, nil, []string{"length_in_minutes"}},
		{"minutes of two thousand years", `"length_in_minutes":1e9`, minutes, nil, []string{"length_in_minutes"}},
		{"minutes below 0", `"length_in_minutes":-1`, minutes, nil, []string{"length_in_minutes"}},
		{"minutes that say NaN", `"length_in_minutes":"NaN"`, minutes, nil, []string{"length_in_minutes"}},
		{"minutes 0", `"length_in_minutes":0`, minutes, 0.0, nil},
		{"a number without quotes", `"from_number":14155550199`, from, allo.Party{Number: "14155550199"}, nil},
		{"a number in a list", `"from_number":["+14155550199"]`, from, allo.Party{Number: "+14155550199"}, []string{"from_number"}},
		{"a side as an object", `"from":{"number":"+14155550199","name":"John"}`, from, allo.Party{Number: "+14155550199", Name: "John"}, nil},
		{"a side as an object with odd fields", `"from":{"phone_number":[1],"name":true}`, from, allo.Party{Number: "1", Name: "true"}, []string{"from.phone_number", "from.name"}},
		{"a side twice", `"from_number":"+14155550199","from":{"number":"+1","name":"John"}`, from, allo.Party{Number: "+14155550199", Name: "John"}, nil},
		{"an id as a number", `"id":12`, func(c *allo.Call) any { return c.ID }, "12", nil},
		{"an id with white space and control characters", `"id":" call_1\u0000\n"`, func(c *allo.Call) any { return c.ID }, "call_1", nil},
		{"an id that tells nothing apart", `"id":true`, func(c *allo.Call) any { return c.ID }, "", []string{"id"}},
		{"a first call's id that tells nothing apart", `"transfer_original_call_id":{"a":1}`, func(c *allo.Call) any { return c.OriginalCallID }, "", []string{"transfer_original_call_id"}},
		{"a summary in parts", `"summary":["one","two"]`, func(c *allo.Call) any { return c.Summary }, "one, two", []string{"summary"}},
		{"a name that is empty and one that is not", `"from_number":" ","from":"+1415"`, from, allo.Party{Number: "+1415"}, nil},
		{"a direction beside a type", `"direction":"outbound","type":"PHONE"`, func(c *allo.Call) any { return c.Direction }, allo.Outbound, nil},
		{"a type behind a direction of neither", `"direction":"SIDEWAYS","type":" inbound "`, func(c *allo.Call) any { return c.Direction }, allo.Inbound, nil},
		{"a transfer to a name", `"transfer_to":"Kim"`, transferTo, allo.TransferParty{UserName: "Kim"}, []string{"transfer_to"}},
		{"a transfer to a number", `"transfer_to":"+14155550199"`, transferTo, allo.TransferParty{Number: "+14155550199"}, []string{"transfer_to"}},
		{"a transfer to an address", `"transfer_to":["kim7@acme.example"]`, transferTo, allo.TransferParty{UserEmail: "kim7@acme.example"}, []string{"transfer_to"}},
		{"a transfer with an odd field", `"transfer_to":{"number":[7],"user_name":"Kim"}`, transferTo, allo.TransferParty{Number: "7", UserName: "Kim"}, []string{"transfer_to.number"}},
		{"collected data as a text", `"data_collected":"order 12"`, collected, "data_collected: order 12", []string{"data_collected"}},
		{"collected data as a list", `"data_collected":[{"key":"order","value":12}]`, collected, "data_collected: key: order, value: 12", []string{"data_collected"}},
		{"collected data under its other name", `"data_collected":{},"extracted_data":{"order":12}`, collected, "order: 12", nil},
		{"a transcript as a text", `"transcriptions":"Hello."`, transcript, []allo.Line{{Text: "Hello."}}, []string{"transcriptions"}},
		{"a transcript of texts", `"transcriptions":["Hello.",null,"Hi."]`, transcript, []allo.Line{{Text: "Hello."}, {Text: "Hi."}}, []string{"transcriptions"}},
		{"one line of a transcript", `"transcriptions":{"source":"user","text":"Hello."}`, transcript, []allo.Line{{Source: "USER", Text: "Hello."}}, []string{"transcriptions"}},
		{"lines with odd fields", `"transcriptions":[{"source":["AGENT"],"time":"0:05","text":"Hello."},{"time":"0:07","text":["Hi."]},{"text":" "}]`,
			transcript, []allo.Line{{Source: "AGENT", Text: "Hello."}, {Text: "Hi."}}, []string{"transcriptions.source", "transcriptions.time", "transcriptions.text"}},
		{"choices of texts", `"ivr_result":["sales"]`, choices, []allo.Choice{{Text: "sales"}}, []string{"ivr_result"}},
		{"one choice", `"ivr_result":{"dtmf_key":"1"}`, choices, []allo.Choice{{Key: "1"}}, []string{"ivr_result"}},
		{"a choice with an odd field", `"ivr_result":[{"dtmf_key":true},{},null]`, choices, []allo.Choice{{Key: "true"}}, []string{"ivr_result.dtmf_key"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := parse(t, `{"topic":"CALL_RECEIVED","data":{`+tt.fields+`}}`)
			if diff := cmp.Diff(tt.want, tt.got(e.Call)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(tt.odd, e.Odd); diff != "" {
				t.Errorf("Odd: -want +got:\n%s", diff)
			}
		})
	}
}

func minutes(c *allo.Call) any {
	if !c.HasMinutes {
		if c.Minutes != 0 {
			return c.Minutes
		}
		return nil
	}
	return c.Minutes
}
func from(c *allo.Call) any       { return c.From }
func transferTo(c *allo.Call) any { return *c.TransferTo }
func collected(c *allo.Call) any  { return allo.TextOf(c.Collected) }
func transcript(c *allo.Call) any { return c.Transcript }
func choices(c *allo.Call) any    { return c.Choices }

func TestAContactIsReadInOtherShapes(t *testing.T) {
	e := parse(t, `{"topic":"contact.created","data":{"id":7,"name":null,"first_name":"John","last_name":" Doe ",
		"emails":"john@acme.example","numbers":[{"name":"work","number":"+14155550199"},{"value":14155550100},{"label":"home"},null,""],
		"tags":[{"name":"VIP","color":"red"}]}}`)
	want := &allo.Contact{
		ID: "7", Name: "John", LastName: "Doe", Emails: []string{"john@acme.example"},
		Numbers: []string{"+14155550199", "14155550100", "label: home"}, Tags: []string{"VIP"},
	}
	if diff := cmp.Diff(want, e.Contact); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"emails", "numbers"}, e.Odd); diff != "" {
		t.Errorf("Odd: -want +got:\n%s", diff)
	}
}
