package allo_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"allo-slack/allo"
	"allo-slack/fakeallo"
)

const ourLine = "+14155550199"

func workspace(o fakeallo.Options) *fakeallo.Server {
	o.Numbers = []fakeallo.Number{{Number: ourLine, Name: "Main", Country: "US"}, {Name: "ACME", Country: "FR"}, {Number: "+33612345678", Name: "Paris", Country: "FR"}}
	o.Users = []fakeallo.User{{ID: "usr-1", Name: "Alex", Email: "alex@acme.example", Role: "ADMIN"}, {ID: "usr-2", Name: "Gone", Email: "gone@acme.example", Blocked: true}}
	o.Tags = []string{"billing", "follow_up_later"}
	return fakeallo.New(o)
}

func withKey(k fakeallo.Key) *fakeallo.Server {
	return workspace(fakeallo.Options{Keys: map[string]fakeallo.Key{apiKey: k}})
}

func TestTheGenerationOfAKey(t *testing.T) {
	for _, test := range []struct {
		name       string
		key        fakeallo.Key
		faults     []fakeallo.Fault
		generation int
		status     int // of the error
		scopes     []string
	}{
		{"both", fakeallo.Key{}, nil, 2, 0, fakeallo.DefaultScopes()},
		{"second", fakeallo.Key{Generation: 2, Scopes: []string{"TAGS_READ"}}, nil, 2, 0, []string{"TAGS_READ"}},
		{"first", fakeallo.Key{Generation: 1}, nil, 1, 0, nil},
		{"first, bare only", fakeallo.Key{Generation: 1, Form: fakeallo.Bare}, nil, 1, 0, nil},
		{"first, without the scope", fakeallo.Key{Generation: 1, Scopes: []string{"TAGS_READ"}}, nil, 1, 0, nil},
		{"neither", fakeallo.Key{}, []fakeallo.Fault{{Kind: fakeallo.Status, Status: 401, Count: -1}}, 0, 401, nil},
		{"an API without a second generation", fakeallo.Key{}, []fakeallo.Fault{{Path: "/v2", Kind: fakeallo.Status, Status: 404}}, 1, 0, nil},
		{"neither by words of both", fakeallo.Key{}, []fakeallo.Fault{{Kind: fakeallo.Status, Status: 403, Count: -1}}, 0, 403, nil},
		{"trouble of the second", fakeallo.Key{Generation: 1}, []fakeallo.Fault{{Path: "/v2", Kind: fakeallo.Status, Status: 500}}, 0, 500, nil},
		{"trouble of the first", fakeallo.Key{Generation: 1}, []fakeallo.Fault{{Path: "/v1", Kind: fakeallo.Status, Status: 500}}, 0, 500, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := withKey(test.key)
			for _, f := range test.faults {
				fake.Fault(f)
			}
			got, err := apiOf(t, fake).Generation(t.Context())
			if test.status != 0 {
				wantStatus(t, err, test.status)
				return
			}
			if err != nil || got.Generation != test.generation || !slices.Equal(got.Scopes, test.scopes) {
				t.Errorf("got %+v, %v, want generation %d with %v", got, err, test.generation, test.scopes)
			}
		})
	}
}

func TestPeopleNumbersAndTags(t *testing.T) {
	api := apiOf(t, withKey(fakeallo.Key{}))
	users, err := api.Users(t.Context())
	if want := []allo.User{{ID: "usr-1", Name: "Alex", Email: "alex@acme.example", Role: "ADMIN"}}; err != nil || !slices.Equal(users, want) {
		t.Errorf("users: got %v, %v, want %v", users, err, want)
	}
	tags, err := api.Tags(t.Context())
	if want := []string{"billing", "follow_up_later"}; err != nil || !slices.Equal(tags, want) {
		t.Errorf("tags: got %v, %v, want %v", tags, err, want)
	}
	for name, key := range map[string]fakeallo.Key{"second": {Generation: 2}, "first": {Generation: 1}} {
		numbers, err := apiOf(t, withKey(key)).Numbers(t.Context())
		want := []allo.OurNumber{{Number: ourLine, Name: "Main", Country: "US"}, {Number: "+33612345678", Name: "Paris", Country: "FR"}}
		if err != nil || !slices.Equal(numbers, want) {
			t.Errorf("numbers of the %s generation: got %v, %v, want %v", name, numbers, err, want)
		}
	}
	_, err = apiOf(t, withKey(fakeallo.Key{Scopes: []string{}})).Numbers(t.Context())
	if got := wantStatus(t, err, http.StatusForbidden).Error(); !strings.Contains(got, "make a key with the scope PHONE_NUMBERS_READ") {
		t.Errorf("got %q, want it to name the scope", got)
	}
}

