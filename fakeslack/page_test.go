package fakeslack

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/slack-go/slack"
)

func TestPageServesItsOwnFilesUnderAStrictPolicy(t *testing.T) {
	p := &Page{Slack: support(Options{}), Title: "Acme"}
	h := p.Handler()
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w
	}
	for path, kind := range map[string]string{"/": "text/html", "/demo/app.js": "text/javascript", "/demo/page.css": "text/css", "/demo/bot.svg": "image/svg+xml"} {
		w := get(path)
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) {
			t.Errorf("%s: %d, %s", path, w.Code, w.Header().Get("Content-Type"))
		}
		if w.Header().Get("Content-Security-Policy") != csp {
			t.Errorf("%s: policy = %q", path, w.Header().Get("Content-Security-Policy"))
		}
	}
	for _, path := range []string{"/demo/nothing.js", "/other", "/demo/"} {
		if w := get(path); w.Code != 404 {
			t.Errorf("%s: %d, want 404", path, w.Code)
		}
	}
	page := get("/").Body.String()
	for _, from := range []string{"http://", "https://", "<style", "onclick", "innerHTML"} {
		if strings.Contains(page, from) {
			t.Errorf("the page has %q in it", from)
		}
	}
}

func TestNoScriptMakesMarkupFromText(t *testing.T) {
	files, err := assets.ReadDir("page")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := assets.ReadFile("page/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc"} {
			if strings.Contains(string(b), bad) {
				t.Errorf("%s uses %s", f.Name(), bad)
			}
		}
	}
}

