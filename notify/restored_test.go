package notify

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"allo-slack/fakeslack"
	"allo-slack/outbox"
)

// snapshot copies the store as it is on disk at this moment, and returns where to.
func (r *rig) snapshot() string {
	r.t.Helper()
	synctest.Wait()
	path := filepath.Join(r.t.TempDir(), "test.db")
	copyStore(r.t, r.path, path)
	return path
}

// vacuumed copies the store as SQLite does it, beside the bot.
func (r *rig) vacuumed() string {
	r.t.Helper()
	synctest.Wait()
	path := filepath.Join(r.t.TempDir(), "test.db")
	db, err := sql.Open("sqlite", r.path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(r.t.Context(), `VACUUM INTO ?`, path); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path+"-wal", nil, 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

func copyStore(t *testing.T, from, to string) {
	t.Helper()
	for _, end := range []string{"", "-wal"} {
		data, err := os.ReadFile(from + end)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+end, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// kill ends the bot as kill -9 would. Nothing of it reaches Slack from now on.
func (r *rig) kill() {
	r.t.Helper()
	synctest.Wait()
	r.wire.Refuse(true)
	r.stop()
}

// restore kills the bot and puts a snapshot back, which may be used again.
func (r *rig) restore(snapshot string) {
	r.t.Helper()
	r.kill()
	r.path = filepath.Join(r.t.TempDir(), "test.db")
	copyStore(r.t, snapshot, r.path)
}

// recover hands a call to the bot, as looking through Allo's calls does.
func (r *rig) recover(body string) (duplicate bool) {
	r.t.Helper()
	e := r.event(body)
	duplicate, err := r.bot.Recover(r.t.Context(), &e)
	if err != nil {
		r.t.Errorf("Recover: %v", err)
	}
	return duplicate
}

// note has the bot say something itself.
func (r *rig) note(key, head string) {
	r.t.Helper()
	body, err := json.Marshal(note{Head: head})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, _, err := r.store.Append(r.t.Context(), outbox.Entry{Kind: outbox.Note, Topic: "note", Body: body, Received: time.Now(), Key: outbox.Key{Key: "note:" + key}}); err != nil {
		r.t.Fatal(err)
	}
}

// shown is how often each case stands in Slack.
func (r *rig) shown() map[int]int {
	all := map[int]int{}
	for _, p := range r.slack.Posts("") {
		for _, n := range casesOf(p) {
			all[n]++
		}
	}
	return all
}

// once waits until nothing moves any more, and fails unless each of some cases stands in Slack once, and nothing else does.
func (r *rig) once(want map[int]bool) {
	r.t.Helper()
	for range 200 {
		pass(10 * time.Second)
		if r.count("allo_slack_deliveries_waiting", "") == 0 {
			break
		}
	}
	pass(2 * time.Minute)
	got := r.shown()
	for n := range want {
		if got[n] != 1 {
			r.t.Errorf("case %d stands in Slack %d times, want once", n, got[n])
		}
	}
	for n := range got {
		if !want[n] {
			r.t.Errorf("case %d was made up", n)
		}
	}
	if r.t.Failed() {
		for _, p := range r.slack.Posts("") {
			r.t.Logf("%s %s thread=%q %v", p.At.Format("15:04:05.000"), p.ChannelName, p.ThreadTS, casesOf(p))
		}
	}
}

// ascending fails unless a channel shows its cases in order.
func (r *rig) ascending(channel string) {
	r.t.Helper()
	if got := r.cases(channel); !slices.IsSorted(got) {
		r.t.Errorf("#%s shows %v, want them in order", channel, got)
	}
}

// aTranscript is a call of which several messages are made: itself, and the parts of its transcript in its thread.
func aTranscript(n int, tag string, cases map[int]bool) string {
	var lines []string
	for i := range 60 {
		lines = append(lines, fmt.Sprintf(`{"source":"AGENT","text":"case %d %s"}`, n*100+i, strings.Repeat("word ", 30)))
		cases[n*100+i] = true
	}
	cases[n] = true
	return strings.Replace(aCall(n, tag), `"data":{`, `"data":{"transcriptions":[`+strings.Join(lines, ",")+`],`, 1)
}

const severalKinds = `default_channel: "#chain"
ops_channel: "#ops"
rules:
  - {name: a, match: {tag: a}, channel: "#a"}
  - {name: transcripts, match: {tag: tr}, channel: "#tr", transcript: thread}
  - {name: theirs, match: {topic: SMS_RECEIVED}, channel: "#texts"}
  - {name: ours, match: {topic: SMS_SENT}, channel: "#texts"}`

// saying is what Allo says, and when.
type saying struct {
	at   time.Duration
	body string
}

// aBurst is what Allo says within twelve seconds, and the cases that it makes.
func aBurst() (all []saying, cases map[int]bool) {
	cases = map[int]bool{}
	add := func(at time.Duration, n int, body string) {
		all = append(all, saying{at, body})
		cases[n] = true
	}
	for n := 1; n <= 3; n++ { // one by one
		add(time.Duration(n)*300*time.Millisecond, n, aCall(n, "a"))
	}
	for n := 4; n <= 22; n++ { // digests
		add(3*time.Second+time.Duration(n)*20*time.Millisecond, n, aCall(n, "a"))
	}
	add(9*time.Second, 23, aCall(23, "a"))
	for n := range 12 { // three conversations
		direction := []string{"INBOUND", "OUTBOUND"}[n/3%2]
		add(time.Duration(n)*700*time.Millisecond, 101+n, aText(n, direction, fmt.Sprintf("+3361111110%d", n%3), fmt.Sprintf("case %d", 101+n)))
	}
	for n := range 6 { // six that stand in a digest, and then go on
		add(9*time.Second+time.Duration(n/6)*time.Second, 121+n, aText(100+n, "OUTBOUND", fmt.Sprintf("+3362222220%d", n), fmt.Sprintf("case %d", 121+n)))
	}
	add(time.Second, 201, aTranscript(201, "tr", cases))
	add(4*time.Second, 202, aTranscript(202, "tr", cases))
	for n := 1; n <= 3; n++ {
		add(time.Duration(n)*2*time.Second, 400+n, strings.Replace(transferred(n, n, ourNo, "Line"), fmt.Sprintf("case %d", n), fmt.Sprintf("case %d", 400+n), 1))
	}
	slices.SortStableFunc(all, func(a, b saying) int { return int(a.at - b.at) })
	return all, cases
}

// say has Allo say what is to be said within a time of a burst.
func (r *rig) say(all []saying, began time.Time, until time.Duration) (rest []saying) {
	r.t.Helper()
	for len(all) > 0 && all[0].at <= until {
		pass(time.Until(began.Add(all[0].at)))
		r.accept(all[0].body)
		all = all[1:]
	}
	pass(time.Until(began.Add(until)))
	return all
}

// A store that is restored from a copy of any moment of a burst, and is told again what it doesn't know: all is in Slack,
// and once.
func TestARestoredStore(t *testing.T) {
	const end = 26 * time.Second
	faults := []fakeslack.Fault{
		{Kind: fakeslack.DropAfterAccept}, {Kind: fakeslack.CutBefore}, {Kind: fakeslack.Status}, {Kind: fakeslack.StatusAfterAccept},
		{Kind: fakeslack.RateLimit, RetryAfter: 2 * time.Second}, {Code: "request_timeout"}, {Kind: fakeslack.Slow, Delay: 2 * time.Second},
	}
	for i := range 32 {
		at := time.Duration(i) * 700 * time.Millisecond
		faulty, soon := i%2 == 1, i/2%2 == 1 // soon: the copy is put back soon
		bubbleIn(t, fmt.Sprint(at), func(t *testing.T) {
			r := newRig(t, severalKinds, "a", "tr", "texts", "chain", "ops").start()
			pass(time.Minute)
			if faulty {
				r.slack.Chaos(func(method, _ string) *fakeslack.Fault {
					if f := faults[rand.IntN(len(faults))]; method == "chat.postMessage" && rand.IntN(3) == 0 {
						return &f
					}
					return nil
				})
			}
			began := time.Now()
			burst, cases := aBurst()
			r.note("1", "case 301")
			cases[301] = true
			rest := r.say(burst, began, at)
			snapshot := r.snapshot()
			gone := slices.Clone(rest)
			until := end
			if soon {
				until = at + 5*time.Second
			}
			r.say(rest, began, until)
			r.restore(snapshot)
			r.slack.ClearFaults()
			pass(40 * time.Second)
			r.start()
			if soon {
				slices.Reverse(gone) // Allo's calls come the latest first
			}
			for i, e := range gone {
				if strings.Contains(e.body, "CALL_RECEIVED") && i%2 == 0 {
					r.recover(e.body)
				} else {
					r.accept(e.body)
				}
			}
			r.once(cases)
			if !soon {
				r.ascending("a")
			}
			if n := r.count("allo_slack_unsure_total", "unreadable"); n != 0 {
				t.Errorf("%v histories could not be read", n)
			}
		})
	}
}

// lookBack is how often histories of channels, and of threads, were read.
func (r *rig) lookBack() (channels, threads int) {
	return len(r.slack.Calls("conversations.history")), len(r.slack.Calls("conversations.replies"))
}

// A store that is a day old, and the calls of a day, which are found again: none is posted again, nor after a restart soon
// after.
func TestADayIsRestored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, severalKinds, "a", "tr", "texts", "chain", "ops").start()
		pass(time.Minute)
		cases := map[int]bool{}
		var all []string
		add := func(n int, body string) {
			all, cases[n] = append(all, body), true
			r.accept(body)
		}
		add(1, aCall(1, "a"))
		pass(time.Minute)
		snapshot := r.vacuumed()
		for hour := range 24 {
			for i := range 1 + hour%8 {
				n := 2 + hour*10 + i
				add(n, aCall(n, "a"))
			}
			if hour%6 == 0 {
				add(1000+hour, aTranscript(1000+hour, "tr", cases))
			}
			pass(30 * time.Second)
			r.stop() // to run costs time
			pass(time.Hour - 30*time.Second)
			r.start()
		}
		posts := len(r.slack.Posts(""))
		r.restore(snapshot)
		pass(time.Hour)
		histories, _ := r.lookBack()
		for round := range 3 {
			r.start()
			pass(15 * time.Second)
			slices.Reverse(all)
			for i, body := range all {
				if round == 0 && i%2 == 0 {
					continue // found by the process after the next
				}
				r.recover(body)
			}
			pass(2 * time.Second)
			r.kill()
			pass(2 * time.Second)
		}
		r.start()
		r.once(cases)
		if n := len(r.slack.Posts("")); n != posts {
			t.Errorf("%d messages, want %d as before", n, posts)
		}
		if n, _ := r.lookBack(); n-histories > 3*2 {
			t.Errorf("histories were read %d times, want once a channel and process at most", n-histories)
		}
	})
}

