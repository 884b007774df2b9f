package notify

import (
	"slices"
	"strings"
	"testing"
	"time"

	"allo-slack/fakeslack"
	"allo-slack/slackapi"
)

func TestSlackIsAway(t *testing.T) {
	for _, c := range []struct {
		name     string
		channels []string
		length   time.Duration
		away     func(r *rig, yes bool)
	}{
		{"no connection", []string{"a", "b", "c"}, time.Hour, func(r *rig, yes bool) { r.wire.Refuse(yes) }},
		{"no connection, one channel", []string{"a"}, 20 * time.Minute, func(r *rig, yes bool) { r.wire.Refuse(yes) }},
		{"503", []string{"a", "b", "c"}, 20 * time.Minute, away(fakeslack.Fault{Kind: fakeslack.Status})},
		{"503, one channel", []string{"a"}, 20 * time.Minute, away(fakeslack.Fault{Kind: fakeslack.Status})},
		{"no answer", []string{"a", "b"}, 20 * time.Minute, away(fakeslack.Fault{Kind: fakeslack.CutBefore})},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, byTag, "a", "b", "c").start()
				pass(time.Minute)
				began := time.Now()
				c.away(r, true)
				for i, channel := range c.channels {
					r.calls(channel, 1000*i+1, 1000*i+2)
				}
				pass(c.length / 2)
				for i, channel := range c.channels {
					r.calls(channel, 1000*i+3, 1000*i+40)
				}
				pass(c.length / 2)

				tries := r.wire.Tries(began)
				if n, want := len(tries), int(c.length/slackapi.AwayTry); n < want*9/10 || n > want+20 {
					t.Errorf("%d calls in %v, want one each %v, %d", n, c.length, slackapi.AwayTry, want)
				}
				for i := 20; i < len(tries); i++ {
					if d := tries[i] - tries[i-1]; d < 4*time.Second || d > 7*time.Second {
						t.Errorf("after %v nobody tried for %v, want 5 s", tries[i-1], d)
						break
					}
				}
				if n := strings.Count(r.log.String(), "slack is away"); n != 1 {
					t.Errorf("the log says %d times that Slack is away, want once", n)
				}

				back := time.Now()
				c.away(r, false)
				for i, channel := range c.channels {
					r.wantCases(channel, 1000*i+1, 1000*i+40, 20*time.Second)
					r.gaps(channel)
					t.Logf("#%s was up to date after %v", channel, time.Since(back))
				}
				if got := len(r.slack.Posts("")); got == 0 || r.slack.Posts("")[0].At.Sub(back) > 5*time.Second {
					t.Errorf("%d messages, want the first within 5 s", got)
				}
				r.polite()
			})
		})
	}
}

func away(f fakeslack.Fault) func(*rig, bool) {
	return func(r *rig, yes bool) {
		if !yes {
			r.slack.ClearFaults()
			return
		}
		f.Method, f.Count = "*", -1
		r.slack.Fault(f)
	}
}

// One message's bad luck is no outage.
func TestAFewLostAnswersDelayNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, byTag, "a", "b").start()
		pass(time.Second)
		r.slack.Fault(fakeslack.Fault{Channel: "a", Kind: fakeslack.CutBefore, Count: 2})
		r.calls("a", 1, 1)
		pass(time.Millisecond)
		began := time.Now()
		r.calls("b", 2, 2)
		r.wantCases("b", 2, 2, time.Second)
		if d := time.Since(began); d != 0 {
			t.Errorf("the other channel waited %v, want 0", d)
		}
		r.wantCases("a", 1, 1, time.Minute)
	})
}

// While Slack refuses the token all is kept, and nothing but one try a minute is made.
func TestTheTokenIsRefused(t *testing.T) {
	for _, code := range []string{"invalid_auth", "token_revoked", "account_inactive", "missing_scope"} {
		t.Run(code, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, byTag, "a", "b", "c").start()
				pass(time.Minute)
				breaks, mend := func() { r.slack.Fault(fakeslack.Fault{Method: "*", Code: code, Count: -1}) }, r.slack.ClearFaults
				if code == "invalid_auth" {
					breaks, mend = func() { r.slack.SetToken("xoxb-another") }, func() { r.slack.SetToken(testToken) }
				}
				breaks()
				began := time.Now()
				for i, channel := range []string{"a", "b", "c"} {
					r.calls(channel, 1000*i+1, 1000*i+10)
				}
				pass(20*time.Minute - time.Second)
				if n := len(r.wire.Tries(began)); n < 19 || n > 23 {
					t.Errorf("%d calls in 20 minutes, want one a minute", n)
				}
				if n := strings.Count(r.log.String(), "slack refuses the token"); n != 1 {
					t.Errorf("the log says so %d times, want once", n)
				}
				if n := len(r.slack.Calls("conversations.history")); n != 0 {
					t.Errorf("the history was read %d times: a refused token leaves no doubt", n)
				}
				mend()
				for i, channel := range []string{"a", "b", "c"} {
					r.wantCases(channel, 1000*i+1, 1000*i+10, 70*time.Second)
					r.gaps(channel)
				}
				r.polite()
			})
		})
	}
}

