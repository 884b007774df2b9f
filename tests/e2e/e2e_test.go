package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"allo-slack/allo"
	"allo-slack/fakeslack"
	"allo-slack/tests/process"
)

func TestMain(m *testing.M) { process.Main(m) }

// rig is a Slack of this test's own, and what a bot needs to work with it.
type rig struct {
	t     *testing.T
	slack *fakeslack.Server
	env   []string
}

func newRig(t *testing.T, rules string, channels ...string) *rig {
	t.Helper()
	return newRigWith(t, rules, fakeslack.Options{}, channels...)
}

func newRigWith(t *testing.T, rules string, options fakeslack.Options, channels ...string) *rig {
	t.Helper()
	options.Token = process.Token
	for _, name := range channels {
		options.Channels = append(options.Channels, fakeslack.Channel{Name: name})
	}
	r := &rig{t: t, slack: fakeslack.New(options)}
	url, stop, err := r.slack.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	dir := t.TempDir()
	file := filepath.Join(dir, "rules.yaml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	r.env = process.Environ(url, file, filepath.Join(dir, "test.db"))
	return r
}

// start starts a bot and waits until it takes events.
func (r *rig) start() *process.Bot {
	r.t.Helper()
	b := process.Run(r.t, r.env)
	if !b.Ready() {
		r.t.Fatalf("the program ended:\n%s", b.Log())
	}
	r.t.Cleanup(func() {
		if r.t.Failed() {
			r.t.Log(b.Log())
		}
	})
	return b
}

// post hands a bot an event that it has to answer with 200.
func (r *rig) post(b *process.Bot, body string) string {
	r.t.Helper()
	status, answer, err := b.Post(r.t.Context(), body)
	if err != nil || status != http.StatusOK {
		r.t.Fatalf("answer: %d %s, %v", status, answer, err)
	}
	return answer
}

// wait waits for n messages in a channel, "" for all.
func (r *rig) wait(channel string, n int) []fakeslack.Post {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 60*time.Second)
	defer cancel()
	posts, err := r.slack.WaitPosts(ctx, channel, n)
	if err != nil {
		r.t.Fatalf("#%s has %d messages, want %d", channel, len(posts), n)
	}
	return posts
}

func call(n int, tag string) string {
	return fmt.Sprintf(`{"topic":"CALL_RECEIVED","data":{"id":"call-%d","direction":"INBOUND","result":"ANSWERED","length_in_minutes":1,"from_number":"+14155550123",
		"from_name":"Zebulon Quagmire","to_number":"+33142685300","tag":%q,"one_sentence_summary":"case %03d"}}`, n, tag, n)
}

// cases are the calls that a channel shows, in order.
func (r *rig) cases(channel string) []string {
	var list []string
	for _, p := range r.slack.Posts(channel) {
		text := string(p.Blocks)
		for at := strings.Index(text, "case "); at >= 0; at = strings.Index(text, "case ") {
			list = append(list, text[at:at+8])
			text = text[at+8:]
		}
	}
	return list
}

// waitCases waits until a channel shows n calls, and for an idle moment after.
func (r *rig) waitCases(channel string, n int) {
	r.t.Helper()
	for posts := 1; len(r.cases(channel)) < n; posts++ {
		r.wait(channel, posts)
	}
}

const byTag = `rules:
  - {name: a, match: {tag: a}, channel: "#a"}
  - {name: b, match: {tag: b}, channel: "#b"}
  - {name: c, match: {tag: c}, channel: "#c"}`