// A restored store gives ids out again, to other calls. None is taken for what Slack has.
func TestIdsThatAreGivenOutAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, severalKinds, "a", "tr", "texts", "chain", "ops").start()
		pass(time.Minute)
		snapshot := r.snapshot()
		cases := map[int]bool{}
		for n := 1; n <= 9; n++ {
			r.accept(aCall(n, "a"))
			cases[n], cases[10+n] = true, true
		}
		r.accept(aTranscript(500, "tr", cases))
		r.accept(aText(1, "OUTBOUND", customerNo, "case 51"))
		pass(time.Minute)
		r.restore(snapshot)
		pass(time.Hour)
		r.start()
		for n := 11; n <= 19; n++ {
			r.accept(aCall(n, "a"))
		}
		r.accept(aTranscript(600, "tr", cases))
		r.accept(aText(2, "OUTBOUND", customerNo, "case 52"))
		cases[51], cases[52] = true, true
		r.once(cases)
		if n := r.count("allo_slack_unsure_total", "found"); n != 0 {
			t.Errorf("%v were found in Slack, want none", n)
		}
	})
}

// What is said later of a call that was found in Slack is told in its message.
func TestALateTagOfWhatWasFound(t *testing.T) {
	for name, later := range map[string]func(r *rig){
		"after it was found": func(r *rig) {
			r.start()
			r.recover(aCall(1, "a"))
			pass(time.Minute)
			r.accept(tagEvent("tag.added", 1, "Urgent", 1))
		},
		"before it was found": func(r *rig) {
			r.wire.Refuse(true)
			r.start()
			r.wire.Refuse(true)
			r.recover(aCall(1, "a"))
			pass(time.Second)
			r.accept(tagEvent("tag.added", 1, "Urgent", 1))
			pass(time.Second)
			r.wire.Refuse(false)
		},
		"with it": func(r *rig) {
			r.start()
			r.recover(strings.Replace(aCall(1, "a"), `"tag":"a"`, `"tags":[{"name":"a"},{"name":"Urgent"}]`, 1))
		},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			r := newRig(t, severalKinds, "a", "tr", "texts", "chain", "ops").start()
			pass(time.Minute)
			snapshot := r.snapshot()
			r.accept(aCall(1, "a"))
			pass(time.Minute)
			r.restore(snapshot)
			pass(time.Hour)
			later(r)
			r.once(map[int]bool{1: true})
			if p := r.slack.Posts("a")[0]; !strings.Contains(string(p.Blocks), "Urgent") {
				t.Errorf("the message says %s; want the tag too", p.Blocks)
			}
		})
	}
}

