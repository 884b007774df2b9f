package format_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"allo-slack/allo"
	"allo-slack/format"
)

// hostile are words that would do harm if they were taken for anything but words.
var hostile = map[string]string{
	"mentions":   "<!channel> <!here|here> <@U024BE7LH> <!subteam^SAZ94GDB8|@team> <#C024BE7LR> @everyone @here #general",
	"links":      "<https://evil.example|your bank> [your bank](https://evil.example) https://evil.example javascript:alert(1)",
	"formatting": "*_~`*** ``` > quote\n> more\n- a\n1. b :smile: &lt;!channel&gt; &amp;amp;",
	"controls":   "a\u0000b\u0007c\u202egnp.exe\u2066d\u200be\ufefff\u00adg\u2028h\r\ni\tj\ue000",
	"emptiness":  " \u3164\u2800\u200b\n\t",
	"entities":   strings.Repeat("&", 9000),
	"angles":     strings.Repeat("<!channel>", 2000),
	"families":   strings.Repeat("👩‍👩‍👧‍👦", 3000),
	"zalgo":      "Z" + strings.Repeat("\u0336\u0321\u0327", 3000),
	"one emoji":  "👩" + strings.Repeat("\u200d👩", 4000),
	"rtl":        strings.Repeat("محمد שלום 12-34 ", 400),
	"lines":      strings.Repeat("x\n", 5000),
	"nesting":    strings.Repeat("> ", 4000) + strings.Repeat("[", 3000) + strings.Repeat("- ", 1000),
	"digits":     strings.Repeat("4111 1111 1111 1111 ", 500),
	"not utf-8":  "a\xff\xfe\xc3(b",
}

// Each field in turn holds each of the hostile words, and all of them at once; nothing that comes out does harm.
func TestHostileWordsInEveryField(t *testing.T) {
	for _, name := range []string{"call_transferred", "call_menu", "text_mms", "contact_updated", "unknown_topic", "tag_added", "summary_updated", "transcript"} {
		it, _ := readItem(t, "testdata/"+name)
		var payload any
		if err := json.Unmarshal(it.Event.Raw, &payload); err != nil {
			t.Fatal(err)
		}
		for kind, words := range hostile {
			for i := -1; ; i++ {
				changed, n := texts(payload.(map[string]any)["data"], words, i)
				if i >= n {
					break
				}
				body, err := json.Marshal(map[string]any{"topic": it.Event.Wire, "data": changed})
				if err != nil {
					t.Fatal(err)
				}
				e, err := allo.Parse(body)
				if err != nil {
					t.Fatal(err)
				}
				it := it
				it.Event = e
				t.Run(fmt.Sprintf("%s/%s/%d", name, kind, i), func(t *testing.T) {
					holdAll(t, it)
					if i == -1 {
						it.Options.Redact = format.Redact{Numbers: true, Emails: true, Cards: true}
						holdAll(t, it)
					}
				})
			}
		}
	}
}

func holdAll(t *testing.T, it format.Item) {
	t.Helper()
	digest, _ := format.Digest([]format.Item{it, it})
	for _, m := range append(format.Transcript(it), format.Event(it), digest) {
		hold(t, m, it.Options)
	}
}

// texts counts the texts in a JSON value, and puts words in the place of the at-th of them, or of all if at is -1.
func texts(v any, words string, at int) (changed any, n int) {
	var walk func(any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case string:
			if n++; at == -1 || at == n-1 {
				return words
			}
		case []any:
			out := make([]any, len(v))
			for i, item := range v {
				out[i] = walk(item)
			}
			return out
		case map[string]any:
			out := make(map[string]any, len(v))
			for _, key := range slices.Sorted(maps.Keys(v)) {
				out[key] = walk(v[key])
			}
			return out
		}
		return v
	}
	return walk(v), n
}

