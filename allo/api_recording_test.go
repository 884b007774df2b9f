package allo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"allo-slack/fakeallo"
)

var sound = bytes.Repeat([]byte("sound "), 1000)

const soundPath = "/v1/assets/recordings/abc"

// recordings is a stand-in that listens, and a client of it.
func recordings(t *testing.T) (*fakeallo.Server, *API) {
	t.Helper()
	fake := fakeallo.New(fakeallo.Options{})
	fake.AddRecording(soundPath, fakeallo.Recording{Body: sound, NeedsKey: true})
	base, stop, err := fake.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	api, err := NewAPI(fakeallo.DefaultKey, base, client)
	if err != nil {
		t.Fatal(err)
	}
	return fake, api
}

// site is another host of Allo's, without a network: it notes what it is sent.
type site struct {
	mu     sync.Mutex
	answer http.HandlerFunc
	asked  []*http.Request
}

func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.asked = append(s.asked, r)
	s.mu.Unlock()
	rec := httptest.NewRecorder()
	s.answer(rec, r)
	return rec.Result(), nil
}

func soundAnswer(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "audio/mpeg")
	_, _ = w.Write(sound)
}

// door is a listener that counts who comes.
func door(t *testing.T) (address string, visitors *atomic.Int32) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	visitors = &atomic.Int32{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			visitors.Add(1)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	return ln.Addr().String(), visitors
}

func TestARecordingIsStreamedWithTheKeyAndInRanges(t *testing.T) {
	fake, api := recordings(t)
	whole, err := api.Recording(t.Context(), api.base.String()+soundPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(whole.Body)
	if err != nil || !bytes.Equal(body, sound) || whole.StatusCode != 200 || whole.Header.Get("Content-Type") != "audio/mpeg" {
		t.Errorf("got %d with %d bytes, %v, want 200 with %d", whole.StatusCode, len(body), err, len(sound))
	}
	if err := whole.Body.Close(); err != nil {
		t.Error(err)
	}
	if whole.Request != nil {
		t.Error("the answer still has the request, which holds the key")
	}
	for _, test := range []struct {
		name   string
		header http.Header
		status int
		length int
	}{
		{"a range", http.Header{"Range": {"bytes=6-11"}}, 206, 6},
		{"a range of this very recording", http.Header{"Range": {"bytes=6-11"}, "If-Range": {whole.Header.Get("ETag")}}, 206, 6},
		{"a range of another", http.Header{"Range": {"bytes=6-11"}, "If-Range": {`"other"`}}, 200, len(sound)},
		{"a range beyond its end", http.Header{"Range": {"bytes=99999-"}}, 416, -1},
		{"other headers", http.Header{"Cookie": {"a=b"}, "Authorization": {"Bearer x"}, "X-Forwarded-For": {"1.2.3.4"}}, 200, len(sound)},
	} {
		resp, err := api.Recording(t.Context(), api.base.String()+soundPath, test.header)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != test.status || test.length >= 0 && len(body) != test.length {
			t.Errorf("%s: got %d with %d bytes, %v, want %d with %d", test.name, resp.StatusCode, len(body), err, test.status, test.length)
		}
		_ = resp.Body.Close()
	}
	for _, c := range fake.Calls() {
		if c.Authorization != fakeallo.DefaultKey || c.Header.Get("Cookie") != "" || c.Header.Get("X-Forwarded-For") != "" || c.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("sent %v, want the key, Range and If-Range only", c.Header)
		}
	}
}

func TestTheKeysFormIsFoundForRecordingsToo(t *testing.T) {
	fake, api := recordings(t)
	fake.SetKeys(map[string]fakeallo.Key{fakeallo.DefaultKey: {Form: fakeallo.Prefixed}})
	for range 2 {
		resp, err := api.Recording(t.Context(), api.base.String()+soundPath, nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("got %v, %v, want 200", resp, err)
		}
		_ = resp.Body.Close()
	}
	if got := len(fake.Calls()); got != 3 {
		t.Errorf("got %d requests, want 3: one with the wrong form", got)
	}
}