// A digest of which the restored store knows a part is not written over, until it knows the rest.
func TestADigestOfWhichAPartIsKnown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, severalKinds, "a", "tr", "texts", "chain", "ops").start()
		pass(time.Minute)
		r.calls("a", 1, 1)
		pass(100 * time.Millisecond)
		r.calls("a", 2, 5)
		snapshot := r.snapshot()
		r.calls("a", 6, 9)
		pass(time.Minute)
		if n := len(r.slack.Posts("a")); n != 2 {
			t.Fatalf("%d messages, want a call and a digest", n)
		}
		r.restore(snapshot)
		pass(time.Hour)
		r.start()
		pass(time.Minute)
		r.accept(tagEvent("tag.added", 3, "Urgent", 1))
		r.accept(aCall(7, "a"))
		pass(5 * time.Minute)
		r.exactly("a", 1, 9)
		if p := r.slack.Posts("a")[1]; p.Edited {
			t.Errorf("the digest was written over: %s", p.Text)
		}
		for _, n := range []int{6, 9, 8} {
			r.recover(aCall(n, "a"))
		}
		pass(5 * time.Minute)
		if p := r.slack.Posts("a")[1]; !p.Edited {
			t.Error("the digest was not brought up to date, though all of it is known again")
		}
		cases := map[int]bool{}
		for n := 1; n <= 9; n++ {
			cases[n] = true
		}
		r.once(cases)
	})
}

