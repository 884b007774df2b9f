package slackapi

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"allo-slack/fakeslack"
)

// What a call may be told. Posting has no limit a minute, so that only what is scripted counts.
var (
	sent     = Outcome{Kind: Sent, Answered: true}
	later    = Outcome{Kind: Later, Answered: true, Bounded: true, Code: "moon_in_the_way"}
	unsure   = Outcome{Kind: Unsure, Answered: true, Code: "internal_error"}
	lost     = Outcome{Kind: Unsure, Code: "no answer"}
	strange  = Outcome{Kind: Later, Strange: true, Bounded: true, Code: "HTTP 403"}
	token    = Outcome{Kind: RefusedToken, Answered: true, Code: "token_revoked"}
	notAsked = Outcome{Kind: NotAsked}
)

func refused(k Kind) Outcome { return Outcome{Kind: k, Answered: true} }

// waiting is a 429.
func waiting(d time.Duration) Outcome {
	return Outcome{Kind: Wait, Answered: true, Code: "ratelimited", RetryAfter: d}
}

// script is a call that has one outcome after another, the last for ever.
type script struct {
	client   *Client
	outcomes []Outcome
	calls    atomic.Int32
}

func (s *script) call(ctx context.Context) Outcome {
	n := int(s.calls.Add(1))
	o := s.outcomes[min(n, len(s.outcomes))-1]
	if o.Kind == Wait {
		s.client.limited(ctx, o) // as decide does
	}
	return o
}

func times(n int, o Outcome) []Outcome { return slices.Repeat([]Outcome{o}, n) }

const (
	usually = 25 * time.Second
	barely  = time.Millisecond // is spent by the first that spends any
)

func TestAsk(t *testing.T) {
	type row struct {
		name     string
		outcomes []Outcome // the last for ever
		patience Patience
		silent   bool // auth.test isn't answered
		want     Kind
		calls    [2]int           // at least and at most
		took     [2]time.Duration // so too
	}
	never := [2]time.Duration{}
	var rows []row
	for _, o := range []Outcome{sent, refused(Missing), refused(RefusedMessage), refused(RefusedThread), refused(RefusedChannel), notAsked} {
		rows = append(rows,
			row{"final: " + o.Kind.String(), []Outcome{o}, Patience{For: usually}, true, o.Kind, [2]int{1, 1}, never},
			row{"once: " + o.Kind.String(), []Outcome{o}, Once, true, o.Kind, [2]int{1, 1}, never},
			row{"in the end: " + o.Kind.String(), []Outcome{token, waiting(3 * time.Second), o}, Patience{For: barely}, true, o.Kind, [2]int{3, 3}, [2]time.Duration{63 * time.Second, 63 * time.Second}})
	}
	for _, o := range []Outcome{later, unsure, lost, strange, token, waiting(time.Minute)} {
		rows = append(rows, row{"once: " + o.Kind.String() + " " + o.Code, []Outcome{o}, Once, false, o.Kind, [2]int{1, 1}, never})
	}
	rows = append(rows, []row{
		{"Slack asks to wait", append(times(5, waiting(30*time.Second)), sent), Patience{For: barely}, true, Sent, [2]int{6, 6}, [2]time.Duration{150 * time.Second, 150 * time.Second}},
		{"Slack asks to wait too often", []Outcome{waiting(30 * time.Second)}, Patience{For: usually, Limits: 3}, true, Wait, [2]int{3, 3}, [2]time.Duration{time.Minute, time.Minute}},
		{"Slack asks to wait, but not in a row", []Outcome{waiting(time.Second), waiting(time.Second), later, waiting(time.Second), waiting(time.Second), sent}, Patience{For: usually, Limits: 3}, true,
			Sent, [2]int{6, 6}, [2]time.Duration{4 * time.Second, 12 * time.Second}},
		{"a token that is refused", append(times(10, token), sent), Patience{For: barely}, true, Sent, [2]int{11, 11}, [2]time.Duration{10 * time.Minute, 10 * time.Minute}},

		{"answered badly", append(times(3, later), sent), Patience{For: usually}, true, Sent, [2]int{4, 4}, [2]time.Duration{3, 8 * time.Second}},
		{"answered badly, and it ends otherwise", []Outcome{unsure, later, refused(RefusedChannel)}, Patience{For: usually}, true, RefusedChannel, [2]int{3, 3}, [2]time.Duration{2, 4 * time.Second}},
		{"answered badly, and nothing is asked any more", []Outcome{later, notAsked}, Patience{For: usually}, true, NotAsked, [2]int{2, 2}, [2]time.Duration{1, 2 * time.Second}},
		// The first four waits are below 15 s together.
		{"answered badly for ever", []Outcome{later}, Patience{For: usually}, true, Later, [2]int{5, 1000}, [2]time.Duration{4, usually}},
		{"answered badly for ever: unsure", []Outcome{unsure}, Patience{For: usually}, true, Unsure, [2]int{5, 1000}, [2]time.Duration{4, usually}},
		{"no patience", []Outcome{later}, Patience{For: 1}, true, Later, [2]int{1, 1}, never},

		{"strange while others aren't", []Outcome{strange}, Patience{For: usually}, false, Later, [2]int{5, 1000}, [2]time.Duration{4, usually}},
	}...)
	for _, c := range rows {
		bubbleIn(t, c.name, func(t *testing.T) {
			r := newRig(t, fakeslack.Options{})
			if c.silent {
				r.slack.Fault(fakeslack.Fault{Method: "auth.test", Kind: fakeslack.CutBefore, Count: -1})
			}
			s := &script{client: r.Client, outcomes: c.outcomes}
			var told []int
			p := c.patience
			p.Failed = func(o Outcome, try int) {
				if int32(try) != s.calls.Load() || o.Kind != Later && o.Kind != Unsure {
					t.Errorf("told of try %d and %s, want %d, and later or unsure", try, o.Kind, s.calls.Load())
				}
				told = append(told, try)
			}
			began := time.Now()
			o := r.Ask(t.Context(), Posting, p, s.call)
			took, calls := time.Since(began), int(s.calls.Load())
			if o.Kind != c.want || calls < c.calls[0] || calls > c.calls[1] || took < c.took[0] || took > c.took[1] {
				t.Errorf("got %s after %d calls and %v, want %s after %v and %v", o.Kind, calls, took, c.want, c.calls, c.took)
			}
			if o.At.Before(began) || o.At.After(time.Now()) {
				t.Errorf("known at %v, want between %v and now", o.At, began)
			}
			failed := 0
			for i := range calls - 1 {
				if k := c.outcomes[min(i, len(c.outcomes)-1)].Kind; k == Later || k == Unsure {
					failed++
				}
			}
			if len(told) != failed {
				t.Errorf("told of the tries %v, want %d", told, failed)
			}
		})
	}
}