func TestAListOfSeveralPagesIsReadToItsEnd(t *testing.T) {
	for _, test := range []struct {
		name  string
		pages int
		want  int
	}{{"three pages", 3, 3}, {"pages without end", 1 << 30, 100}} {
		t.Run(test.name, func(t *testing.T) {
			api := apiOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				page := 1
				_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
				fmt.Fprintf(w, `{"data":[{"name":"tag %d"}],"pagination":{"page":%d,"has_more":%v}}`, page, page, page < test.pages)
			}))
			tags, err := api.Tags(t.Context())
			if err != nil || len(tags) != test.want || tags[len(tags)-1] != fmt.Sprintf("tag %d", test.want) {
				t.Errorf("got %d tags, %v, want %d", len(tags), err, test.want)
			}
		})
	}
}

func TestWebhooks(t *testing.T) {
	const address = "https://bot.example/webhook/very-secret-part"
	for _, test := range []struct {
		name string
		key  fakeallo.Key
		make allo.Webhook
		want allo.Webhook
	}{
		{"first", fakeallo.Key{Generation: 1}, allo.Webhook{Generation: 1, URL: address, Number: ourLine, Topics: []string{"call.completed", "SMS_RECEIVED"}},
			allo.Webhook{ID: "web-1", Generation: 1, URL: address, Number: ourLine, Enabled: true, Topics: []string{"CALL_RECEIVED", "SMS_RECEIVED"}}},
		{"second", fakeallo.Key{Generation: 2}, allo.Webhook{Generation: 2, URL: address, Description: "allo-slack", Topics: []string{"CALL_RECEIVED", "tag.added"}},
			allo.Webhook{ID: "ep_1", Generation: 2, URL: address, Description: "allo-slack", Enabled: true, Topics: []string{"call.completed", "tag.added"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := withKey(test.key)
			api := apiOf(t, fake)
			made, err := api.CreateWebhook(t.Context(), test.make)
			if err != nil {
				t.Fatal(err)
			}
			if test.want.Generation == 2 {
				if _, err := allo.NewVerifier(made.SigningSecret); err != nil {
					t.Errorf("the signing secret can't be used: %v", err)
				}
				if made.Created.IsZero() {
					t.Error("got no time of creation")
				}
			}
			check := func(got allo.Webhook) {
				t.Helper()
				got.SigningSecret, got.Created = "", test.want.Created
				if fmt.Sprintf("%+v", fields(got)) != fmt.Sprintf("%+v", fields(test.want)) {
					t.Errorf("got %+v, want %+v", fields(got), fields(test.want))
				}
			}
			check(made)
			all, err := api.Webhooks(t.Context())
			if err != nil || len(all) != 1 {
				t.Fatalf("got %d webhooks, %v, want 1", len(all), err)
			}
			check(all[0])
			if err := api.DeleteWebhook(t.Context(), made.ID); err != nil {
				t.Fatal(err)
			}
			if left := fake.Webhooks(); len(left) != 0 {
				t.Errorf("got %v left, want none", left)
			}
			wantStatus(t, api.DeleteWebhook(t.Context(), made.ID), http.StatusNotFound)
		})
	}
}

// fields is a Webhook without its methods, to be printed whole.
func fields(w allo.Webhook) any {
	type plain allo.Webhook
	return plain(w)
}

func TestWebhooksOfBothGenerationsAreListedTogether(t *testing.T) {
	fake := withKey(fakeallo.Key{})
	api := apiOf(t, fake)
	for _, w := range []allo.Webhook{
		{Generation: 1, URL: "https://bot.example/1", Number: ourLine, Topics: []string{"CALL_RECEIVED"}},
		{Generation: 2, URL: "https://bot.example/2", Topics: []string{"CALL_RECEIVED"}},
	} {
		if _, err := api.CreateWebhook(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	all, err := api.Webhooks(t.Context())
	if err != nil || len(all) != 2 || all[0].Generation != 2 || all[1].Generation != 1 {
		t.Errorf("got %v, %v, want one of each", all, err)
	}
	// The first generation's is not deleted by the second's answer that there is none of that id.
	if err := api.DeleteWebhook(t.Context(), all[1].ID); err != nil {
		t.Error(err)
	}
	if left := fake.Webhooks(); len(left) != 1 || left[0].Generation != 2 {
		t.Errorf("got %v left, want the second generation's", left)
	}
}

func TestWhoMayNotSeeWebhooksIsTold(t *testing.T) {
	for name, key := range map[string]fakeallo.Key{
		"both":        {Scopes: []string{"TAGS_READ"}},
		"second only": {Generation: 2, Scopes: []string{"TAGS_READ"}},
		"first only":  {Generation: 1, Scopes: []string{"TAGS_READ"}},
	} {
		t.Run(name, func(t *testing.T) {
			api := apiOf(t, withKey(key))
			_, err := api.Webhooks(t.Context())
			for what, err := range map[string]error{"list": err, "delete": api.DeleteWebhook(t.Context(), "ep_1")} {
				if err == nil || !strings.Contains(err.Error(), "make a key with the scope WEBHOOKS_READ_WRITE") {
					t.Errorf("%s: got %v, want it to name the scope", what, err)
				}
			}
		})
	}
}

func TestTroubleWithWebhooksIsNoEmptyList(t *testing.T) {
	for _, path := range []string{"/v2", "/v1"} {
		fake := withKey(fakeallo.Key{})
		api := apiOf(t, fake)
		fake.Fault(fakeallo.Fault{Path: path, Kind: fakeallo.Status, Status: 500, Count: -1})
		got, err := api.Webhooks(t.Context())
		wantStatus(t, err, 500)
		if got != nil {
			t.Errorf("%s: got %v beside the error, want nothing", path, got)
		}
	}
	_, err := apiOf(t, withKey(fakeallo.Key{})).CreateWebhook(t.Context(), allo.Webhook{Generation: 2, URL: "http://bot.example/x", Topics: []string{"CALL_RECEIVED"}})
	if got := wantStatus(t, err, 400).Message; got != "url must be an HTTPS URL" {
		t.Errorf("got %q, want Allo's words", got)
	}
}

func TestWebhooksThatAreNotAskedFor(t *testing.T) {
	fake := withKey(fakeallo.Key{})
	api := apiOf(t, fake)
	for _, test := range []struct {
		name string
		w    allo.Webhook
		want string
	}{
		{"no generation", allo.Webhook{Topics: []string{"CALL_RECEIVED"}}, "generations 1 and 2, not 0"},
		{"no topics", allo.Webhook{Generation: 2}, "at least one topic"},
		{"no number", allo.Webhook{Generation: 1, Topics: []string{"CALL_RECEIVED"}}, "belongs to one of your numbers"},
		{"a topic of the second", allo.Webhook{Generation: 1, Number: ourLine, Topics: []string{"tag.added"}}, "only webhooks of the second generation"},
	} {
		if _, err := api.CreateWebhook(t.Context(), test.w); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
	for _, id := range []string{"", ".", ".."} {
		if err := api.DeleteWebhook(t.Context(), id); err == nil || !strings.Contains(err.Error(), "name its id") {
			t.Errorf("delete %q: got %v, want an error", id, err)
		}
	}
	if got := asked(fake); got != "" {
		t.Errorf("asked Allo\n%s\nwant nothing", got)
	}
	wantStatus(t, api.DeleteWebhook(t.Context(), "../me?x=1"), http.StatusNotFound)
	for _, c := range fake.Calls() {
		if !strings.HasSuffix(c.Path, "/api/webhooks/../me?x=1") {
			t.Errorf("asked for %s, want the id as one part of the path", c.Path)
		}
	}
}

func TestAWriteWhoseAnswerWasLostIsDoneOnce(t *testing.T) {
	for _, kind := range []fakeallo.FaultKind{fakeallo.CutAfter, fakeallo.HalfAnswer, fakeallo.CutBefore} {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := withKey(fakeallo.Key{})
				fake.Fault(fakeallo.Fault{Method: http.MethodPost, Kind: kind})
				made, err := apiOf(t, fake).CreateWebhook(t.Context(), allo.Webhook{Generation: 2, URL: "https://bot.example/x", Topics: []string{"CALL_RECEIVED"}})
				if err != nil || made.SigningSecret == "" {
					t.Errorf("got %v, %v, want the webhook with its secret", made, err)
				}
				if got := len(fake.Webhooks()); got != 1 {
					t.Errorf("got %d webhooks, want 1", got)
				}
				calls := fake.Calls()
				if len(calls) != 2 || calls[0].Header.Get("Idempotency-Key") == "" || calls[0].Header.Get("Idempotency-Key") != calls[1].Header.Get("Idempotency-Key") {
					t.Errorf("got %d requests, want 2 with one Idempotency-Key", len(calls))
				}
			})
		})
	}
}