// What Slack refused for good, and a person sends again after the store was restored, is sent.
func TestReplayAfterARestore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, byTag, "a", "b", "c")
		refuse := true
		r.before(func(method string, form url.Values, w http.ResponseWriter) bool {
			if method == "chat.postMessage" && refuse && strings.Contains(form.Get("text")+form.Get("blocks"), "case 2") {
				fmt.Fprint(w, `{"ok":false,"error":"msg_too_long"}`)
				return true
			}
			return false
		})
		r.start()
		pass(time.Minute)
		r.calls("a", 1, 3)
		pass(time.Minute)
		if got := r.cases("a"); !slices.Equal(got, []int{1, 3}) {
			t.Fatalf("#a shows %v", got)
		}
		snapshot := r.snapshot()
		pass(time.Hour)
		r.restore(snapshot)
		refuse = false
		r.start()
		pass(time.Minute)
		failed := r.failed()
		if len(failed) != 1 {
			t.Fatalf("%d need a person, want 1", len(failed))
		}
		done, err := replay(t.Context(), r.store, outbox.Selection{IDs: []int64{failed[0].ID}}, time.Now())
		if err != nil || done.Sent != 1 {
			t.Fatalf("Replay: %+v, %v", done, err)
		}
		pass(time.Minute)
		if got := r.cases("a"); !slices.Equal(got, []int{1, 3, 2}) {
			t.Errorf("#a shows %v, want what was sent again last", got)
		}
	})
}

// What others post is nothing of ours, whatever it carries.
func TestForgedMetadata(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, severalKinds, "a", "tr", "texts", "chain", "ops").start()
		pass(time.Minute)
		snapshot := r.snapshot()
		cases := map[int]bool{}
		for n := 1; n <= 3; n++ {
			r.calls("a", n, n)
			cases[n] = true
			pass(2 * time.Second)
		}
		r.accept(aText(1, "OUTBOUND", customerNo, "case 51"))
		pass(2 * time.Second)
		r.accept(aText(2, "OUTBOUND", customerNo, "case 52"))
		for n := 1; n <= 2; n++ {
			r.accept(strings.Replace(transferred(n, n, ourNo, "Line"), "case ", "case 40", 1))
			pass(2 * time.Second)
		}
		pass(time.Minute)
		forge := func(channel, id, shown, more string) {
			raw := fmt.Sprintf(`{"user":"U0SOMEBODY","app_id":"A0OTHER","text":"x","metadata":{"event_type":"allo_delivery","event_payload":{"delivery_id":%s,"deliveries":%s}}%s}`, id, shown, more)
			if ts := r.slack.Others(channel, json.RawMessage(raw)); ts[0] == "" {
				t.Fatal(raw)
			}
		}
		for _, p := range r.slack.Posts("") {
			var m struct {
				Payload map[string]json.RawMessage `json:"event_payload"`
			}
			if err := json.Unmarshal(p.Metadata, &m); err != nil {
				t.Fatal(err)
			}
			shown := string(m.Payload["deliveries"])
			for _, channel := range []string{"a", "tr", "texts", "chain"} {
				forge(channel, `"other"`, shown, "")
				forge(channel, string(m.Payload["delivery_id"]), shown, "")
				forge(channel, `"other"`, shown, `,"thread_ts":"`+p.TS+`"`)
				forge(channel, `"other"`, shown, `,"thread_ts":"`+p.ThreadTS+`"`)
			}
		}
		for _, shown := range []string{`"AAAAAAAAAAAA"`, `""`, `" "`, `"."`, `". . ."`, `7`, `null`, `[]`, `["AAAAAAAAAAAA"]`, `{"a":1}`, `true`, `"` + strings.Repeat("A ", 20_000) + `"`, `"\ud800\u0000"`} {
			forge("a", `"other"`, shown, "")
			forge("a", shown, `"AAAAAAAAAAAA"`, "")
		}
		r.restore(snapshot)
		pass(time.Hour)
		r.start()
		for n := 1; n <= 4; n++ {
			r.recover(aCall(n, "a"))
		}
		r.accept(aText(2, "OUTBOUND", customerNo, "case 52"))
		r.accept(aText(1, "OUTBOUND", customerNo, "case 51"))
		r.accept(aText(3, "OUTBOUND", customerNo, "case 53"))
		for n := 2; n >= 1; n-- {
			r.recover(strings.Replace(transferred(n, n, ourNo, "Line"), "case ", "case 40", 1))
		}
		for _, n := range []int{4, 51, 52, 53, 401, 402} {
			cases[n] = true
		}
		r.accept(tagEvent("tag.added", 2, "Urgent", 1))
		r.once(cases)
		if p := r.slack.Posts("a")[1]; !strings.Contains(string(p.Blocks), "Urgent") {
			t.Errorf("the message says %s; want the tag too", p.Blocks)
		}
		for _, c := range r.slack.Calls("chat.update") {
			if c.Err != "" && c.Form.Get("channel") == r.id("a") {
				t.Errorf("chat.update was answered %s", c.Err)
			}
		}
	})
}

