package allo_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"allo-slack/allo"
)

func TestTopicsOfBothGenerations(t *testing.T) {
	tests := []struct {
		wire  string
		want  allo.Topic
		named bool   // taken only when a rule names it
		about string // which of the event's parts is set
	}{
		{"CALL_RECEIVED", allo.CallReceived, false, "call"},
		{"SMS_RECEIVED", allo.SMSReceived, false, "text"},
		{"SMS_SENT", allo.SMSSent, false, "text"},
		{"CONTACT_CREATED", allo.ContactCreated, false, "contact"},
		{"CONTACT_UPDATED", allo.ContactUpdated, false, "contact"},
		{"PING", allo.Ping, false, ""},
		{"call.completed", allo.CallReceived, false, "call"},
		{"call.received", allo.CallRinging, true, "call"}, // rings: not CALL_RECEIVED
		{"call.triggered", allo.CallTriggered, true, "call"},
		{"call.answered", allo.CallAnswered, true, "call"},
		{"tag.added", allo.TagAdded, true, "call"},
		{"tag.removed", allo.TagRemoved, true, "call"},
		{"sms.received", allo.SMSReceived, false, "text"},
		{"sms.sent", allo.SMSSent, false, "text"},
		{"contact.created", allo.ContactCreated, false, "contact"},
		{"contact.updated", allo.ContactUpdated, false, "contact"},
		{"summary.updated", allo.SummaryUpdated, true, "call"},
		{"VOICEMAIL_LEFT", "VOICEMAIL_LEFT", false, ""},
		{"call_received", "call_received", false, ""},
		{"Call.Completed", "Call.Completed", false, ""},
		{"ping", "ping", false, ""},
	}
	known := allo.KnownTopics()
	tried := map[string]bool{}
	for _, tt := range tests {
		tried[tt.wire] = true
		t.Run(tt.wire, func(t *testing.T) {
			e := parse(t, `{"topic":"`+tt.wire+`","data":{"id":"1"}}`)
			if e.Topic != tt.want || e.Wire != tt.wire || e.ID != "1" {
				t.Errorf("got %s, sent as %s, id %s, want %s, sent as %s, id 1", e.Topic, e.Wire, e.ID, tt.want, tt.wire)
			}
			if got := e.Topic.OnlyWhenNamed(); got != tt.named {
				t.Errorf("only when named: got %v, want %v", got, tt.named)
			}
			parts := map[string]bool{"call": e.Call != nil, "text": e.Text != nil, "contact": e.Contact != nil}
			for part, is := range parts {
				if is != (part == tt.about) {
					t.Errorf("%s: got %v, want the event to be about %q", part, is, tt.about)
				}
			}
			topic, ok := allo.Canonical(tt.wire)
			if topic != tt.want || ok != slices.Contains(known, tt.wire) {
				t.Errorf("Canonical: got %s, %v, want %s, %v", topic, ok, tt.want, !ok)
			}
		})
	}
	for _, name := range known {
		if !tried[name] {
			t.Errorf("no test for the topic %s", name)
		}
	}
}

func TestADirectionDecidesBetweenReceivedAndSent(t *testing.T) {
	tests := []struct {
		name   string
		topic  string
		fields string
		want   allo.Topic
		way    allo.Direction
		kind   string
	}{
		{"received", "SMS_RECEIVED", `"direction":"INBOUND","type":"SMS"`, allo.SMSReceived, allo.Inbound, "SMS"},
		{"sent", "SMS_SENT", `"direction":"OUTBOUND","type":"MMS"`, allo.SMSSent, allo.Outbound, "MMS"},
		{"received for both ways", "SMS_RECEIVED", `"direction":"OUTBOUND","type":"SMS"`, allo.SMSSent, allo.Outbound, "SMS"},
		{"sent for both ways", "SMS_SENT", `"direction":"INBOUND","type":"SMS"`, allo.SMSReceived, allo.Inbound, "SMS"},
		{"second generation for both ways", "sms.received", `"direction":"outbound"`, allo.SMSSent, allo.Outbound, ""},
		{"a type that is the direction", "sms.received", `"type":"OUTBOUND"`, allo.SMSSent, allo.Outbound, ""},
		{"a direction counts before a type", "sms.received", `"direction":"INBOUND","type":"OUTBOUND"`, allo.SMSReceived, allo.Inbound, ""},
		{"no direction, received", "SMS_RECEIVED", `"type":"sms"`, allo.SMSReceived, allo.Inbound, "SMS"},
		{"no direction, sent", "SMS_SENT", `"direction":null`, allo.SMSSent, allo.Outbound, ""},
		{"a direction of neither", "SMS_SENT", `"direction":"SIDEWAYS"`, allo.SMSSent, allo.Outbound, ""},
		{"an odd direction", "SMS_RECEIVED", `"direction":{"way":"OUTBOUND"}`, allo.SMSReceived, allo.Inbound, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := parse(t, `{"topic":"`+tt.topic+`","data":{`+tt.fields+`}}`)
			if e.Topic != tt.want || e.Text.Direction != tt.way || e.Text.Type != tt.kind {
				t.Errorf("got %s %s %q, want %s %s %q", e.Topic, e.Text.Direction, e.Text.Type, tt.want, tt.way, tt.kind)
			}
			if e.Direction() != tt.way {
				t.Errorf("got %s, want %s", e.Direction(), tt.way)
			}
		})
	}
}

