package web

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

type step = chromedp.Action[chromedp.Void]

// browse opens Chromium. Without one the test is skipped, or failed where CI is set: there it has to be.
func browse(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no chromium on the PATH, and CI is set")
		}
		t.Skip("no chromium on the PATH: the page is not tested")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.Flag("autoplay-policy", "no-user-gesture-required"), chromedp.Flag("disable-background-networking", true))
	allocated, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(allocated)
	t.Cleanup(closeTab)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// holds waits until an expression is true in the page.
func holds(expression string) step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := chromedp.Evaluate[bool](`new Promise((done, fail) => { let n = 0; const look = () => { if (`+expression+`) done(true); else if (++n > 200) fail(new Error(`+
			"`not so: "+expression+"`"+`)); else setTimeout(look, 50); }; look(); })`, chromedp.EvalAwaitPromise)(ctx, target)
		return err
	})
}

// shot takes a picture into the folder that WEB_SHOTS names.
func shot(name string) step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		dir := os.Getenv("WEB_SHOTS")
		if dir == "" {
			return nil
		}
		png, err := chromedp.CaptureScreenshot()(ctx, target)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	})
}

const noOverflow = `document.documentElement.scrollWidth <= window.innerWidth`

func TestThePagePlaysSeeksAndJumps(t *testing.T) {
	r := newRig(t, talk, plays(sound(30)))
	ctx := browse(t)
	err := chromedp.Do(ctx,
		chromedp.EmulateViewport(1280, 900), chromedp.Navigate(r.link()),
		holds(`document.getElementById("audio").duration > 29`), shot("desktop"),
		// A click on a line jumps there and plays.
		chromedp.Click(`.line[data-second="8"]`),
		holds(`audio.currentTime >= 8 && !audio.paused`),
		holds(`document.querySelector('.line[data-second="8"]').classList.contains("now")`), shot("playing"),
		// So does the keyboard.
		chromedp.Evaluate[chromedp.Void](`document.querySelector('.line[data-second="1"]').focus()`), chromedp.KeyEvent("\r"),
		holds(`audio.currentTime >= 1 && audio.currentTime < 7`),
		chromedp.Click(`[data-skip="10"]`), holds(`audio.currentTime >= 11`),
		chromedp.Click(`[data-speed="1.5"]`), holds(`audio.playbackRate === 1.5`),
		// Far ahead, where nothing was loaded yet.
		chromedp.Evaluate[chromedp.Void](`audio.currentTime = 28`), holds(`audio.currentTime >= 28 && audio.readyState >= 2`),
		// The time is the reader's own.
		holds(`!document.querySelector("time").textContent.includes("CET")`),
		holds(noOverflow),
		chromedp.EmulateViewport(390, 844), chromedp.Navigate(r.link()), holds(`audio.duration > 29`), holds(noOverflow), shot("phone"),
	)
	if err != nil {
		t.Error(err)
	}
}

func TestThePageSaysWhyItCantPlay(t *testing.T) {
	r := newRig(t, talk, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "gone", http.StatusGone) }))
	ctx := browse(t)
	err := chromedp.Do(ctx, chromedp.EmulateViewport(390, 844), chromedp.Navigate(r.link()),
		holds(`!document.getElementById("wrong").hidden && document.getElementById("wrong").textContent.includes("any more")`), holds(noOverflow), shot("gone"),
		chromedp.Navigate(r.url+"/calls/nothing-of-ours"), shot("forged"))
	if err != nil {
		t.Error(err)
	}
}