// Where history can't be read it is told, counted, and posted all the same.
func TestARestoreWhereHistoryCannotBeRead(t *testing.T) {
	for name, deny := range map[string]func(r *rig) bool{
		"missing scope": func(r *rig) bool {
			r.slack.Fault(fakeslack.Fault{Method: "conversations.history", Count: -1, Code: "missing_scope"})
			r.slack.Fault(fakeslack.Fault{Method: "conversations.replies", Count: -1, Code: "missing_scope"})
			return true
		},
		"not in the channel": func(r *rig) bool {
			r.slack.SetChannel("texts", func(c *fakeslack.Channel) { c.BotIsMember = false })
			r.slack.Fault(fakeslack.Fault{Method: "conversations.join", Count: -1, Code: "restricted_action"})
			return true
		},
		"removed from it, and in it again": func(r *rig) bool {
			r.slack.SetChannel("texts", func(c *fakeslack.Channel) { c.BotIsMember = false })
			return false
		},
		"odd for ever": func(r *rig) bool {
			r.slack.Fault(fakeslack.Fault{Method: "conversations.history", Count: -1, Kind: fakeslack.OddPage, Body: "7"})
			r.slack.Fault(fakeslack.Fault{Method: "conversations.replies", Count: -1, Kind: fakeslack.OddPage, Body: "7"})
			return true
		},
		"without an end": func(r *rig) bool {
			r.slack.Fault(fakeslack.Fault{Method: "conversations.history", Count: -1, Kind: fakeslack.NewCursors})
			r.slack.Fault(fakeslack.Fault{Method: "conversations.replies", Count: -1, Kind: fakeslack.EndlessCursor})
			return true
		},
	} {
		bubbleIn(t, name, func(t *testing.T) {
			options := fakeslack.Options{Token: testToken, Scopes: append(fakeslack.DefaultScopes(), "chat:write.public")}
			for _, name := range []string{"a", "tr", "texts", "chain", "ops"} {
				options.Channels = append(options.Channels, fakeslack.Channel{Name: name})
			}
			r := newRigWith(t, severalKinds, options).start()
			pass(time.Minute)
			for n := range 30 { // threads
				r.accept(aText(n, "OUTBOUND", fmt.Sprintf("+336111111%02d", n), fmt.Sprintf("case %d", n)))
				pass(1200 * time.Millisecond)
			}
			pass(time.Minute)
			r.kill()
			pass(time.Hour)
			unreadable := deny(r)
			r.start()
			for n := range 30 {
				r.accept(aText(100+n, "OUTBOUND", fmt.Sprintf("+336111111%02d", n), fmt.Sprintf("case %d", 100+n)))
			}
			began := time.Now()
			for range 400 {
				if len(r.cases("texts")) == 60 {
					break
				}
				pass(5 * time.Second)
			}
			t.Logf("it took %v", time.Since(began))
			if took := time.Since(began); took > 7*time.Minute {
				t.Errorf("it took %v until all was posted", took)
			}
			if n := r.count("allo_slack_unsure_total", "unreadable"); (n > 0) != unreadable {
				t.Errorf("%v could not be read", n)
			}
			if n := strings.Count(r.log.String(), "history can't be read"); (n > 0) != unreadable || n > 5 {
				t.Errorf("the log says %d times that history can't be read", n)
			}
			if got := r.cases("texts"); len(got) != 60 {
				t.Errorf("#texts shows %v", got)
			}
		})
	}
}