// In an outage nothing but auth.test is asked, every 5 s; where something answers in Slack's place that can't be told, so that
// the call is made again, less and less often. Neither spends any patience.
func TestAskInAnOutage(t *testing.T) {
	const long = 30 * time.Minute
	for _, c := range []struct {
		name  string
		auth  fakeslack.Fault
		tries []Outcome // until it is over
		calls [2]int    // at least and at most
	}{
		// With auth.test the second is the third in a row.
		{"no answer", fakeslack.Fault{Kind: fakeslack.CutBefore}, times(2, lost), [2]int{3, 3}},
		{"answers of a proxy's", fakeslack.Fault{Kind: fakeslack.Status, Status: 403}, times(1000, strange), [2]int{30, 200}},
		// What answered auth.test before the outage doesn't know it.
		{"no answer, and no auth.test", fakeslack.Fault{Kind: fakeslack.Status, Status: 404}, times(1000, lost), [2]int{30, 400}},
	} {
		bubbleIn(t, c.name, func(t *testing.T) {
			r := newRig(t, fakeslack.Options{})
			c.auth.Method, c.auth.Count = "auth.test", -1
			r.slack.Fault(c.auth)
			s := &script{client: r.Client, outcomes: append(c.tries, sent)}
			began := time.Now()
			time.AfterFunc(long, r.slack.ClearFaults)
			o := r.Ask(t.Context(), Posting, Patience{For: barely}, func(ctx context.Context) Outcome {
				if o := s.call(ctx); time.Since(began) < long {
					return o
				}
				return sent
			})
			if calls, late := int(s.calls.Load()), time.Since(began)-long; o.Kind != Sent || late > time.Minute || calls < c.calls[0] || calls > c.calls[1] {
				t.Errorf("got %s %v after the outage, with %d calls, want sent within a minute, and %v", o.Kind, late, calls, c.calls)
			}
		})
	}
}

