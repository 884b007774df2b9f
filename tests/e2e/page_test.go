package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"allo-slack/fakeallo"
	"allo-slack/tests/process"
)

// links are the button links in blocks.
func links(blocks json.RawMessage) []string {
	var urls []string
	for _, found := range regexp.MustCompile(`"url":"([^"]+)"`).FindAllSubmatch(blocks, -1) {
		urls = append(urls, string(found[1]))
	}
	return urls
}

func TestAButtonOpensAPageThatPlays(t *testing.T) {
	const key = "the-api-key-of-the-tests"
	allo := fakeallo.New(fakeallo.Options{Keys: map[string]fakeallo.Key{key: {Generation: 2}}})
	url, stop, err := allo.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	allo.AddRecording("/v1/assets/recordings/r1", fakeallo.Recording{Body: []byte("the sound of it"), NeedsKey: true})

	r := newRig(t, `rules: [{name: all, match: {}, channel: "#a"}]`, "a")
	r.env = append(r.env, "ALLO_API_KEY="+key, "ALLO_API_URL="+url, "PUBLIC_URL=https://bot.example", "RECONCILE=off")
	b := r.start()
	body := strings.Replace(call(1, ""), `"data":{`, fmt.Sprintf(`"data":{"recording_url":%q,"transcriptions":[{"source":"AGENT","text":"case 009"}],`, url+"/v1/assets/recordings/r1"), 1)
	r.post(b, body)
	found := links(r.wait("a", 1)[0].Blocks)
	if len(found) != 2 || !strings.HasPrefix(found[0], "https://bot.example/calls/") || found[1] != found[0]+"#transcript" {
		t.Fatalf("buttons open %q, want the call's page and its transcript", found)
	}
	get := func(b *process.Bot, end string) (int, string) {
		t.Helper()
		public, _ := b.URL()
		resp, err := http.Get(strings.Replace(found[0], "https://bot.example", public, 1) + end)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		page, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(page)
	}
	if status, _ := b.Stop(10 * time.Second); status != 0 {
		t.Errorf("stopped with %d", status)
	}
	b = r.start() // a link outlives the process
	if status, page := get(b, ""); status != http.StatusOK || !strings.Contains(page, "case 009") || !strings.Contains(page, "<audio") {
		t.Errorf("the page: %d %s", status, page)
	}
	if status, sound := get(b, "/recording"); status != http.StatusOK || sound != "the sound of it" {
		t.Errorf("the recording: %d %q", status, sound)
	}
	if strings.Contains(b.Log(), key) {
		t.Error("the log holds the API key")
	}
}

// A payload may hold any URL. A server that is not Allo's is never contacted.
func TestNobodyElseIsAskedForARecording(t *testing.T) {
	other := fakeallo.New(fakeallo.Options{NoPace: true})
	url, stop, err := other.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	port := url[strings.LastIndexByte(url, ':'):]
	r := newRig(t, `rules: [{name: all, match: {}, channel: "#a"}]`, "a")
	r.env = append(r.env, "ALLO_API_KEY=the-api-key-of-the-tests", "ALLO_API_URL=http://127.0.0.1:1", "PUBLIC_URL=https://bot.example", "RECONCILE=off")
	b := r.start()
	public, _ := b.URL()
	for n, recording := range []string{url + "/x", "http://localhost" + port + "/x", "https://api.withallo.com@127.0.0.1" + port + "/x", "http://[::1]" + port + "/x", "http://2130706433" + port + "/x"} {
		r.post(b, strings.Replace(call(n, ""), `"data":{`, fmt.Sprintf(`"data":{"recording_url":%q,`, recording), 1))
		posts := r.wait("a", n+1)
		found := links(posts[n].Blocks)
		if len(found) == 0 {
			continue // not even a button
		}
		resp, err := http.Get(strings.Replace(found[0], "https://bot.example", public, 1) + "/recording")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: %d, want 502", recording, resp.StatusCode)
		}
	}
	if calls := other.Calls(); len(calls) != 0 {
		t.Errorf("a server that is not Allo's was asked: %+v", calls)
	}
}