// A restart reads no history; after a downtime each channel, and each thread that is posted in, is read once.
func TestHowMuchIsReadBack(t *testing.T) {
	for _, c := range []struct {
		name              string
		down              time.Duration
		channels, threads int
	}{
		{"a restart", 15 * time.Second, 0, 0},
		{"a downtime", time.Hour, 2, 30},
	} {
		bubbleIn(t, c.name, func(t *testing.T) {
			r := newRig(t, severalKinds, "a", "tr", "texts", "chain", "ops").start()
			pass(time.Minute)
			for n := range 30 {
				r.accept(aText(n, "OUTBOUND", fmt.Sprintf("+336111111%02d", n), fmt.Sprintf("case %d", n)))
				pass(1200 * time.Millisecond)
			}
			pass(time.Minute)
			r.kill()
			pass(c.down)
			r.start()
			pass(2 * time.Second)
			cases := map[int]bool{}
			for n := range 30 {
				r.accept(aText(100+n, "OUTBOUND", fmt.Sprintf("+336111111%02d", n), fmt.Sprintf("case %d", 100+n)))
				cases[n], cases[100+n] = true, true
			}
			for n := 201; n < 220; n++ {
				r.accept(aCall(n, "a"))
				cases[n] = true
			}
			began := time.Now()
			for len(r.cases("texts")) < 60 && time.Since(began) < time.Hour {
				pass(time.Second)
			}
			t.Logf("it took %v", time.Since(began))
			if took := time.Since(began); took > 90*time.Second {
				t.Errorf("it took %v until all was posted", took)
			}
			r.once(cases)
			if channels, threads := r.lookBack(); channels != c.channels || threads > c.threads {
				t.Errorf("%d histories of channels and %d of threads were read, want %d and at most %d", channels, threads, c.channels, c.threads)
			}
			// What began since then is not looked through.
			_, before := r.lookBack()
			r.accept(aTranscript(300, "tr", cases))
			r.accept(aText(500, "OUTBOUND", "+33699999999", "case 501"))
			pass(time.Minute)
			r.accept(aText(501, "OUTBOUND", "+33699999999", "case 502"))
			cases[501], cases[502] = true, true
			r.once(cases)
			if _, threads := r.lookBack(); threads != before {
				t.Errorf("%d threads were read that are younger than the process", threads-before)
			}
		})
	}
}

// Our clock may be far from Slack's, and the copy be made at any moment after a start.
func TestARestoreWithAnotherClock(t *testing.T) {
	for _, off := range []time.Duration{-20 * time.Minute, -7 * time.Minute, 7 * time.Minute, 20 * time.Minute} {
		for _, after := range []time.Duration{0, time.Second, 25 * time.Second, time.Minute} {
			bubbleIn(t, fmt.Sprint(off, after), func(t *testing.T) {
				r := newRigWith(t, byTag, fakeslack.Options{
					Token: testToken, Channels: []fakeslack.Channel{{Name: "a"}, {Name: "b"}}, Clock: func() time.Time { return time.Now().Add(off) },
				})
				if after != time.Minute { // not the first start ever
					r.start()
					pass(5 * time.Minute)
					r.stop()
					pass(20 * time.Second)
				}
				r.open()
				r.wire.Refuse(true) // Slack tells its time late
				r.run()
				pass(after % time.Minute)
				snapshot := r.snapshot()
				r.wire.Refuse(false)
				cases := map[int]bool{}
				for n := 1; n <= 9; n++ {
					cases[n] = true
				}
				r.calls("a", 1, 9)
				pass(25 * time.Second)
				r.restore(snapshot)
				pass(31 * time.Second)
				r.start()
				r.calls("a", 1, 9)
				r.once(cases)
			})
		}
	}
}

// aContact is a contact's change, as the second generation tells it.
func aContact(n int, at string) string {
	return fmt.Sprintf(`{"topic":"contact.updated","version":"2.0","timestamp":%q,"data":{"id":"contact-1","name":"case %d","numbers":[%q]}}`, at, n, customerNo)
}