// What a text or a name may hold is shown as it is; what Slack would read in it is not.
func TestEscape(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"John Doe", "John Doe"},
		{"<!channel> & co", "&lt;!channel&gt; &amp; co"},
		{"&lt;", "&amp;lt;"},
		{"*bold* _it_ ~no~ `code`", "∗bold∗ ˍitˍ ∼no∼ ˋcodeˋ"},
		{"john_doe@example.com", "john_doe@example.com"},
		{"@everyone, @Here", "＠everyone, ＠Here"},
		{"a\u202eb\u200bc\x00d", "abcd"},
		{"a\r\nb\n\n\n\nc", "a\nb\n\nc"},
		{"\xff", "\uFFFD"},
		{"می\u200cخواهم 👩\u200d👧", "می\u200cخواهم 👩\u200d👧"},
	} {
		if got := format.Escape(c.in); got != c.want {
			t.Errorf("Escape(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		in   string
		max  int
		want string
	}{
		{"short", 5, "short"},
		{"a few words that are cut", 12, "a few words…"},
		{"unbreakable", 6, "unbre…"},
		{"&&&&", 20, "&&&&"},
		{"&&&&&", 20, "&&&…"},
		{"👩\u200d👩\u200d👧x", 8, "…"},
		{"e\u0301e\u0301e\u0301", 5, "e\u0301e\u0301…"},
		{"anything", 1, "…"},
		{"anything", 0, ""},
	} {
		if got := format.Cut(c.in, c.max, "…"); got != c.want {
			t.Errorf("Cut(%q, %d) = %q, want %q", c.in, c.max, got, c.want)
		}
	}
}

func TestSafeURL(t *testing.T) {
	for link, want := range map[string]bool{
		"https://calls.example.com/a?b=1&c=2#d": true,
		"http://localhost:8080/calls/x":         true,
		"https://calls.example.com/é":           true,
		"":                                      false,
		"/calls/x":                              false,
		"https://":                              false,
		"javascript:alert(1)":                   false,
		"data:text/html,x":                      false,
		"ftp://example.com/x":                   false,
		"https://user:pass@example.com/":        false,
		"https://example.com/a b":               false,
		"https://example.com/a|b":               false,
		"https://example.com/<!channel>":        false,
		"https://example.com/\u202e":            false,
		"https://example.com/\xff":              false,
		"https://example.com/\n":                false,
		"https://example.com/" + strings.Repeat("a", 3000): false,
	} {
		if got := format.SafeURL(link); got != want {
			t.Errorf("SafeURL(%.60q) = %t, want %t", link, got, want)
		}
	}
}

func TestRedact(t *testing.T) {
	everything := format.Redact{Numbers: true, Emails: true, Cards: true}
	for _, c := range []struct{ in, want string }{
		{"nothing to hide at 10:30:05 on 2024-01-15 for $1,250.00", "nothing to hide at 10:30:05 on 2024-01-15 for $1,250.00"},
		{"call +1 (415) 555-0199.", "call [number …99]."},
		{"0033.6.12.34.56.78", "[number …78]"},
		{"٠١٢٣٤٥٦٧٨٩", "[number …89]"},
		{"４１５５５５０１９９", "[number …99]"},
		{"1\u200b4155550199 and 1\u200d4155550199", "[number …99] and [number …99]"},
		{"card 4111-1111-1111-1111 ok", "card [card number] ok"},
		{"4111 1111 1111 1111 12/26", "[card number]"},
		{"4111 1111 1111 1111 123", "[card number]"},
		{"4111 1111 1111 1112", "[number …12]"},
		{"order 123456", "order 123456"},
		{"a.b+c@mail.example.com, or x@host", "[email], or [email]"},
		{"jane @ example.com", "[email]"},
		{"mañana＠correo.example", "[email]"},
		{"[email protected]", "[email protected]"},
	} {
		if got := everything.Text(c.in); got != c.want {
			t.Errorf("%q is redacted to %q, want %q", c.in, got, c.want)
		}
		if got := (format.Redact{}).Text(c.in); got != format.Clean(c.in) {
			t.Errorf("%q without redaction is %q", c.in, got)
		}
	}
}

func TestHumanise(t *testing.T) {
	for in, want := range map[string]string{
		"orderNumber":   "Order number",
		"order_number":  "Order number",
		"Order Number":  "Order number",
		"customerID":    "Customer ID",
		"customer_id":   "Customer ID",
		"URL":           "URL",
		"URLOfPage":     "URL of page",
		"CALL_ANSWERED": "Call answered",
		"numéro2":       "Numéro2",
		"__":            "",
	} {
		if got := format.Humanise(in); got != want {
			t.Errorf("Humanise(%q) = %q, want %q", in, got, want)
		}
	}
}

// Nothing is cut from a transcript, whatever its entries are like.
func TestTranscriptIsWhole(t *testing.T) {
	for kind, words := range hostile {
		e, err := allo.Parse([]byte(`{"topic":"CALL_RECEIVED","data":{"transcriptions":[{"source":"USER","text":"start"}]}}`))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			e.Call.Transcript = append(e.Call.Transcript, allo.Line{Source: "AGENT", Text: words})
		}
		e.Call.Transcript = append(e.Call.Transcript, allo.Line{Text: "end"})
		want, got := 0, 0
		for _, line := range e.Call.Transcript {
			want += visible(format.Clean(line.Text))
		}
		for _, m := range format.Transcript(format.Item{Event: e}) {
			hold(t, m, format.Options{})
			for _, element := range m.Blocks[1].(*slack.RichTextBlock).Elements[0].(*slack.RichTextSection).Elements {
				if text := element.(*slack.RichTextSectionTextElement); text.Style == nil {
					got += visible(text.Text)
				}
			}
		}
		if got != want {
			t.Errorf("%s: %d characters of %d are shown", kind, got, want)
		}
	}
}

func visible(s string) int {
	n := 0
	for _, c := range s {
		if c != ' ' && c != '\n' {
			n++
		}
	}
	return n
}