func TestTheCustomerIsOnTheOtherSide(t *testing.T) {
	const sides = `"from_number":"+14155550199","from_name":"John","to":"+14155550100","to_name":"Acme"`
	john, acme := allo.Party{Number: "+14155550199", Name: "John"}, allo.Party{Number: "+14155550100", Name: "Acme"}
	mainLine := allo.Party{Number: "+14155550111", Name: "Main Line"}
	tests := []struct {
		name     string
		fields   string
		customer allo.Party
		ours     allo.Party
	}{
		{"inbound", sides + `,"type":"INBOUND"`, john, acme},
		{"outbound", sides + `,"type":"OUTBOUND"`, acme, john},
		{"no direction: the caller", sides, john, acme},
		{"inbound, routed on", sides + `,"type":"INBOUND","original_to_number":"+14155550111","original_to_name":"Main Line"`, john, mainLine},
		{"outbound, whatever was dialled first", sides + `,"type":"OUTBOUND","original_to_number":"+14155550111"`, acme, john},
		{"who hides", `"from_number":"anonymous","to":"+14155550100","type":"INBOUND"`, allo.Party{Number: "anonymous"}, allo.Party{Number: "+14155550100"}},
		{"to null", `"from_number":"+14155550199","from_name":"John","to":null,"type":"OUTBOUND"`, allo.Party{}, john},
		{"nobody", `"type":"INBOUND","from_number":null,"to":null`, allo.Party{}, allo.Party{}},
		{"a sender's name", `"from_number":"ACME-BANK","to_number":"+14155550100","direction":"INBOUND"`, allo.Party{Number: "ACME-BANK"}, allo.Party{Number: "+14155550100"}},
		{"a short code", `"from_number":"72975","to_number":"+14155550100","direction":"INBOUND"`, allo.Party{Number: "72975"}, allo.Party{Number: "+14155550100"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := call(t, tt.fields)
			if c.Customer() != tt.customer || c.OurLine() != tt.ours {
				t.Errorf("got customer %+v and our line %+v, want %+v and %+v", c.Customer(), c.OurLine(), tt.customer, tt.ours)
			}
		})
	}
	for _, way := range []struct {
		topic          string
		customer, ours allo.Party
	}{{"SMS_RECEIVED", john, acme}, {"SMS_SENT", acme, john}} {
		e := parse(t, `{"topic":"`+way.topic+`","data":{`+sides+`}}`)
		if e.Text.Customer() != way.customer || e.Text.OurLine() != way.ours {
			t.Errorf("%s: got customer %+v and our line %+v, want %+v and %+v", way.topic, e.Text.Customer(), e.Text.OurLine(), way.customer, way.ours)
		}
	}
}

func TestNumbersAreThoseOfBothSides(t *testing.T) {
	tests := []struct {
		name string
		body string
		want []string
	}{
		{"a call", `{"topic":"CALL_RECEIVED","data":{"from_number":"anonymous","to":"+14155550100","original_to_number":"+14155550111"}}`,
			[]string{"anonymous", "+14155550100", "+14155550111"}},
		{"a text", `{"topic":"SMS_SENT","data":{"from_number":"+14155550100","to_number":null}}`, []string{"+14155550100"}},
		{"a contact", `{"topic":"CONTACT_CREATED","data":{"numbers":["+14155550199","",null]}}`, []string{"+14155550199"}},
		{"nothing that has one", `{"topic":"PING"}`, []string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := parse(t, tt.body)
			if diff := cmp.Diff(tt.want, e.Numbers()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