func TestWhatAlloAnswersIsPassedOn(t *testing.T) {
	fake, api := recordings(t)
	fake.AddRecording("/gone", fakeallo.Recording{Status: 410})
	for _, test := range []struct {
		path   string
		keys   map[string]fakeallo.Key
		status int
	}{
		{"/gone", nil, 410}, {"/v1/assets/recordings/never", nil, 404}, {soundPath, map[string]fakeallo.Key{}, 401},
	} {
		if test.keys != nil {
			fake.SetKeys(test.keys)
		}
		resp, err := api.Recording(t.Context(), api.base.String()+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != test.status {
			t.Errorf("%s: got %d, want %d", test.path, resp.StatusCode, test.status)
		}
		_ = resp.Body.Close()
	}
}

func TestWhereARecordingMayBe(t *testing.T) {
	api, err := NewAPI("secret", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	const key, open, no = "with the key", "without the key", "not at all"
	for _, test := range []struct{ url, want string }{
		{"https://api.withallo.com/v1/assets/recordings/abc", key},
		{"https://api.withallo.com:443/x", key},
		{"HTTPS://API.WithAllo.COM/x", key},
		{" https://api.withallo.com/x\n", key},
		{"https://api.withallo.com/x#fragment", key},
		{"https://storage.withallo.com/recordings/abc123.mp3", open},
		{"https://STORAGE.WITHALLO.COM/x", open},
		{"https://a.b.withallo.com:443/x?token=1", open},
		{"http://api.withallo.com/x", no},
		{"http://storage.withallo.com/x", no},
		{"http://storage.withallo.com:443/x", no},
		{"http://api.withallo.com:443/x", no},
		{"https://api.withallo.com:8443/x", no},
		{"https://api.withallo.com:80/x", no},
		{"https://storage.withallo.com:22/x", no},
		{"https://withallo.com/x", no},
		{"https://.withallo.com/x", no},
		{"https://a..withallo.com/x", no},
		{"https://evilwithallo.com/x", no},
		{"https://withallo.com.evil.example/x", no},
		{"https://api.withallo.com.evil.example/x", no},
		{"https://withallo.com@evil.example/x", no},
		{"https://storage.withallo.com@evil.example/x", no},
		{"https://user@storage.withallo.com/x", no},
		{"https://user:secret@api.withallo.com/x", no},
		{"https://@api.withallo.com/x", no},
		{"https://storage.withallo.com./x", no},
		{"https://api.withallo.com./x", no},
		{`https://evil.example\.withallo.com/x`, no},
		{"https://evil.example%2f.withallo.com/x", no},
		{"https://evil.example%00.withallo.com/x", no},
		{"https://evil.example#.withallo.com/x", no},
		{"https://evil.example?.withallo.com/x", no},
		{"https://évil.withallo.com/x", no},
		{"https://" + strings.Repeat("a", 64) + ".withallo.com/x", no},
		{"https://" + strings.Repeat("a.", 130) + "withallo.com/x", no},
		{"https://127.0.0.1/x", no},
		{"https://localhost/x", no},
		{"https://2130706433/x", no},
		{"https://0177.0.0.1/x", no},
		{"https://0x7f.1/x", no},
		{"https://[::1]/x", no},
		{"https://[::ffff:127.0.0.1]/x", no},
		{"https://169.254.169.254/latest/meta-data/", no},
		{"https://[fe80::1]/x", no},
		{"https://[fe80::1%25eth0]/x", no},
		{"https://[fdaa::3]/x", no},
		{"file:///etc/passwd", no},
		{"gopher://storage.withallo.com/x", no},
		{"ftp://storage.withallo.com/x", no},
		{"data:audio/mpeg;base64,AAAA", no},
		{"https:storage.withallo.com/x", no},
		{"https:///x", no},
		{"//storage.withallo.com/x", no},
		{"storage.withallo.com/x", no},
		{"/x", no},
		{"", no},
		{"https://storage.withallo.com\r\nHost: evil.example/x", no},
		{"://", no},
	} {
		t.Run(test.url, func(t *testing.T) {
			atBase, elsewhere := &site{answer: soundAnswer}, &site{answer: soundAnswer}
			api.client.Transport, api.elsewhere = atBase, elsewhere
			resp, err := api.Recording(t.Context(), test.url, nil)
			got := no
			switch {
			case len(atBase.asked) == 1 && strings.HasSuffix(atBase.asked[0].Header.Get("Authorization"), "secret"):
				got = key
			case len(elsewhere.asked) == 1 && elsewhere.asked[0].Header.Get("Authorization") == "":
				got = open
			}
			if got != test.want || len(atBase.asked)+len(elsewhere.asked) > 1 {
				t.Errorf("fetched %s, %v, want %s", got, err, test.want)
			}
			if got == no && !errors.Is(err, ErrNotAllo) {
				t.Errorf("got %v, want ErrNotAllo", err)
			}
			if err == nil {
				_ = resp.Body.Close()
			}
		})
	}
}

func TestRedirectsOfARecording(t *testing.T) {
	address, visitors := door(t)
	_, port, _ := net.SplitHostPort(address)
	for _, test := range []struct {
		name   string
		to     []string // where the paths /0, /1, … lead; BASE is the stand-in
		opened int      // requests of other hosts of Allo's
		want   string   // in the error; "" is the recording
	}{
		{"to Allo's storage", []string{"https://storage.withallo.com/x"}, 1, ""},
		{"to itself", []string{"/1", "BASE/2", "sound"}, 0, ""},
		{"once too often", []string{"/1", "/2", "/3", "sound"}, 0, "redirected more than 3 times"},
		{"in a circle", []string{"/0"}, 0, "redirected more than 3 times"},
		{"to another port of this host", []string{"http://" + address + "/x"}, 0, ErrNotAllo.Error()},
		{"to another name of this host", []string{"http://localhost:" + port + "/x"}, 0, ErrNotAllo.Error()},
		{"to metadata", []string{"http://169.254.169.254/latest/meta-data/"}, 0, ErrNotAllo.Error()},
		{"to another scheme", []string{"file:///etc/passwd"}, 0, ErrNotAllo.Error()},
		{"to a look-alike", []string{"https://evilwithallo.com/x"}, 0, ErrNotAllo.Error()},
		{"to a look-alike, in two steps", []string{"/1", "https://withallo.com.evil.example/x"}, 0, ErrNotAllo.Error()},
		{"without an encryption", []string{"http://storage.withallo.com/x"}, 0, ErrNotAllo.Error()},
		{"with a user name", []string{"https://a:b@storage.withallo.com/x"}, 0, ErrNotAllo.Error()},
		{"to nowhere", []string{""}, 0, ErrNotAllo.Error()},
		{"to what is no URL", []string{"https://storage.withallo.com:port/"}, 0, ErrNotAllo.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			visitors.Store(0)
			fake, api := recordings(t)
			elsewhere := &site{answer: soundAnswer}
			api.elsewhere = elsewhere
			for i, to := range test.to {
				to = strings.ReplaceAll(strings.ReplaceAll(to, "BASE", api.base.String()), "sound", soundPath)
				fake.Fault(fakeallo.Fault{Path: fmt.Sprintf("/%d", i), Kind: fakeallo.Redirect, Status: 302, Body: to, Count: -1})
			}
			resp, err := api.Recording(t.Context(), api.base.String()+"/0", http.Header{"Range": {"bytes=0-5"}})
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadAll(resp.Body); err != nil {
					t.Error(err)
				}
				_ = resp.Body.Close()
			} else if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if got := len(elsewhere.asked); got != test.opened {
				t.Errorf("asked elsewhere %d times, want %d", got, test.opened)
			}
			for _, r := range elsewhere.asked {
				if r.Header.Get("Authorization") != "" || r.Header.Get("Referer") != "" || r.Header.Get("Range") != "bytes=0-5" {
					t.Errorf("sent %v elsewhere, want Range and no key", r.Header)
				}
			}
			if got := visitors.Load(); got != 0 {
				t.Errorf("%d connections to the door, want none", got)
			}
		})
	}
}

