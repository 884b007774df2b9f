package web

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"allo-slack/format"
)

func TestTokens(t *testing.T) {
	key, other := make([]byte, KeySize), append(make([]byte, KeySize-1), 1)
	now := began
	token := sign(key, claim{42, now, "Billing calls", now.Add(time.Hour)})
	if again := sign(key, claim{42, now, "Billing calls", now.Add(time.Hour)}); again != token {
		t.Errorf("the same claim signs as %s and %s", token, again)
	}
	got, err := verify(key, token, now)
	if err != nil || got.event != 42 || got.rule != "Billing calls" || !got.received.Equal(now) {
		t.Errorf("got %+v, %v", got, err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		forged := append([]byte(nil), raw...)
		forged[i] ^= 1
		if _, err := verify(key, base64.RawURLEncoding.EncodeToString(forged), now); !errors.Is(err, errForged) {
			t.Errorf("byte %d changed: %v, want %v", i, err, errForged)
		}
	}
	for name, tc := range map[string]struct {
		key   []byte
		token string
		at    time.Time
		want  error
	}{
		"expired":       {key, token, now.Add(time.Hour), errExpired},
		"another key":   {other, token, now, errForged},
		"empty":         {key, "", now, errForged},
		"cut":           {key, token[:len(token)-3], now, errForged},
		"longer":        {key, token + "AA", now, errForged},
		"not base64url": {key, token[:5] + "+/" + token[7:], now, errForged},
		"padded":        {key, token + "=", now, errForged},
	} {
		if _, err := verify(tc.key, tc.token, tc.at); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

func FuzzVerify(f *testing.F) {
	key := make([]byte, KeySize)
	f.Add(sign(key, claim{1, began, "r", began}))
	f.Fuzz(func(t *testing.T, token string) {
		c, err := verify(key, token, began.Add(-time.Hour))
		if err == nil && sign(key, c) != token && len(c.rule) <= maxRule {
			t.Errorf("%q was taken, and is not what was signed", token)
		}
	})
}

func TestThePageOfACall(t *testing.T) {
	r := newRig(t, talk, plays(sound(1)))
	resp, page := r.get(r.link())
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", resp.StatusCode, page)
	}
	for _, want := range []string{"Call from Marie Laurent", "Asked to move Thursday&#39;s delivery.", "Agreed:", "Order number", "12345", "06 12 34 56 78", "Main line",
		`datetime="2026-03-04T09:30:00Z"`, "10:30 CET", "2m 4s", "billing", "ada@acme.example", "Hello, how can I help you?", `data-second="4"`, "0:08", "<audio"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page doesn't hold %s", want)
		}
	}
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
		"X-Robots-Tag": "noindex, nofollow, noarchive", "Content-Security-Policy": csp,
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if strings.Contains(page, "withallo.com") {
		t.Error("the page links to Allo itself")
	}
}

func TestLinksThatDontWork(t *testing.T) {
	r := newRig(t, talk, plays(sound(1)))
	for name, tc := range map[string]struct {
		link string
		want int
		says string
	}{
		"forged":   {r.url + "/calls/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 404, "Open the call again from its message"},
		"expired":  {r.pages.Link(1, "all", time.Now().Add(-2*time.Hour)), 410, "expired"},
		"not kept": {r.pages.Link(2, "all", time.Now()), 410, "not kept here any more"},
	} {
		for _, end := range []string{"", "/recording"} {
			resp, body := r.get(tc.link + end)
			if resp.StatusCode != tc.want || !strings.Contains(body, tc.says) {
				t.Errorf("%s%s: %d %s, want %d and %q", name, end, resp.StatusCode, body, tc.want, tc.says)
			}
		}
	}
}

func TestWhatIsRedactedIsOnNoPage(t *testing.T) {
	r := newRig(t, talk, plays(sound(1)))
	r.call.Options.Redact = format.Redact{Numbers: true, Emails: true, Cards: true}
	_, page := r.get(r.link())
	for _, secret := range []string{"12 34 56 78", "612345678", "4111", "marie@example.com", "ada@acme.example"} {
		if strings.Contains(page, secret) {
			t.Errorf("the page holds %s", secret)
		}
	}
}

func TestACallWithoutRecording(t *testing.T) {
	r := newRig(t, talk, plays(sound(1)))
	r.call.Recording = false
	if _, page := r.get(r.link()); strings.Contains(page, "<audio") || strings.Contains(page, "<button") || !strings.Contains(page, "Monday before noon?") {
		t.Error("want the transcript, and no player")
	}
	if resp, _ := r.get(r.link() + "/recording"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("the recording: %d, want 404", resp.StatusCode)
	}
}

func TestAPayloadsWordsStayWords(t *testing.T) {
	evil := `\"><script>alert(1)</script><img src=x onerror=alert(1)>`
	body := talk
	for _, words := range []string{"Marie Laurent", "Main line", "billing", "Asked to move Thursday's delivery.", "order_number", "12345", "Hello, how can I help you?", "AGENT", "2m 4s"} {
		body = strings.Replace(body, words, evil, 1)
	}
	r := newRig(t, body, plays(sound(1)))
	_, page := r.get(r.link())
	if strings.Contains(page, "<script>alert") || strings.Contains(page, "<img") {
		t.Errorf("markup of the payload's is in the page: %s", page)
	}
	if !strings.Contains(page, "&lt;script&gt;") {
		t.Error("the words are gone")
	}
}

func TestARecordingStreams(t *testing.T) {
	wav := sound(2)
	r := newRig(t, talk, plays(wav))
	resp, body := r.get(r.link() + "/recording")
	if resp.StatusCode != 200 || body != string(wav) || resp.Header.Get("Content-Type") != "audio/wav" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("all: %d, %d bytes, %v", resp.StatusCode, len(body), resp.Header)
	}
	resp, body = r.get(r.link()+"/recording", "Range", "bytes=100-199")
	if resp.StatusCode != 206 || body != string(wav[100:200]) || resp.Header.Get("Content-Range") != fmt.Sprintf("bytes 100-199/%d", len(wav)) {
		t.Errorf("a part: %d, %d bytes, %v", resp.StatusCode, len(body), resp.Header)
	}
	if resp, _ = r.get(r.link()+"/recording", "Range", "bytes=99999999-"); resp.StatusCode != 416 {
		t.Errorf("beyond its end: %d, want 416", resp.StatusCode)
	}
	if resp, _ = r.get(r.link()+"/recording", "Range", "bytes=0-9", "If-Range", `"another"`); resp.StatusCode != 200 {
		t.Errorf("of another version: %d, want all of it", resp.StatusCode)
	}
	head, err := http.Head(r.link() + "/recording")
	if err != nil {
		t.Fatal(err)
	}
	head.Body.Close()
	if head.StatusCode != 200 || head.ContentLength != int64(len(wav)) {
		t.Errorf("HEAD: %d, %d bytes", head.StatusCode, head.ContentLength)
	}
}

func TestARecordingIsNotHeldBack(t *testing.T) {
	release := make(chan struct{})
	r := newRig(t, talk, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "audio/mpeg")
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		<-release
		_, _ = io.WriteString(w, "second")
	}))
	resp, err := http.Get(r.link() + "/recording")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, 5)
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "first" {
		t.Errorf("got %q, %v before the rest was there", first, err)
	}
	close(release)
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "second" {
		t.Errorf("got %q, %v", rest, err)
	}
}

