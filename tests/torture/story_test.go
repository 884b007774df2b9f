package torture

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

const (
	senders  = 4  // send as fast as they are answered
	tellers  = 2  // send slowly, so that each event has a message of its own that is brought up to date
	channels = 12 // of the senders: each has a part of them
)

// What channels of special fates are called.
const (
	shared   = "shared"   // a second channel of events of all senders
	archived = "archived" // is archived now and then
	anew     = "anew"     // is archived under another name once, and made anew
	former   = "anew-old" // what it is called then
	urgent   = "urgent"   // has calls by a tag that comes late
	ops      = "ops"
)

// poison is in the events that Slack refuses.
const poison = "poison"

// people are whose phones the tellers' calls come to; Slack doesn't know the last one.
var people = []struct{ email, id string }{{"ada@acme.example", "U0ADA"}, {"bo@acme.example", "U0BO"}, {"nobody@acme.example", ""}}

// rulesText gives each sender channels of its own, and some events a second one that all share.
func rulesText() string {
	var b strings.Builder
	b.WriteString("ops_channel: \"#" + ops + "\"\nrules:\n")
	b.WriteString("  - {name: shared, match: {number: \"+33199000000\"}, channel: \"#shared\", continue: true}\n")
	b.WriteString("  - {name: urgent, match: {tag: urgent}, channel: \"#urgent\", continue: true}\n")
	b.WriteString("  - {name: vip, match: {tag: vip}, channel: \"#vip\", continue: true}\n")
	b.WriteString("  - {name: billing, match: {tag: billing}, channel: [\"#billing\", \"#vip\"], continue: true}\n")
	b.WriteString("  - {name: diverted, match: {tag: diverted}, channel: \"#diverted\"}\n")
	for c, name := range senderChannels() {
		ruleText(&b, name, line(c), "")
	}
	for n := range tellers {
		ruleText(&b, told(n), line(50+n), ", mention: owner")
	}
	return b.String()
}

// ruleText gives a line its channel, by a stricter rule for what is private.
func ruleText(b *strings.Builder, name, number, more string) {
	fmt.Fprintf(b, "  - {name: %s private, match: {number: \"%s\", tag: private}, channel: \"#%s\", redact: [numbers]%s}\n", name, number, name, more)
	fmt.Fprintf(b, "  - {name: %s, match: {number: \"%s\"}, channel: \"#%s\"%s}\n", name, number, name, more)
}

// allChannels are those of events, whoever sends them.
func allChannels() []string {
	names := append(senderChannels(), shared, urgent, vip, billing, diverted)
	for n := range tellers {
		names = append(names, told(n))
	}
	return names
}

// senderChannels are the channels of the senders; the last two have a fate.
func senderChannels() []string {
	var names []string
	for c := range channels - 2 {
		names = append(names, fmt.Sprint("c", c))
	}
	return append(names, archived, anew)
}

func told(teller int) string { return fmt.Sprint("told", teller) }

func line(n int) string { return fmt.Sprintf("+331980000%02d", n) }

// event is one of a sender's, in the order in which it sends them.
type event struct {
	token        string // found in whatever shows it; "" for what is told of another one
	body         string
	channels     []string // in which it stands, in its order
	also         []string // in which it stands too, in whatever order
	may          []string // in which it may stand
	conversation string   // of a text: whose with whom
	refused      bool     // by Slack, in whatever form
	shows        []string
	pings        string   // who is mentioned
	beside       []string // what else is said of it, at about the same time
	tale         *tale    // what all that comes to
}

// makeEvent makes the n-th event of a sender.
func makeEvent(r *rand.Rand, sender, n int) event {
	c := sender + senders*r.IntN(channels/senders)
	e := event{token: fmt.Sprintf("case-%d-%05d", sender, n), channels: []string{senderChannels()[c]}}
	theirs := fmt.Sprintf("+141555501%02d", r.IntN(100))
	dialled := ""
	if r.IntN(4) == 0 {
		dialled = "+33199000000"
		e.channels = append(e.channels, shared)
	}
	words := e.token
	if r.IntN(200) == 0 && len(e.channels) == 1 {
		e.refused = true
		words += " " + poison
	}
	if dialled == "" && r.IntN(4) == 0 {
		e.conversation = theirs + " " + line(c)
		e.body = text("SMS_RECEIVED", e.token, theirs, line(c), words)
		return e
	}
	if !e.refused && r.IntN(3) == 0 {
		theirs = fmt.Sprintf("+14156%d%05d", sender, n)
		makeTale(r, &e, senderChannels()[c], theirs, head(e.token, theirs, line(c), dialled), people[0].email, false)
		return e
	}
	e.body = fmt.Sprintf(`{"topic":"CALL_RECEIVED","data":{"id":%q,"direction":"INBOUND","result":"ANSWERED","length_in_minutes":1,"from_number":%q,
		"to_number":%q,"original_to_number":%q,"one_sentence_summary":%q}}`, e.token, theirs, line(c), dialled, words)
	return e
}

