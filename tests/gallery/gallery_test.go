// Package gallery shows every golden message in the demo's page, as people would see it in Slack.
package gallery

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/slack-go/slack"

	"allo-slack/fakeslack"
	"allo-slack/tests/browser"
)

// golden is one message of format's golden files.
type golden struct {
	Text   string       `json:"text"`
	Blocks slack.Blocks `json:"blocks"`
}

// goldens are the messages of each file, by its name.
func goldens(t *testing.T) map[string][]golden {
	t.Helper()
	paths, err := filepath.Glob("../../format/testdata/*.golden.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	all := map[string][]golden{}
	for _, path := range paths {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
			body = slices.Concat([]byte("["), body, []byte("]"))
		}
		var list []golden
		if err := json.Unmarshal(body, &list); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all[strings.TrimSuffix(filepath.Base(path), ".golden.json")] = list
	}
	return all
}

// shelf is the channel that a golden is shown in: its kind.
func shelf(name string) string {
	kind, _, _ := strings.Cut(name, "_")
	return kind
}

func TestEveryGoldenIsShown(t *testing.T) {
	s := fakeslack.New(fakeslack.Options{NoPace: true})
	api, stop, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	client := slack.New("xoxb-gallery", slack.OptionAPIURL(api))
	all := goldens(t)
	count := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s.AddChannel(fakeslack.Channel{Name: shelf(name), BotIsMember: true})
		for i, m := range all[name] {
			options := []slack.MsgOption{slack.MsgOptionText(m.Text, false), slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl()}
			if len(m.Blocks.BlockSet) > 0 {
				options = append(options, slack.MsgOptionBlocks(m.Blocks.BlockSet...))
			}
			if _, _, err := client.PostMessage("#"+shelf(name), options...); err != nil {
				t.Errorf("%s, message %d: slack refuses it: %v", name, i+1, err)
				continue
			}
			count[shelf(name)]++
		}
	}
	page := &fakeslack.Page{Slack: s, Title: "Gallery"}
	server := httptest.NewServer(page.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(page.Close)

	ctx := browser.Open(t, 3*time.Minute)
	for kind, n := range count {
		for width, height := range map[int64]int64{1280: 900, 390: 844} {
			if err := chromedp.Do(ctx, hang(fmt.Sprintf("%s/#%s", server.URL, kind), n, width, height), browser.Picture("GALLERY_SHOTS", fmt.Sprintf("%s-%d", kind, width))); err != nil {
				t.Errorf("#%s at a width of %d: %v", kind, width, err)
			}
		}
	}
}

// hang opens a channel and fails unless all its messages are there, none is wider than the page, and none shows what only
// a program should see.
func hang(url string, n int, width, height int64) browser.Step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		for _, step := range []browser.Step{chromedp.EmulateViewport(width, height), chromedp.Navigate("about:blank"), chromedp.Navigate(url), chromedp.WaitVisible(`body[data-ready] .msg`)} {
			if _, err := step(ctx, target); err != nil {
				return err
			}
		}
		seen, err := chromedp.Evaluate[struct {
			Messages, Empty, Wide int
			Raw                   string
		}](fmt.Sprintf(`new Promise((done) => { let n = 0; const look = () => {
			const all = [...document.querySelectorAll("#log .msg")];
			if (all.length < %d && ++n < 100) return setTimeout(look, 50);
			const text = all.map((m) => m.innerText).join("\n");
			done({
				Messages: all.length,
				Empty: all.filter((m) => m.innerText.trim().length < 10).length,
				Wide: all.filter((m) => m.getBoundingClientRect().right > window.innerWidth + 1 || m.scrollWidth > m.clientWidth + 1).length + (document.documentElement.scrollWidth > window.innerWidth ? 1 : 0),
				Raw: (text.match(/<!date|\[object Object\]|undefined|NaN|&amp;amp;|&lt;/) || [""])[0],
			}); }; look(); })`, n), chromedp.EvalAwaitPromise)(ctx, target)
		switch {
		case err != nil:
			return err
		case seen.Messages != n || seen.Empty > 0:
			return fmt.Errorf("%d messages, %d of them empty; want %d", seen.Messages, seen.Empty, n)
		case seen.Wide > 0:
			return fmt.Errorf("%d messages are wider than the page", seen.Wide)
		case seen.Raw != "":
			return fmt.Errorf("a message shows %q", seen.Raw)
		}
		return nil
	})
}