func TestThePagesEventsReachTheirChannelsOnce(t *testing.T) {
	shipped, err := os.ReadFile("../../rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, string(shipped), "support", "sales", "texts", "contacts", "phone")
	b := r.start()
	want := map[string]string{"call_received": "support", "sms_received": "texts", "sms_sent": "texts", "contact_created": "contacts", "contact_updated": "contacts"}
	send := func(again bool) {
		for name := range want {
			body, err := allo.Samples.ReadFile("samples/" + name + ".json")
			if err != nil {
				t.Fatal(err)
			}
			for i := range 4 {
				answer := `{"status":"duplicate"}`
				if i == 0 && !again {
					answer = `{"status":"accepted"}`
				}
				if got := r.post(b, string(body)); got != answer {
					t.Errorf("%s, time %d: %s, want %s", name, i+1, got, answer)
				}
			}
		}
	}
	send(false)
	r.wait("", 5)
	if status, err := b.Stop(10 * time.Second); status != 0 || err != nil {
		t.Errorf("stopped with %d, %v", status, err)
	}
	b = r.start() // repeats are recognised after a restart too
	send(true)
	count := map[string]int{}
	for _, p := range r.slack.Posts("") {
		count[p.ChannelName]++
	}
	if count["support"] != 1 || count["texts"] != 2 || count["contacts"] != 2 || len(r.slack.Posts("")) != 5 {
		t.Errorf("messages: %v, want 1 in #support, 2 in #texts and 2 in #contacts", count)
	}
}

func TestKilledBetweenAnswerAndSend(t *testing.T) {
	r := newRig(t, byTag, "a", "b", "c")
	r.slack.Fault(fakeslack.Fault{Method: "*", Kind: fakeslack.CutBefore, Count: -1})
	b := r.start()
	for n := range 60 {
		r.post(b, call(n, string("abc"[n%3])))
	}
	b.Kill()
	if n := len(r.slack.Posts("")); n != 0 {
		t.Fatalf("%d messages went out though Slack was away", n)
	}
	r.slack.ClearFaults()
	r.start()
	for i, channel := range []string{"a", "b", "c"} {
		r.waitCases(channel, 20)
		var want []string
		for n := i; n < 60; n += 3 {
			want = append(want, fmt.Sprintf("case %03d", n))
		}
		if got := r.cases(channel); !slices.Equal(got, want) {
			t.Errorf("#%s shows %q, want %q", channel, got, want)
		}
	}
}

func TestKilledInMidSend(t *testing.T) {
	r := newRig(t, byTag, "a", "b", "c")
	b := r.start()
	r.post(b, call(1, "a"))
	r.wait("a", 1)
	r.slack.Fault(fakeslack.Fault{Kind: fakeslack.Slow, Delay: 700 * time.Millisecond}) // takes it, when nobody listens any more
	r.post(b, call(2, "a"))
	if _, err := r.slack.WaitCalls(t.Context(), "chat.postMessage", 1); err != nil {
		t.Fatal(err)
	}
	b.Kill()
	b = r.start()
	r.post(b, call(3, "a"))
	r.waitCases("a", 3)
	if got := r.cases("a"); !slices.Equal(got, []string{"case 001", "case 002", "case 003"}) {
		t.Errorf("#a shows %q, want each once and in order", got)
	}
}

func TestSigtermWhateverSlackDoes(t *testing.T) {
	for name, fault := range map[string]fakeslack.Fault{
		"well":          {},
		"slow":          {Method: "*", Kind: fakeslack.Slow, Delay: time.Minute, Count: -1},
		"away":          {Method: "*", Kind: fakeslack.CutBefore, Count: -1},
		"wants peace":   {Kind: fakeslack.RateLimit, RetryAfter: time.Minute},
		"loses answers": {Kind: fakeslack.DropAfterAccept, Count: -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, byTag, "a", "b", "c")
			b := r.start()
			r.post(b, call(0, "a"))
			r.wait("a", 1)
			if fault.Kind != "" {
				r.slack.Fault(fault)
			}
			before := len(r.slack.Calls(""))
			for n := 1; n <= 9; n++ {
				r.post(b, call(n, string("abc"[n%3])))
			}
			if _, err := r.slack.WaitCalls(t.Context(), "", before); err != nil {
				t.Fatal(err)
			}
			if status, err := b.Stop(10 * time.Second); status != 0 || err != nil {
				t.Errorf("stopped with %d, %v; want 0 within 10 s", status, err)
			}
			r.slack.ClearFaults()
			r.slack.SetToken(process.Token)
			if name == "slow" || name == "wants peace" {
				return // Slack's peace outlives the process; what waits is held by other tests
			}
			r.start()
			for channel, n := range map[string]int{"a": 4, "b": 3, "c": 3} {
				r.waitCases(channel, n)
				if got := r.cases(channel); len(got) != n || !slices.IsSorted(got) {
					t.Errorf("#%s shows %q, want %d, once and in order", channel, got, n)
				}
			}
		})
	}
}

func TestAnswersToWhatIsWrong(t *testing.T) {
	r := newRig(t, byTag, "a", "b", "c")
	b := r.start()
	public, metrics := b.URL()
	do := func(method, url, body string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	hook := public + "/webhook/" + process.Secret
	for _, tc := range []struct {
		name, method, url, body string
		want                    int
	}{
		{"wrong secret", "POST", public + "/webhook/wrong", call(1, "a"), 404},
		{"GET", "GET", hook, "", 405},
		{"no JSON", "POST", hook, "hello", 400},
		{"no envelope", "POST", hook, `{"topic":"CALL_RECEIVED"}`, 400},
		{"11 MiB", "POST", hook, strings.Repeat(" ", 11<<20), 413},
		{"elsewhere", "GET", public + "/", "", 404},
		{"metrics in public", "GET", public + "/metrics", "", 404},
		{"metrics", "GET", metrics + "/metrics", "", 200},
		{"health", "GET", public + "/healthz", "", 200},
	} {
		if got := do(tc.method, tc.url, tc.body); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
	r.post(b, call(1, "a"))
	r.wait("a", 1)
	for _, secret := range []string{process.Secret, process.Token, "Quagmire", "4155550123", "case 001"} {
		if strings.Contains(b.Log(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func TestOneStartTellsAllMistakes(t *testing.T) {
	r := newRig(t, "rules:\n  - name: one\n    match: {topic: CALL_RECIEVED}\n    chanel: \"#a\"\n")
	env := slices.DeleteFunc(slices.Clone(r.env), func(s string) bool {
		return strings.HasPrefix(s, "SLACK_BOT_TOKEN=") || strings.HasPrefix(s, "WEBHOOK_SECRET=")
	})
	b := process.Run(t, env)
	if status, err := b.Wait(20 * time.Second); status != 1 || err != nil {
		t.Errorf("ended with %d, %v; want 1", status, err)
	}
	for _, want := range []string{"SLACK_BOT_TOKEN is not set", "fly secrets set SLACK_BOT_TOKEN", "WEBHOOK_SECRET is not set", "openssl rand",
		"rules.yaml:3:20", `did you mean "CALL_RECEIVED"`, "rules.yaml:4:5", `did you mean "channel"`} {
		if !strings.Contains(b.Log(), want) {
			t.Errorf("not told: %s\n%s", want, b.Log())
		}
	}
}

func TestASecondBotIsRefused(t *testing.T) {
	r := newRig(t, byTag, "a", "b", "c")
	first := r.start()
	second := process.Run(t, r.env)
	if status, err := second.Wait(20 * time.Second); status != 1 || err != nil || !strings.Contains(second.Log(), "another allo-slack has it open") {
		t.Errorf("the second bot ended with %d, %v:\n%s", status, err, second.Log())
	}
	first.Kill() // the lock ends with its process
	r.start()
}
