package notify

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"allo-slack/allo"
	"allo-slack/fakeslack"
	"allo-slack/outbox"
)

// A store as the version left it whose tables were of version 2, when it was killed in the midst of everything, and what
// Slack had then. Times in both are those of a bubble.
const (
	oldStore = "testdata/v2.db.gz"
	oldSlack = "testdata/v2.slack.json.gz"
	killed   = 22*time.Minute + 37*time.Second + 600*time.Millisecond
	peace    = 28 * time.Second // for which Slack had asked by then
)

// oldRules are those that it worked with.
const oldRules = `timezone: UTC
ops_channel: "#ops"
rules:
  - {name: Quiet, match: {number: "+14155550166"}, mute: true}
  - {name: Sales texts, match: {topic: [SMS_RECEIVED, SMS_SENT], number: "+14155550150"}, channel: "#sales"}
  - {name: Texts, match: {topic: [SMS_RECEIVED, SMS_SENT]}, channel: "#support"}
  - {name: Contacts, match: {topic: [CONTACT_CREATED, CONTACT_UPDATED]}, channel: "#contacts"}
  - {name: Urgent tags, match: {topic: tag.added, tag: urgent}, channel: "#ops"}
  - {name: VIP, match: {topic: CALL_RECEIVED, tag: vip}, channel: ["#vip", "#phone"]}
  - {name: Typo, match: {topic: CALL_RECEIVED, tag: typo}, channel: "#suport"}
  - {name: Transcripts, match: {topic: CALL_RECEIVED, tag: transcript}, channel: "#calls", transcript: thread, mention: owner, redact: [cards]}
  - {name: Field, match: {topic: CALL_RECEIVED, tag: field}, channel: "#field", recording: false}
  - {name: Billing, match: {topic: CALL_RECEIVED, tag: billing}, channel: "#billing"}
  - {name: Support, match: {topic: CALL_RECEIVED, tag: support}, channel: "#support"}
  - {name: Missed, match: {topic: CALL_RECEIVED, if: missed}, channel: "#support"}
  - {name: Main line, match: {topic: CALL_RECEIVED, number: "+14155550100"}, channel: "#phone"}
`

// difference is a message that was posted, or changed, since the old version was killed.
type difference struct {
	how    string // it is posted: "edit", "message", "broadcast", "plain"
	thread string // that it is in
	says   string // at its beginning
	id     string // of its post, if the old version had begun it; "" is any
}

// taken is what the channels show in the end that they did not show before, in order. All else is as it was.
var taken = map[string][]difference{
	"contacts": {
		{"message", "", "Contact updated: Grace Smith-Jones, Example Ltd.\nLast name Smith → Smith-Jones.", "WXQ2KCQKRFGS33BEZJBU5TVIBV"},
		{"message", "", "Contact updated: Grace Jones, Example Ltd.\nLast name Smith-Jones → Jones.", ""},
		{"message", "", "New contact: Grace Lovelace", ""},
	},
	"phone": {
		{"edit", "", "Call from Twice Example: call-again, the last summary.", "5VGPMPZWQBVLHHXCWYXE2733DX"},
		{"message", "", "Call from Signed Waits: summary of call-signed-waits.", "LHPSBQUV4BPM5QQ7A45OCR7VOB"},
		{"message", "", "Call from Found Waits: summary of call-found-waits.", ""},
	},
	"support": {
		{"edit", "", "Missed call from Missed Waiting.\nTexted back after 21 min", "XHSY47A44IPBLMP5JP2F3M26PI"},
		{"edit", "", "Call from Trans Ferred, transferred: summary of chain-1.\nFrom Trans Ferred, (415) 555-0117, to Main line, (415) 555-0100.\n" +
			"Path: Main line → Sales desk → Billing desk.", "T737KCJUSCX7DS4XDFNIVCMFMR"},
		{"edit", "", "Missed call from Doubt Has.\nTexted back after 4 s", "OQYLFLGWACDVFCKLFTSQ6CTO6Z"},
		{"message", "", "Missed call from Missed Four.\nFrom", ""},
		{"broadcast", "946685148.000000", "Text from (415) 555-0113: One more thing.", ""},
		{"message", "946685164.000000", "Call from Trans Ferred: summary of chain-3.", ""},
		{"message", "", "Text to (415) 555-0131: Just saw your call.", ""},
	},
	"sales": {{"message", "946685160.000000", "Text to (415) 555-0116: We do.", "3EDNALWRWC7MKRES3VKI4OA4N3"}},
	"calls": {{"message", "946686141.000000", "Transcript of the call with Talk Ative, part 3 of 3.", ""}},
	"field": {{"plain", "", "Call from Plain Doubt: summary of call-plain-doubt.", "ZQW3255QZ4AH6QTWJHVSTFR7PX"}},
	"billing": {
		{"message", "", "Call from Bill Example: summary of call-bill-7.", ""},
		{"message", "", "Call from Waiting Tagged: summary of call-waiting-tagged.\nFrom Waiting Tagged, (415) 555-0133, to Main line, (415) 555-0100.\n" +
			"1 Jan 00:22 UTC, 2m 0s, tags billing, VIP.", ""},
	},
	"ops": {
		{"message", "", "#suport: 1 message waits", "LFK2RQ6K2K5TPWCYNHYGCUHSTR"},
		{"message", "", "#vip: 2 messages wait", ""},
	},
}

