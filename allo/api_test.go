package allo_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"allo-slack/allo"
	"allo-slack/fakeallo"
)

func TestNewAPI(t *testing.T) {
	for _, test := range []struct{ name, key, base, want string }{
		{"the real one", "ak_live_1", "", ""},
		{"a proxy with a path", "ak_live_1", "http://127.0.0.1:8080/allo/", ""},
		{"white space around", " ak_live_1\n", " https://api.example ", ""},
		{"with its form", "Api-Key ak_live_1", "", ""},
		{"no key", " ", "", "the API key is empty"},
		{"only a form", "Api-Key ", "", "the API key is"},
		{"two keys", "ak_live_1 ak_live_2", "", "no key has"},
		{"a line break in it", "ak_live_1\r\nX: y", "", "no key has"},
		{"no scheme", "ak_live_1", "api.withallo.com", "must be http or https"},
		{"another scheme", "ak_live_1", "ftp://api.withallo.com", "must be http or https"},
		{"no host", "ak_live_1", "https:///v1", "must be http or https"},
		{"a user", "ak_live_1", "https://ak_live_1@api.example", "must be http or https"},
		{"a query", "ak_live_1", "https://api.example/?a=b", "must be http or https"},
		{"not a URL", "ak_live_1", "https://api.example:port", "must be http or https"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := allo.NewAPI(test.key, test.base, nil)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got %v, want no error", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q", err, test.want)
			case err != nil && strings.Contains(err.Error(), "ak_live_1"):
				t.Errorf("got %v, which holds the key", err)
			}
		})
	}
}