// A contact's change has no id. One that is told again is still recognised, by when it was said; the same change made again
// later is another one.
func TestAContactsChangeIsRestored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		pass(time.Minute)
		snapshot := r.snapshot()
		r.accept(aContact(1, "2000-01-01T00:01:00Z"))
		pass(20 * time.Minute)
		r.accept(aContact(2, "2000-01-01T00:21:00Z"))
		pass(20 * time.Minute)
		r.restore(snapshot)
		pass(time.Hour)
		r.start()
		for _, change := range []string{aContact(1, "2000-01-01T00:01:00Z"), aContact(2, "2000-01-01T00:21:00Z"), aContact(1, "2000-01-01T01:41:00Z")} {
			r.accept(change)
			pass(20 * time.Minute)
		}
		if posts := r.slack.Posts("support"); len(posts) != 3 {
			t.Errorf("%d messages, want the two changes and the one back", len(posts))
			for _, p := range posts {
				t.Log(p.Text)
			}
		}
	})
}

// A copy whose clock was ahead of ours is recognised as one too.
func TestARestoreFromTheFuture(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		pass(time.Minute)
		now, _, _ := r.bot.slack.Now()
		value, err := json.Marshal(beat{now.Add(3 * time.Hour), now})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.store.SetFact(t.Context(), heartbeat, value); err != nil {
			t.Fatal(err)
		}
		snapshot := r.snapshot()
		r.calls("", 1, 9)
		pass(25 * time.Second)
		r.restore(snapshot)
		pass(time.Hour)
		r.start()
		r.calls("", 1, 9)
		pass(time.Minute)
		r.exactly("support", 1, 9)
	})
}

// What is to be told of a message that was on its way when the copy was made is told once the message is found.
func TestAnUpdateOfWhatIsFoundIsMade(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, byTag, "a", "b", "c").start()
		pass(time.Minute)
		r.slack.Fault(fakeslack.Fault{Kind: fakeslack.Slow, Delay: 5 * time.Second})
		r.calls("a", 1, 1)
		pass(time.Second)
		r.accept(tagEvent("tag.added", 1, "Urgent", 1))
		pass(time.Second)
		snapshot := r.snapshot()
		r.slack.Fault(fakeslack.Fault{Method: "chat.update", Kind: fakeslack.CutBefore, Count: -1})
		pass(4 * time.Second)
		r.restore(snapshot)
		r.slack.ClearFaults()
		pass(time.Hour)
		r.start()
		r.once(map[int]bool{1: true})
		if p := r.slack.Posts("a")[0]; !strings.Contains(string(p.Blocks), "Urgent") {
			t.Errorf("the message says %s; want the tag too", p.Blocks)
		}
	})
}

// After two days nothing is looked for any more, in a process that goes on and in the next one.
func TestARestoreIsOver(t *testing.T) {
	for _, restart := range []bool{false, true} {
		bubbleIn(t, fmt.Sprint(restart), func(t *testing.T) {
			r := newRig(t, severalKinds, "a", "tr", "texts", "chain", "ops").start()
			pass(time.Minute)
			r.accept(aText(1, "OUTBOUND", customerNo, "case 1"))
			pass(time.Minute)
			r.kill()
			pass(time.Hour)
			r.open()
			noted := r.bot.restored.gap
			noted.Noted = time.Now().Add(-gapLasts)
			if restart {
				if err := r.bot.restored.keep(t.Context(), gapFact, noted); err != nil {
					t.Fatal(err)
				}
				r.run()
				pass(time.Second)
				r.kill()
				pass(5 * time.Second)
				r.open()
			} else {
				r.bot.restored.gap = noted
			}
			r.run()
			pass(time.Second)
			r.accept(aText(2, "OUTBOUND", customerNo, "case 2"))
			r.calls("a", 3, 3)
			r.once(map[int]bool{1: true, 2: true, 3: true})
			if channels, threads := r.lookBack(); channels+threads != 0 {
				t.Errorf("%d histories of channels and %d of threads were read, want none", channels, threads)
			}
		})
	}
}

