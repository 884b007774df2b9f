package fakeslack

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/slack-go/slack"
)

// TestShots goes through all that the page can show. The folder that FAKESLACK_SHOTS names gets pictures of it, for a
// person to look at.
func TestShots(t *testing.T) {
	dir := os.Getenv("FAKESLACK_SHOTS")
	if dir == "" {
		dir = t.TempDir()
	}
	ctx := browse(t)
	s := New(Options{NoPace: true, Channels: []Channel{
		{Name: "phone", BotIsMember: true}, {Name: "support", BotIsMember: true}, {Name: "billing", BotIsMember: true},
		{Name: "sales", BotIsMember: true}, {Name: "vip", Private: true, BotIsMember: true}, {Name: "ops", BotIsMember: true},
		{Name: "archive", Archived: true},
	}})
	api := start(t, s)
	seed(t, api)
	bad := []Notice{}
	p := &Page{Slack: s, Title: "Acme Inc", Webhook: "/webhook/secret",
		Samples: []Sample{{"A call that was answered", []byte(`{"topic":"CALL_RECEIVED","data":{"id":"call_abc123","start_date":"2024-01-15T10:30:00Z","from_number":"+14155550142","from_name":"John Doe","tag":"support","summary":"Customer called about order status."}}`)}},
		Notices: func() []Notice { return bad }}
	url := serve(t, p, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"accepted"}`) })
	shot := func(name string) step {
		return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			png, err := chromedp.CaptureScreenshot()(ctx, target)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
		})
	}
	settle := chromedp.Sleep(400 * time.Millisecond)
	view := func(hash string, w, h int64) step {
		return chromedp.Steps(chromedp.EmulateViewport(w, h), chromedp.Navigate("about:blank"), chromedp.Navigate(url+"/"+hash),
			chromedp.WaitVisible(`body[data-ready] .msg`), settle)
	}
	do(t, ctx, view("", 1280, 800), shot("all"), view("#support", 1280, 800), shot("support"),
		chromedp.Click(`.thread-bar`), settle, shot("thread"),
		view("#billing", 1280, 800), shot("billing"),
		view("#phone", 1280, 800), shot("phone-channel"), chromedp.Click(`.bar .edit`), settle,
		chromedp.Click(`.send`), settle, shot("compose"),
		chromedp.Evaluate[chromedp.Void](`document.querySelector('.msg:last-of-type .raw').click()`), settle, shot("raw"))
	do(t, ctx, view("", 390, 844), shot("m-all"), view("#support", 390, 844), shot("m-support"),
		chromedp.Click(`#menu`), settle, shot("m-menu"), chromedp.Click(`#menu`), settle,
		chromedp.Click(`.bar .edit`), settle, shot("m-compose"), chromedp.Click(`.bar .edit`),
		chromedp.Click(`.thread-bar`), settle, shot("m-thread"))
	bad = []Notice{{"error", "rules.yaml:14:5: rule \"missed calls\": unknown field \"chanel\" (did you mean \"channel\"?)\n  14 |     chanel: \"#support\"\n           ^"}, {"info", "Still using the rules as they were before."}}
	do(t, ctx, view("#sales", 1280, 800), chromedp.Func(func(context.Context, *chromedp.Target) error {
		_, _, err := api.PostMessage("#vip", say("news")...)
		p.NoticesChanged()
		s.Fault(Fault{Kind: RateLimit})
		_, _, _ = api.PostMessage("#sales", say("limited")...)
		return err
	}), chromedp.Click(`[data-fault=outage]`), settle, shot("notices"), view("#sales", 390, 844), shot("m-notices"))
}