// searched is where the five posts in doubt are looked for, each once: a channel, and the thread in it. Nothing else is read.
var searched = []string{"billing", "calls 946686141.000000", "field", "sales 946685160.000000", "support"}

// unpack is what a fixture holds.
func unpack(t *testing.T, path string) []byte {
	t.Helper()
	packed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// newTakeover is a bot that isn't started, beside the store and the Slack that the old version left, at the moment at which
// it was killed.
func newTakeover(t *testing.T) *rig {
	t.Helper()
	options := fakeslack.Options{Token: testToken, Users: []fakeslack.User{{ID: "U0ADA00001", Email: "ada@example.com"}}}
	for _, name := range []string{"support", "phone", "sales", "contacts", "ops", "vip", "calls", "field", "billing"} {
		options.Channels = append(options.Channels, fakeslack.Channel{Name: name, Archived: name == "vip", BotIsMember: true})
	}
	if err := json.Unmarshal(unpack(t, oldSlack), &options.Posts); err != nil {
		t.Fatal(err)
	}
	pass(killed)
	r := newRigWith(t, oldRules, options)
	if err := os.WriteFile(r.path, unpack(t, oldStore), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// takeOver has the bot run for five minutes, by when it has nothing left to do. It returns what Slack showed before.
func takeOver(t *testing.T) (r *rig, before []fakeslack.Post) {
	t.Helper()
	r = newTakeover(t)
	before = r.slack.Posts("")
	r.start()
	pass(5 * time.Minute)
	return r, before
}

// changes are what a channel shows otherwise than before. What is gone fails the test.
func (r *rig) changes(channel string, before []fakeslack.Post) (list []difference) {
	r.t.Helper()
	is := func(p fakeslack.Post) func(fakeslack.Post) bool {
		return func(other fakeslack.Post) bool { return other.ChannelName == channel && other.TS == p.TS }
	}
	now := r.slack.Posts(channel)
	for _, p := range before {
		if p.ChannelName == channel && !slices.ContainsFunc(now, is(p)) {
			r.t.Errorf("#%s shows no longer: %s", channel, p.Text)
		}
	}
	for _, p := range now {
		c := difference{how: "message", thread: p.ThreadTS, says: p.Text, id: postID(p)}
		switch at := slices.IndexFunc(before, is(p)); {
		case at >= 0:
			p.Replies = before[at].Replies
			if reflect.DeepEqual(p, before[at]) {
				continue
			}
			c.how = "edit"
		case p.Broadcast:
			c.how = "broadcast"
		case p.Blocks == nil:
			c.how = "plain"
		}
		list = append(list, c)
	}
	return list
}

// postID is the id of a post that a message carries.
func postID(p fakeslack.Post) string {
	var metadata struct {
		Payload struct {
			ID string `json:"delivery_id"`
		} `json:"event_payload"`
	}
	_ = json.Unmarshal(p.Metadata, &metadata)
	return metadata.Payload.ID
}

// is reports whether a message is changed as is wanted.
func (d difference) is(want difference) bool {
	return d.how == want.how && d.thread == want.thread && strings.HasPrefix(d.says, want.says) && d.id != "" && (d.id == want.id || want.id == "")
}

// wantChanges fails unless the channels show what they did before and, by channel, what is wanted.
func (r *rig) wantChanges(step string, before []fakeslack.Post, want map[string][]difference) {
	r.t.Helper()
	ids := map[string]bool{}
	channels := slices.Collect(maps.Keys(want))
	for _, p := range r.slack.Posts("") {
		channels = append(channels, p.ChannelName)
		if ids[postID(p)] {
			r.t.Errorf("%s: #%s shows twice: %s", step, p.ChannelName, p.Text)
		}
		ids[postID(p)] = true
	}
	slices.Sort(channels)
	for _, channel := range slices.Compact(channels) {
		if got := r.changes(channel, before); !slices.EqualFunc(got, want[channel], difference.is) {
			r.t.Errorf("%s: #%s shows %s\nwant %s", step, channel, written(got), written(want[channel]))
		}
	}
}

func written(list []difference) string {
	var all strings.Builder
	for _, c := range list {
		fmt.Fprintf(&all, "\n  %s in %q, post %s: %q", c.how, c.thread, c.id, c.says)
	}
	return all.String()
}

// wantLeft fails unless the store holds nothing that is to be done, but for what needs a person.
func (r *rig) wantLeft() {
	r.t.Helper()
	var aside, waiting []int64
	for _, f := range r.failed() {
		if f.Aside {
			aside = append(aside, f.ID)
		} else {
			waiting = append(waiting, f.ID)
		}
	}
	if a, w := []int64{34, 36, 39}, []int64{42, 44, 46, 72}; !slices.Equal(aside, a) || !slices.Equal(waiting, w) {
		r.t.Errorf("aside are %v, waiting %v; want %v and %v", aside, waiting, a, w)
	}
	counts, err := r.store.Counts(r.t.Context())
	if err != nil || counts.Waiting != 4 || counts.Aside != 3 {
		r.t.Errorf("counts: %+v, %v; want 4 waiting, 3 aside", counts, err)
	}
	if updates, err := r.store.Updates(r.t.Context(), 100); err != nil || len(updates) > 0 {
		r.t.Errorf("updates: %v, %v; want none", updates, err)
	}
	busy, err := r.store.Busy(r.t.Context())
	if want := []string{"#suport", r.id("vip")}; err != nil || !slices.Equal(busy, want) {
		r.t.Errorf("busy are %v, %v; want %v", busy, err, want)
	}
	for _, channel := range busy {
		if open, err := r.store.OpenPost(r.t.Context(), channel); err != nil || open != nil {
			r.t.Errorf("a post to %s is open: %+v, %v", channel, open, err)
		}
	}
}

// wantAsked fails unless Slack was left in peace for as long as it had asked for, and only what was in doubt was looked for.
func (r *rig) wantAsked(from time.Time) {
	r.t.Helper()
	var reads []string
	for _, c := range r.slack.Calls("") {
		if c.At.Before(from.Add(peace)) {
			r.t.Errorf("%s was called at %v, during a Retry-After", c.Method, c.At)
		}
		if c.Method != "conversations.history" && c.Method != "conversations.replies" {
			continue
		}
		for channel := range taken {
			if r.id(channel) == c.Form.Get("channel") {
				reads = append(reads, strings.TrimSpace(channel+" "+c.Form.Get("ts")))
			}
		}
	}
	slices.Sort(reads)
	if !slices.Equal(reads, searched) {
		r.t.Errorf("read were %q, want %q", reads, searched)
	}
	r.polite()
}

func TestTakeover(t *testing.T) {
	bubble(t, func(t *testing.T) {
		from := time.Now().Add(killed)
		r, before := takeOver(t)
		r.wantChanges("taken over", before, taken)
		r.wantLeft()
		r.wantAsked(from)
		if kept, err := os.Stat(r.path + "-v2"); err != nil || kept.Mode() != 0o600 || kept.Size() == 0 {
			t.Errorf("the copy: %+v, %v; want one that is its owner's alone", kept, err)
		}
	})
}

// A bot that is killed while it takes a store over is followed by one that goes on.
func TestTakeoverThatIsCutShort(t *testing.T) {
	for _, after := range []time.Duration{0, peace, peace + 500*time.Millisecond, peace + 1500*time.Millisecond, peace + 3*time.Second} {
		bubbleIn(t, after.String(), func(t *testing.T) {
			r := newTakeover(t)
			before := r.slack.Posts("")
			r.start()
			pass(after)
			r.crash()
			r.start()
			pass(5 * time.Minute)
			r.wantChanges("taken over", before, taken)
			r.wantLeft()
			r.polite()
		})
	}
}

// oldCall is a call as Allo told it first to the old version, which kept it as it was amended.
func oldCall(id, start, number, name string, more map[string]any) string {
	data := map[string]any{
		"id": id, "start_date": start, "type": "INBOUND", "result": "ANSWERED", "length_in_minutes": 2, "from_number": number, "from_name": name,
		"to": "+14155550100", "to_name": "Main line", "one_sentence_summary": "summary of " + id,
	}
	for field, v := range more {
		data[field] = v
	}
	return envelope(map[string]any{"topic": "CALL_RECEIVED", "data": data})
}

func envelope(v map[string]any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// oldTag says that a call of the old version's is tagged now.
func oldTag(call, tag string) string {
	return envelope(map[string]any{
		"topic": "tag.added", "version": "2.0", "timestamp": time.Now().UTC().Format(time.RFC3339Nano),
		"data": map[string]any{"call_id": call, "tag": map[string]any{"name": tag}},
	})
}

// amended are the events that the old version did not keep as they were told, as they were.
func amended() map[int64][]string {
	again := oldCall("call-again", "2000-01-01T00:00:40Z", "+14155550112", "Twice Example", nil)
	signed := oldCall("call-signed", "2000-01-01T00:07:12Z", "+14155550121", "Signed Example", map[string]any{"tags": []string{"new"}})
	return map[int64][]string{
		7: {oldCall("call-a", "2000-01-01T00:00:12Z", "+14155550110", "Alan Example", map[string]any{
			"recording_url": "https://storage.example.com/call-a.mp3", "user_email": "ada@example.com", "summary": "First summary of call-a.",
		})},
		13: {oldCall("call-late", "2000-01-01T00:00:36Z", "+14155550111", "Late Example", nil)},
		15: {again, strings.Replace(again, "summary of call-again", "call-again, told with another summary", 1)},
		27: {strings.Replace(signed, `"topic":"CALL_RECEIVED"`, `"timestamp":"2000-01-01T00:07:12Z","topic":"call.completed","version":"2.0"`, 1)},
		67: {oldCall("call-waiting-tagged", "2000-01-01T00:22:28Z", "+14155550133", "Waiting Tagged", map[string]any{"tag": "billing"})},
	}
}

// Whatever was told before is told once more: nothing comes of it.
func TestTakeoverKnowsWhatWasTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, _ := takeOver(t)
		before := r.slack.Posts("")
		var ids []int64
		for id := range int64(73) {
			ids = append(ids, id+1)
		}
		events, err := r.store.Events(t.Context(), ids...)
		if err != nil || len(events) != len(ids) {
			t.Fatalf("%d events, %v", len(events), err)
		}
		for _, e := range events {
			told := []string{string(e.Body)}
			if first, was := amended()[e.ID]; was {
				told = first
			}
			if e.Kind == outbox.Note || e.Topic == string(allo.ContactUpdated) && time.Since(e.Received) > 15*time.Minute {
				continue // a contact may be changed back, and once more
			}
			for i, body := range told {
				if !r.accept(body) {
					t.Errorf("event %d, telling %d of %s, is taken for something new", e.ID, i+1, e.Topic)
				}
			}
		}
		// By the id of its delivery too, whatever it says.
		for n, body := range []string{
			oldCall("call-signed", "2000-01-01T00:07:12Z", "+14155550121", "Signed Example", nil), `{"topic":"SMS_RECEIVED","data":{"id":"sms-other"}}`,
			oldCall("call-signed-waits", "2000-01-01T00:22:35Z", "+14155550137", "Signed Waits", nil),
		} {
			e := r.event(body)
			e.Delivery = fmt.Sprintf("msg_fixture_%d", n+1)
			if duplicate, err := r.bot.Accept(t.Context(), &e); err != nil || !duplicate {
				t.Errorf("delivery %d is taken for another, %v", n+1, err)
			}
		}
		// What is said in other words is new, but has nothing new.
		for id := range amended() {
			r.accept(string(events[id-1].Body))
		}
		e := r.event(string(events[25].Body))
		if duplicate, err := r.bot.Recover(t.Context(), &e); err != nil || !duplicate {
			t.Errorf("a call that was found is found again, %v", err)
		}
		pass(time.Minute)
		if now := r.slack.Posts(""); !reflect.DeepEqual(now, before) {
			t.Errorf("Slack has %d messages, had %d, or some were changed", len(now), len(before))
		}
		r.wantLeft()
	})
}

// What is said from now on adds to what the old version knew.
func TestTakeoverGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, _ := takeOver(t)
		text := func(id, number, words string) string {
			return envelope(map[string]any{"topic": "SMS_SENT", "data": map[string]any{
				"id": id, "direction": "OUTBOUND", "type": "SMS", "content": words, "sent_at": time.Now().UTC().Format(time.RFC3339),
				"from_number": "+14155550100", "to_number": number, "user_email": "ada@example.com",
			}})
		}
		tagged := func(id, was, is string) difference {
			before := r.slack.Posts("phone")
			at := slices.IndexFunc(before, func(p fakeslack.Post) bool { return postID(p) == id })
			return difference{"edit", "", strings.Replace(before[at].Text, was, is, 1), id}
		}
		for _, step := range []struct {
			name string
			told []string
			want map[string][]difference
		}{
			{
				"a call is answered that was missed", []string{text("sms-10", "+14155550139", "Sorry for the wait.")},
				map[string][]difference{"support": {
					{"edit", "", "Missed call from Missed Unanswered.\nTexted back after 26 min by ada@example.com.\n", "ABJFHV4DMA5PIHGTSOCIOHMZG4"},
					{"message", "", "Text to (415) 555-0139: Sorry for the wait.", ""},
				}},
			},
			{
				"a call that was answered is answered once more", []string{text("sms-11", "+14155550113", "Are you there?")},
				map[string][]difference{"support": {{"message", "946685148.000000", "Text to (415) 555-0113: Are you there?", ""}}},
			},
			{
				"a call comes that was tagged", []string{oldCall("call-never", "2000-01-01T00:20:00Z", "+14155550140", "Never Example", nil)},
				map[string][]difference{"billing": {{"message", "", "Call from Never Example: summary of call-never.\nFrom Never Example, (415) 555-0140, to Main line, (415) 555-0100.\n" +
					"1 Jan 00:20 UTC, 2m 0s, tag Billing, arrived 5 min late.", ""}}},
			},
			{
				"a call is tagged that was tagged and summed up anew", []string{oldTag("call-a", "Angry")},
				map[string][]difference{
					"phone":   {tagged("PS2WDPZVR2ERHTDQB6X5UMGUAV", "tag Billing", "tags Billing, Angry")},
					"billing": {{"edit", "", tagged("PS2WDPZVR2ERHTDQB6X5UMGUAV", "tag Billing", "tags Billing, Angry").says, "5B4VUX4CHTH4SYWGZFDVTWD5OF"}},
				},
			},
			{
				"a call is tagged that was told again", []string{oldTag("call-again", "Billing")},
				map[string][]difference{
					"phone": {tagged("5VGPMPZWQBVLHHXCWYXE2733DX", "tag Follow up", "tags Follow up, Billing")},
					"billing": {{"message", "", "Call from Twice Example: call-again, the last summary.\nFrom Twice Example, (415) 555-0112, to Main line, (415) 555-0100.\n" +
						"1 Jan 00:00 UTC, 2m 0s, tags Follow up, Billing.", ""}},
				},
			},
			{
				"a call is tagged that no rule took", []string{oldTag("call-unrouted", "Support")},
				map[string][]difference{"support": {{"message", "", "Call from Nobody's: summary of call-unrouted.", ""}}},
			},
			{
				"a call is passed on once more", []string{oldCall("chain-4", "2000-01-01T00:27:00Z", "+14155550117", "Trans Ferred", map[string]any{
					"tag": "support", "transfer_original_call_id": "chain-1", "to": "+14155550104", "to_name": "Boss",
				})},
				map[string][]difference{"support": {
					{"edit", "", "Call from Trans Ferred, transferred: summary of chain-1.\nFrom Trans Ferred, (415) 555-0117, to Main line, (415) 555-0100.\n" +
						"Path: Main line → Sales desk → Billing desk → Boss.", "T737KCJUSCX7DS4XDFNIVCMFMR"},
					{"message", "946685164.000000", "Call from Trans Ferred: summary of chain-4.", ""},
				}},
			},
			{
				"a call loses a tag that it was told with",
				[]string{strings.Replace(oldTag("call-waiting-tagged", "Billing"), "tag.added", "tag.removed", 1)},
				map[string][]difference{
					"phone":   {tagged("5VQUSJQCPXYWG5AAEVKMGBD6VL", "tags billing, VIP", "tag VIP")},
					"billing": {{"edit", "", tagged("5VQUSJQCPXYWG5AAEVKMGBD6VL", "tags billing, VIP", "tag VIP").says, ""}},
				},
			},
			{
				"a call is tagged that was muted", []string{oldTag("call-muted", "Support")}, nil,
			},
			{
				"a contact is changed that was changed", []string{envelope(map[string]any{"topic": "CONTACT_UPDATED", "data": map[string]any{
					"id": "cnt-1", "name": "Grace", "last_name": "Brown", "company": "Example Ltd", "emails": []string{"grace@example.com"}, "numbers": []string{"+14155550119"},
				}})},
				map[string][]difference{"contacts": {{"message", "", "Contact updated: Grace Brown, Example Ltd.\nLast name Jones → Brown.", ""}}},
			},
		} {
			before := r.slack.Posts("")
			for _, body := range step.told {
				if r.accept(body) {
					t.Errorf("%s: it is taken for a repeat", step.name)
				}
			}
			pass(5 * time.Second)
			r.wantChanges(step.name, before, step.want)
		}
		r.wantLeft()
	})
}

