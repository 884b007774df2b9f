package notify

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"allo-slack/fakeslack"
	"allo-slack/outbox"
)

// wholeText is all that a message shows.
func wholeText(p fakeslack.Post) string { return p.Text + "\n" + string(p.Blocks) }

// only returns a channel's only message.
func (r *rig) only(channel string) string {
	r.t.Helper()
	return wholeText(r.posted(channel, 1)[0])
}

// none fails if a channel has a message.
func (r *rig) none(channel string) {
	r.t.Helper()
	if posts := r.slack.Posts(channel); len(posts) > 0 {
		r.t.Errorf("#%s has %d messages, want none; the first: %s", channel, len(posts), posts[0].Text)
	}
}

// archive closes a channel, or opens it again.
func (r *rig) archive(channel string, archived bool) {
	r.slack.SetChannel(channel, func(c *fakeslack.Channel) { c.Archived = archived })
}

// replay sends again, elsewhere, what waits for a channel or was set aside there.
func (r *rig) replay(from, to string) {
	r.t.Helper()
	if got, err := replay(r.t.Context(), r.store, outbox.Selection{From: from, To: to}, time.Now()); err != nil || got.Sent != 1 {
		r.t.Fatalf("replay: %+v, %v; want one sent", got, err)
	}
	pass(5 * time.Second)
}

// updates is how often a message was changed.
func (r *rig) updates() int { return len(r.slack.Calls("chat.update")) }

// What was sent elsewhere by hand is kept up to date there. The channel that it was for never gets it again.
func TestATagAfterAReplayElsewhere(t *testing.T) {
	const text = `default_channel: "#phone"
rules:
  - {name: billing, match: {topic: CALL_RECEIVED, tag: billing}, channel: "#billing"}
  - {name: other, match: {topic: CALL_RECEIVED, tag: other}, channel: "#other"}`
	for name, stuck := range map[string]func(r *rig){
		"set aside": func(r *rig) { r.badCase(false, 1) },
		"waiting":   func(r *rig) { r.archive("phone", true) },
	} {
		bubbleIn(t, name, func(t *testing.T) {
			r := newRig(t, text, "phone", "billing", "other")
			stuck(r)
			r.start()
			r.calls("", 1, 1)
			pass(time.Minute)
			r.stop()
			r.api = r.slack.API()
			r.start()
			r.replay("#phone", "#other")
			r.only("other")
			r.archive("phone", false)
			pass(2 * time.Minute)
			for second, tag := range []string{"billing", "other", "vip"} {
				r.accept(tagEvent("tag.added", 1, tag, second))
				pass(5 * time.Second)
			}
			r.accept(tagEvent("tag.removed", 1, "billing", 9)) // now default_channel would take it
			r.accept(tagEvent("tag.removed", 1, "other", 9))
			pass(2 * time.Minute)
			r.none("phone")
			for _, channel := range []string{"other", "billing"} {
				if says := r.only(channel); !strings.Contains(says, "vip") || strings.Contains(says, "tags billing") {
					t.Errorf("#%s says %s; want it as it is tagged in the end", channel, says)
				}
			}
		})
	}
}