// head is what is known of a tale's call from its start.
func head(id, from, to, dialled string) map[string]any {
	return map[string]any{"id": id, "direction": "INBOUND", "result": "ANSWERED", "length_in_minutes": 1, "start_date": storyBegan.Format(time.RFC3339),
		"from_number": from, "to_number": to, "original_to_number": dialled}
}

func text(topic, id, from, to, words string) string {
	direction := map[string]string{"SMS_RECEIVED": "INBOUND", "SMS_SENT": "OUTBOUND"}[topic]
	return fmt.Sprintf(`{"topic":%q,"data":{"id":%q,"direction":%q,"from_number":%q,"to_number":%q,"content":%q}}`, topic, id, direction, from, to, words)
}

// makeStory makes a call, and what is told of it later; or a text.
func makeStory(r *rand.Rand, teller, n int) []event {
	ours, theirs := line(50+teller), fmt.Sprintf("+1415%d%06d", 7+teller, n)
	who := people[r.IntN(len(people))]
	e := event{token: fmt.Sprintf("case-%d-%05d", 8-teller, n), channels: []string{told(teller)}}
	call := func(result, says string) string {
		return fmt.Sprintf(`{"topic":"CALL_RECEIVED","data":{"id":%q,"direction":"INBOUND","result":%q,"length_in_minutes":1,"user_email":%q,
			"from_number":%q,"to_number":%q,"one_sentence_summary":%q}}`, e.token, result, who.email, theirs, ours, says)
	}
	later := func(topic, fields string) event {
		return event{body: fmt.Sprintf(`{"topic":%q,"version":"2.0","data":{"id":%q,"call_id":%q,%s}}`, topic, e.token, e.token, fields)}
	}
	e.body, e.pings = call("ANSWERED", e.token), who.id
	news := fmt.Sprintf("news-%d-%05d", teller, n)
	switch r.IntN(12) {
	case 0, 7, 8, 9, 10: // a text in one of few conversations
		theirs = fmt.Sprintf("+141555502%02d", r.IntN(2))
		e.conversation, e.pings = theirs+" "+ours, ""
		e.body = text("SMS_RECEIVED", e.token, theirs, ours, e.token)
		return []event{e}
	case 1:
		e.shows = []string{news}
		return []event{e, later("tag.added", fmt.Sprintf(`"tag":%q`, news))}
	case 2: // a tag for which another channel hears of the call as well
		e.shows = []string{"urgent"}
		e.channels = append(e.channels, urgent)
		return []event{e, later("tag.added", `"tag":"urgent"`)}
	case 3: // a tag that goes again
		e.shows = []string{news}
		return []event{e, later("tag.added", `"tag":"passing"`), later("tag.added", fmt.Sprintf(`"tag":%q`, news)), later("tag.removed", `"tag":"passing"`)}
	case 4:
		e.shows = []string{news}
		return []event{e, later("summary.updated", fmt.Sprintf(`"summary":%q`, news))}
	case 5: // the same call told again
		e.shows = []string{news}
		return []event{e, {body: call("ANSWERED", e.token+" "+news)}}
	case 11: // all of that at once
		makeTale(r, &e, told(teller), theirs, head(e.token, theirs, ours, ""), who.email, true)
		return []event{e}
	default: // a missed call that is answered
		e.body = call("MISSED", e.token)
		e.shows = []string{"Texted back"}
		answer := event{token: fmt.Sprintf("case-%d-%05d", 6-teller, n), channels: e.channels, conversation: theirs + " " + ours}
		answer.body = text("SMS_SENT", answer.token, ours, theirs, answer.token)
		return []event{e, answer}
	}
}
