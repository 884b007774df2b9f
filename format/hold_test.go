package format_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"allo-slack/fakeslack"
	"allo-slack/format"
)

// hold holds a message to everything that the package promises, whatever was in the event.
func hold(t testing.TB, m format.Message, o format.Options) {
	t.Helper()
	blocks := ""
	if m.Blocks != nil {
		b, err := json.Marshal(m.Blocks)
		if err != nil {
			t.Fatal(err)
		}
		blocks = string(b)
	}
	if err := fakeslack.Check(m.Text, blocks, ""); err != nil {
		t.Errorf("Slack would refuse it: %v\n%s", err, blocks)
	}
	if strings.TrimSpace(m.Text) == "" {
		t.Error("there is no fallback text")
	}
	if n := units(m.Text); n > 3000 {
		t.Errorf("the fallback text has %d characters", n)
	}
	if len(m.Blocks) > 40 {
		t.Errorf("there are %d blocks", len(m.Blocks))
	}
	for _, ping := range fakeslack.Pings(m.Text, blocks) {
		if !slices.Contains(strings.Fields(o.Mention), ping) {
			t.Errorf("it pings %s, only %q may be\n%s\n%s", ping, o.Mention, m.Text, blocks)
		}
	}
	if blocks != "" {
		holdBlocks(t, blocks, o)
	}
	holdMrkdwn(t, m.Text, o)
}

// holdBlocks walks blocks as Slack gets them.
func holdBlocks(t testing.TB, blocks string, o format.Options) {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(blocks), &v); err != nil {
		t.Fatal(err)
	}
	chars := 0
	var walk func(any, string)
	walk = func(v any, parent string) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				walk(item, parent)
			}
		case map[string]any:
			kind, _ := v["type"].(string)
			said, _ := v["text"].(string)
			chars += units(strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(said))
			holdWords(t, said)
			if _, there := v["block_id"]; there {
				t.Error("a block has an id")
			}
			switch kind {
			case "mrkdwn":
				if v["verbatim"] != true {
					t.Errorf("mrkdwn without verbatim: %q", said)
				}
				if !strings.HasPrefix(said, "*") {
					holdMrkdwn(t, said, o)
				} else if label, value, _ := strings.Cut(said[1:], "*\n"); strings.ContainsAny(label+value, "*~`<>") || strings.HasPrefix(value, "@") || strings.Contains(value, " @") {
					t.Errorf("a field has more than its label's formatting: %q", said)
				}
			case "plain_text":
				if v["emoji"] != false {
					t.Errorf("plain_text with emoji codes: %q", said)
				}
			case "markdown":
				t.Error("a markdown block")
			case "user", "usergroup", "broadcast", "channel", "emoji", "color":
				t.Errorf("an element of type %s", kind)
			}
			if link, there := v["url"].(string); there {
				chars += units(link)
				if link != o.Recording && link != o.TranscriptURL && !strings.Contains(o.Recording, link) {
					t.Errorf("a link to %q, which is none of ours", link)
				}
			}
			for _, key := range []string{"text", "fields", "elements", "accessory"} {
				walk(v[key], kind)
			}
		}
	}
	walk(v, "")
	if chars > 8000 {
		t.Errorf("the blocks have %d characters of text and links", chars)
	}
}

var (
	angled   = regexp.MustCompile(`<[^<>]*>`)
	entity   = regexp.MustCompile(`&(amp|lt|gt);`)
	mentions = regexp.MustCompile(`^<(@[UW]\w+|!subteam\^S\w+|!here|!channel|!everyone)>$`)
	dates    = regexp.MustCompile(`^<!date\^\d+\^[^<>|]+\|[^<>|]+>$`)
)

// holdMrkdwn allows a link of ours, a mention of ours, a date and entities, and nothing else that means something.
func holdMrkdwn(t testing.TB, s string, o format.Options) {
	t.Helper()
	holdWords(t, s)
	bare := angled.ReplaceAllStringFunc(s, func(a string) string {
		link, _, _ := strings.Cut(strings.Trim(a, "<>"), "|")
		link = strings.ReplaceAll(link, "&amp;", "&")
		switch {
		case link != "" && (link == o.TranscriptURL || strings.Contains(o.Recording, link)):
		case mentions.MatchString(a) && slices.Contains(strings.Fields(o.Mention), a):
		case dates.MatchString(a):
		default:
			t.Errorf("mrkdwn holds %s", a)
		}
		return ""
	})
	bare = entity.ReplaceAllString(bare, "")
	if i := strings.IndexAny(bare, "<>&*`~"); i >= 0 {
		t.Errorf("mrkdwn holds %q at %d of %q", bare[i], i, bare)
	}
}

// holdWords allows only what can be printed.
func holdWords(t testing.TB, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Errorf("not UTF-8: %q", s)
	}
	for _, c := range s {
		if c < ' ' && c != '\n' || c >= 0x7f && c < 0xa0 || c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069 || c == 0x200f || c == 0x61c || c == 0x200b || c == 0xfeff {
			t.Errorf("%U in %q", c, s)
			return
		}
	}
}

func units(s string) int { return len(utf16.Encode([]rune(s))) }