// Whoever is to stop stops at once, wherever it waits, and keeps nobody else from going on.
func TestAskStops(t *testing.T) {
	const stop = 10 * time.Second
	hang := fakeslack.Fault{Method: "auth.test", Kind: fakeslack.Slow, Delay: time.Hour}
	for _, c := range []struct {
		name    string
		calls   int // that begin; -1 is any number
		outcome Outcome
		prepare func(r *rig)
	}{
		{"a pause", 0, sent, func(r *rig) { r.pause(20 * time.Second) }},
		{"the token", 0, sent, func(r *rig) { r.token.shutFor(20*time.Second, true) }},
		{"an outage", 0, sent, func(r *rig) { r.breaker.gate.shutFor(20*time.Second, true) }},
		{"an outage, with the token's turn", 0, sent, func(r *rig) { r.token.shutFor(time.Second, true); r.breaker.gate.shutFor(20*time.Second, true) }},
		{"a pause, with both turns", 0, sent, func(r *rig) {
			r.token.shutFor(time.Second, true)
			r.breaker.gate.shutFor(time.Second, true)
			time.AfterFunc(time.Second/2, func() { r.pause(20 * time.Second) })
		}},
		{"a limit", 0, sent, func(r *rig) { taken(r.limits, asking) }},
		{"a limit, with both turns", 0, sent, func(r *rig) {
			r.token.shutFor(time.Second, true)
			r.breaker.gate.shutFor(time.Second, true)
			taken(r.limits, asking)
		}},
		{"a Retry-After", 1, waiting(time.Hour), func(*rig) {}},
		{"a token that was just refused", 1, token, func(*rig) {}},
		{"before another try", -1, later, func(*rig) {}},
		{"before another try of what wasn't answered", -1, lost, func(*rig) {}},
		{"an outage that just began", -1, lost, func(r *rig) { r.wire.Refuse(true) }},
		{"whether Slack answers", 1, lost, func(r *rig) { r.slack.Fault(hang) }},
		{"whether Slack answers, as something strange does", 1, strange, func(r *rig) { r.slack.Fault(hang) }},
		{"the call", 1, Outcome{Kind: Stopped}, func(*rig) {}},
		{"the call, with both turns", 1, Outcome{Kind: Stopped}, func(r *rig) { r.token.shutFor(time.Second, true); r.breaker.gate.shutFor(time.Second, true) }},
	} {
		bubbleIn(t, c.name, func(t *testing.T) {
			r := newRig(t, fakeslack.Options{})
			c.prepare(r)
			why := errors.New("why")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(stop, func() { cancel(why) })
			began, calls := time.Now(), 0
			o := r.Ask(ctx, asking, Patience{For: time.Hour}, func(ctx context.Context) Outcome {
				calls++
				if c.outcome.Kind == Stopped { // until it is
					<-ctx.Done()
					return lost
				}
				if c.outcome.Kind == Wait {
					r.limited(ctx, c.outcome)
				}
				return c.outcome
			})
			if o.Kind != Stopped || !errors.Is(o.Err, why) || time.Since(began) != stop {
				t.Errorf("got %s (%v) after %v, want stopped (why) after %v", o.Kind, o.Err, time.Since(began), stop)
			}
			if c.calls >= 0 && calls != c.calls {
				t.Errorf("%d calls began, want %d", calls, c.calls)
			}
			r.wire.Refuse(false)
			r.pauses.until = time.Time{}
			ctx, late := context.WithTimeout(t.Context(), 2*time.Minute)
			defer late()
			if o := r.Ask(ctx, asking, Once, func(context.Context) Outcome { return sent }); o.Kind != Sent {
				t.Errorf("the next got %s, want sent", o.Kind)
			}
		})
	}
	bubbleIn(t, "before anything", func(t *testing.T) {
		r := newRig(t, fakeslack.Options{})
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		o := r.Ask(ctx, Posting, Once, func(context.Context) Outcome { t.Error("asked"); return sent })
		if o.Kind != Stopped || !errors.Is(o.Err, why) {
			t.Errorf("got %s (%v), want stopped (why)", o.Kind, o.Err)
		}
	})
	bubbleIn(t, "after the answer", func(t *testing.T) {
		r := newRig(t, fakeslack.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		if o := r.Ask(ctx, Posting, Once, func(context.Context) Outcome { cancel(); return sent }); o.Kind != Sent {
			t.Errorf("got %s, want what Slack answered: sent", o.Kind)
		}
	})
}

// An outage, however long, spends no patience.
func TestAnOutageSpendsNoPatience(t *testing.T) {
	const long = 2 * time.Hour
	for _, c := range []struct {
		name  string
		fault fakeslack.Fault
		try   time.Duration // that one try lasts at most
	}{
		{"no connection", fakeslack.Fault{}, 0},
		{"no answer", fakeslack.Fault{Kind: fakeslack.CutBefore}, 0},
		{"503", fakeslack.Fault{Kind: fakeslack.Status, Status: 503}, 0},
		{"no answer in time", fakeslack.Fault{Kind: fakeslack.Slow, Delay: 30 * time.Second}, usually},
	} {
		bubbleIn(t, c.name, func(t *testing.T) {
			r := newRig(t, fakeslack.Options{})
			if c.fault.Kind == "" {
				r.wire.Refuse(true)
			} else {
				c.fault.Method, c.fault.Count = "*", -1
				r.slack.Fault(c.fault)
			}
			began := time.Now()
			var all sync.WaitGroup
			for _, at := range []time.Duration{0, time.Second, time.Minute, time.Hour, long - time.Minute, long - time.Second} {
				all.Go(func() {
					<-time.After(at)
					_, o := r.Channel(t.Context(), Patience{For: usually}, "C0A")
					if after := time.Since(began) - long; o.Kind != Sent || after < 0 || after > c.try+AwayTry+time.Second {
						t.Errorf("asked after %v: %s (%s), %v after the outage, want sent within %v", at, o.Kind, o.Reason(), after, c.try+AwayTry+time.Second)
					}
				})
			}
			<-time.After(long)
			r.wire.Refuse(false)
			r.slack.ClearFaults()
			all.Wait()
			if n, m := r.log.times(logAway), r.log.times(logBack); n != 1 || m != 1 {
				t.Errorf("logged %d times that Slack is away, and %d times that it is back, want once each", n, m)
			}
		})
	}
}

// A method that is answered badly for ever, while others work, spends patience: nobody waits for it for ever.
func TestAMethodThatIsAnsweredBadlyForEver(t *testing.T) {
	for _, f := range []fakeslack.Fault{
		{Code: "moon_in_the_way"}, {Code: "internal_error"}, {Kind: fakeslack.Empty}, {Kind: fakeslack.NotOK}, {Kind: fakeslack.GarbageAfterAccept}, {Kind: fakeslack.HalfAnswer},
		{Kind: fakeslack.Status, Status: 403}, {Kind: fakeslack.Redirect},
		{Code: "moon_in_the_way", Delay: 40 * time.Second}, {Kind: fakeslack.Status, Status: 403, Delay: 40 * time.Second}, {Kind: fakeslack.CutBefore, Delay: 40 * time.Second},
		{Kind: fakeslack.Slow, Delay: 40 * time.Second}, {Code: "internal_error", Delay: 11 * time.Second}, {Kind: fakeslack.Status, Status: 503, Delay: 11 * time.Second},
	} {
		for _, helloTakes := range []time.Duration{0, 5 * time.Second} {
			if helloTakes > 0 && f.Delay < 40*time.Second {
				continue
			}
			bubbleIn(t, fmt.Sprint(f.Kind, f.Code, f.Status, f.Delay, helloTakes), func(t *testing.T) {
				r := newRig(t, fakeslack.Options{})
				f := f
				f.Method, f.Count = "conversations.info", -1
				r.slack.Fault(f)
				r.slack.Fault(fakeslack.Fault{Method: "auth.test", Kind: fakeslack.Slow, Delay: helloTakes, Count: -1})
				began := time.Now()
				ctx, late := context.WithTimeout(t.Context(), time.Hour)
				defer late()
				_, o := r.Channel(ctx, Patience{For: usually}, "C0A")
				if took := time.Since(began); o.Kind != Later && o.Kind != Unsure || took > usually+helloTakes {
					t.Errorf("got %s (%s) after %v, want later or unsure within %v", o.Kind, o.Reason(), took, usually+helloTakes)
				}
				if r.log.times(logAway) > 0 {
					t.Error("the log says that Slack is away")
				}
				pass(time.Minute)
			})
		}
	}
	bubbleIn(t, "limits for ever", func(t *testing.T) {
		r := newRig(t, fakeslack.Options{})
		r.slack.Fault(fakeslack.Fault{Method: "conversations.info", Kind: fakeslack.RateLimit, RetryAfter: 10 * time.Second, Count: -1})
		began := time.Now()
		_, o := r.Channel(t.Context(), Patience{For: usually, Limits: 5}, "C0A")
		if n := len(r.slack.Calls("conversations.info")); o.Kind != Wait || n != 5 || time.Since(began) != 40*time.Second {
			t.Errorf("got %s after %d calls and %v, want wait after 5 and 40 s", o.Kind, n, time.Since(began))
		}
		if n := r.slack.Impatient(); n > 0 {
			t.Errorf("%d calls came during a Retry-After", n)
		}
	})
}

// However a turn ends, the next one can try: nobody waits for ever.
func TestEveryTurnEnds(t *testing.T) {
	const never = -1
	for _, c := range []struct {
		name    string
		outcome Outcome // of who has the turn
		// How long after it the next one tries, where it was a turn of the token, of an outage, or of both.
		token, breaker, both time.Duration
	}{
		{"sent", sent, 0, 0, 0},
		{"a refusal", refused(RefusedMessage), 0, 0, 0},
		{"an answer that nobody knows", later, 0, 0, 0},
		{"a limit", waiting(30 * time.Second), 30 * time.Second, 30 * time.Second, 30 * time.Second},
		{"the token", token, tokenTry, tokenTry, tokenTry},
		{"no answer", lost, 0, AwayTry, AwayTry},
		{"something strange", strange, 0, AwayTry, AwayTry},
		{"nothing was asked", notAsked, 0, 0, 0},
		{"stopped", Outcome{Kind: Stopped}, 0, 0, 0},
	} {
		for gates, want := range map[string]time.Duration{"token": c.token, "breaker": c.breaker, "token and breaker": c.both} {
			bubbleIn(t, c.name+", "+gates, func(t *testing.T) {
				r := newRig(t, fakeslack.Options{})
				if strings.Contains(gates, "token") {
					r.token.shutFor(AwayTry, true)
				}
				if strings.Contains(gates, "breaker") {
					r.goesAway()
					r.noAuthTest()
				}
				began := time.Now()
				ended := time.Duration(never)
				var waits []time.Duration // of those who come next
				var mu sync.Mutex
				var all sync.WaitGroup
				for range 5 {
					all.Go(func() {
						ctx, cancel := context.WithCancel(t.Context())
						defer cancel()
						r.Ask(ctx, Posting, Once, func(ctx context.Context) Outcome {
							mu.Lock()
							defer mu.Unlock()
							if ended != never {
								waits = append(waits, time.Since(began)-ended)
								return sent
							}
							if got := time.Since(began); got != AwayTry {
								t.Errorf("the first tried after %v, want %v", got, AwayTry)
							}
							<-time.After(2 * time.Second)
							ended = time.Since(began)
							switch c.outcome.Kind {
							case Wait:
								r.limited(ctx, c.outcome)
							case Stopped:
								cancel()
								return lost
							}
							return c.outcome
						})
					})
				}
				all.Wait()
				if !slices.Equal(waits, slices.Repeat([]time.Duration{want}, 4)) {
					t.Errorf("the next tried %v after it, want all after %v", waits, want)
				}
			})
		}
	}
}

// everyMethod are all methods that there are, and auth.test.
var everyMethod = []Method{Posting, Updating, listing, asking, joining, history, replies, lookingUp, "auth.test"}

// A 429 has all callers of all methods wait, whatever drew it.
func TestAnyLimitPausesAll(t *testing.T) {
	const wait = 30 * time.Second
	for _, m := range everyMethod {
		bubbleIn(t, string(m), func(t *testing.T) {
			var kept []time.Time
			r := newRigWith(t, fakeslack.Options{}, Config{KeepPause: func(ctx context.Context, until time.Time) error {
				kept = append(kept, until)
				return errors.New("the disk is full") // which changes nothing for this process
			}})
			began := time.Now()
			r.slack.Fault(fakeslack.Fault{Method: string(m), Kind: fakeslack.RateLimit, RetryAfter: wait})
			var o Outcome
			switch m {
			case Posting:
				o = r.Ask(t.Context(), m, Once, func(ctx context.Context) Outcome {
					return r.Post(ctx, Place{Channel: "C0A"}, Message{ID: "1", Text: "hello"})
				})
			case Updating:
				o = r.Ask(t.Context(), m, Once, func(ctx context.Context) Outcome {
					return r.Update(ctx, "C0A", "1.000001", Message{ID: "1", Text: "hello"})
				})
			case listing:
				_, _, o = r.Channels(t.Context(), Once, "")
			case asking:
				_, o = r.Channel(t.Context(), Once, "C0A")
			case joining:
				o = r.Join(t.Context(), Once, "C0A")
			case history:
				o = r.Find(t.Context(), Once, Place{Channel: "C0A"}, "1", began, began)
			case replies:
				o = r.Find(t.Context(), Once, Place{Channel: "C0A", Thread: "1.000001"}, "1", began, began)
			case lookingUp:
				_, o = r.User(t.Context(), Once, "nobody@example.com")
			default:
				o = r.hello(t.Context())
			}
			if o.Kind != Wait || o.RetryAfter != wait {
				t.Fatalf("got %s, %v, want wait, %v", o.Kind, o.RetryAfter, wait)
			}
			var all sync.WaitGroup
			for i, m := range everyMethod {
				all.Go(func() {
					<-time.After(time.Duration(i) * time.Second)
					o := r.Ask(t.Context(), m, Once, func(context.Context) Outcome { return sent })
					if got := time.Since(began); o.Kind != Sent || got != wait {
						t.Errorf("%s was asked after %v, want %v", m, got, wait)
					}
				})
			}
			all.Wait()
			if len(kept) != 1 || kept[0].Sub(began) != wait {
				t.Errorf("told to keep the pauses until %v, want one until %v", kept, began.Add(wait))
			}
			if n := r.log.times("the pause could not be stored"); n != 1 {
				t.Errorf("logged %d times that it could not be stored, want once", n)
			}
		})
	}
}

// A pause that begins while the gate is waited at is kept as well.
func TestAPauseThatBeginsAtTheGate(t *testing.T) {
	for _, which := range []string{"breaker", "token"} {
		bubbleIn(t, which, func(t *testing.T) {
			r := newRig(t, fakeslack.Options{})
			g := r.token
			if which == "breaker" {
				g = r.breaker.gate
			}
			g.shutFor(time.Hour, true)
			asked := make(chan time.Duration, len(everyMethod))
			began := time.Now()
			for _, m := range everyMethod {
				go r.Ask(t.Context(), m, Once, func(context.Context) Outcome {
					asked <- time.Since(began)
					return sent
				})
			}
			pass(10 * time.Second)
			r.pause(time.Minute)
			g.passed()
			for range everyMethod {
				if got := <-asked; got != 70*time.Second {
					t.Errorf("asked after %v, want at the end of the pause that began after 10 s and lasts a minute", got)
				}
			}
		})
	}
}

// A shorter pause doesn't shorten a longer one.
func TestPauses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, fakeslack.Options{})
		began := time.Now()
		if until := r.pause(30 * time.Second); until.Sub(began) != 30*time.Second {
			t.Errorf("paused until %v, want 30 s", until.Sub(began))
		}
		if until := r.pause(time.Second); until.Sub(began) != 30*time.Second {
			t.Errorf("a shorter pause made it %v, want 30 s as before", until.Sub(began))
		}
		var all sync.WaitGroup
		for _, m := range everyMethod {
			all.Go(func() {
				r.Ask(t.Context(), m, Once, func(context.Context) Outcome { return sent })
				if got := time.Since(began); got != 45*time.Second {
					t.Errorf("%s was asked after %v, want 45 s", m, got)
				}
			})
		}
		pass(20 * time.Second)
		r.pause(25 * time.Second) // while they wait
		all.Wait()
		if d := r.Paused(); d != 0 {
			t.Errorf("the pause lasts for %v more, want it over", d)
		}
	})
}