// What waits is withdrawn once a rule mutes its call. What Slack has stays, and nothing that was withdrawn comes back.
func TestALateMute(t *testing.T) {
	const text = `default_channel: "#phone"
rules:
  - {name: kept, match: {topic: CALL_RECEIVED, tag: kept}, channel: "#kept", continue: true}
  - {name: quiet, match: {topic: CALL_RECEIVED, tag: quiet}, mute: true}
  - {name: both, match: {topic: CALL_RECEIVED, tag: both}, channel: ["#phone", "#other"]}`
	mute := func(r *rig) {
		r.accept(tagEvent("tag.added", 1, "quiet", 10))
		pass(5 * time.Second)
	}
	unmute := func(r *rig) {
		r.accept(tagEvent("tag.removed", 1, "quiet", 20))
		pass(5 * time.Second)
	}
	t.Run("waiting", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, text, "phone", "other", "kept").start()
			r.archive("phone", true)
			r.accept(aCall(1, ""))
			pass(time.Minute)
			mute(r)
			if got := r.count("allo_slack_deliveries_waiting", ""); got != 0 {
				t.Errorf("%v wait, want none", got)
			}
			r.archive("phone", false)
			pass(2 * time.Minute)
			r.none("phone")
			unmute(r)
			r.accept(tagEvent("tag.added", 1, "both", 30))
			pass(2 * time.Minute)
			r.none("phone")
			r.only("other") // which never had it
		})
	})
	t.Run("in one of two channels", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, text, "phone", "other", "kept").start()
			r.archive("phone", true)
			r.accept(aCall(1, "both"))
			r.only("other")
			mute(r)
			r.archive("phone", false)
			pass(2 * time.Minute)
			r.none("phone")
			if says := r.only("other"); !strings.Contains(says, "quiet") {
				t.Errorf("what Slack has isn't kept up to date: %s", says)
			}
			unmute(r)
			if says := r.only("other"); strings.Contains(says, "quiet") {
				t.Errorf("what Slack has isn't kept up to date: %s", says)
			}
			r.none("phone")
		})
	})
	t.Run("in doubt", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, text, "phone", "other", "kept").start()
			pass(time.Second)
			r.slack.Fault(fakeslack.Fault{Kind: fakeslack.LateVisible, Delay: 3 * time.Second})
			r.accept(aCall(1, ""))
			pass(time.Second)
			mute(r)
			pass(time.Minute)
			if says := r.only("phone"); !strings.Contains(says, "quiet") {
				t.Errorf("what Slack has isn't kept up to date: %s", says)
			}
		})
	})
	t.Run("before the call", func(t *testing.T) {
		for _, second := range []int{0, 10} { // said before the call, or after it
			bubbleIn(t, fmt.Sprint(second), func(t *testing.T) {
				r := newRig(t, text, "phone", "other", "kept").start()
				pass(5 * time.Second)
				r.accept(tagEvent("tag.added", 1, "quiet", second))
				r.accept(tagEvent("tag.added", 1, "kept", second))
				r.accept(aCall(1, ""))
				pass(time.Minute)
				r.none("phone")
				r.only("kept") // by a rule above, which goes on
			})
		}
	})
	t.Run("taken back before it came", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, text, "phone", "other", "kept").start()
			r.archive("phone", true)
			r.accept(aCall(1, ""))
			pass(time.Minute)
			r.accept(tagEvent("tag.removed", 1, "quiet", 20))
			mute(r)
			r.archive("phone", false)
			pass(2 * time.Minute)
			r.only("phone")
		})
	})
}

// privateCall is a call whose customer's number stands in all that is shown of it.
func privateCall(n int, tag string) string {
	lines := ""
	for i := range 60 {
		lines += fmt.Sprintf(`{"source":"AGENT","text":"line %02d, I call back on %s %s"},`, i, customerNo, strings.Repeat("word ", 30))
	}
	return strings.Replace(aCall(n, tag), `"data":{`, `"data":{"recording_url":"https://api.withallo.com/r/1","summary":"Call back on `+customerNo+`.","transcriptions":[`+strings.TrimSuffix(lines, ",")+`],`, 1)
}

// numberIn reports whether the customer's number can be read.
func numberIn(says string) bool {
	return strings.Contains(says, "5550123") || strings.Contains(says, "555-0123")
}

