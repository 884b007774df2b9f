package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"allo-slack/allo"
	"allo-slack/fakeallo"
	"allo-slack/fakeslack"
	"allo-slack/outbox"
)

const (
	cmdToken  = "xoxb-17-of-the-tests"
	cmdSecret = "the-secret-of-the-tests-0123"
	cmdKey    = "the-api-key-of-the-tests"
)

// desk is a folder with rules and a store, and what a command is run with.
type desk struct {
	t     *testing.T
	dir   string
	env   []string
	input string
}

func newDesk(t *testing.T, rules string) *desk {
	t.Helper()
	d := &desk{t: t, dir: t.TempDir()}
	d.rules(rules)
	d.env = []string{"RULES_FILE=" + d.dir + "/rules.yaml", "DATABASE_URL=sqlite:" + d.dir + "/test.db"}
	return d
}

func (d *desk) rules(text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, "rules.yaml"), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// run runs a command and returns all that it wrote, its error at the end.
func (d *desk) run(args ...string) (string, error) {
	d.t.Helper()
	var out bytes.Buffer
	err := Run(d.t.Context(), Process{Args: append([]string{"allo-slack"}, args...), Environ: d.env, In: strings.NewReader(d.input), Out: &out, Err: &out})
	if err != nil {
		out.WriteString(err.Error())
	}
	for _, secret := range []string{cmdToken, cmdSecret, cmdKey} {
		if strings.Contains(out.String(), secret) {
			d.t.Errorf("%q prints a secret: %s", args, out.String())
		}
	}
	return out.String(), err
}

// wants runs a command and fails unless it ends well or not, as said, and writes all the words.
func (d *desk) wants(well bool, args []string, words ...string) string {
	d.t.Helper()
	out, err := d.run(args...)
	if (err == nil) != well {
		d.t.Errorf("%q: error %v", args, err)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			d.t.Errorf("%q doesn't say %q:\n%s", args, w, out)
		}
	}
	return out
}

// store opens the desk's store as a bot does.
func (d *desk) store() *outbox.Store {
	d.t.Helper()
	s, err := outbox.Open(d.t.Context(), "sqlite:"+d.dir+"/test.db")
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { s.Close() })
	return s
}

const twoRules = `rules:
  - {name: billing, match: {topic: CALL_RECEIVED, tag: billing}, channel: "#billing", continue: true, transcript: thread}
  - {name: long, match: {if: minutes > 5}, channel: "#long"}
`

const billingCall = `{"topic":"CALL_RECEIVED","data":{"id":"c1","tag":"Billing","length_in_minutes":3,"from_number":"+33612345678","direction":"INBOUND","one_sentence_summary":"A refund."}}`

func TestExplain(t *testing.T) {
	d := newDesk(t, twoRules)
	d.input = billingCall
	d.wants(true, []string{"explain", "-"}, "yes  billing (line 2): matched: #billing", "no   long (line 3): if is false: minutes > 5", "goes to #billing", "#billing (transcript in its thread)", "A refund.")
	file := filepath.Join(d.dir, "event.json")
	if err := os.WriteFile(file, []byte(billingCall), 0o600); err != nil {
		t.Fatal(err)
	}
	var message struct {
		Text   string
		Blocks json.RawMessage
	}
	if out := d.wants(true, []string{"explain", file, "-json"}); json.Unmarshal([]byte(out), &message) != nil || fakeslack.Check(message.Text, string(message.Blocks), "") != nil {
		t.Errorf("not what Slack takes: %s", out)
	}
	d.wants(false, []string{"explain", d.dir + "/none.json"}, "no such file")
	d.wants(false, []string{"explain", "a", "b"}, "takes one event")
	d.input = "hello"
	d.wants(false, []string{"explain"}, "standard input", "not JSON")
	d.rules("rules:\n  - {name: x, match: {}, chanel: \"#a\"}\n")
	d.wants(false, []string{"explain"}, `did you mean "channel"`, "not JSON")
}