func TestFaultsOfThePage(t *testing.T) {
	s := support(Options{NoPace: true})
	api := start(t, s)
	h := (&Page{Slack: s}).Handler()
	ask := func(body, site string) int {
		r := httptest.NewRequest("POST", "/demo/fault", strings.NewReader(body))
		r.Header.Set("Sec-Fetch-Site", site)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	post := func() error { _, _, err := api.PostMessage("#support", say("x")...); return err }
	for _, c := range []struct {
		kind  string
		check func(error, string) bool
	}{
		{"outage", isStatus(503)},
		{"lose", isBroken},
		{"limit", func(err error, _ string) bool { return limitedFor(err) == 10*time.Second }},
	} {
		if code := ask(`{"kind":"`+c.kind+`","on":true}`, "same-origin"); code != 204 {
			t.Errorf("%s: %d", c.kind, code)
		}
		if err := post(); !c.check(err, "") {
			t.Errorf("%s: %v", c.kind, err)
		}
		if code := ask(`{"kind":"`+c.kind+`","on":false}`, "same-origin"); code != 204 {
			t.Errorf("%s: %d", c.kind, code)
		}
		s.ClearFaults()
		wantCode(t, post(), "")
	}
	archive := `{"kind":"archive","on":%v,"channel":"` + madeUpID("support") + `"}`
	ask(fmt.Sprintf(archive, true), "same-origin")
	wantCode(t, post(), "is_archived")
	ask(fmt.Sprintf(archive, false), "same-origin")
	wantCode(t, post(), "")
	for body, want := range map[string]int{"{": 400, `{"kind":"x"}`: 400} {
		if code := ask(body, "same-origin"); code != want {
			t.Errorf("%s: %d, want %d", body, code, want)
		}
	}
	if code := ask(`{"kind":"outage","on":true}`, "cross-site"); code != 403 {
		t.Errorf("from another site: %d, want 403", code)
	}
}

func TestEventsEndWithThePage(t *testing.T) {
	p := &Page{Slack: support(Options{})}
	srv := httptest.NewServer(p.Handler())
	defer srv.Close()
	r, err := http.Get(srv.URL + "/demo/events")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	p.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || !strings.HasPrefix(string(body), "event: hello\n") {
		t.Errorf("got %q, %v", body, err)
	}
}

// A page that fell behind farther than the log of changes goes is told everything again.
func TestLiveAfterFallingBehind(t *testing.T) {
	s := support(Options{NoPace: true})
	api := start(t, s)
	_, _, rev, fresh, _ := s.live(0)
	if !fresh {
		t.Error("the first is not fresh")
	}
	_, _, _ = api.PostMessage("#support", say("x")...)
	messages, _, rev, fresh, _ := s.live(rev)
	if fresh || len(messages) != 1 {
		t.Errorf("fresh %v, %d messages; want the new one", fresh, len(messages))
	}
	s.mu.Lock()
	for range keepChanges * 2 {
		s.note("", "")
	}
	s.mu.Unlock()
	if messages, _, _, fresh, _ = s.live(rev); !fresh || len(messages) != 1 {
		t.Errorf("fresh %v, %d messages; want all again", fresh, len(messages))
	}
	rev = s.rev
	s.DeletePost("support", s.Posts("")[0].TS)
	if messages, _, _, fresh, _ = s.live(rev); fresh || len(messages) != 1 || !messages[0].Gone {
		t.Errorf("fresh %v, %+v; want it gone", fresh, messages)
	}
}

func TestPageInABrowser(t *testing.T) {
	ctx := browse(t)
	s := support(Options{NoPace: true})
	api := start(t, s)
	var mu sync.Mutex
	var sent, notices []string
	p := &Page{Slack: s, Title: "Acme", Webhook: "/webhook/secret",
		Samples: []Sample{{"First", []byte(`{"topic":"PING"}`)}, {"A call", []byte(`{"topic":"CALL_RECEIVED","data":{"id":"call_1","from_name":"John","start_date":"2024-01-15T10:30:00Z"}}`)}},
		Notices: func() (list []Notice) {
			mu.Lock()
			defer mu.Unlock()
			for _, n := range notices {
				list = append(list, Notice{"error", n})
			}
			return list
		}}
	url := serve(t, p, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		sent = append(sent, string(b))
		mu.Unlock()
		_, _ = io.WriteString(w, `{"status":"accepted"}`)
	})
	body := `document.querySelector('.msg:last-of-type .body').innerText`
	post := func(channel string, options ...slack.MsgOption) string {
		t.Helper()
		_, ts, err := api.PostMessage(channel, options...)
		if err != nil {
			t.Fatal(err)
		}
		return ts
	}
	mrkdwn := func(text string) slack.MsgOption {
		return slack.MsgOptionBlocks(slack.NewSectionBlock(&slack.TextBlockObject{Type: "mrkdwn", Text: text, Verbatim: true}, nil, nil))
	}
	last := func(selector string) string {
		t.Helper()
		return eval[string](t, ctx, `document.querySelector('.msg:last-of-type .body `+selector+`').outerHTML`)
	}
	rows := func(n int) step { return until(fmt.Sprintf(`document.querySelectorAll('#log .msg').length === %d`, n)) }

	do(t, ctx, chromedp.Navigate(url+"/"), until(`!!document.body.dataset.ready`))
	t.Log("live, formatted")
	post("#support", say("fallback")[0], mrkdwn("*bold* _it_ ~no~ `code` :telephone_receiver: 2 * 3 * 4 snake_case_word\n&gt; quoted &amp; &lt;b&gt;\n<https://example.com/a|a link> <!date^0^{date_num}|then>"))
	do(t, ctx, rows(1))
	for selector, want := range map[string]string{
		"b": "<b>bold</b>", "i": "<i>it</i>", "s": "<s>no</s>", "code": "<code>code</code>", ".emoji": `<span class="emoji" title=":telephone_receiver:">📞</span>`,
		"blockquote": "<blockquote>quoted &amp; &lt;b&gt;</blockquote>",
		"a":          `<a href="https://example.com/a" target="_blank" rel="noopener noreferrer">a link</a>`,
	} {
		if got := last(selector); got != want {
			t.Errorf("%s: got %s, want %s", selector, got, want)
		}
	}
	if got := last("time"); !strings.Contains(got, "1970-01-01") && !strings.Contains(got, "1969-12-31") {
		t.Errorf("date: got %s", got)
	}
	if got := eval[string](t, ctx, body); !strings.Contains(got, "2 * 3 * 4 snake_case_word") {
		t.Errorf("got %q, want marks inside words left alone", got)
	}

	t.Log("foreign words are inert")
	evil := `<script>window.pwned=1</script><img src=x onerror="window.pwned=1"> <!channel> javascript:alert(1)`
	post("#support", slack.MsgOptionBlocks(slack.NewRichTextBlock("", slack.NewRichTextSection(slack.NewRichTextSectionTextElement(evil, nil))),
		slack.NewSectionBlock(slack.NewTextBlockObject("plain_text", evil, false, false), nil, nil)), say(evil)[0])
	do(t, ctx, rows(2))
	if got := eval[string](t, ctx, body); strings.Count(got, evil) != 2 {
		t.Errorf("got %q, want the words twice as they are", got)
	}
	if eval[bool](t, ctx, `!!window.pwned || !!document.querySelector('.body script, .body img, .body .mention')`) {
		t.Error("a payload became markup")
	}
	post("#support", say("<javascript:alert(1)|click> <@U9> <!here>")...)
	do(t, ctx, rows(3))
	if eval[int](t, ctx, `document.querySelectorAll('.msg:last-of-type .body a').length`) != 0 || eval[int](t, ctx, `document.querySelectorAll('.msg:last-of-type .rings').length`) != 2 {
		t.Errorf("got %s", last(".b-text"))
	}

	t.Log("edits, threads, other channels")
	ts := post("#secret", say("in secret")...)
	do(t, ctx, rows(4), until(`[...document.querySelectorAll('#channels .unread .name')].some(e => e.innerText === 'secret')`))
	if _, _, _, err := api.UpdateMessage(madeUpID("secret"), ts, say("in secret, changed")...); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, until(body+` === 'in secret, changed (edited)'`))
	post("#secret", append(say("a reply"), slack.MsgOptionTS(ts))...)
	do(t, ctx, until(`document.querySelector('.thread-bar b')?.innerText === '1 reply'`), chromedp.Click(`.thread-bar`),
		until(`document.querySelector('#panel').innerText.includes('a reply')`))
	post("#secret", append(say("one more"), slack.MsgOptionTS(ts))...)
	do(t, ctx, until(`document.querySelector('#panel').innerText.includes('one more')`), chromedp.Click(`#panel header button`),
		until(`document.querySelector('#panel').hidden`))
	do(t, ctx, chromedp.Evaluate[chromedp.Void](`location.hash = '#secret'`), rows(1),
		chromedp.Evaluate[chromedp.Void](`document.querySelector('.msg .raw').click()`), until(`document.querySelector('#panel').innerText.includes('What a screen reader hears')`))

	t.Log("notices, faults, form")
	mu.Lock()
	notices = []string{"rules.yaml:1:1: <b>no</b>"}
	mu.Unlock()
	p.NoticesChanged()
	do(t, ctx, until(`document.querySelector('.notice.error pre')?.innerText === 'rules.yaml:1:1: <b>no</b>'`))
	do(t, ctx, chromedp.Click(`[data-fault=outage]`), until(`document.querySelector('[data-fault=outage]').getAttribute('aria-pressed') === 'true'`))
	if _, err := api.AuthTest(); !isStatus(503)(err, "") {
		t.Errorf("got %v, want an outage", err)
	}
	do(t, ctx, chromedp.Click(`[data-fault=outage]`), until(`document.querySelector('[data-fault=outage]').getAttribute('aria-pressed') === 'false'`))
	if _, err := api.AuthTest(); err != nil {
		t.Errorf("after the outage: %v", err)
	}
	do(t, ctx, chromedp.Click(`.bar .edit`), chromedp.Evaluate[chromedp.Void](`(() => { const s = document.querySelector('.bar select'); s.value = '1'; s.dispatchEvent(new Event('change')); })()`),
		chromedp.Evaluate[chromedp.Void](`document.querySelector("input[name=from_name]").value = ""`), chromedp.SendKeys(`input[name=from_name]`, "Zoë"), chromedp.SendKeys(`input[name=tag]`, "vip"),
		chromedp.Click(`.send`), until(`document.querySelector('output').innerText.startsWith('200 {"status":"accepted"}')`))
	mu.Lock()
	defer mu.Unlock()
	if len(sent) != 1 || !strings.Contains(sent[0], `"from_name": "Zoë"`) || !strings.Contains(sent[0], `"tag": "vip"`) || strings.Contains(sent[0], `"call_1"`) || strings.Contains(sent[0], "2024-01-15") {
		t.Errorf("sent %q, want the fields as typed and an id and time of its own", sent)
	}
}

