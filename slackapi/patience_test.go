package slackapi

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"allo-slack/fakeslack"
)

// One method that is never answered while others are is no outage, and spends patience.
func TestOneMethodWithoutAnAnswerIsNoOutage(t *testing.T) {
	for _, f := range []fakeslack.Fault{{Kind: fakeslack.Status, Status: 503}, {Kind: fakeslack.CutBefore}, {Kind: fakeslack.DropAfterAccept}} {
		for _, callers := range []int{1, 10} {
			bubbleIn(t, fmt.Sprint(f.Kind, callers), func(t *testing.T) {
				f, ended := f, 0
				var mu sync.Mutex
				for range 20 { // what it does depends on chance
					r := newRig(t, fakeslack.Options{})
					f.Method, f.Count = "conversations.info", -1
					r.slack.Fault(f)
					ctx, late := context.WithTimeout(t.Context(), time.Hour)
					defer late()
					began := time.Now()
					var all sync.WaitGroup
					for range callers {
						all.Go(func() {
							_, o := r.Channel(ctx, Patience{For: usually}, "C0A")
							mu.Lock()
							defer mu.Unlock()
							if o.Kind == Unsure && time.Since(began) <= usually+minute { // at the limit a minute
								ended++
							}
						})
					}
					all.Wait()
				}
				if ended != 20*callers {
					t.Errorf("%d of %d came to an end within %v, want all", ended, 20*callers, usually)
				}
			})
		}
	}
}

// The time that auth.test takes is spent too: all is over within For and the time of one auth.test.
func TestASlowAuthTestSpendsPatience(t *testing.T) {
	const helloTakes = 5 * time.Second
	for _, f := range []fakeslack.Fault{{Kind: fakeslack.Status, Status: 403}, {Kind: fakeslack.Empty}} {
		bubbleIn(t, string(f.Kind), func(t *testing.T) {
			r := newRig(t, fakeslack.Options{})
			f.Method, f.Count = "conversations.info", -1
			r.slack.Fault(f)
			r.slack.Fault(fakeslack.Fault{Method: "auth.test", Kind: fakeslack.Slow, Delay: helloTakes, Count: -1})
			began := time.Now()
			_, o := r.Channel(t.Context(), Patience{For: usually}, "C0A")
			if took := time.Since(began); took > usually+helloTakes {
				t.Errorf("%s after %v, want %v at most", o.Kind, took, usually+helloTakes)
			}
		})
	}
}

// What an outage, or a limit, took in tries makes no wait longer after it: a bad answer then is no end.
func TestAnOutageSpendsNoTries(t *testing.T) {
	const long = 10 * time.Minute
	for _, c := range []struct {
		name string
		now  Outcome // until it is over
	}{
		{"an outage", lost}, {"limits", waiting(time.Second)}, {"the token", token}, {"a proxy", strange},
	} {
		bubbleIn(t, c.name, func(t *testing.T) {
			for range 20 {
				r := newRig(t, fakeslack.Options{})
				r.wire.Refuse(true)
				over := time.Now().Add(long)
				time.AfterFunc(long, func() { r.wire.Refuse(false) })
				before := &script{client: r.Client, outcomes: []Outcome{c.now}}
				after := &script{client: r.Client, outcomes: []Outcome{unsure, sent}}
				o := r.Ask(t.Context(), Posting, Patience{For: usually}, func(ctx context.Context) Outcome {
					if time.Now().Before(over) {
						return before.call(ctx)
					}
					return after.call(ctx)
				})
				if o.Kind != Sent {
					t.Fatalf("got %s (%s) after the first answer, want another try", o.Kind, o.Reason())
				}
			}
		})
	}
}

// Whose patience is nearly spent when an outage begins notices its end all the same: a try for all has time for an answer.
func TestATryForAllHasTimeForAnAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, fakeslack.Options{})
		api := r.slack.API()
		r.wire.API = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			<-time.After(300 * time.Millisecond)
			api.ServeHTTP(w, req)
		})
		r.goesAway()
		ctx, late := context.WithTimeout(t.Context(), time.Hour)
		defer late()
		if _, o := r.Channel(ctx, Patience{For: 200 * time.Millisecond}, "C0A"); o.Kind == Stopped {
			t.Error("an hour after the outage Slack still counts as away")
		}
	})
}