// A rule that takes a call later and is stricter than the one that had it posted counts for all that a channel shows of it,
// from then on.
func TestALateStricterRule(t *testing.T) {
	const text = `rules:
  - {name: private, match: {topic: CALL_RECEIVED, tag: private}, channel: "#support", redact: [numbers], recording: false}
  - {name: elsewhere, match: {topic: CALL_RECEIVED, tag: elsewhere}, channel: "#other", redact: [numbers], recording: false, continue: true}
  - {name: all, match: {}, channel: "#support", transcript: thread}`
	// open fails unless what a channel has of a call shows the number and the recording, or neither of them.
	open := func(r *rig, channel string, want bool) {
		r.t.Helper()
		posts := r.slack.Posts(channel)
		if len(posts) < 3 {
			r.t.Fatalf("#%s has %d messages, want the call and its transcript", channel, len(posts))
		}
		for i, p := range posts {
			if says := wholeText(p); numberIn(says) != want || i == 0 && strings.Contains(says, "withallo.com/r/1") != want {
				r.t.Errorf("#%s, message %d: want the number and the recording shown: %v; it says %.600s", channel, i, want, says)
			}
		}
		it, playable, err := r.bot.Shown(r.t.Context(), 1, "all", time.Time{})
		if err != nil || it == nil {
			r.t.Fatalf("Shown: %v, %v", it, err)
		}
		if it.Options.Redact.Numbers == want || playable != want {
			r.t.Errorf("the page redacts numbers: %v, plays: %v; want all shown: %v", it.Options.Redact.Numbers, playable, want)
		}
	}
	t.Run("for the same channel", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, text, "support", "other").start()
			r.accept(privateCall(1, ""))
			pass(30 * time.Second)
			open(r, "support", true)
			r.accept(tagEvent("tag.added", 1, "private", 1))
			pass(30 * time.Second)
			open(r, "support", false)
			r.accept(tagEvent("tag.removed", 1, "private", 2))
			r.accept(`{"topic":"summary.updated","version":"2.0","timestamp":"2000-01-01T00:00:05Z","data":{"id":"call-1","summary":"It is case 1, of ` + customerNo + `."}}`)
			pass(30 * time.Second)
			open(r, "support", false)
		})
	})
	t.Run("while it is on its way", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, text, "support", "other").start()
			pass(time.Second)
			r.slack.Fault(fakeslack.Fault{Kind: fakeslack.Slow, Delay: 5 * time.Second, Count: 2})
			r.accept(privateCall(1, ""))
			pass(6 * time.Second) // the first part is on its way
			r.accept(tagEvent("tag.added", 1, "private", 1))
			pass(time.Minute)
			open(r, "support", false)
		})
	})
	t.Run("taken back before it came", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, text, "support", "other").start()
			r.accept(privateCall(1, ""))
			pass(30 * time.Second)
			r.accept(tagEvent("tag.removed", 1, "private", 55))
			r.accept(tagEvent("tag.added", 1, "private", 50))
			pass(30 * time.Second)
			open(r, "support", false)
		})
	})
	t.Run("of another channel", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, text, "support", "other").start()
			r.accept(privateCall(1, ""))
			pass(30 * time.Second)
			r.accept(tagEvent("tag.added", 1, "elsewhere", 1))
			pass(30 * time.Second)
			open(r, "support", true)
			if says := r.only("other"); numberIn(says) || strings.Contains(says, "withallo.com/r/1") {
				t.Errorf("#other: %s", says)
			}
		})
	})
	t.Run("after a replay elsewhere", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, text, "support", "other", "third").start()
			r.archive("support", true)
			r.accept(privateCall(1, ""))
			pass(time.Minute)
			r.replay("#support", "#third")
			pass(30 * time.Second)
			open(r, "third", true)
			r.accept(tagEvent("tag.added", 1, "private", 1))
			pass(30 * time.Second)
			open(r, "third", false)
			r.none("support")
		})
	})
}

// A channel that rules name by its name and by its id is as strict as either.
func TestTwoNamesAreAsStrictAsEither(t *testing.T) {
	slack := fakeslack.New(fakeslack.Options{})
	id := slack.AddChannel(fakeslack.Channel{Name: "support"}).ID
	for _, c := range []struct{ open, private string }{{"#support", id}, {id, "#support"}} {
		bubbleIn(t, c.private, func(t *testing.T) {
			r := newRig(t, fmt.Sprintf(`rules:
  - {name: open, match: {}, channel: "%s", continue: true}
  - {name: private, match: {}, channel: "%s", redact: [numbers]}`, c.open, c.private), "support").start()
			pass(time.Second)
			r.accept(aCall(1, ""))
			if says := r.only("support"); numberIn(says) {
				t.Errorf("#support says %s", says)
			}
		})
	}
}

// Of a transcript that became shorter what is left over says so, rather than the call once more.
func TestATranscriptThatBecomesShorter(t *testing.T) {
	for name, posted := range map[string]time.Duration{"while it is posted": 1500 * time.Millisecond, "later": time.Minute} {
		bubbleIn(t, name, func(t *testing.T) {
			r := newRig(t, `rules:
  - {name: private, match: {topic: CALL_RECEIVED, tag: private}, channel: "#support", redact: [numbers]}
  - {name: all, match: {}, channel: "#support", transcript: thread}`, "support").start()
			r.accept(privateCall(1, ""))
			pass(posted)
			r.accept(strings.Replace(aCall(1, ""), `"data":{`, `"data":{"transcriptions":[{"source":"AGENT","text":"a short one"}],`, 1))
			r.accept(tagEvent("tag.added", 1, "private", 59)) // which has all of it told anew
			pass(time.Minute)
			for i, p := range r.slack.Posts("support") {
				if says := wholeText(p); numberIn(says) || strings.Contains(says, "case 1") != (i == 0) || strings.Contains(says, "a short one") != (i == 1) {
					t.Errorf("message %d says %s", i, says)
				}
			}
		})
	}
}