func TestPageOnAPhone(t *testing.T) {
	ctx := browse(t)
	s := New(Options{NoPace: true, Channels: []Channel{{Name: "support", BotIsMember: true}, {Name: "billing", BotIsMember: true},
		{Name: "sales", BotIsMember: true}, {Name: "vip", Private: true, BotIsMember: true}, {Name: "ops", BotIsMember: true},
		{Name: "phone", BotIsMember: true}, {Name: "a-channel-whose-name-takes-all-the-eighty-characters-that-slack-allows-for-a-name", BotIsMember: true}}})
	api := start(t, s)
	seed(t, api)
	long := strings.Repeat("Donaudampfschifffahrtsgesellschaft", 20)
	if _, _, err := api.PostMessage("#support", slack.MsgOptionText(long, false), slack.MsgOptionBlocks(
		slack.NewHeaderBlock(slack.NewTextBlockObject("plain_text", long[:150], false, false)),
		slack.NewSectionBlock(nil, []*slack.TextBlockObject{slack.NewTextBlockObject("plain_text", long, false, false), slack.NewTextBlockObject("mrkdwn", "`"+long+"`", false, false)}, nil),
		slack.NewContextBlock("", slack.NewTextBlockObject("plain_text", long, false, false)),
		slack.NewActionBlock("", slack.NewButtonBlockElement("a", "", slack.NewTextBlockObject("plain_text", long[:75], false, false))))); err != nil {
		t.Fatal(err)
	}
	p := &Page{Slack: s, Title: "Acme", Webhook: "/webhook/secret", Notices: func() []Notice { return []Notice{{"error", long}, {"info", long}} },
		Samples: []Sample{{long, []byte(`{"topic":"PING"}`)}}}
	url := serve(t, p, nil)
	overflow := `[...document.querySelectorAll('main *, #panel:not([hidden]) *')].filter(e => e.getClientRects().length && (e.getBoundingClientRect().right > innerWidth + 1) && !e.closest('textarea, select')).map(e => e.className || e.tagName).join(' ')`
	do(t, ctx, chromedp.EmulateViewport(390, 844), chromedp.Navigate(url+"/"), until(`document.querySelectorAll('#log .msg').length > 5`))
	for _, view := range []string{"", "#support", "#billing", "#phone", "#a-channel-whose-name-takes-all-the-eighty-characters-that-slack-allows-for-a-name"} {
		do(t, ctx, chromedp.Evaluate[chromedp.Void](`location.hash = '`+view+`'`), chromedp.Sleep(50*time.Millisecond))
		if got := eval[int](t, ctx, `document.scrollingElement.scrollWidth`); got > 390 {
			t.Errorf("%q: the page is %d px wide", view, got)
		}
		if got := eval[string](t, ctx, overflow); got != "" {
			t.Errorf("%q: over the edge: %s", view, got)
		}
		if got := eval[int](t, ctx, `document.querySelector('#log').scrollWidth - document.querySelector('#log').clientWidth`); got > 0 {
			t.Errorf("%q: the messages are %d px too wide", view, got)
		}
	}
	do(t, ctx, chromedp.Evaluate[chromedp.Void](`location.hash = ''`), chromedp.Click(`#menu`), chromedp.WaitVisible(`#channels a[href="#support"]`),
		chromedp.Sleep(250*time.Millisecond), chromedp.Click(`#channels a[href="#support"]`), until(`document.querySelector('#head').innerText.includes('support')`),
		until(`!document.body.classList.contains('side-open')`),
		chromedp.Sleep(250*time.Millisecond), chromedp.Click(`.thread-bar`), until(`!document.querySelector('#panel').hidden`))
	if got := eval[string](t, ctx, overflow); got != "" {
		t.Errorf("thread: over the edge: %s", got)
	}
}