// What a process before was asked to wait is kept, but a clock that was set back stops nothing for long.
func TestAPauseOfTheProcessBefore(t *testing.T) {
	for _, c := range []struct{ until, want time.Duration }{
		{40 * time.Second, 40 * time.Second}, {-time.Second, 0}, {time.Hour, time.Hour}, {365 * 24 * time.Hour, time.Hour}, {0, 0},
	} {
		bubbleIn(t, fmt.Sprint(c.until), func(t *testing.T) {
			began := time.Now()
			until := time.Time{}
			if c.until != 0 {
				until = began.Add(c.until)
			}
			r := newRigWith(t, fakeslack.Options{}, Config{Paused: until})
			if _, o := r.Channel(t.Context(), Once, "C0A"); o.Kind != Sent || time.Since(began) != c.want {
				t.Errorf("%s after %v, want sent after %v", o.Kind, time.Since(began), c.want)
			}
		})
	}
}

// It takes three calls in a row without an answer to begin an outage, and an answer to end it. Something strange does neither.
func TestWhatBeginsAnOutage(t *testing.T) {
	for _, c := range []struct {
		outcomes []Outcome
		away     bool
	}{
		{[]Outcome{lost}, false},
		{[]Outcome{lost, lost}, false},
		{[]Outcome{lost, lost, lost}, true},
		{[]Outcome{lost, lost, sent, lost, lost}, false},
		{[]Outcome{lost, lost, later, lost, lost}, false},
		{[]Outcome{lost, lost, token, lost, lost}, false},
		{[]Outcome{lost, lost, waiting(0), lost, lost}, false},
		{times(20, strange), false},
		{[]Outcome{lost, lost, strange, strange}, false},
		{[]Outcome{lost, lost, strange, lost}, true},
		{[]Outcome{lost, lost, lost, strange}, true},
		{[]Outcome{lost, lost, lost, strange, unsure}, false},
		{[]Outcome{lost, lost, lost, lost, refused(RefusedChannel)}, false},
	} {
		var names []string
		for _, o := range c.outcomes {
			names = append(names, o.Kind.String()+o.Code)
		}
		bubbleIn(t, strings.Join(names, " "), func(t *testing.T) {
			r := newRig(t, fakeslack.Options{})
			for _, o := range c.outcomes {
				r.breaker.silent = r.breaker.silent || !o.Answered && !o.Strange // auth.test isn't answered either
				r.report(t.Context(), turn{}, o)
			}
			r.token.passed()
			began, want := time.Now(), time.Duration(0)
			if c.away {
				want = AwayTry
			}
			r.Ask(t.Context(), Posting, Once, func(context.Context) Outcome { return sent })
			if got := time.Since(began); got != want {
				t.Errorf("the next is asked after %v, want %v", got, want)
			}
		})
	}
}

