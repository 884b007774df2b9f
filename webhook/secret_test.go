package webhook_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"allo-slack/webhook"
)

func TestSecretsAreNeeded(t *testing.T) {
	for name, secrets := range map[string][]string{
		"none":                {},
		"an empty one":        {""},
		"an empty one beside": {secret, ""},
	} {
		if h, err := webhook.New(webhook.Config{Secrets: secrets}); err == nil {
			h.Close()
			t.Errorf("%s: got a handler, want an error", name)
		}
	}
}

func TestTwoSecretsWhileRotating(t *testing.T) {
	h, _ := mount(t, webhook.Config{Secrets: []string{secret, retired}})
	wantAnswer(t, ask(h, post(t, secret, text)), 200, accepted)
	wantAnswer(t, ask(h, post(t, retired, text)), 200, accepted)
	wantAnswer(t, ask(h, post(t, wrong, text)), 404, `{"error":"not found"}`)

	h, _ = mount(t, webhook.Config{Secrets: []string{secret}})
	wantAnswer(t, ask(h, post(t, retired, text)), 404, `{"error":"not found"}`)
}

// from is a request from an address.
func from(t *testing.T, secret, address string, header map[string]string) *http.Request {
	t.Helper()
	r := post(t, secret, text)
	r.RemoteAddr = address
	for name, value := range header {
		r.Header.Set(name, value)
	}
	return r
}

// guess sends as many wrong secrets from an address as are answered one by one.
func guess(t *testing.T, h http.Handler, address string, header map[string]string) {
	t.Helper()
	for range 10 {
		wantStatus(t, ask(h, from(t, wrong, address, header)), 404)
	}
}

func TestGuessingIsLimited(t *testing.T) {
	h, log := mount(t, webhook.Config{})
	const guesser, other = "203.0.113.7:4711", "203.0.113.8:4711"
	guess(t, h, guesser, nil)
	lines := strings.Count(log.String(), "\n")
	for _, method := range []string{"POST", "GET", "HEAD"} {
		r := from(t, wrong, guesser, nil)
		r.Method = method
		answer := ask(h, r)
		wantAnswer(t, answer, 429, `{"error":"too many wrong secrets"}`)
		if wait, err := strconv.Atoi(answer.Header.Get("Retry-After")); err != nil || wait < 1 || wait > 60 {
			t.Errorf("got Retry-After %q, want 1 to 60", answer.Header.Get("Retry-After"))
		}
	}
	if got := strings.Count(log.String(), "\n"); got != lines || lines != 10 {
		t.Errorf("got %d lines of log, then %d, want 10 and no more", lines, got)
	}
	// Whoever knows the secret isn't refused for what others tried from behind the same address.
	wantAnswer(t, ask(h, from(t, secret, guesser, nil)), 200, accepted)
	wantStatus(t, ask(h, from(t, wrong, other, nil)), 404)
	wantStatus(t, ask(h, from(t, wrong, guesser, nil)), 429)
}

func TestRightSecretsAreNotCounted(t *testing.T) {
	h, _ := mount(t, webhook.Config{})
	for range 100 {
		wantStatus(t, ask(h, from(t, secret, "203.0.113.7:4711", nil)), 200)
	}
	wantStatus(t, ask(h, from(t, wrong, "203.0.113.7:4711", nil)), 404)
}

// Guesses from addresses that are one count together.
func TestWhichAddressesAreOne(t *testing.T) {
	fly := func(address string) map[string]string { return map[string]string{"Fly-Client-IP": address} }
	forwarded := func(address string) map[string]string {
		return map[string]string{"X-Forwarded-For": address, "X-Real-Ip": address, "Forwarded": "for=" + address}
	}
	const proxy = "172.16.0.1:4711"
	tests := []struct {
		name         string
		trustFly     bool
		one          string
		oneHeader    map[string]string
		second       string
		secondHeader map[string]string
		same         bool
	}{
		{"two ports", false, "203.0.113.7:1", nil, "203.0.113.7:2", nil, true},
		{"two addresses", false, "203.0.113.7:1", nil, "203.0.113.8:1", nil, false},
		{"IPv4 as IPv6", false, "203.0.113.7:1", nil, "[::ffff:203.0.113.7]:1", nil, true},
		{"one customer's IPv6", false, "[2001:db8:1:2::1]:1", nil, "[2001:db8:1:2:ffff:ffff:ffff:ffff]:1", nil, true},
		{"two customers' IPv6", false, "[2001:db8:1:2::1]:1", nil, "[2001:db8:1:3::1]:1", nil, false},
		{"two zones", false, "[fe80::1%eth0]:1", nil, "[fe80::1%eth1]:1", nil, true},
		{"X-Forwarded-For is not read", false, proxy, forwarded("203.0.113.7"), proxy, forwarded("203.0.113.8"), true},
		{"X-Forwarded-For is not read on Fly", true, proxy, forwarded("203.0.113.7"), proxy, forwarded("203.0.113.8"), true},
		{"Fly-Client-IP off Fly", false, proxy, fly("203.0.113.7"), proxy, fly("203.0.113.8"), true},
		{"Fly-Client-IP on Fly, two clients", true, proxy, fly("203.0.113.7"), proxy, fly("203.0.113.8"), false},
		{"Fly-Client-IP on Fly, one client", true, proxy, fly("203.0.113.7"), "172.16.0.2:1", fly("203.0.113.7"), true},
		{"Fly-Client-IP on Fly, one customer's IPv6", true, proxy, fly("2001:db8::1"), proxy, fly("2001:db8::2"), true},
		{"Fly without its header", true, "203.0.113.7:1", nil, "203.0.113.8:1", nil, false},
		{"what is no address", true, proxy, fly("nowhere"), proxy, fly("somewhere"), true},
		{"no address at all", false, "", nil, "@", nil, true},
		{"an address without a port", false, "203.0.113.7", nil, "203.0.113.7:1", nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, _ := mount(t, webhook.Config{TrustFly: tt.trustFly})
			guess(t, h, tt.one, tt.oneHeader)
			status := 404
			if tt.same {
				status = 429
			}
			wantStatus(t, ask(h, from(t, wrong, tt.second, tt.secondHeader)), status)
		})
	}
}

// A secret's path is one segment: nothing around it is answered as if it were.
func TestOtherPathsAreNotAnswered(t *testing.T) {
	url, _ := serve(t, webhook.Config{})
	for _, path := range []string{"", secret + "/", secret + "/x", "%20" + secret, secret + "%00", "..%2f" + secret} {
		wantStatus(t, send(t, "POST", url+path, nil, strings.NewReader(text)), 404)
	}
	wantStatus(t, send(t, "POST", url+secret+"?source=allo", nil, strings.NewReader(text)), 200)
}