func TestAnAPIIsPrintedWithoutItsKey(t *testing.T) {
	api := apiOf(t, answering(200, nil, ""))
	const want = "Allo's API at api.example"
	if got := fmt.Sprintf("%v %+v %#v", api, api, api); got != want+" "+want+" "+want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheFormOfTheKeyIsFoundAndRemembered(t *testing.T) {
	for _, test := range []struct {
		name string
		form fakeallo.Form
		want string
	}{
		{"either", fakeallo.AnyForm, "GET /v2/api/tags prefixed 200\nGET /v1/api/webhooks bare 200\nGET /v2/api/tags prefixed 200\nGET /v1/api/webhooks bare 200"},
		{"with Api-Key", fakeallo.Prefixed, "GET /v2/api/tags prefixed 200\nGET /v1/api/webhooks bare 401\nGET /v1/api/webhooks prefixed 200\nGET /v2/api/tags prefixed 200\nGET /v1/api/webhooks prefixed 200"},
		{"bare", fakeallo.Bare, "GET /v2/api/tags prefixed 401\nGET /v2/api/tags bare 200\nGET /v1/api/webhooks bare 200\nGET /v2/api/tags bare 200\nGET /v1/api/webhooks bare 200"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := fakeallo.New(fakeallo.Options{Keys: map[string]fakeallo.Key{apiKey: {Form: test.form}}})
			api := apiOf(t, withoutSecond(fake))
			for range 2 {
				if _, err := api.Tags(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, err := api.Webhooks(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if got := asked(fake); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// withoutSecond hides the second generation's webhooks.
func withoutSecond(fake *fakeallo.Server) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v2/api/webhooks") {
			http.NotFound(w, r)
			return
		}
		fake.ServeHTTP(w, r)
	})
}

func TestManyAtOnceFindTheForm(t *testing.T) {
	fake := fakeallo.New(fakeallo.Options{Keys: map[string]fakeallo.Key{apiKey: {Form: fakeallo.Bare}}, NoPace: true})
	api := listening(t, fake)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := api.Tags(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	before := len(fake.Calls())
	if _, err := api.Tags(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := len(fake.Calls()) - before; got != 1 {
		t.Errorf("got %d requests once the form is known, want 1", got)
	}
}

func TestAWrongKeyIsSentTwiceAndNoMore(t *testing.T) {
	fake := fakeallo.New(fakeallo.Options{Keys: map[string]fakeallo.Key{"another": {}}})
	_, err := apiOf(t, fake).Tags(t.Context())
	refused := wantStatus(t, err, http.StatusUnauthorized)
	if got := len(fake.Calls()); got != 2 {
		t.Errorf("got %d requests, want 2", got)
	}
	for _, want := range []string{"allo: GET /v2/api/tags: 401 API_KEY_INVALID: ", "(request req_fakeallo0001)", "set ALLO_API_KEY to a key from Allo, Settings > API"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want %q in it", err, want)
		}
	}
	if refused.Code != "API_KEY_INVALID" || refused.RequestID != "req_fakeallo0001" {
		t.Errorf("got %+v, want its code and request", refused)
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	long := strings.Repeat("a long story, ", 100)
	for _, test := range []struct {
		name   string
		status int
		header map[string]string
		body   string
		want   string // the whole text, after "allo: GET /v2/api/tags: "
	}{
		{"first generation", 401, nil, `{"code":"API_KEY_INVALID","details":null}`,
			"401 API_KEY_INVALID; set ALLO_API_KEY to a key from Allo, Settings > API"},
		{"first, with details", 403, nil, `{"code":"API_KEY_INSUFFICIENT_SCOPE","details":[{"message":"required=CONVERSATIONS_READ","field":"scope"}]}`,
			"403 API_KEY_INSUFFICIENT_SCOPE: required=CONVERSATIONS_READ (scope); make a key with the scope CONVERSATIONS_READ at Allo, Settings > API"},
		{"first, details of another type", 400, nil, `{"code":"BAD","details":{"size":"too large"}}`, `400 BAD: {"size":"too large"}`},
		{"second", 403, nil, `{"error":{"type":"permission_error","code":"API_KEY_TRIAL_NOT_ALLOWED","message":"API access is not available on trial plans.","retryable":false,"request_id":"req_1234567890ab"}}`,
			"403 API_KEY_TRIAL_NOT_ALLOWED: API access is not available on trial plans. (request req_1234567890ab); the key may not do this; ask an admin of the workspace at Allo, and see that its plan has the API"},
		{"second, with a suggestion", 400, nil, `{"error":{"code":"MISSING_ALLO_NUMBER","message":"The allo_number parameter is required.","suggestion":"List numbers with GET /v2/api/numbers."}}`,
			"400 MISSING_ALLO_NUMBER: The allo_number parameter is required.; List numbers with GET /v2/api/numbers."},
		{"an error in words", 404, nil, `{"timestamp":1,"status":404,"error":"Not Found","message":"no handler"}`,
			"404: no handler; there is no such thing at Allo, or not for this key"},
		{"a page", 500, map[string]string{"Content-Type": "text/html"}, "<html>", "500; Allo has trouble, try again later"},
		{"nothing", 418, nil, "", "418"},
		{"fields of other types", 400, nil, `{"error":{"code":7,"message":["x"],"request_id":{}}}`, "400"},
		{"a list", 400, nil, `[1]`, "400"},
		{"a quota of the day", 429, map[string]string{"Retry-After": "3600"}, `{"code":"API_KEY_QUOTA_EXCEEDED","details":[{"message":"limit=1000;type=DAILY;reset_in=3600","field":"DAILY"}]}`,
			"429 API_KEY_QUOTA_EXCEEDED: limit=1000;type=DAILY;reset_in=3600 (DAILY); Allo's limit for this key is reached, try again in 1h0m0s"},
		{"a redirect", 302, map[string]string{"Location": "https://elsewhere.example/v2"}, "",
			"302: a redirect to elsewhere.example; the key is not sent after a redirect; set ALLO_API_URL to where the API is"},
		{"the key in it", 400, nil, `{"error":{"code":"X` + apiKey + `","message":"key ` + apiKey + ` is odd","suggestion":"drop ` + apiKey + `"}}`,
			"400 X[key]: key [key] is odd; drop [key]"},
		{"a number in it", 404, nil, `{"error":{"code":"PHONE_NUMBER_NOT_FOUND","message":"No number +14155550199 here"}}`,
			"404 PHONE_NUMBER_NOT_FOUND: No number …0199 here; there is no such thing at Allo, or not for this key"},
		{"lines and controls", 400, nil, "{\"error\":{\"message\":\"one\\ntwo\\u001b[31m\\u2028three\"}}", "400: one two [31m three"},
		{"endless", 400, nil, `{"error":{"message":"` + long + `"}}`, "400: " + long[:300] + "…"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := apiOf(t, answering(test.status, test.header, test.body)).Tags(t.Context())
			wantStatus(t, err, test.status)
			if got := strings.TrimPrefix(err.Error(), "allo: GET /v2/api/tags: "); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestAnswersThatCannotBeUsed(t *testing.T) {
	for _, test := range []struct {
		name    string
		handler http.Handler
		want    string
	}{
		{"a page", answering(200, map[string]string{"Content-Type": "text/html"}, "<html>"), "not the JSON that was expected (text/html)"},
		{"nothing", answering(200, nil, ""), "not the JSON that was expected"},
		{"another type", answering(200, nil, `{"data":{"name":"a"}}`), "not the JSON that was expected"},
		{"too large", answering(200, nil, `{"data":["`+strings.Repeat("a", 17<<20)+`"]}`), "larger than 16 MiB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked := 0
			_, err := apiOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				test.handler.ServeHTTP(w, r)
			})).Tags(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if asked != 1 {
				t.Errorf("asked %d times, want once", asked)
			}
		})
	}
}

func TestRateLimitsAreWaitedFor(t *testing.T) {
	for _, test := range []struct {
		name    string
		fault   fakeallo.Fault
		timeout time.Duration // of the context; 0 is none
		status  int           // of the error; 0 is none
		asked   int
		waited  time.Duration
	}{
		{"once", fakeallo.Fault{Kind: fakeallo.RateLimit, RetryAfter: 3 * time.Second}, 0, 0, 2, 3 * time.Second},
		{"three times", fakeallo.Fault{Kind: fakeallo.RateLimit, RetryAfter: 2 * time.Second, Count: 3}, 0, 0, 4, 6 * time.Second},
		{"always", fakeallo.Fault{Kind: fakeallo.RateLimit, RetryAfter: 30 * time.Second, Count: -1}, 0, 429, 5, 2 * time.Minute},
		{"without saying how long", fakeallo.Fault{Kind: fakeallo.Status, Status: 429}, 0, 0, 2, time.Second},
		{"for hours", fakeallo.Fault{Kind: fakeallo.RateLimit, RetryAfter: time.Hour}, 0, 429, 1, 0},
		{"longer than the context lasts", fakeallo.Fault{Kind: fakeallo.RateLimit, RetryAfter: 20 * time.Second}, 10 * time.Second, 429, 1, 0},
		{"a gateway's trouble", fakeallo.Fault{Kind: fakeallo.Status, Status: 502}, 0, 0, 2, time.Second},
		{"a service's trouble that says how long", fakeallo.Fault{Kind: fakeallo.Status, Status: 503, RetryAfter: 4 * time.Second}, 0, 0, 2, 4 * time.Second},
		{"trouble that goes on", fakeallo.Fault{Kind: fakeallo.Status, Status: 503, Count: -1}, 0, 503, 2, time.Second},
		{"trouble of Allo's own", fakeallo.Fault{Kind: fakeallo.Status, Status: 500}, 0, 500, 1, 0},
		{"refused", fakeallo.Fault{Kind: fakeallo.Status, Status: 400}, 0, 400, 1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := fakeallo.New(fakeallo.Options{})
				fake.Fault(test.fault)
				ctx := t.Context()
				if test.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.timeout)
					defer cancel()
				}
				start := time.Now()
				_, err := apiOf(t, fake).Tags(ctx)
				if test.status != 0 {
					wantStatus(t, err, test.status)
				} else if err != nil {
					t.Errorf("got %v, want no error", err)
				}
				if got := len(fake.Calls()); got != test.asked {
					t.Errorf("asked %d times, want %d", got, test.asked)
				}
				if got := time.Since(start); got != test.waited {
					t.Errorf("waited %s, want %s", got, test.waited)
				}
			})
		})
	}
}