// However many calls aren't answered, Slack isn't away while it answers auth.test.
func TestNoOutageWhileAuthTestIsAnswered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, fakeslack.Options{})
		for range 20 {
			if o := r.Ask(t.Context(), Posting, Once, func(context.Context) Outcome { return lost }); o.Kind != Unsure {
				t.Errorf("got %s, want unsure", o.Kind)
			}
		}
		if r.log.times(logAway) != 0 {
			t.Error("the log says that Slack is away, which answers")
		}
	})
}

// While Slack is away one caller tries for all, and the first success wakes all.
func TestOneCallerTriesForAll(t *testing.T) {
	const outage = 2*time.Minute + 3*time.Second
	bubble(t, func(t *testing.T) {
		r := newRig(t, fakeslack.Options{})
		r.wire.Refuse(true)
		for range awayAfter {
			if r.log.times(logAway) > 0 {
				t.Error("the log says too early that Slack is away")
			}
			_, _ = r.Channel(t.Context(), Once, "C0A")
		}
		if r.log.times(logAway) != 1 {
			t.Error("the log doesn't say that Slack is away")
		}
		began := time.Now()
		pass(1)
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				p := Patience{For: usually}
				if _, o := r.Channel(t.Context(), p, "C0A"); o.Kind != Sent || time.Since(began) != 125*time.Second {
					t.Errorf("caller %d: %s after %v, want sent with all others at the first try after the outage, 125 s", i, o.Kind, time.Since(began))
				}
			})
		}
		pass(outage)
		tries := r.wire.Tries(began.Add(1))
		r.wire.Refuse(false)
		all.Wait()
		var want []time.Duration
		for at := AwayTry; at < outage; at += AwayTry {
			want = append(want, at-1)
		}
		if !slices.Equal(slices.Compact(tries), want) { // whoever tries may ask for auth.test too
			t.Errorf("Slack was tried after %v, want every %v", tries, AwayTry)
		}
		if n, m := r.log.times(logAway), r.log.times(logBack); n != 1 || m != 1 {
			t.Errorf("logged %d times that Slack is away, and %d times that it is back, want once each", n, m)
		}
	})
}