// A message of which Slack may have said nothing when it began to refuse the token.
func TestTheTokenIsRefusedInDoubt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		pass(time.Minute)
		r.slack.Fault(fakeslack.Fault{Kind: fakeslack.DropAfterAccept, Delay: time.Second})
		r.calls("", 1, 1)
		pass(time.Second - time.Millisecond)
		r.slack.Fault(fakeslack.Fault{Method: "*", Code: "token_revoked", Count: -1})
		began := time.Now()
		r.calls("", 2, 3)
		pass(10 * time.Minute)
		if n := len(r.wire.Tries(began)); n > 15 {
			t.Errorf("%d calls in 10 minutes, want about one a minute", n)
		}
		r.slack.ClearFaults()
		r.wantCases("support", 1, 3, 70*time.Second)
		r.looks(len(r.slack.Calls("conversations.history")), 1, 0, 0)
	})
}

// A token that works again is found out by whoever tries first, also by a channel that has a trouble of its own.
func TestTheTokenWorksAgainWhereAChannelDoesNot(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault fakeslack.Fault // of the first who tries
	}{
		{"the name is unknown", fakeslack.Fault{}},
		{"a limit", fakeslack.Fault{Method: "conversations.list", Kind: fakeslack.RateLimit, RetryAfter: 3 * time.Second}},
		{"an unknown error", fakeslack.Fault{Method: "conversations.list", Code: "nobody_knows_this_one"}},
		{"no answer", fakeslack.Fault{Method: "conversations.list", Kind: fakeslack.CutBefore}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, byTag, "a").start()
				pass(time.Minute)
				r.slack.SetToken("xoxb-another")
				r.calls("b", 1, 1) // has no channel, and tries alone
				pass(10 * time.Minute)
				r.slack.SetToken(testToken)
				if c.fault.Method != "" {
					r.slack.Fault(c.fault)
				}
				pass(65 * time.Second)
				r.calls("a", 2, 4)
				r.wantCases("a", 2, 4, 10*time.Second)
				r.slack.AddChannel(fakeslack.Channel{Name: "b"})
				r.wantCases("b", 1, 1, 2*time.Minute)
			})
		})
	}
}

// Rules that come while the token is refused are looked at, and are in nobody's way.
func TestNewRulesWhileTheTokenIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, byTag, "c").start() // #a and #b don't exist
		pass(time.Minute)
		r.slack.SetToken("xoxb-another")
		r.bot.SetRules(parseRules(t, byTag)) // finds out
		pass(time.Second)
		r.bot.SetRules(parseRules(t, byTag)) // tries again
		r.slack.SetToken(testToken)
		pass(65 * time.Second)
		r.calls("c", 1, 1)
		r.wantCases("c", 1, 1, 10*time.Second)
	})
}

// The start itself meets a Slack that is away, and a token that is refused: what is accepted is kept.
func TestStartWithoutSlack(t *testing.T) {
	for name, breaks := range outages {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, byTag, "a", "b", "c")
				breaks(r, true)
				r.start()
				r.calls("a", 1, 3)
				r.calls("b", 11, 13)
				pass(5 * time.Minute)
				breaks(r, false)
				r.wantCases("a", 1, 3, 70*time.Second)
				r.wantCases("b", 11, 13, 70*time.Second)
				if got := slices.Index(r.attemptsOK(), false); got >= 0 {
					t.Errorf("call %d of chat.postMessage was refused: the channels were not resolved before", got)
				}
			})
		})
	}
}

// attemptsOK tells of each attempt to post whether it was.
func (r *rig) attemptsOK() []bool {
	var list []bool
	for _, c := range r.slack.Calls("chat.postMessage") {
		list = append(list, c.Err == "")
	}
	return list
}

// outages are ways in which nothing can be posted at all.
var outages = map[string]func(r *rig, yes bool){
	"away": away(fakeslack.Fault{Kind: fakeslack.CutBefore}),
	"token": func(r *rig, yes bool) {
		r.slack.SetToken(map[bool]string{true: "xoxb-another", false: testToken}[yes])
	},
}