// A part of a transcript whose blocks Slack refuses goes out as plain text, with all its words.
func TestARefusedPartGoesAsPlainText(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, `rules: [{name: all, match: {}, channel: "#support", transcript: thread}]`, "support")
		r.before(func(method string, form url.Values, w http.ResponseWriter) bool {
			if method != "chat.postMessage" || form.Get("blocks") == "" || !strings.Contains(form.Get("text"), "Transcript") {
				return false
			}
			_, _ = io.WriteString(w, `{"ok":false,"error":"invalid_blocks"}`)
			return true
		})
		r.start().accept(privateCall(1, ""))
		pass(time.Minute)
		all := ""
		for i, p := range r.slack.Posts("support") {
			if (p.Blocks == nil) != (i > 0) {
				t.Errorf("message %d has blocks: %s", i, p.Blocks)
			}
			all += p.Text
		}
		for i := range 60 {
			if n := strings.Count(all, fmt.Sprintf("line %02d,", i)); n != 1 {
				t.Errorf("line %d stands there %d times", i, n)
			}
		}
	})
}

// For a day after a call rules are asked again where what they see has changed. Then what is new of it only updates its
// messages.
func TestRulesThatAreEdited(t *testing.T) {
	const before = `default_channel: "#phone"
rules: []`
	const after = `default_channel: "#phone"
rules: [{name: billing, match: {topic: CALL_RECEIVED, if: '"billing" in tags or "old" in tags or data.summary == "billing"'}, channel: "#billing"}]`
	const day = 24 * time.Hour
	billing := tagEvent("tag.added", 1, "billing", 1)
	for _, c := range []struct {
		name         string
		start        string // of the call
		comes, later time.Duration
		more         string // that comes so much later
		gets, edited bool   // #billing the call, the message in #phone
	}{
		{"within a day", "2000-01-05T00:00:00Z", 4 * day, day - time.Hour, billing, true, true},
		{"after a day", "2000-01-05T00:00:00Z", 4 * day, day + time.Minute, billing, false, true},
		{"a day after the call, which came late", "2000-01-03T23:00:00Z", 4 * day, time.Hour + time.Minute, billing, false, true},
		{"a call that is yet to come", "2000-01-30T00:00:00Z", 4 * day, day + time.Minute, billing, false, true},
		{"no start", "", 4 * day, day - time.Hour, billing, true, true},
		{"a day after a call without a start came", "", 4 * day, day + time.Minute, billing, false, true},
		{"a summary", "2000-01-05T00:00:00Z", 4 * day, time.Hour,
			`{"topic":"summary.updated","version":"2.0","timestamp":"2000-01-05T00:00:05Z","data":{"id":"call-1","summary":"billing"}}`, true, true},
		{"nothing new", "2000-01-05T00:00:00Z", 4 * day, time.Hour, strings.Replace(tagEvent("tag.added", 1, "OLD", 1), "2000-01-01", "2000-01-06", 1), false, false},
		{"told again in another way", "2000-01-05T00:00:00Z", 4 * day, time.Hour, "", false, false},
	} {
		bubbleIn(t, c.name, func(t *testing.T) {
			r := newRig(t, before, "phone", "billing")
			call := strings.Replace(aCall(1, "old"), "2000-01-01T00:00:00Z", c.start, 1)
			if c.more == "" {
				c.more = strings.Replace(call, `"data"`, ` "data"`, 1)
			}
			pass(c.comes)
			r.start().accept(call)
			r.only("phone")
			r.stop() // there is nothing to do meanwhile
			r.rules = after
			pass(c.later)
			r.start().accept(c.more)
			pass(time.Minute)
			if got := len(r.slack.Posts("billing")); got > 1 || got == 1 != c.gets {
				t.Errorf("#billing has %d messages, want one: %v", got, c.gets)
			}
			if p := r.posted("phone", 1)[0]; p.Edited != c.edited || c.edited && !strings.Contains(p.Text, "billing") {
				t.Errorf("#phone was edited: %v, want %v: %s", p.Edited, c.edited, p.Text)
			}
		})
	}
}