// While the token is refused one caller tries for all, once a minute.
func TestOneCallerTriesTheToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, fakeslack.Options{})
		r.slack.SetToken("xoxb-another")
		began := time.Now()
		if _, o := r.Channel(t.Context(), Once, "C0A"); o.Kind != RefusedToken {
			t.Fatalf("got %s, want the token refused", o.Kind)
		}
		pass(1)
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				if _, o := r.Channel(t.Context(), Patience{For: barely}, "C0A"); o.Kind != Sent || time.Since(began) != 5*time.Minute {
					t.Errorf("caller %d: %s after %v, want sent at the first try with a good token, 5 min", i, o.Kind, time.Since(began))
				}
			})
		}
		pass(4*time.Minute + 30*time.Second)
		if tries := r.wire.Tries(began); len(tries) != 5 || tries[4] != 4*time.Minute {
			t.Errorf("Slack was tried after %v, want once a minute", tries)
		}
		r.slack.SetToken(testToken)
		all.Wait()
		if n := r.log.times("slack refuses the token"); n != 1 {
			t.Errorf("logged %d times that the token is refused, want once", n)
		}
	})
}

// A gate that was shut by a call which overlapped with an answer opens all the same.
func TestAGateThatWasShutTooLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, fakeslack.Options{})
		r.breaker.gate.shutFor(AwayTry, true)
		r.wire.Refuse(true)
		done := make(chan Outcome)
		go func() {
			_, o := r.Channel(t.Context(), Patience{For: usually}, "C0A")
			done <- o
		}()
		pass(time.Minute)
		r.wire.Refuse(false)
		began := time.Now()
		if o := <-done; o.Kind != Sent || time.Since(began) > 10*time.Second {
			t.Errorf("%s after %v, want sent within 10 s", o.Kind, time.Since(began))
		}
	})
}

