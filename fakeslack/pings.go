package fakeslack

import (
	"regexp"
	"strings"
)

// Pings lists what would notify someone, or be read by Slack as a mention or a link that nobody declared, each once
// and in order of appearance, in mrkdwn's form: "<!channel>", "<@U123>", "<!subteam^S1>", "<#C1>", "@here",
// "#general", "https://bare.example". A message that says nothing but a sender's words has none.
//
// In the top-level text and in mrkdwn the `<…>` forms count; in mrkdwn without `verbatim` also what Slack looks for
// by itself: @everyone, @here, @channel, #channel, bare links. In rich_text the elements user, usergroup, channel and
// broadcast count. Text is taken to be sent as chat.postMessage does it unless asked otherwise, without link_names
// and with parse=none. `<url|label>` and `<!date…>` are declared, and not listed.
//
// Source: https://docs.slack.dev/messaging/formatting-message-text
func Pings(text string, blocks string) []string {
	return pings(text, blocks, false)
}

var (
	angled   = regexp.MustCompile(`<([@#!][^<>]*)>`)
	anyAngle = regexp.MustCompile(`<[^<>]*>`)
	atWord   = regexp.MustCompile(`(?i)(?:^|[^\p{L}\p{N}_.@-])(@(?:everyone|here|channel|group))\b`)
	hashWord = regexp.MustCompile(`(?:^|[^\p{L}\p{N}_&/#])(#[\p{L}\p{N}_][\p{L}\p{N}_-]*)`)
	bareLink = regexp.MustCompile(`(?i)(?:^|[^\p{L}\p{N}])((?:https?://|www\.|mailto:)[^\s<>|]+)`)
)

// pings is Pings, for a text in which Slack was asked to look for mentions (link_names, parse=full) if full is set.
func pings(text, blocks string, full bool) []string {
	l := &pingList{seen: map[string]bool{}}
	l.mrkdwn(text, full)
	if v, err := decode(blocks); err == nil {
		l.walk(v)
	}
	return l.found
}

type pingList struct {
	found []string
	seen  map[string]bool
}

func (l *pingList) add(s string) {
	if !l.seen[s] {
		l.seen[s] = true
		l.found = append(l.found, s)
	}
}

// mrkdwn takes what is between angle brackets, and with bare set what Slack finds outside of them too.
func (l *pingList) mrkdwn(s string, bare bool) {
	for _, m := range angled.FindAllStringSubmatch(s, -1) {
		if inner := m[1]; !strings.HasPrefix(inner, "!date^") {
			name, _, _ := strings.Cut(inner, "|")
			l.add("<" + name + ">")
		}
	}
	if !bare {
		return
	}
	outside := anyAngle.ReplaceAllString(s, " ")
	for _, re := range []*regexp.Regexp{atWord, hashWord, bareLink} {
		for _, m := range re.FindAllStringSubmatch(outside, -1) {
			l.add(m[1])
		}
	}
}

// walk goes through a value of JSON, arrays in order, and takes text objects and rich_text's elements.
func (l *pingList) walk(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			l.walk(e)
		}
	case map[string]any:
		word := func(field string) string { s, _ := v[field].(string); return s }
		switch v["type"] {
		case "mrkdwn":
			l.mrkdwn(word("text"), v["verbatim"] != true)
		case "user":
			l.add("<@" + word("user_id") + ">")
		case "usergroup":
			l.add("<!subteam^" + word("usergroup_id") + ">")
		case "channel":
			l.add("<#" + word("channel_id") + ">")
		case "broadcast":
			l.add("<!" + word("range") + ">")
		default:
			for _, field := range []string{"text", "fields", "elements", "accessory", "title", "confirm", "deny"} {
				l.walk(v[field])
			}
		}
	}
}