// A link to a call's page shows that call, whatever the restored store gave its id to.
func TestAPageOfAnIdThatIsGivenOutAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, byTag, "a", "b", "c")
		type link struct {
			event    int64
			rule     string
			received time.Time
		}
		links := map[string]link{}
		r.callLink = func(event int64, rule string, received time.Time) string {
			url := fmt.Sprintf("https://bot.example.com/calls/%d-%s-%d", event, rule, received.UnixMilli())
			links[url] = link{event, rule, received}
			return url
		}
		recorded := func(n int) string {
			return strings.Replace(aCall(n, "a"), `"data":{`, fmt.Sprintf(`"data":{"recording_url":"https://storage.withallo.com/%d",`, n), 1)
		}
		r.start()
		pass(time.Minute)
		snapshot := r.snapshot()
		r.accept(recorded(1))
		pass(time.Minute)
		r.restore(snapshot)
		pass(time.Hour)
		r.start()
		r.accept(recorded(2)) // has the id that the other had
		pass(time.Second)
		r.recover(recorded(1))
		r.once(map[int]bool{1: true, 2: true})
		if len(links) < 2 {
			t.Fatalf("there are %d links", len(links))
		}
		for url, l := range links {
			it, _, err := r.bot.Shown(t.Context(), l.event, l.rule, l.received)
			if err != nil {
				t.Fatal(err)
			}
			for n, p := range r.slack.Posts("a") {
				if !strings.Contains(string(p.Blocks), url+"\"") {
					continue
				}
				if it == nil {
					t.Errorf("the link of message %d shows nothing", n+1)
				} else if want := casesOf(p)[0]; it.Event.ID != fmt.Sprint("call-", want) {
					t.Errorf("the link of message %d shows %s, want call %d", n+1, it.Event.ID, want)
				}
			}
			if it != nil && l.received.Before(time.Now().Add(-30*time.Minute)) {
				t.Errorf("a link of before the restore shows %s", it.Event.ID)
			}
		}
	})
}

// Copies made and put back again and again, also of a store that was restored itself, crashes between them, and a faulty
// Slack: all is in Slack, and once.
func TestRestoredAgainAndAgain(t *testing.T) {
	seeds := 4
	if n, err := strconv.Atoi(os.Getenv("RESTORES")); err == nil {
		seeds = n
	}
	for seed := range seeds {
		bubbleIn(t, fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(seed), 7))
			var mu sync.Mutex // Slack asks about several calls at once
			intN := func(n int) int {
				mu.Lock()
				defer mu.Unlock()
				return random.IntN(n)
			}
			r := newRig(t, severalKinds, "a", "tr", "texts", "chain", "ops").start()
			pass(time.Minute)
			faults := []fakeslack.Fault{
				{Kind: fakeslack.DropAfterAccept}, {Kind: fakeslack.CutBefore}, {Kind: fakeslack.Status}, {Kind: fakeslack.StatusAfterAccept}, {Kind: fakeslack.HalfAnswer},
				{Kind: fakeslack.RateLimit, RetryAfter: 3 * time.Second}, {Code: "request_timeout"}, {Kind: fakeslack.Slow, Delay: 2 * time.Second},
			}
			r.slack.Chaos(func(method, _ string) *fakeslack.Fault {
				often := 6
				if strings.HasPrefix(method, "conversations.") {
					often = 20
				}
				if f := faults[intN(len(faults))]; method != "auth.test" && intN(often) == 0 {
					return &f
				}
				return nil
			})
			type copied struct {
				path string
				told int
			}
			copies := []copied{{r.snapshot(), 0}}
			burst, cases := aBurst()
			said := 0
			for said < len(burst) || intN(3) > 0 {
				for range intN(12) {
					if said < len(burst) {
						r.accept(burst[said].body)
						said++
					}
					pass(time.Duration(intN(600)) * time.Millisecond)
				}
				pass(time.Duration(intN(4000)) * time.Millisecond)
				switch intN(4) {
				case 0:
					copies = append(copies, copied{r.snapshot(), said})
				case 1:
					r.crash()
					pass(time.Duration(intN(3)) * 25 * time.Second)
					r.start()
				case 2:
					from := copies[intN(len(copies))]
					r.restore(from.path)
					pass(31*time.Second + time.Duration(intN(300))*time.Second)
					r.start()
					if intN(3) == 0 {
						pass(time.Duration(intN(3000)) * time.Millisecond)
						r.crash()
						r.start()
					}
					again := slices.Clone(burst[from.told:said])
					if intN(2) == 0 {
						slices.Reverse(again)
					}
					for _, e := range again {
						if strings.Contains(e.body, "CALL_RECEIVED") && intN(2) == 0 {
							r.recover(e.body)
						} else {
							r.accept(e.body)
						}
						if intN(5) == 0 {
							pass(time.Duration(intN(500)) * time.Millisecond)
						}
					}
				}
			}
			r.slack.ClearFaults()
			r.once(cases)
			if n := r.count("allo_slack_unsure_total", "unreadable"); n != 0 {
				t.Errorf("%v histories could not be read", n)
			}
		})
	}
}