// What isn't asked of Slack, as our own store says no, is no answer of Slack's.
func TestOurOwnDiskIsNotSlack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, fakeslack.Options{})
		r.wire.Refuse(true)
		for range awayAfter {
			r.Answers(t.Context())
		}
		r.wire.Refuse(false)
		r.noAuthTest()
		began := time.Now()
		for range 3 {
			if o := r.Ask(t.Context(), Posting, Once, func(context.Context) Outcome { return notAsked }); o.Kind != NotAsked {
				t.Errorf("got %s, want not asked", o.Kind)
			}
		}
		if time.Since(began) != AwayTry {
			t.Errorf("three had their turn after %v, want %v: nobody needs to wait after one that asked nothing", time.Since(began), AwayTry)
		}
		if r.log.times(logAway) != 1 || r.log.times(logBack) != 0 {
			t.Error("a store that fails counts as an answer of Slack's")
		}
	})
}

// What refuses everything may do so for hours: only while others are answered an outcome is bounded.
func TestOnceWithAStrangeAnswer(t *testing.T) {
	for _, c := range []struct {
		name  string
		hello fakeslack.Fault
		want  bool
	}{
		{"auth.test is answered", fakeslack.Fault{}, true},
		{"auth.test is refused", fakeslack.Fault{Code: "moon_in_the_way"}, true},
		{"auth.test is answered late", fakeslack.Fault{Kind: fakeslack.Slow, Delay: answersMost - 1}, true},
		{"auth.test isn't answered in time", fakeslack.Fault{Kind: fakeslack.Slow, Delay: answersMost + 1}, false},
		{"auth.test is cut", fakeslack.Fault{Kind: fakeslack.CutBefore}, false},
		{"auth.test has a strange answer", fakeslack.Fault{Kind: fakeslack.Status, Status: 403}, false},
	} {
		bubbleIn(t, c.name, func(t *testing.T) {
			r := newRig(t, fakeslack.Options{})
			if c.hello != (fakeslack.Fault{}) {
				c.hello.Method = "auth.test"
				r.slack.Fault(c.hello)
			}
			r.slack.Fault(fakeslack.Fault{Method: "conversations.info", Kind: fakeslack.Status, Status: 403})
			_, o := r.Channel(t.Context(), Once, "C0A")
			if o.Kind != Later || !o.Strange || o.Bounded != c.want {
				t.Errorf("got %s, strange %v, bounded %v, want later, true, %v", o.Kind, o.Strange, o.Bounded, c.want)
			}
			pass(time.Minute)
		})
	}
}