func TestARecordingThatIsCutIsNotTakenForWhole(t *testing.T) {
	r := newRig(t, talk, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	resp, err := http.Get(r.link() + "/recording")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("got %q without an error", b)
	}
}

func TestWhyARecordingCantBePlayed(t *testing.T) {
	for status, tc := range map[int]struct {
		want int
		says string
	}{
		401: {502, "API key"}, 403: {502, "API key"}, 404: {410, "doesn't have this recording any more"}, 410: {410, "any more"}, 429: {503, "Try again"}, 500: {502, "Try again"},
	} {
		r := newRig(t, talk, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "key=secret", status) }))
		resp, body := r.get(r.link() + "/recording")
		if resp.StatusCode != tc.want || !strings.Contains(body, tc.says) || strings.Contains(body, "secret") {
			t.Errorf("%d at Allo: %d %q, want %d and %q", status, resp.StatusCode, body, tc.want, tc.says)
		}
	}
	if err := unreachable(fmt.Errorf("x: %w", errTimeout{})); err.(*problem).status != http.StatusGatewayTimeout {
		t.Errorf("a time-out: %v", err)
	}
}

// errTimeout is what net/http says when nothing comes.
type errTimeout struct{}

func (errTimeout) Error() string   { return "time-out" }
func (errTimeout) Timeout() bool   { return true }
func (errTimeout) Temporary() bool { return true }