// seed posts messages with everything that the page can show.
func seed(t *testing.T, api *slack.Client) {
	t.Helper()
	post := func(channel, blocks, text string, more ...slack.MsgOption) string {
		t.Helper()
		var b slack.Blocks
		if blocks != "" {
			blocks = strings.ReplaceAll(blocks, "UNIX", fmt.Sprint(time.Now().Add(-7*time.Minute).Unix()))
			if err := b.UnmarshalJSON([]byte(blocks)); err != nil {
				t.Fatal(err)
			}
			more = append(more, slack.MsgOptionBlocks(b.BlockSet...))
		}
		_, ts, err := api.PostMessage(channel, append(more, slack.MsgOptionText(text, false))...)
		if err != nil {
			t.Fatal(err)
		}
		return ts
	}
	post("#billing", `[
	 {"type":"header","text":{"type":"plain_text","text":":telephone_receiver: Refund for a double charge"}},
	 {"type":"section","text":{"type":"mrkdwn","text":"*Marie Laurent* called _billing_ about ~two~ *one* charge of `+"`€49.00`"+`.\n&gt; I was charged twice, could you look?\nSee <https://example.com/ticket/12|ticket 12> and:\n`+"```order  12345\\namount 49.00```"+`","verbatim":true},"accessory":{"type":"button","text":{"type":"plain_text","text":"Ticket"},"url":"https://example.com"}},
	 {"type":"divider"},
	 {"type":"section","fields":[{"type":"mrkdwn","text":"*Order*\n12345"},{"type":"mrkdwn","text":"*Amount*\n€49.00"},{"type":"mrkdwn","text":"*Customer since*\nMarch 2021"},{"type":"mrkdwn","text":"*Email*\nmarie@example.com"}]},
	 {"type":"context","elements":[{"type":"mrkdwn","text":":hourglass: 5 min 30 s  ·  <!date^UNIX^{date_short_pretty} at {time}|earlier>  ·  :label: refunds"}]},
	 {"type":"actions","elements":[{"type":"button","text":{"type":"plain_text","text":"Listen to the call"},"url":"https://example.com/a","style":"primary"},{"type":"button","action_id":"b","text":{"type":"plain_text","text":"Transcript"},"url":"https://example.com/b"}]}
	]`, "Call from Marie Laurent: refund for a double charge.")
	post("#sales", `[{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"👤 "},{"type":"text","text":"New contact: Ada Lovelace","style":{"bold":true}},{"type":"text","text":" · Analytical Engines Ltd"}]}]},
	 {"type":"section","fields":[{"type":"plain_text","text":"Emails\nada@example.com","emoji":false},{"type":"plain_text","text":"Numbers\n+44 20 7946 0958","emoji":false}]}]`, "New contact: Ada Lovelace, Analytical Engines Ltd.")
	ts := post("#support", `[
	 {"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"📞 "},{"type":"text","text":"Call from John Doe","style":{"bold":true}},{"type":"text","text":" · Order status inquiry"}]}]},
	 {"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"Customer called about order status and delivery timeline. Next steps:"}]},
	  {"type":"rich_text_list","style":"bullet","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"Send the tracking link"}]},{"type":"rich_text_section","elements":[{"type":"text","text":"Call back on "},{"type":"text","text":"Friday","style":{"italic":true}}]}]}]},
	 {"type":"section","fields":[{"type":"plain_text","text":"Order number\n12345","emoji":false},{"type":"plain_text","text":"Customer email\njohn@example.com","emoji":false}]},
	 {"type":"context","elements":[{"type":"plain_text","text":"John Doe · +1 415-555-0142 → Acme Support","emoji":false}]},
	 {"type":"context","elements":[{"type":"mrkdwn","text":"<!date^UNIX^{date_short_pretty} at {time}|earlier>","verbatim":true},{"type":"plain_text","text":"· 5 min 30 s · support · first@example.com","emoji":false}]},
	 {"type":"actions","elements":[{"type":"button","action_id":"r","text":{"type":"plain_text","text":"▶ Listen to the recording"},"url":"https://example.com/r"},{"type":"button","action_id":"t","text":{"type":"plain_text","text":"Transcript"},"url":"https://example.com/t"}]}
	]`, "Call from John Doe: Order status inquiry.\nCustomer called about order status and delivery timeline.\n<https://example.com/r|Listen to the recording>")
	post("#support", `[{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"Agent","style":{"bold":true}},{"type":"text","text":"  Hello, how can I help you today?"}]},{"type":"rich_text_section","elements":[{"type":"text","text":"Caller","style":{"bold":true}},{"type":"text","text":"  Hi, I'm calling about my order status."}]}]}]`, "Transcript", slack.MsgOptionTS(ts))
	post("#support", "", "Transferred to *Support Team*: second call.", slack.MsgOptionTS(ts), slack.MsgOptionBroadcast())
	post("#support", `[{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"💬 "},{"type":"text","text":"Text from +1 202-555-0136","style":{"bold":true}}]}]},
	 {"type":"rich_text","elements":[{"type":"rich_text_quote","elements":[{"type":"text","text":"Hi, I'd like to schedule an appointment.\nWould Tuesday work? <!channel> <script>alert(1)</script>"}]}]},
	 {"type":"context","elements":[{"type":"mrkdwn","text":"<!date^UNIX^{date_short_pretty} at {time}|earlier>","verbatim":true}]}]`, "Text from +1 202-555-0136: Hi, I'd like to schedule an appointment.")
	missed := post("#support", `[{"type":"section","text":{"type":"mrkdwn","text":"<@U123> <!here>"}},{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"📵 "},{"type":"text","text":"Missed call from Zoë Müller","style":{"bold":true}}]}]},{"type":"context","elements":[{"type":"plain_text","text":"+49 30 901820 → Main Line","emoji":false}]}]`, "Missed call from Zoë Müller.")
	if _, _, _, err := api.UpdateMessage(madeUpID("support"), missed, slack.MsgOptionText("Missed call from Zoë Müller. Called back.", false),
		slack.MsgOptionBlocks(slack.NewSectionBlock(slack.NewTextBlockObject("mrkdwn", ":white_check_mark: ~Missed call from Zoë Müller~ *Called back* by Ada, 4 min later", false, false), nil, nil))); err != nil {
		t.Fatal(err)
	}
	digest := `[{"type":"header","text":{"type":"plain_text","text":"🗂 12 calls and texts"}},{"type":"rich_text","elements":[{"type":"rich_text_list","style":"bullet","elements":[`
	for i, who := range []string{"John Doe", "Marie Laurent", "Zoë Müller", "+1 202-555-0136", "Ada Lovelace", "Grace Hopper"} {
		if i > 0 {
			digest += ","
		}
		digest += fmt.Sprintf(`{"type":"rich_text_section","elements":[{"type":"text","text":"📞 "},{"type":"text","text":%q,"style":{"bold":true}},{"type":"text","text":" · asked when the parcel comes · "},{"type":"date","timestamp":UNIX,"format":"{time}","fallback":"10:30"},{"type":"text","text":" · "},{"type":"link","url":"https://example.com/r","text":"recording"}]}`, who)
	}
	post("#phone", digest+`]}]}]`, "12 calls and texts.")
	post("#vip", `[{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"📞 "},{"type":"text","text":"Call from a very important person with a long name","style":{"bold":true}}]},{"type":"rich_text_preformatted","elements":[{"type":"text","text":"averyveryveryveryveryveryveryveryveryveryveryveryveryveryverylongwordwithoutanyspace"}]}]}]`, "Call from a VIP.")
	post("#ops", "", "*2 messages set aside* in #billing: the bot is not a member; type `/invite @allo`")
}