// Of two summaries the one counts that Allo said last, whichever comes last.
func TestTheNewerOfTwoSummaries(t *testing.T) {
	summary := func(second int, words string) string {
		return fmt.Sprintf(`{"topic":"summary.updated","version":"2.0","timestamp":"2000-01-01T00:00:%02dZ","data":{"call_id":"call-1","summary":%q}}`, second, words)
	}
	older, newer := summary(10, "older words"), summary(20, "newer words")
	for name, order := range map[string][]string{
		"in order":        {aCall(1, ""), older, newer},
		"the newer first": {aCall(1, ""), newer, older},
		"before the call": {newer, older, aCall(1, "")},
		"around the call": {newer, aCall(1, ""), older},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			r := newRig(t, toSupport, "support").start()
			for _, e := range order {
				r.accept(e)
				pass(2 * time.Second)
			}
			if says := r.only("support"); !strings.Contains(says, "newer words") || strings.Contains(says, "older words") {
				t.Errorf("#support says %s", says)
			}
		})
	}
}

// However often a call was tagged, its next tag leads where it leads.
func TestTheHundredAndFirstTag(t *testing.T) {
	for name, backwards := range map[string]bool{"in order": false, "the last first": true} {
		bubbleIn(t, name, func(t *testing.T) {
			r := newRig(t, billingByTag, "phone", "billing").start()
			r.accept(aCall(1, ""))
			r.only("phone")
			var tags []string
			for n := range 100 {
				tags = append(tags, fmt.Sprintf(`{"topic":"tag.added","version":"2.0","timestamp":"2000-01-01T00:%02d:00Z","data":{"id":"call-1","tag":{"name":"t%d"}}}`, n/2, n))
			}
			tags = append(tags, `{"topic":"tag.added","version":"2.0","timestamp":"2000-01-01T00:55:00Z","data":{"id":"call-1","tag":{"name":"billing"}}}`)
			if backwards {
				slices.Reverse(tags)
			}
			for _, tag := range tags {
				r.accept(tag)
			}
			pass(5 * time.Minute)
			r.only("billing")
			if phone := r.only("phone"); !strings.Contains(phone, "billing") && !strings.Contains(phone, "more") {
				t.Errorf("#phone says %s", phone)
			}
			if n := r.updates(); n > 60 {
				t.Errorf("the messages were updated %d times", n)
			}
		})
	}
}

// A tag that comes while Slack is asked for the owner is in what is posted in the end.
func TestATagWhileTheOwnerIsLookedUp(t *testing.T) {
	const text = `rules:
  - {name: a, match: {topic: CALL_RECEIVED, tag: a}, channel: "#a", continue: true}
  - {name: all, match: {}, channel: "#support", mention: owner}`
	for _, c := range []struct {
		name   string
		delay  time.Duration
		pinged bool
	}{{"late", 4 * time.Second, true}, {"never", time.Hour, false}} {
		bubbleIn(t, c.name, func(t *testing.T) {
			options := withUsers()
			options.Channels = append(options.Channels, fakeslack.Channel{Name: "a"})
			r := newRigWith(t, text, options)
			r.before(func(method string, _ url.Values, _ http.ResponseWriter) bool {
				if method == "users.lookupByEmail" {
					<-time.After(c.delay)
				}
				return false
			})
			r.start()
			pass(time.Second)
			r.accept(ownedCall(1, "ada@example.com"))
			pass(2 * time.Second)
			r.none("support")
			r.accept(tagEvent("tag.added", 1, "a", 1))
			pass(2 * time.Second)
			r.only("a")
			pass(time.Minute)
			if says := r.only("support"); !strings.Contains(says, "tag a") {
				t.Errorf("#support says %s; want it to say the tag", says)
			}
			if pings := r.slack.Posts("support")[0].Pings; len(pings) > 0 != c.pinged {
				t.Errorf("it pings %v, want anybody: %v", pings, c.pinged)
			}
		})
	}
}

