package notify

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"allo-slack/fakeslack"
	"allo-slack/outbox"
)

// fates are how many events were counted, by what became of them.
func (r *rig) fates() string {
	r.t.Helper()
	synctest.Wait() // until all is routed
	var list []string
	for _, fate := range []string{"routed", "muted", "unrouted", "duplicate"} {
		list = append(list, fmt.Sprintf("%s %v", fate, r.count("allo_slack_events_total", fate)))
	}
	return strings.Join(list, ", ")
}

func TestAccept(t *testing.T) {
	const text = `rules:
  - {name: quiet, match: {tag: quiet}, mute: true}
  - {name: both, match: {tag: both}, channel: ["#a", "#b"]}
  - {name: a, match: {tag: a}, channel: "#a"}
  - {name: again, match: {tag: twice}, channel: "#a", continue: true}
  - {name: and again, match: {tag: twice}, channel: ["#a", "#b"]}`
	for _, c := range []struct {
		name      string
		envelopes []string
		repeats   []bool
		fates     string
		a, b      []int
	}{
		{"one channel", []string{aCall(1, "a")}, []bool{false}, "routed 1, muted 0, unrouted 0, duplicate 0", []int{1}, nil},
		{"two channels", []string{aCall(1, "both")}, []bool{false}, "routed 1, muted 0, unrouted 0, duplicate 0", []int{1}, []int{1}},
		{"two rules", []string{aCall(1, "twice")}, []bool{false}, "routed 1, muted 0, unrouted 0, duplicate 0", []int{1}, []int{1}},
		{"a repeat", []string{aCall(1, "a"), aCall(2, "a"), aCall(1, "a"), aCall(1, "a")}, []bool{false, false, true, true},
			"routed 2, muted 0, unrouted 0, duplicate 2", []int{1, 2}, nil},
		{"muted, and again", []string{aCall(1, "quiet"), aCall(1, "quiet")}, []bool{false, true}, "routed 0, muted 1, unrouted 0, duplicate 1", nil, nil},
		{"unrouted, and again", []string{aCall(1, "other"), aCall(1, "other")}, []bool{false, true}, "routed 0, muted 0, unrouted 1, duplicate 1", nil, nil},
		{"pings", []string{`{"topic":"PING"}`, `{"topic":"PING"}`}, []bool{false, false}, "routed 0, muted 0, unrouted 0, duplicate 0", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, text, "a", "b").start()
				for i, envelope := range c.envelopes {
					if got := r.accept(envelope); got != c.repeats[i] {
						t.Errorf("envelope %d: a repeat: %v, want %v", i+1, got, c.repeats[i])
					}
				}
				pass(10 * time.Second)
				if got := r.fates(); got != c.fates {
					t.Errorf("counted %s; want %s", got, c.fates)
				}
				if a, b := r.cases("a"), r.cases("b"); !slices.Equal(a, c.a) || !slices.Equal(b, c.b) {
					t.Errorf("#a shows %v, #b %v, want %v and %v", a, b, c.a, c.b)
				}
			})
		})
	}
}

// Slack isn't asked for anything before Run, and what was accepted until then is sent.
func TestAcceptBeforeRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support")
		r.open()
		began := time.Now()
		r.calls("", 1, 3)
		pass(time.Minute)
		if n := len(r.wire.Tries(began)); n != 0 {
			t.Errorf("Slack was called %d times before Run, want 0", n)
		}
		r.run()
		r.wantCases("support", 1, 3, 5*time.Second)
	})
}

func TestAcceptWithoutAStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		pass(time.Second)
		r.stop()
		e := r.event(aCall(1, ""))
		if _, err := r.bot.Accept(t.Context(), &e); err == nil {
			t.Error("accepted what can't be stored")
		}
		r.start()
		if r.accept(aCall(1, "")) {
			t.Error("what was not stored counts as a repeat")
		}
		if got, want := r.fates(), "routed 1, muted 0, unrouted 0, duplicate 0"; got != want {
			t.Errorf("counted %s; want %s", got, want)
		}
		r.wantCases("support", 1, 1, time.Second)
	})
}

