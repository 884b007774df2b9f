package fakeslack

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// one is a message of one block.
func one(block string) string { return "[" + block + "]" }

func words(n int) string { return strings.Repeat("a", n) }

func plain(text string) string { return `{"type":"plain_text","text":"` + text + `"}` }

func many(n int, each string) string {
	return strings.TrimSuffix(strings.Repeat(each+",", n), ",")
}

func numbered(n int, each string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(each, i)
	}
	return strings.Join(all, ",")
}

func button(more string) string {
	return `{"type":"actions","elements":[{"type":"button","text":` + plain("Go") + more + `}]}`
}

func rich(element string) string {
	return `{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[` + element + `]}]}`
}

func TestCheckTakes(t *testing.T) {
	for name, blocks := range map[string]string{
		"none":                   ``,
		"header":                 one(`{"type":"header","block_id":"x","text":{"type":"plain_text","text":"` + words(150) + `","emoji":true}}`),
		"header counts UTF-16":   one(`{"type":"header","text":` + plain(strings.Repeat("😀", 75)) + `}`),
		"section text":           one(`{"type":"section","expand":true,"text":{"type":"mrkdwn","text":"` + words(3000) + `","verbatim":true}}`),
		"section fields":         one(`{"type":"section","fields":[` + many(10, plain("x")) + `]}`),
		"section field length":   one(`{"type":"section","fields":[` + plain(words(2000)) + `]}`),
		"section blank field":    one(`{"type":"section","fields":[{"type":"mrkdwn","text":" "}]}`),
		"section button":         one(`{"type":"section","text":` + plain("x") + `,"accessory":{"type":"button","action_id":"a","text":` + plain("Go") + `}}`),
		"section image":          one(`{"type":"section","text":` + plain("x") + `,"accessory":{"type":"image","image_url":"https://e.com/a","alt_text":"a"}}`),
		"context":                one(`{"type":"context","elements":[` + many(9, plain("x")) + `,{"type":"image","image_url":"https://e.com/a","alt_text":"a"}]}`),
		"actions":                one(`{"type":"actions","elements":[` + numbered(25, `{"type":"button","action_id":"a%d","text":`+plain("Go")+`}`) + `]}`),
		"button":                 one(button(`,"url":"https://e.com/` + words(2980) + `","value":"` + words(2000) + `","action_id":"` + words(255) + `","style":"primary"`)),
		"button confirm":         one(button(`,"confirm":{"title":` + plain("t") + `,"text":` + plain("t") + `,"confirm":` + plain("y") + `,"deny":` + plain("n") + `}`)),
		"button text of 75":      one(`{"type":"actions","elements":[{"type":"button","text":` + plain(words(75)) + `}]}`),
		"divider":                one(`{"type":"divider"}`),
		"image":                  one(`{"type":"image","image_url":"https://e.com/a.png","alt_text":"a","title":` + plain("t") + `}`),
		"50 blocks":              one(many(50, `{"type":"divider"}`)),
		"9600 characters":        one(many(3, `{"type":"section","text":`+plain(words(3000))+`}`) + `,{"type":"section","text":` + plain(words(600)) + `}`),
		"rich text":              one(rich(`{"type":"text","text":"\n","style":{"bold":true,"italic":false}},{"type":"link","url":"https://e.com","text":"e"}`)),
		"rich mentions":          one(rich(`{"type":"user","user_id":"U1"},{"type":"usergroup","usergroup_id":"S1"},{"type":"channel","channel_id":"C1"},{"type":"broadcast","range":"here"}`)),
		"rich emoji and date":    one(rich(`{"type":"emoji","name":"wave"},{"type":"date","timestamp":1700000000,"format":"{date} at {time}","fallback":"then"},{"type":"color","value":"#fff"}`)),
		"rich quote":             one(`{"type":"rich_text","elements":[{"type":"rich_text_quote","border":1,"elements":[{"type":"text","text":"x"}]}]}`),
		"rich preformatted":      one(`{"type":"rich_text","elements":[{"type":"rich_text_preformatted","border":0,"elements":[{"type":"text","text":"x"}]}]}`),
		"rich list":              one(`{"type":"rich_text","elements":[{"type":"rich_text_list","style":"ordered","indent":8,"offset":2,"border":0,"elements":[{"type":"rich_text_section","elements":[{"type":"text","text":"x"}]}]}]}`),
		"two blocks with own id": one(`{"type":"divider","block_id":"a"},{"type":"divider","block_id":"b"},{"type":"divider","block_id":""},{"type":"divider","block_id":""}`),
	} {
		t.Run(name, func(t *testing.T) {
			if err := Check("text", blocks, ""); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	section := func(text string) string { return one(`{"type":"section","text":` + text + `}`) }
	for _, c := range []struct{ name, blocks, code, message string }{
		{"not JSON", `[{`, "invalid_blocks_format", ""},
		{"not an array", `{"type":"divider"}`, "invalid_blocks_format", ""},
		{"two values", `[] []`, "invalid_blocks_format", ""},
		{"51 blocks", one(many(51, `{"type":"divider"}`)), "invalid_blocks", "no more than 50 items allowed [json-pointer:/blocks]"},
		{"not an object", `[1]`, "invalid_blocks", "must be an object [json-pointer:/blocks/0]"},
		{"no type", `[{}]`, "invalid_blocks", "missing required field: type [json-pointer:/blocks/0]"},
		{"unknown block", `[{"type":"markdown","text":"x"}]`, "invalid_blocks", "unsupported type: markdown [json-pointer:/blocks/0/type]"},
		{"unknown field", `[{"type":"divider","text":"x"}]`, "invalid_blocks", "invalid additional property: text [json-pointer:/blocks/0]"},
		{"too much", one(many(4, `{"type":"section","text":`+plain(words(2401))+`}`)), "msg_blocks_too_long", "must be less than 9601"},
		{"link targets count", one(many(4, rich(`{"type":"link","url":"https://e.com/`+words(2400)+`"}`))), "msg_blocks_too_long", ""},
		{"block_id long", `[{"type":"divider","block_id":"` + words(256) + `"}]`, "invalid_blocks", "must be less than 256 characters [json-pointer:/blocks/0/block_id]"},
		{"block_id twice", one(many(2, `{"type":"divider","block_id":"a"}`)), "invalid_blocks", "already exists: a [json-pointer:/blocks/1/block_id]"},
		{"header without text", `[{"type":"header"}]`, "invalid_blocks", "missing required field: text [json-pointer:/blocks/0]"},
		{"header long", `[{"type":"header","text":` + plain(words(151)) + `}]`, "invalid_blocks", "must be less than 151 characters [json-pointer:/blocks/0/text/text]"},
		{"header empty", `[{"type":"header","text":` + plain("") + `}]`, "invalid_blocks", "must be more than 0 characters [json-pointer:/blocks/0/text/text]"},
		{"header mrkdwn", `[{"type":"header","text":{"type":"mrkdwn","text":"x"}}]`, "invalid_blocks", "value must be one of plain_text [json-pointer:/blocks/0/text/type]"},
		{"section with nothing", `[{"type":"section"}]`, "invalid_blocks", "text or fields"},
		{"section long", section(plain(words(3001))), "invalid_blocks", "must be less than 3001 characters"},
		{"section empty", section(plain("")), "invalid_blocks", "must be more than 0 characters"},
		{"11 fields", `[{"type":"section","fields":[` + many(11, plain("x")) + `]}]`, "invalid_blocks", "no more than 10 items allowed [json-pointer:/blocks/0/fields]"},
		{"no fields", `[{"type":"section","fields":[]}]`, "invalid_blocks", "no less than 1 items"},
		{"field long", `[{"type":"section","fields":[` + plain("x") + `,` + plain(words(2001)) + `]}]`, "invalid_blocks", "[json-pointer:/blocks/0/fields/1/text]"},
		{"text without type", section(`{"text":"x"}`), "invalid_blocks", "missing required field: type [json-pointer:/blocks/0/text]"},
		{"text is a string", section(`"x"`), "invalid_blocks", "must be an object"},
		{"text is a number", section(`{"type":"mrkdwn","text":1}`), "invalid_blocks", "must be a string"},
		{"verbatim on plain", section(`{"type":"plain_text","text":"x","verbatim":true}`), "invalid_blocks", "invalid additional property: verbatim"},
		{"emoji on mrkdwn", section(`{"type":"mrkdwn","text":"x","emoji":false}`), "invalid_blocks", "invalid additional property: emoji"},
		{"emoji no boolean", section(`{"type":"plain_text","text":"x","emoji":"no"}`), "invalid_blocks", "must be a boolean"},
		{"context empty", `[{"type":"context","elements":[]}]`, "invalid_blocks", "no less than 1"},
		{"context 11", `[{"type":"context","elements":[` + many(11, plain("x")) + `]}]`, "invalid_blocks", "no more than 10"},
		{"context button", `[{"type":"context","elements":[{"type":"button","text":` + plain("x") + `}]}]`, "invalid_blocks", "value must be one of"},
		{"actions 26", `[{"type":"actions","elements":[` + many(26, `{"type":"button","text":`+plain("x")+`}`) + `]}]`, "invalid_blocks", "no more than 25"},
		{"actions none", `[{"type":"actions"}]`, "invalid_blocks", "missing required field: elements"},
		{"actions other", `[{"type":"actions","elements":[{"type":"datepicker"}]}]`, "invalid_blocks", "unsupported type: datepicker"},
		{"button without text", `[{"type":"actions","elements":[{"type":"button"}]}]`, "invalid_blocks", "missing required field: text"},
		{"button text long", `[{"type":"actions","elements":[{"type":"button","text":` + plain(words(76)) + `}]}]`, "invalid_blocks", "must be less than 76"},
		{"button mrkdwn", `[{"type":"actions","elements":[{"type":"button","text":{"type":"mrkdwn","text":"x"}}]}]`, "invalid_blocks", "value must be one of plain_text"},
		{"button url long", one(button(`,"url":"https://e.com/` + words(3000) + `"`)), "invalid_blocks", "must be less than 3001"},
		{"button url script", one(button(`,"url":"javascript:alert(1)"`)), "invalid_blocks", "valid http or https URL"},
		{"button url relative", one(button(`,"url":"/calls/x"`)), "invalid_blocks", "valid http or https URL"},
		{"button url space", one(button(`,"url":"https://e.com/a b"`)), "invalid_blocks", "valid http or https URL"},
		{"button value long", one(button(`,"value":"` + words(2001) + `"`)), "invalid_blocks", "must be less than 2001"},
		{"button style", one(button(`,"style":"default"`)), "invalid_blocks", "value must be one of primary, danger"},
		{"action_id long", one(button(`,"action_id":"` + words(256) + `"`)), "invalid_blocks", "must be less than 256"},
		{"action_id twice", one(button(`,"action_id":"a"`) + "," + button(`,"action_id":"a"`)), "invalid_blocks", "[json-pointer:/blocks/1/elements/0/action_id]"},
		{"image without alt", `[{"type":"image","image_url":"https://e.com/a"}]`, "invalid_blocks", "missing required field: alt_text"},
		{"rich without elements", `[{"type":"rich_text"}]`, "invalid_blocks", "missing required field: elements"},
		{"rich with none", `[{"type":"rich_text","elements":[]}]`, "invalid_blocks", "no less than 1"},
		{"rich odd group", `[{"type":"rich_text","elements":[{"type":"text","text":"x"}]}]`, "invalid_blocks", "value must be one of rich_text_section"},
		{"rich empty section", one(rich(``)), "invalid_blocks", "no less than 1"},
		{"rich empty text", one(rich(`{"type":"text","text":""}`)), "invalid_blocks", "must be more than 0 characters [json-pointer:/blocks/0/elements/0/elements/0/text]"},
		{"rich odd element", one(rich(`{"type":"mrkdwn","text":"x"}`)), "invalid_blocks", "value must be one of text, link"},
		{"rich odd style", one(rich(`{"type":"text","text":"x","style":{"blink":true}}`)), "invalid_blocks", "invalid additional property: blink"},
		{"rich link target", one(rich(`{"type":"link","url":"data:text/html,x"}`)), "invalid_blocks", "valid http or https URL"},
		{"rich link without url", one(rich(`{"type":"link","text":"x"}`)), "invalid_blocks", "missing required field: url"},
		{"rich user without id", one(rich(`{"type":"user"}`)), "invalid_blocks", "missing required field: user_id"},
		{"rich broadcast range", one(rich(`{"type":"broadcast","range":"all"}`)), "invalid_blocks", "value must be one of here"},
		{"rich date", one(rich(`{"type":"date","timestamp":"x","format":"{date}"}`)), "invalid_blocks", "must be an integer"},
		{"rich emoji without name", one(rich(`{"type":"emoji"}`)), "invalid_blocks", "missing required field: name"},
		{"rich pre with a user", `[{"type":"rich_text","elements":[{"type":"rich_text_preformatted","elements":[{"type":"user","user_id":"U1"}]}]}]`, "invalid_blocks", "value must be one of text, link"},
		{"rich list without style", `[{"type":"rich_text","elements":[{"type":"rich_text_list","elements":[` + `{"type":"rich_text_section","elements":[{"type":"text","text":"x"}]}` + `]}]}]`, "invalid_blocks", "missing required field: style"},
		{"rich list of quotes", `[{"type":"rich_text","elements":[{"type":"rich_text_list","style":"bullet","elements":[{"type":"rich_text_quote","elements":[]}]}]}]`, "invalid_blocks", "value must be one of rich_text_section"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var e *Error
			if err := Check("text", c.blocks, ""); !errors.As(err, &e) || e.Code != c.code {
				t.Fatalf("got %v, want %s", err, c.code)
			}
			if !strings.Contains(e.Error(), c.message) {
				t.Errorf("got %q, want something of %q", e, c.message)
			}
		})
	}
}

func TestCheckAround(t *testing.T) {
	good := `{"event_type":"allo_delivery","event_payload":{"delivery_id":"x"}}`
	for _, c := range []struct{ name, text, blocks, metadata, code string }{
		{"text alone", "x", "", "", ""},
		{"blocks alone", "", `[{"type":"divider"}]`, "", ""},
		{"nothing", " ", "[]", "", "no_text"},
		{"text of 40000", words(40000), "", "", ""},
		{"text over 40000", words(40001), "", "", "msg_too_long"},
		{"metadata", "x", "", good, ""},
		{"metadata no JSON", "x", "", "{", "invalid_metadata_format"},
		{"metadata no object", "x", "", "[]", "invalid_metadata_format"},
		{"metadata without type", "x", "", `{"event_payload":{}}`, "invalid_metadata_format"},
		{"metadata odd type", "x", "", `{"event_type":"a.b","event_payload":{}}`, "invalid_metadata_format"},
		{"metadata without payload", "x", "", `{"event_type":"a"}`, "invalid_metadata_format"},
		{"metadata with more", "x", "", `{"event_type":"a","event_payload":{},"x":1}`, "invalid_metadata_format"},
		{"metadata large", "x", "", `{"event_type":"a","event_payload":{"x":"` + words(20000) + `"}}`, "metadata_too_large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Check(c.text, c.blocks, c.metadata)
			var e *Error
			switch {
			case c.code == "" && err != nil:
				t.Error(err)
			case c.code != "" && (!errors.As(err, &e) || e.Code != c.code):
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
}

func TestCheckNamesAllFaults(t *testing.T) {
	var e *Error
	errors.As(Check("", `[{"type":"header"},{"type":"section"},{"type":"x"}]`, ""), &e)
	if e == nil || len(e.Messages) != 3 {
		t.Errorf("got %v, want 3 messages", e)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("x", one(rich(`{"type":"text","text":"x"}`)), `{"event_type":"a","event_payload":{}}`)
	f.Add("", `[{"type":"section","fields":[null,1]}]`, "")
	f.Fuzz(func(t *testing.T, text, blocks, metadata string) {
		if err := Check(text, blocks, metadata); err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Code == "" {
				t.Errorf("not an *Error with a code: %v", err)
			}
		}
		Pings(text, blocks)
	})
}

func TestPings(t *testing.T) {
	section := func(text, more string) string {
		return one(`{"type":"section","text":{"type":"mrkdwn","text":"` + text + `"` + more + `}}`)
	}
	for _, c := range []struct{ name, text, blocks, want string }{
		{"words", "Call from John & Co, at 5 #1? No.", section("John, 50% off", ""), ""},
		{"escaped", "&lt;!channel&gt; &lt;@U1&gt;", section("&lt;!here&gt;", ""), ""},
		{"text", "<!channel> <!here|here> <@U1> <#C1|x> <!subteam^S1|@x>", "", "<!channel> <!here> <@U1> <#C1> <!subteam^S1>"},
		{"text leaves names alone", "@channel #general https://e.com", "", ""},
		{"links and dates are declared", "<https://e.com|x>", section("<https://e.com|@here> <!date^1^{date}|x>", ""), ""},
		{"mrkdwn", "", section("<!everyone> @here (@channel) #general <@U2> https://e.com/a", ""), "<!everyone> <@U2> @here @channel #general https://e.com/a"},
		{"verbatim", "", section("<!everyone> @here #general <@U2> https://e.com", `,"verbatim":true`), "<!everyone> <@U2>"},
		{"verbatim false", "", section("@here", `,"verbatim":false`), "@here"},
		{"an address is no mention", "", section("a@channel.com x@here", ""), ""},
		{"plain text", "", one(`{"type":"section","fields":[` + plain("<!channel> @here #general") + `]}`), ""},
		{"rich text", "", one(rich(`{"type":"text","text":"<!channel> @here"},{"type":"user","user_id":"U1"},{"type":"usergroup","usergroup_id":"S1"},{"type":"channel","channel_id":"C1"},{"type":"broadcast","range":"here"}`)), "<@U1> <!subteam^S1> <#C1> <!here>"},
		{"in a list", "", one(`{"type":"rich_text","elements":[{"type":"rich_text_list","elements":[{"type":"rich_text_section","elements":[{"type":"user","user_id":"U1"}]}]}]}`), "<@U1>"},
		{"context and fields", "", one(`{"type":"context","elements":[{"type":"mrkdwn","text":"@here"}]},{"type":"section","fields":[{"type":"mrkdwn","text":"@channel"}]}`), "@here @channel"},
		{"each once", "<@U1> <@U1>", section("<@U1>", ""), "<@U1>"},
		{"no JSON", "<!here>", "[", "<!here>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(Pings(c.text, c.blocks), " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if got := pings("@here #general", "", anyWord); len(got) != 2 {
		t.Errorf("with link_names: got %q, want two", got)
	}
}