// Those who want to know at one time whether Slack answers share one auth.test.
func TestAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, fakeslack.Options{})
		ask := func(callers int, want bool, calls int) {
			t.Helper()
			before := len(r.wire.Tries(time.Time{}))
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					if got := r.Answers(t.Context()); got != want {
						t.Errorf("got %v, want %v", got, want)
					}
				})
			}
			all.Wait()
			if got := len(r.wire.Tries(time.Time{})) - before; got != calls {
				t.Errorf("%d calls, want %d", got, calls)
			}
		}
		r.slack.Fault(fakeslack.Fault{Method: "auth.test", Kind: fakeslack.Slow, Delay: 2 * time.Second, Count: -1})
		ask(20, true, 1)
		ask(5, true, 0) // it just answered
		pass(answersFor)
		ask(5, true, 1)
		pass(answersFor)
		r.wire.Refuse(true)
		ask(1, false, 1)
		r.pause(time.Minute)
		ask(5, true, 0) // it is Slack that asks to wait
		pass(time.Minute)
		ask(1, false, 1)
		ask(1, false, 1)
		ask(5, false, 0) // that it is away is known now
	})
}

// A method's limit a minute is waited for, and spends no patience.
func TestTheLimitIsWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, fakeslack.Options{})
		began := time.Now()
		for range 200 {
			if o := r.Ask(t.Context(), joining, Patience{For: barely}, func(ctx context.Context) Outcome {
				return r.readOnce(ctx, joining, url.Values{"channel": {"C0A"}}, func(answer) error { return nil })
			}); o.Kind != Sent {
				t.Fatalf("got %s (%s), want sent", o.Kind, o.Reason())
			}
		}
		if took := time.Since(began); took != 4*minute {
			t.Errorf("200 calls took %v, want %v: 45 in each", took, 4*minute)
		}
		if n := r.slack.RateLimited(); n > 0 {
			t.Errorf("%d calls were over Slack's pace", n)
		}
		synctest.Wait()
	})
}

// The wait is a random time below 1 s, 2 s, 4 s, … 1 min: those that failed together don't come back together.
func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		attempts int
		limit    time.Duration
	}{
		{-1, time.Second}, {0, time.Second}, {1, time.Second}, {2, 2 * time.Second}, {3, 4 * time.Second}, {6, 32 * time.Second},
		{7, time.Minute}, {8, time.Minute}, {100, time.Minute}, {1 << 40, time.Minute},
	} {
		least, most := time.Hour, time.Duration(0)
		for range 2000 {
			d := Backoff(c.attempts)
			least, most = min(least, d), max(most, d)
		}
		if least <= 0 || least > c.limit/20 || most > c.limit+time.Millisecond || most < c.limit*19/20 {
			t.Errorf("after %d attempts: %v to %v, want all from 0 to %v", c.attempts, least, most, c.limit)
		}
	}
}