// What another process wants to be sent again goes out too, last and alone.
func TestReplay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support", "other")
		r.badCase(false, 1, 2, 3)
		r.start()
		r.calls("", 1, 4)
		pass(time.Minute)
		r.wantAside(1, 2, 3)
		r.stop()
		r.api = r.slack.API() // mended
		r.start()
		beside, err := outbox.OpenBeside(t.Context(), "sqlite:"+r.path)
		if err != nil {
			t.Fatal(err)
		}
		defer beside.Close()
		request, err := beside.Request(t.Context(), outbox.Selection{All: true}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if mine, err := beside.Take(); err != nil || mine {
			t.Errorf("the store that the bot has was taken: %v, %v", mine, err)
		}
		pass(scanEvery)
		if got, carriedOut, err := beside.Answer(t.Context(), request); err != nil || !carriedOut || got.Sent != 3 {
			t.Fatalf("got %+v, carried out: %v, %v; want 3", got, carriedOut, err)
		}
		if err := r.waits(func() bool { return slices.Equal(r.cases("support"), []int{4, 1, 2, 3}) }, 10*time.Second); err != nil {
			t.Errorf("#support shows %v, want 4, then 1 to 3", r.cases("support"))
		}
		if n := len(r.slack.Posts("support")); n != 4 {
			t.Errorf("they are %d messages, want each alone", n)
		}
	})
}

// waits waits until something is so.
func (r *rig) waits(so func() bool, within time.Duration) error {
	ctx := r.in(within)
	for n := 0; !so(); n = len(r.slack.Posts("")) {
		if _, err := r.slack.WaitPosts(ctx, "", n+1); err != nil {
			return err
		}
		synctest.Wait()
	}
	return nil
}

// New rules count for what is routed from then on. What waits keeps its channel.
func TestSetRules(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, byTag, "a", "b").start()
		pass(time.Second)
		r.calls("a", 1, 7)
		synctest.Wait()
		r.bot.SetRules(parseRules(t, `rules: [{name: moved, match: {tag: a}, channel: "#b"}]`))
		r.calls("a", 8, 9)
		r.wantCases("a", 1, 7, 10*time.Second)
		r.wantCases("b", 8, 9, 10*time.Second)
	})
}

// An expression that fails is told without the words that it failed on.
func TestAFailingRuleIsSkipped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, `rules:
  - {name: broken, match: {if: 'int(names[0]) > 3 or data.one_sentence_summary > 3'}, channel: "#a"}
  - {name: rest, match: {}, channel: "#b"}`, "a", "b").start()
		r.calls("", 1, 1)
		r.wantCases("b", 1, 1, time.Second)
		if log := r.log.String(); !strings.Contains(log, "rule skipped") || !strings.Contains(log, "broken") {
			t.Error("the log doesn't name the rule")
		}
	})
}

// Events that come at the same time are shown in the order in which they were stored.
func TestAcceptAtTheSameTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		var all sync.WaitGroup
		for n := range 100 {
			all.Go(func() {
				r.accept(aCall(n, ""))
				r.accept(aCall(n, ""))
			})
		}
		all.Wait()
		pass(15 * time.Second)
		var stored []int
		err := r.store.Stored(t.Context(), time.Time{}, func(e outbox.Stored) error {
			stored = append(stored, casesOf(fakeslack.Post{Text: string(e.Body)})...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.cases("support"); len(got) != 100 || !slices.Equal(got, stored) {
			t.Errorf("#support shows %v, want all 100 as they are stored, %v", got, stored)
		}
		if got, want := r.fates(), "routed 100, muted 0, unrouted 0, duplicate 100"; got != want {
			t.Errorf("counted %s; want %s", got, want)
		}
		r.polite()
	})
}