// route appends an event and lets it wait for channels.
func route(t *testing.T, s *outbox.Store, e outbox.Entry, rule string, channels ...string) {
	t.Helper()
	id, _, err := s.Append(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	d := outbox.Decision{Event: id}
	for _, c := range channels {
		d.Routes = append(d.Routes, outbox.Route{Channel: c, Rule: rule, Options: "{}"})
	}
	if _, err := s.Route(t.Context(), time.Now(), nil, outbox.Routing{Event: id, Fate: outbox.Routed, Decisions: []outbox.Decision{d}}); err != nil {
		t.Fatal(err)
	}
}

func TestExplainStored(t *testing.T) {
	d := newDesk(t, twoRules)
	s := d.store()
	add := func(id string, channels ...string) {
		t.Helper()
		route(t, s, outbox.Entry{Kind: outbox.Allo, Topic: "CALL_RECEIVED", Body: []byte(strings.Replace(billingCall, "c1", id, 1)), Received: time.Now(), Key: outbox.Key{Key: id}}, "", channels...)
	}
	add("c1", "#billing")
	add("c2", "#sales")
	add("c3")
	if err := s.Resolve(t.Context(), time.Now(), nil, outbox.Channel{Ref: "#billing", ID: "C0BILLING", Name: "billing"}); err != nil {
		t.Fatal(err)
	}
	d.wants(true, []string{"explain", "-stored"}, "event 2", "#sales -> #billing", "event 3", "nowhere -> #billing", "3 events in the last 24h0m0s, 2 of them would go elsewhere")
}

func TestFailedAndReplay(t *testing.T) {
	d := newDesk(t, twoRules)
	d.wants(false, []string{"failed"}, "there is no such store")
	s := d.store() // a bot has it open
	d.wants(true, []string{"failed"}, "nothing was set aside")
	for _, id := range []string{"c1", "c2", "c3"} {
		route(t, s, outbox.Entry{Kind: outbox.Allo, Topic: "CALL_RECEIVED", Body: []byte(billingCall), Received: time.Now().Add(-time.Hour), Key: outbox.Key{Key: id}}, "billing", "#suport")
	}
	waiting, err := s.Waiting(t.Context(), "#suport", time.Now(), 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	tick := outbox.Tick{At: time.Now()}
	p, err := s.Begin(t.Context(), "#suport", outbox.Message, waiting, tick)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Settle(t.Context(), p, outbox.Transition{Fate: outbox.Aside, Reason: "msg_too_long"}, tick); err != nil {
		t.Fatal(err)
	}
	stop := carryOut(t, s)
	d.wants(true, []string{"failed"}, "#suport", "set aside", "msg_too_long", "waits", "billing", "allo-slack replay")
	d.wants(true, []string{"failed", "-json"}, `"reason":"msg_too_long"`, `"state":"waits"`)
	d.wants(false, []string{"replay", "99"}, "99: nothing of this id")
	d.wants(true, []string{"replay", "-from", "#suport", "-channel", "#support"}, "3 deliveries to be sent")
	d.wants(true, []string{"replay", "-all"}, "0 deliveries to be sent")
	stop()
	s.Close()
	d.wants(true, []string{"failed"}, "#support", "waits") // with the bot stopped
	d.wants(true, []string{"replay", "-from", "#support", "-channel", "#sales"}, "3 deliveries to be sent")
	d.wants(true, []string{"failed"}, "#sales", "waits")
	for _, tc := range []struct {
		args []string
		says string
	}{
		{[]string{"replay"}, "say what to send again"}, {[]string{"replay", "x"}, "takes the ids"}, {[]string{"replay", "1", "-all"}, "not both"},
		{[]string{"replay", "-all", "-channel", "Support Team"}, `did you mean "#support-team"`}, {[]string{"failed", "x"}, "takes no arguments"},
	} {
		d.wants(false, tc.args, tc.says)
	}
}

// carryOut does what is asked for, as a bot that has the store open does, until it is stopped.
func carryOut(t *testing.T, s *outbox.Store) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var bot sync.WaitGroup
	bot.Go(func() {
		for ctx.Err() == nil {
			list, err := s.Unrouted(ctx, 10, 1<<20)
			for _, e := range list {
				if _, err = s.CarryOut(ctx, e.ID, time.Now()); err != nil {
					break
				}
			}
			if err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
			runtime.Gosched()
		}
	})
	return func() {
		cancel()
		bot.Wait()
	}
}

// connect gives a desk a Slack and an Allo of its own.
func (d *desk) connect(slack *fakeslack.Server, api *fakeallo.Server) {
	d.t.Helper()
	slackURL, stopSlack, err := slack.Listen()
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(stopSlack)
	apiURL, stopAPI, err := api.Listen()
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(stopAPI)
	d.env = append(d.env, "SLACK_BOT_TOKEN="+cmdToken, "WEBHOOK_SECRET="+cmdSecret, "SLACK_API_URL="+slackURL, "ALLO_API_KEY="+cmdKey, "ALLO_API_URL="+apiURL, "PUBLIC_URL=https://bot.example")
}

func TestDoctorAndWebhook(t *testing.T) {
	for _, generation := range []int{1, 2} {
		d := newDesk(t, `rules:
  - {name: a, match: {tag: billing, number: "+33142685300"}, channel: "#a"}
  - {name: b, match: {tag: unheard}, channel: "#old"}
  - {name: c, match: {topic: SMS_SENT}, channel: "#none"}
`)
		slack := fakeslack.New(fakeslack.Options{Token: cmdToken, Channels: []fakeslack.Channel{{Name: "a", BotIsMember: true}, {Name: "old", Archived: true}}})
		api := fakeallo.New(fakeallo.Options{Keys: map[string]fakeallo.Key{cmdKey: {Generation: generation}}, Tags: []string{"Billing"}, Numbers: []fakeallo.Number{{Number: "+33142685300", Name: "Main"}}})
		d.connect(slack, api)
		d.wants(false, []string{"doctor"}, "Slack takes the token", "has all scopes", "#a exists", "history can be read", "#old is archived", "#none: Slack knows no such channel", "-> create the channel",
			"test.db will be made", "Allo takes the key", "no webhook at Allo calls this bot", "-> allo-slack webhook create", "asking Slack", "asking Allo", "3 things are to mend")

		made := d.wants(true, []string{"webhook", "create", "--print-secret"}, "to bot.example")
		if signs := strings.Contains(made, "fly secrets set ALLO_SIGNING_SECRET=whsec_"); signs != (generation == 2) {
			t.Errorf("generation %d: %s", generation, made)
		}
		list := d.wants(true, []string{"webhook", "list"}, "https://bot.example/webhook/WEBHOOK_SECRET", "true")
		d.wants(false, []string{"doctor"}, "Allo calls this bot for all topics", "2 things are to mend")
		if generation == 2 {
			d.wants(false, []string{"doctor"}, `Allo knows no tag "unheard"`, "ALLO_SIGNING_SECRET is not set")
		}
		id := strings.Fields(strings.Split(list, "\n")[1])[0]
		d.wants(true, []string{"webhook", "delete", id}, "deleted")
		d.wants(false, []string{"webhook", "delete", id}, "404")
		d.wants(true, []string{"webhook", "list"}, "there are none")
		d.wants(false, []string{"webhook", "delete"}, "takes one id")

		slack.SetToken("xoxb-another")
		api.SetKeys(map[string]fakeallo.Key{"another": {}})
		d.wants(false, []string{"doctor"}, "Slack refuses the token", "Allo:")
	}
	d := newDesk(t, "rules: [{name: x, match: {}, chanel: \"#a\"}]")
	d.wants(false, []string{"doctor"}, "SLACK_BOT_TOKEN is not set", "WEBHOOK_SECRET is not set", "the rules are refused", `did you mean "channel"`, "ALLO_API_KEY is not set")
	d.wants(false, []string{"webhook", "create"}, "ALLO_API_KEY is not set")
}

// history is Allo's API with some calls.
type history struct {
	calls []allo.Event
	err   error
	since time.Time
}

func (h *history) Numbers(context.Context) ([]allo.OurNumber, error) {
	return []allo.OurNumber{{Number: "+33142685300"}}, nil
}

func (h *history) RecentCalls(_ context.Context, _ []string, since time.Time) iter.Seq2[allo.Event, error] {
	h.since = since
	return func(yield func(allo.Event, error) bool) {
		for _, e := range h.calls {
			if !yield(e, nil) {
				return
			}
		}
		if h.err != nil {
			yield(allo.Event{}, h.err)
		}
	}
}

// taken notes what was recovered.
type taken []string

func (t *taken) Recover(_ context.Context, e *allo.Event) (bool, error) {
	*t = append(*t, e.ID)
	return false, nil
}

func TestReconcile(t *testing.T) {
	now := time.Date(2026, 5, 6, 12, 0, 0, 0, time.UTC)
	ended := func(id string, ago time.Duration) allo.Event {
		return allo.Event{Topic: allo.CallReceived, ID: id, Call: &allo.Call{ID: id, Start: now.Add(-ago - 2*time.Minute), Minutes: 2, HasMinutes: true}}
	}
	d := newDesk(t, twoRules)
	h, bot := &history{calls: []allo.Event{ended("old", time.Hour), ended("fresh", 14*time.Minute), {Topic: allo.CallReceived, ID: "no time", Call: &allo.Call{}}}}, &taken{}
	r := newReconciler(h, bot, d.store(), 720*time.Hour, slog.New(slog.NewTextHandler(t.Output(), nil)))
	look := func(at time.Time) {
		t.Helper()
		if err := r.once(t.Context(), at); (err != nil) != (h.err != nil) {
			t.Fatal(err)
		}
	}
	look(now.Add(-4 * time.Hour))
	if len(*bot) != 0 {
		t.Fatalf("the first look took %q: what was before the bot is not its business", *bot)
	}
	look(now)
	if got := strings.Join(*bot, " "); got != "old" {
		t.Errorf("took %q, want old alone: fresh has 15 minutes for its event to come", got)
	}
	if want := now.Add(-4 * time.Hour); !h.since.Equal(want) {
		t.Errorf("looked back to %v, want %v: when the bot was set up", h.since, want)
	}
	h.err = errors.New("away")
	look(now.Add(10 * time.Minute))
	h.err = nil
	look(now.Add(20 * time.Minute))
	if want := now.Add(-reconcileAgain); !h.since.Equal(want) {
		t.Errorf("after a look that failed: back to %v, want %v", h.since, want)
	}
	look(now.Add(72 * time.Hour))
	if want := now.Add(72*time.Hour - reconcileBack - reconcileAgain); !h.since.Equal(want) {
		t.Errorf("after three days: back to %v, want %v", h.since, want)
	}
}

// resolved is a DNS that answers with records.
type resolved []string

func (r resolved) LookupTXT(context.Context, string) ([]string, error) { return r, nil }

func TestMachines(t *testing.T) {
	for records, want := range map[string]int{"": 0, "918571 cdg": 1, "918571 cdg,17843 cdg": 2} {
		if got := machines(t.Context(), resolved{records}, "app"); got != want {
			t.Errorf("%q: %d, want %d", records, got, want)
		}
	}
}

func TestSettingsAreAllTold(t *testing.T) {
	_, err := loadSettings([]string{"SLACK_BOT_TOKEN=xoxp-secret-one", "WEBHOOK_SECRET=short, with/slash-and-long-enough-12345,three", "PORT=eighty", "METRICS_PORT=9091", "RETENTION=1s",
		"SILENCE=-1h", "LOG_LEVEL=loud", "LOG_FORMAT=xml", "DATABASE_URL=mysql://x", "SLACK_API_URL=slack", "PUBLIC_URL=bot", "ALLO_SIGNING_SECRET=whsec_!", "RECONCILE=maybe", "CALL_LINK_TTL=1m"})
	if err == nil {
		t.Fatal("taken")
	}
	for _, name := range []string{"SLACK_BOT_TOKEN", "WEBHOOK_SECRET holds 3", "WEBHOOK_SECRET (number 1)", "WEBHOOK_SECRET (number 2)", "PORT can't be read", "RETENTION", "SILENCE", "LOG_LEVEL can't be read", "LOG_FORMAT",
		"DATABASE_URL", "SLACK_API_URL", "PUBLIC_URL", "ALLO_SIGNING_SECRET", "RECONCILE", "CALL_LINK_TTL"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("not told: %s\n%v", name, err)
		}
	}
	for _, secret := range []string{"xoxp-secret", "with/slash", "whsec_!"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error quotes %s", secret)
		}
	}
	s, err := loadSettings([]string{"SLACK_BOT_TOKEN=xoxb-1\n", "WEBHOOK_SECRET= " + cmdSecret + " \n", "PORT="})
	if err != nil || s.Port != 8080 || s.webhookSecrets()[0] != cmdSecret {
		t.Errorf("%+v, %v; want trimmed secrets, and what is set and empty as its default", s, err)
	}
}

// A token without one scope is told which, and channels that can be seen without it are looked at all the same.
func TestDoctorWithoutAScope(t *testing.T) {
	d := newDesk(t, `rules: [{name: a, match: {tag: a}, channel: "#a"}]`)
	slack := fakeslack.New(fakeslack.Options{Token: cmdToken, Channels: []fakeslack.Channel{{Name: "a", BotIsMember: true}},
		Scopes: []string{"chat:write", "channels:read", "channels:join", "channels:history"}})
	d.connect(slack, fakeallo.New(fakeallo.Options{Keys: map[string]fakeallo.Key{cmdKey: {Generation: 2}}}))
	d.wants(false, []string{"doctor"}, "the scope groups:read is missing", "#a exists, and the bot is in it")
}
