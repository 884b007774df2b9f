package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"allo-slack/tests/browser"
	"allo-slack/tests/process"
)

// shows waits until an element's text holds all the words.
func shows(selector string, words ...string) browser.Step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		for _, w := range words {
			expression := fmt.Sprintf(`new Promise((done, fail) => { let n = 0; const look = () => {
				const text = [...document.querySelectorAll(%q)].map((e) => e.innerText).join("\n");
				if (text.includes(%q)) done(true); else if (++n > 200) fail(new Error("%s doesn't show " + %q + ", but: " + text)); else setTimeout(look, 50); }; look(); })`, selector, w, selector, w)
			if _, err := chromedp.Evaluate[bool](expression, chromedp.EvalAwaitPromise)(ctx, target); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestTheDemo(t *testing.T) {
	shipped, err := os.ReadFile("../../rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir, temp := t.TempDir(), t.TempDir()
	file := filepath.Join(dir, "rules.yaml")
	if err := os.WriteFile(file, shipped, 0o600); err != nil {
		t.Fatal(err)
	}
	b := process.Run(t, []string{"PORT=0", "RULES_FILE=" + file, "TMPDIR=" + temp, "HOME=" + temp}, "demo")
	address := regexp.MustCompile(`Open (http://localhost:\d+)/`)
	eventually(t, "the demo says where it is", func() bool { return address.MatchString(b.Log()) })
	url := address.FindStringSubmatch(b.Log())[1]

	ctx := browser.Open(t, 90*time.Second)
	open := func(w, h int64, channel string) browser.Step {
		return chromedp.Steps(chromedp.EmulateViewport(w, h), chromedp.Navigate("about:blank"), chromedp.Navigate(url+"/"+channel), chromedp.WaitVisible(`body[data-ready]`))
	}
	// The five samples, in the channels of rules.yaml.
	if err := chromedp.Do(ctx,
		open(1280, 900, "#support"), shows("#channels", "support", "texts", "contacts", "phone"), shows("#log", "Call from John Doe", "Order status inquiry", "Listen to recording"), browser.Picture("E2E_SHOTS", "desktop"),
		open(1280, 900, "#texts"), shows("#log", "I'd like to schedule an appointment", "1 reply"),
		chromedp.Click(`.thread-bar`), shows("#panel", "Your appointment is confirmed"), browser.Picture("E2E_SHOTS", "thread"),
		open(1280, 900, "#contacts"), shows("#log", "New contact: John Doe", "Contact updated: John Smith"),
		open(390, 844, "#support"), shows("#log", "Call from John Doe"), browser.Picture("E2E_SHOTS", "phone"),
	); err != nil {
		t.Fatal(err)
	}

	save := func(text string, replace bool) {
		t.Helper()
		to := file
		if replace { // as editors do
			to = filepath.Join(dir, ".rules.yaml.new")
		}
		err := os.WriteFile(to, []byte(text), 0o600)
		if err == nil && replace {
			err = os.Rename(to, file)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// A saved file takes effect at once; a bad one is refused where one sees it, and the rules before it stay.
	save("rules:\n  - {name: all, match: {}, channel: \"#everything\"}\n", true)
	if err := chromedp.Do(ctx, open(1280, 900, ""), shows("#channels", "everything"), shows("#notices", "1 rule"), chromedp.Click(`.send`)); err != nil {
		t.Fatal(err)
	}
	sent := regexp.MustCompile(`"sent".*"#everything"`)
	eventually(t, "the form's event is sent", func() bool { return sent.MatchString(b.Log()) })
	if strings.Contains(b.Log(), "can't be posted to") {
		t.Errorf("a channel that was just made is not known:\n%s", b.Log())
	}
	if err := chromedp.Do(ctx, open(1280, 900, "#everything"), shows("#log", "Call from John Doe")); err != nil {
		t.Fatal(err)
	}
	save("rules:\n  - {name: all, match: {}, chanel: \"#everything\"}\n", false)
	if err := chromedp.Do(ctx, shows("#notices", "rules.yaml:2:", `did you mean "channel"`), browser.Picture("E2E_SHOTS", "refused")); err != nil {
		t.Fatal(err)
	}

	// It ends at once though the page is open, and leaves nothing behind.
	if err := syscall.Kill(b.Pid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if status, err := b.Wait(10 * time.Second); status != 0 || err != nil {
		t.Errorf("ended with %d, %v:\n%s", status, err, b.Log())
	}
	left, err := os.ReadDir(temp)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if strings.HasPrefix(f.Name(), "allo-slack") {
			t.Errorf("left behind: %s", f.Name())
		}
	}
}
