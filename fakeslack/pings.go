package fakeslack

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
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
	return pings(text, blocks, nil)
}

// linker says which of the words of a text that stand for something, as @here, @ada, #general and https://e.com may,
// Slack is to link.
type linker func(word string) bool

// isAll reports whether a word mentions all who are there.
func isAll(word string) bool { return atWord.FindString(word) == word }

// anyWord links all words but the names of people, which Slack itself no longer looks for.
func anyWord(word string) bool { return word[0] != '@' || isAll(word) }

// known links mentions of all and what the workspace has: channels and people. The caller holds mu.
func (s *Server) known(word string) bool {
	name := word[1:]
	return word[0] == '#' && s.byName[name] != nil || isAll(word) ||
		word[0] == '@' && slices.ContainsFunc(s.users, func(u User) bool { return !u.Deleted && u.Name == name })
}

// parsed is how a call has its text parsed, where parse is as usual unless the call gives it.
// Sources: https://docs.slack.dev/reference/methods/chat.postMessage, https://docs.slack.dev/reference/methods/chat.update
func (s *Server) parsed(f url.Values, usual string) linker {
	switch parse := cmp.Or(f.Get("parse"), usual); {
	case parse == "full", flag(f, "link_names"):
		return anyWord
	case parse == "client":
		return s.known
	}
	return nil
}

var (
	angled   = regexp.MustCompile(`<([@#!][^<>]*)>`)
	anyAngle = regexp.MustCompile(`<[^<>]*>`)
	atWord   = regexp.MustCompile(`(?i)(?:^|[^\p{L}\p{N}_.@-])(@(?:everyone|here|channel|group))\b`)
	hashWord = regexp.MustCompile(`(?:^|[^\p{L}\p{N}_&/#])(#[\p{L}\p{N}_][\p{L}\p{N}_-]*)`)
	nameWord = regexp.MustCompile(`(?:^|[^\p{L}\p{N}_.@-])(@[\p{L}\p{N}_]+(?:[.-][\p{L}\p{N}_]+)*)`)
	bareLink = regexp.MustCompile(`(?i)(?:^|[^\p{L}\p{N}])((?:https?://|www\.|mailto:)[^\s<>|]+)`)
)

// pings is Pings, for a text in which Slack links words; nil is none.
func pings(text, blocks string, linked linker) []string {
	l := &pingList{seen: map[string]bool{}}
	l.mrkdwn(text, linked)
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

// mrkdwn takes what is between angle brackets, and the words outside of them that are linked.
func (l *pingList) mrkdwn(s string, linked linker) {
	for _, m := range angled.FindAllStringSubmatch(s, -1) {
		if inner := m[1]; !strings.HasPrefix(inner, "!date^") {
			name, _, _ := strings.Cut(inner, "|")
			l.add("<" + name + ">")
		}
	}
	if linked == nil {
		return
	}
	outside := anyAngle.ReplaceAllString(s, " ")
	for _, re := range []*regexp.Regexp{atWord, nameWord, hashWord, bareLink} {
		for _, m := range re.FindAllStringSubmatch(outside, -1) {
			if linked(m[1]) {
				l.add(m[1])
			}
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
			linked := linker(anyWord)
			if v["verbatim"] == true {
				linked = nil
			}
			l.mrkdwn(word("text"), linked)
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