func TestHowLongToWaitIsReadInAllItsForms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			header, body string
			want         time.Duration
		}{
			{"60", `{"error":{"retry_after_seconds":90}}`, time.Minute},
			{"", `{"error":{"retry_after_seconds":90}}`, 90 * time.Second},
			{time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), "", time.Hour},
			{"120.5", "", 120*time.Second + time.Second/2},
			{"1e300", "", 1e6 * time.Second},
		} {
			_, err := apiOf(t, answering(429, map[string]string{"Retry-After": test.header}, test.body)).Tags(t.Context())
			if got := wantStatus(t, err, 429).RetryAfter; got != test.want {
				t.Errorf("%q, %s: got %s, want %s", test.header, test.body, got, test.want)
			}
		}
		start := time.Now()
		for _, header := range []string{"-5", "NaN", "soon", "0", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)} {
			_, err := apiOf(t, answering(429, map[string]string{"Retry-After": header}, "")).Tags(t.Context())
			if got := wantStatus(t, err, 429).RetryAfter; got != 0 {
				t.Errorf("%q: got %s, want 0", header, got)
			}
		}
		if got := time.Since(start); got != 5*4*time.Second {
			t.Errorf("waited %s, want a second before each further try", got)
		}
	})
}

func TestACanceledContextEndsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := fakeallo.New(fakeallo.Options{})
		fake.Fault(fakeallo.Fault{Kind: fakeallo.RateLimit, RetryAfter: 20 * time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		_, err := apiOf(t, fake).Tags(ctx)
		wantStatus(t, err, 429)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want it to be canceled too", err)
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("ended after %s, want 1s", got)
		}
	})
}

func TestAllosPaceIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := fakeallo.New(fakeallo.Options{})
		api := apiOf(t, fake)
		for i := range 50 {
			if _, err := api.Tags(t.Context()); err != nil {
				t.Fatalf("request %d: %v", i, err)
			}
		}
		if got := fake.RateLimited(); got != 2 {
			t.Errorf("got %d 429s for 50 reads at once, want 2", got)
		}
	})
}

func TestARequestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := fakeallo.New(fakeallo.Options{})
		fake.Fault(fakeallo.Fault{Kind: fakeallo.Slow, Count: -1})
		start := time.Now()
		if _, err := apiOf(t, fake).Tags(t.Context()); err == nil {
			t.Error("got no error of a server that never answers")
		}
		if got, want := time.Since(start), 61*time.Second; got != want {
			t.Errorf("ended after %s, want %s: two tries and what is between them", got, want)
		}
	})
}

func TestARedirectIsNotFollowed(t *testing.T) {
	visitors := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visitors++ }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		fake := fakeallo.New(fakeallo.Options{})
		fake.Fault(fakeallo.Fault{Kind: fakeallo.Redirect, Status: status, Body: elsewhere.URL + "/v2/api/tags"})
		_, err := listening(t, fake).Tags(t.Context())
		wantStatus(t, err, status)
	}
	if visitors != 0 {
		t.Errorf("elsewhere was asked %d times, want never", visitors)
	}
}

// TestErrorsHoldNeitherKeyNorNumber: what net/http says of a broken connection has the whole URL in it.
func TestErrorsHoldNeitherKeyNorNumber(t *testing.T) {
	fake := fakeallo.New(fakeallo.Options{Numbers: []fakeallo.Number{{Number: "+14155550199"}}})
	fake.Fault(fakeallo.Fault{Kind: fakeallo.CutBefore, Count: -1})
	for _, err := range listening(t, fake).RecentCalls(t.Context(), []string{"+14155550199"}, time.Unix(0, 0)) {
		if err == nil {
			t.Fatal("got no error of a connection that is cut")
		}
		for _, secret := range []string{apiKey, "415555"} {
			if strings.Contains(fmt.Sprintf("%v %+v", err, err), secret) {
				t.Errorf("got %v, which holds %s", err, secret)
			}
		}
		if !strings.Contains(err.Error(), "ends in 0199: allo: GET /v1/api/calls: ") {
			t.Errorf("got %v, want it to say what was asked for", err)
		}
	}
}