// TestTheKeyStaysAtItsOrigin: a host of Allo's that leads back to the API doesn't get the key on the way.
func TestTheKeyStaysAtItsOrigin(t *testing.T) {
	fake, api := recordings(t)
	elsewhere := &site{}
	elsewhere.answer = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, api.base.String()+soundPath, http.StatusFound)
	}
	api.elsewhere = elsewhere
	resp, err := api.Recording(t.Context(), "https://storage.withallo.com/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if got := elsewhere.asked[0].Header.Get("Authorization"); got != "" {
		t.Errorf("sent %q elsewhere, want nothing", got)
	}
	if calls := fake.Calls(); len(calls) != 1 || calls[0].Authorization != fakeallo.DefaultKey {
		t.Errorf("got %+v, want the recording fetched with the key", calls)
	}
}

// TestTheAPIIsNotReadThroughARecording: the key opens more than recordings, and an event's sender chooses the URL.
func TestTheAPIIsNotReadThroughARecording(t *testing.T) {
	_, api := recordings(t)
	for _, path := range []string{"/v2/api/me", "/v1/api/webhooks", "/v1/assets/../../v2/api/users", "/v1/assets/%2e%2e/%2e%2e/v2/api/users"} {
		resp, err := api.Recording(t.Context(), api.base.String()+path, nil)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode < 300 {
				t.Errorf("%s: got %d, want an error", path, resp.StatusCode)
			}
			continue
		}
		if !errors.Is(err, ErrNotAllo) {
			t.Errorf("%s: got %v, want ErrNotAllo", path, err)
		}
	}
	for kind, want := range map[string]bool{
		"audio/mpeg": true, "audio/ogg; codecs=opus": true, "video/mp4": true, "application/octet-stream": true, "": true,
		"application/json": false, "application/problem+json": false, "text/html; charset=utf-8": false, "image/svg+xml": false,
		"TEXT/HTML": false, "text/html; charset": false, "text/javascript": false,
	} {
		resp := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {kind}}}
		if got := recorded(resp); got != want {
			t.Errorf("%q: got %v, want %v", kind, got, want)
		}
	}
}