// Somebody who tries for all isn't joined by a second one when a call that began before fails meanwhile.
func TestALateFailureMakesNoSecondTry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, fakeslack.Options{})
		r.goesAway()
		r.noAuthTest()
		trying, most := 0, 0
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				r.Ask(t.Context(), Posting, Once, func(context.Context) Outcome {
					mu.Lock()
					trying++
					most = max(most, trying)
					mu.Unlock()
					<-time.After(20 * time.Second)
					mu.Lock()
					trying--
					mu.Unlock()
					return lost
				})
			})
		}
		pass(10 * time.Second)
		r.report(t.Context(), turn{}, lost) // as of an auth.test that hung
		all.Wait()
		if most != 1 {
			t.Errorf("%d tried at one time, want 1", most)
		}
	})
}

// Several calls that hang as an outage begins spend no patience either: this is TestAnOutageSpendsNoPatience with more of
// them. A second one tries at the same time; it opens the gate, and the first is given up after it.
func TestManyCallersInAnOutageThatHangs(t *testing.T) {
	const long = 2 * time.Hour
	bubble(t, func(t *testing.T) {
		for range 20 {
			r := newRig(t, fakeslack.Options{})
			r.slack.Fault(fakeslack.Fault{Method: "*", Kind: fakeslack.Slow, Delay: 30 * time.Second, Count: -1})
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					if _, o := r.Channel(t.Context(), Patience{For: usually}, "C0A"); o.Kind != Sent {
						t.Errorf("got %s (%s), want sent", o.Kind, o.Reason())
					}
				})
			}
			<-time.After(long)
			r.slack.ClearFaults()
			all.Wait()
		}
	})
}

// Who waited for an outage to end looks at the token again.
func TestATokenThatIsRefusedAfterAnOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, fakeslack.Options{})
		r.slack.SetToken("xoxb-another")
		r.goesAway()
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { _, _ = r.Channel(ctx, Patience{For: usually}, "C0A") })
		}
		pass(30 * time.Second)
		if tries := r.wire.Tries(began); len(tries) != 1 {
			t.Errorf("the token was tried after %v, want once", tries)
		}
		cancel()
		all.Wait()
	})
}

// Whoever waits for another's auth.test stops at once.
func TestStopWhileAnotherAsksWhetherSlackAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, fakeslack.Options{})
		r.slack.Fault(fakeslack.Fault{Method: "auth.test", Kind: fakeslack.Slow, Delay: time.Minute})
		go r.Answers(t.Context())
		pass(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		r.Ask(ctx, Posting, Patience{For: usually}, func(context.Context) Outcome { return lost })
		if took := time.Since(began); took != time.Second {
			t.Errorf("stopped after %v, want 1 s", took)
		}
		pass(time.Minute)
	})
}

// A caller that is refused the token between two limits isn't asked to wait twice in a row.
func TestATokenBetweenTwoLimits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, fakeslack.Options{})
		s := &script{client: r.Client, outcomes: []Outcome{waiting(time.Second), token, waiting(time.Second), sent}}
		if o := r.Ask(t.Context(), Posting, Patience{For: usually, Limits: 2}, s.call); o.Kind != Sent {
			t.Errorf("got %s, want sent", o.Kind)
		}
	})
}

// Who looks somebody up while Slack is away is woken by the first success, as all others are.
func TestALookUpInAnOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, fakeslack.Options{})
		r.wire.Refuse(true)
		began := time.Now()
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				_, o := r.User(t.Context(), Patience{For: usually}, "nobody@example.com")
				if after := time.Since(began) - time.Hour; o.Kind != Sent || after > AwayTry {
					t.Errorf("%s %v after the outage, want sent within %v", o.Kind, after, AwayTry)
				}
			})
		}
		<-time.After(time.Hour)
		r.wire.Refuse(false)
		all.Wait()
	})
}
