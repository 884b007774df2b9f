package web

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"allo-slack/tests/browser"
)

// holds waits until an expression is true in the page.
func holds(expression string) browser.Step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := chromedp.Evaluate[bool](`new Promise((done, fail) => { let n = 0; const look = () => { if (`+expression+`) done(true); else if (++n > 200) fail(new Error(`+
			"`not so: "+expression+"`"+`)); else setTimeout(look, 50); }; look(); })`, chromedp.EvalAwaitPromise)(ctx, target)
		return err
	})
}

const noOverflow = `document.documentElement.scrollWidth <= window.innerWidth`

func TestThePagePlaysSeeksAndJumps(t *testing.T) {
	r := newRig(t, talk, plays(sound(30)))
	ctx := browser.Open(t, time.Minute)
	err := chromedp.Do(ctx,
		chromedp.EmulateViewport(1280, 900), chromedp.Navigate(r.link()),
		holds(`document.getElementById("audio").duration > 29`), browser.Picture("WEB_SHOTS", "desktop"),
		// A click on a line jumps there and plays.
		chromedp.Click(`.line[data-second="8"]`),
		holds(`audio.currentTime >= 8 && !audio.paused`),
		holds(`document.querySelector('.line[data-second="8"]').classList.contains("now")`), browser.Picture("WEB_SHOTS", "playing"),
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
		chromedp.EmulateViewport(390, 844), chromedp.Navigate(r.link()), holds(`audio.duration > 29`), holds(noOverflow), browser.Picture("WEB_SHOTS", "phone"),
	)
	if err != nil {
		t.Error(err)
	}
}

func TestThePageSaysWhyItCantPlay(t *testing.T) {
	r := newRig(t, talk, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "gone", http.StatusGone) }))
	ctx := browser.Open(t, time.Minute)
	err := chromedp.Do(ctx, chromedp.EmulateViewport(390, 844), chromedp.Navigate(r.link()),
		holds(`!document.getElementById("wrong").hidden && document.getElementById("wrong").textContent.includes("any more")`), holds(noOverflow), browser.Picture("WEB_SHOTS", "gone"),
		chromedp.Navigate(r.url+"/calls/nothing-of-ours"), browser.Picture("WEB_SHOTS", "forged"))
	if err != nil {
		t.Error(err)
	}
}