// What waits for a person goes out once it is mended, or sent again.
func TestTakeoverOfWhatNeedsAPerson(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, _ := takeOver(t)
		before := r.slack.Posts("")
		r.slack.SetChannel("vip", func(c *fakeslack.Channel) { c.Archived = false })
		r.slack.AddChannel(fakeslack.Channel{Name: "suport"})
		if _, err := replay(t.Context(), r.store, outbox.Selection{IDs: []int64{34, 36, 39}}, time.Now()); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Minute)
		r.wantChanges("mended", before, map[string][]difference{
			"vip": {
				{"message", "", "Call from Very Important: summary of call-vip-1.", ""},
				{"message", "", "Call from Very Important: summary of call-vip-2.", ""},
				{"message", "", "Call from Waiting Tagged: summary of call-waiting-tagged.\nFrom Waiting Tagged, (415) 555-0133, to Main line, (415) 555-0100.\n" +
					"1 Jan 00:22 UTC, 2m 0s, tags billing, VIP", ""},
			},
			"suport": {{"message", "", "Call from Typo Example: summary of call-typo.", ""}},
			"field": {
				{"message", "", "Call from Refused Example: summary of call-refused-told.", ""},
				{"message", "", "Call from Refused Example: summary of call-refused-untold.", ""},
			},
			"ops": {{"message", "", "Tag added", ""}},
		})
		if counts, err := r.store.Counts(t.Context()); err != nil || counts.Waiting+counts.Aside > 0 {
			t.Errorf("counts: %+v, %v; want nothing left", counts, err)
		}
		r.polite()
	})
}