func TestEachWriteHasItsOwnIdempotencyKey(t *testing.T) {
	fake := withKey(fakeallo.Key{})
	api := apiOf(t, fake)
	for range 2 {
		if _, err := api.CreateWebhook(t.Context(), allo.Webhook{Generation: 2, URL: "https://bot.example/x", Topics: []string{"CALL_RECEIVED"}}); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(fake.Webhooks()); got != 2 {
		t.Errorf("got %d webhooks, want 2: they were asked for twice", got)
	}
}

func TestAWebhookIsPrintedWithoutItsSecrets(t *testing.T) {
	w := allo.Webhook{ID: "ep_1", Generation: 2, URL: "https://bot.example/webhook/very-secret-part", SigningSecret: "whsec_other"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("made", "webhook", w, "pointer", &w)
	for _, text := range []string{fmt.Sprint(w), fmt.Sprintf("%+v %#v %s %q %v", w, w, w, w, []allo.Webhook{w}), log.String()} {
		if strings.Contains(text, "very-secret") || strings.Contains(text, "whsec") || !strings.Contains(text, "bot.example") {
			t.Errorf("got %q, want it without secrets", text)
		}
	}
}

func TestEventTypesAreAllKnown(t *testing.T) {
	types, err := apiOf(t, withKey(fakeallo.Key{})).EventTypes(t.Context())
	if err != nil || len(types) != 11 {
		t.Fatalf("got %v, %v, want 11", types, err)
	}
	for _, e := range types {
		if _, known := allo.Canonical(e.Name); !known || e.Description == "" {
			t.Errorf("%+v is not known", e)
		}
	}
}

func TestTopicsOfAGeneration(t *testing.T) {
	for _, test := range []struct {
		generation int
		names      []string
		want       []string
		err        string
	}{
		{1, fakeallo.FirstTopics(), fakeallo.FirstTopics(), ""},
		{2, fakeallo.SecondTopics(), fakeallo.SecondTopics(), ""},
		{2, fakeallo.FirstTopics(), []string{"call.completed", "sms.received", "sms.sent", "contact.created", "contact.updated"}, ""},
		{1, []string{"call.completed", "CALL_RECEIVED", "sms.sent"}, []string{"CALL_RECEIVED", "SMS_SENT"}, ""},
		{2, []string{"CALL_RECEIVED", "call.received"}, []string{"call.completed", "call.received"}, ""},
		{2, nil, nil, ""},
		{1, []string{"call.received"}, nil, "only webhooks of the second generation have the topic call.received"},
		{2, []string{"CALL_RECIEVED"}, nil, `"CALL_RECIEVED" is no topic of Allo's`},
		{2, []string{"PING"}, nil, "PING can't be asked for"},
		{3, nil, nil, "not 3"},
	} {
		got, err := allo.Topics(test.generation, test.names)
		switch {
		case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
			t.Errorf("Topics(%d, %v): got %v, want %q", test.generation, test.names, err, test.err)
		case test.err == "" && (err != nil || !slices.Equal(got, test.want)):
			t.Errorf("Topics(%d, %v): got %v, %v, want %v", test.generation, test.names, got, err, test.want)
		}
	}
}