// What only a rule would have taken that fails goes to the default channel. That is counted, and in the log.
func TestARuleThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, `default_channel: "#phone"
rules: [{name: broken, match: {topic: CALL_RECEIVED, if: 'int(data.one_sentence_summary) > 3'}, channel: "#a"}]`, "phone", "a").start()
		r.accept(aCall(1, ""))
		r.only("phone")
		if got := r.count("allo_slack_rules_failed_total", ""); got != 1 {
			t.Errorf("allo_slack_rules_failed_total is %v, want 1", got)
		}
		if log := r.log.String(); !strings.Contains(log, `rule \"broken\"`) {
			t.Errorf("the log doesn't name the rule")
		}
		r.accept(`{"topic":"summary.updated","version":"2.0","timestamp":"2000-01-01T00:00:05Z","data":{"id":"call-1","one_sentence_summary":"7"}}`)
		pass(5 * time.Second)
		r.only("a") // now it can be asked
		if got := r.count("allo_slack_rules_failed_total", ""); got != 1 {
			t.Errorf("allo_slack_rules_failed_total is %v, want 1", got)
		}
	})
}

// A missed call says how it was answered first, in whatever order that is told. What isn't the first answer updates nothing.
func TestTheFirstAnswerCounts(t *testing.T) {
	start := time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC)
	call := func(id string, after time.Duration, direction, result, from, to string) string {
		return fmt.Sprintf(`{"topic":"CALL_RECEIVED","data":{"id":%q,"start_date":%q,"direction":%q,"result":%q,"length_in_minutes":2,"from_number":%q,"to_number":%q,"user_email":"%s@example.com"}}`,
			id, start.Add(after).Format(time.RFC3339), direction, result, from, to, id)
	}
	missed := strings.Replace(call("missed", 0, "INBOUND", "MISSED", customerNo, ourNo), `"length_in_minutes":2`, `"length_in_minutes":0`, 1)
	back := func(id string, after time.Duration) string {
		return call(id, after, "OUTBOUND", "ANSWERED", ourNo, customerNo)
	}
	for _, c := range []struct {
		name    string
		events  []string
		want    string // who answered
		updates int    // of the message
	}{
		{"called back", []string{missed, back("ada", time.Minute)}, "ada", 1},
		{"the first answer counts", []string{missed, back("ada", time.Minute), back("bob", time.Hour)}, "ada", 1},
		{"the first answer is told last", []string{missed, back("bob", time.Hour), back("ada", time.Minute)}, "ada", 2},
		{"the answer is told first", []string{back("ada", time.Minute), missed}, "ada", 0},
		{"both answers are told first", []string{back("bob", time.Hour), back("ada", time.Minute), missed}, "ada", 0},
		{"one before, one after", []string{back("bob", time.Hour), missed, back("ada", time.Minute)}, "ada", 1},
		{"two at one time", []string{missed, back("ada", time.Minute), back("bob", time.Minute)}, "ada", 1},
		{"a call before it is no answer", []string{back("ada", -time.Minute), missed}, "", 0},
		{"one before it that is told late is none either", []string{missed, back("ada", -time.Minute)}, "", 0},
		{"neither hides one that is", []string{back("bob", -time.Minute), missed, back("ada", time.Minute)}, "ada", 1},
		{"too long after", []string{missed, back("ada", answerWindow+time.Minute)}, "", 0},
		{"just in time", []string{missed, back("ada", answerWindow)}, "ada", 1},
		{"somebody else", []string{missed, call("ada", time.Minute, "OUTBOUND", "ANSWERED", ourNo, "+14155550999")}, "", 0},
		{"not reached", []string{missed, call("ada", time.Minute, "OUTBOUND", "NO_ANSWER", ourNo, customerNo)}, "", 0},
		{"who it was is told later", []string{missed, strings.Replace(back("ada", time.Minute), "user_email", "somebody", 1), back("ada", time.Minute)}, "ada", 2},
	} {
		bubbleIn(t, c.name, func(t *testing.T) {
			r := newRig(t, `rules: [{name: missed, match: {topic: CALL_RECEIVED, if: missed}, channel: "#support"}]`, "support").start()
			for _, e := range c.events {
				r.accept(e)
				pass(5 * time.Second)
			}
			says := r.only("support")
			if strings.Contains(says, "Called back") != (c.want != "") || !strings.Contains(says, c.want+"@example.com") {
				t.Errorf("#support says %s; want it answered by %q", says, c.want)
			}
			if n := r.updates(); n != c.updates {
				t.Errorf("the message was updated %d times, want %d", n, c.updates)
			}
		})
	}
}
