package notify

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"allo-slack/fakeslack"
)

func post(kind fakeslack.FaultKind, count int) fakeslack.Fault {
	return fakeslack.Fault{Method: "chat.postMessage", Kind: kind, Count: count}
}

func refused(code string, count int) fakeslack.Fault {
	f := post(fakeslack.SlackError, count)
	f.Code = code
	return f
}

func TestABurstIsShownWithinSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		r.calls("", 1, 300)
		r.wantCases("support", 1, 300, 15*time.Second)
		r.polite()
	})
}

func TestALimitIsObeyedByAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, byTag, "a", "b", "c").start()
		pass(5 * time.Second)
		limit := post(fakeslack.RateLimit, 1)
		limit.Channel, limit.RetryAfter = "a", 30*time.Second
		r.slack.Fault(limit)
		began := time.Now()
		r.calls("a", 1, 1)
		pass(time.Second)
		r.calls("b", 2, 2)
		r.wantCases("a", 1, 1, time.Minute)
		r.wantCases("b", 2, 2, time.Minute)
		for _, p := range r.slack.Posts("") {
			if p.At.Sub(began) < 30*time.Second {
				t.Errorf("#%s was posted to after %v, want 30 s of peace", p.ChannelName, p.At.Sub(began))
			}
		}
		if n := r.slack.Impatient(); n != 0 {
			t.Errorf("%d calls came during the Retry-After", n)
		}
	})
}

func TestPeaceOutlivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		limit := post(fakeslack.RateLimit, 1)
		limit.RetryAfter = time.Minute
		r.slack.Fault(limit)
		r.calls("", 1, 1)
		pass(2 * time.Second)
		r.crash()
		r.start()
		r.wantCases("support", 1, 1, 2*time.Minute)
		if n := r.slack.Impatient(); n != 0 {
			t.Errorf("%d calls came during the Retry-After", n)
		}
	})
}

func TestABrokenChannelDelaysNoOther(t *testing.T) {
	for _, fault := range []fakeslack.Fault{
		{Kind: fakeslack.SlackError, Code: "restricted_action"}, {Kind: fakeslack.SlackError, Code: "is_archived"},
		{Kind: fakeslack.SlackError, Code: "something_new"}, {Kind: fakeslack.Empty}, {Kind: fakeslack.NoTS},
	} {
		t.Run(string(fault.Kind)+fault.Code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, byTag, "a", "b", "c").start()
				fault.Method, fault.Channel, fault.Count = "chat.postMessage", "a", -1
				r.slack.Fault(fault)
				r.calls("a", 1, 3)
				pass(10 * time.Second)
				r.calls("b", 4, 6)
				r.wantCases("b", 4, 6, 5*time.Second)
				r.slack.ClearFaults()
				r.wantCases("a", 1, 3, 3*time.Minute)
			})
		})
	}
}

func TestWhatSlackMayHave(t *testing.T) {
	late := post(fakeslack.LateVisible, 1)
	late.Delay = 3 * time.Second
	for name, tc := range map[string]struct {
		fault fakeslack.Fault
		look  string
		posts int // attempts at Slack
	}{
		"taken, no answer":      {post(fakeslack.DropAfterAccept, 1), "found", 3},
		"taken, 500":            {post(fakeslack.StatusAfterAccept, 1), "found", 3},
		"taken, garbage":        {post(fakeslack.GarbageAfterAccept, 1), "found", 3},
		"taken, half an answer": {post(fakeslack.HalfAnswer, 1), "found", 3},
		"taken, no ts":          {post(fakeslack.NoTS, 1), "found", 3},
		"taken, seen late":      {late, "found", 3},
		"not taken, no answer":  {post(fakeslack.CutBefore, 1), "missing", 4},
		"not taken, 503":        {post(fakeslack.Status, 1), "missing", 4},
		"not taken, {}":         {post(fakeslack.Empty, 1), "missing", 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, toSupport, "support").start()
				r.calls("", 1, 1)
				pass(2 * time.Second)
				r.slack.Fault(tc.fault)
				r.calls("", 2, 2)
				pass(time.Millisecond)
				r.calls("", 3, 3)
				r.wantCases("support", 1, 3, 30*time.Second)
				if got := r.count("allo_slack_unsure_total", tc.look); got != 1 {
					t.Errorf("%s = %v, want 1", tc.look, got)
				}
				if got := len(r.slack.Calls("chat.postMessage")); got != tc.posts {
					t.Errorf("%d attempts, want %d", got, tc.posts)
				}
			})
		})
	}
}

func TestWithoutHistoryItIsSentAgainAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scopes := slices.DeleteFunc(fakeslack.DefaultScopes(), func(s string) bool { return strings.HasSuffix(s, "history") })
		r := newRigWith(t, toSupport, fakeslack.Options{Token: testToken, Scopes: scopes, Channels: []fakeslack.Channel{{Name: "support"}}}).start()
		r.slack.Fault(post(fakeslack.CutBefore, 1))
		r.calls("", 1, 1)
		r.wantCases("support", 1, 1, time.Minute)
		if got := r.count("allo_slack_unsure_total", "unreadable"); got != 1 {
			t.Errorf("unreadable = %v, want 1", got)
		}
	})
}

func TestKilledWhileAPostIsOnItsWay(t *testing.T) {
	for name, kind := range map[string]fakeslack.FaultKind{"taken": fakeslack.DropAfterAccept, "not taken": fakeslack.CutBefore} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, toSupport, "support").start()
				r.calls("", 1, 1)
				pass(2 * time.Second)
				r.slack.Fault(post(kind, 1))
				r.slack.Fault(fakeslack.Fault{Method: "conversations.history", Kind: fakeslack.Slow, Delay: time.Minute, Count: 1})
				r.calls("", 2, 9)
				pass(time.Second)
				r.crash()
				r.start()
				r.calls("", 10, 10)
				r.wantCases("support", 1, 10, time.Minute)
				pass(2 * time.Minute) // until Slack is done with the one that nobody waits for
			})
		})
	}
}

func TestARefusedMessageGoesAsTextThenAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		r.slack.Fault(refused("invalid_blocks", 1))
		r.calls("", 1, 1)
		r.wantCases("support", 1, 1, 10*time.Second)
		if p := r.slack.Posts("support")[0]; p.Blocks != nil {
			t.Error("the second attempt has blocks again")
		}
		r.slack.Fault(refused("msg_too_long", 2))
		r.calls("", 2, 3)
		pass(10 * time.Second)
		if got := r.cases("support"); !slices.Equal(got, []int{1, 3}) {
			t.Errorf("#support shows %v, want 1 and 3", got)
		}
		failed, err := r.store.Failed(t.Context(), time.Now().Add(-time.Hour), 10)
		if err != nil || len(failed) != 1 || failed[0].Reason != "msg_too_long" {
			t.Errorf("failed = %+v, %v; want one, with Slack's reason", failed, err)
		}
	})
}

func TestARefusedDigestTakesNoOtherWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, toSupport, "support").start()
		r.calls("", 1, 1)
		pass(100 * time.Millisecond)
		// The digest, and then twice the first event of it.
		r.slack.Fault(refused("msg_blocks_too_long", 3))
		r.calls("", 2, 9)
		pass(time.Minute)
		if got := r.cases("support"); !slices.Equal(got, []int{1, 3, 4, 5, 6, 7, 8, 9}) {
			t.Errorf("#support shows %v, want all but 2", got)
		}
		if got := r.count("allo_slack_deliveries_aside", ""); got != 1 {
			t.Errorf("%v are aside, want 1", got)
		}
	})
}

func TestADeadTokenHoldsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, byTag, "a", "b", "c").start()
		pass(2 * time.Second)
		r.slack.SetToken("xoxb-another")
		r.calls("a", 1, 3)
		r.calls("b", 4, 6)
		pass(10 * time.Minute)
		if n := len(r.slack.Posts("")); n != 0 {
			t.Fatalf("%d messages went out", n)
		}
		if n := len(r.slack.Calls("")); n > 60 {
			t.Errorf("%d calls in ten minutes, want about one a minute", n)
		}
		r.slack.SetToken(testToken)
		r.wantCases("a", 1, 3, 90*time.Second)
		r.wantCases("b", 4, 6, 10*time.Second)
		if n := strings.Count(r.log.String(), "slack refuses the token"); n != 1 {
			t.Errorf("said so %d times, want once", n)
		}
	})
}

func TestAnOutageIsProbedByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, byTag, "a", "b", "c").start()
		pass(2 * time.Second)
		r.slack.Fault(fakeslack.Fault{Method: "*", Kind: fakeslack.CutBefore, Count: -1})
		r.calls("a", 1, 40)
		r.calls("b", 41, 80)
		r.calls("c", 81, 120)
		before := len(r.slack.Calls(""))
		pass(time.Hour)
		if n := len(r.slack.Calls("")) - before; n > 740 {
			t.Errorf("%d calls in an hour, want about one in 5 s", n)
		}
		r.slack.ClearFaults()
		r.wantCases("a", 1, 40, 20*time.Second)
		r.wantCases("b", 41, 80, 20*time.Second)
		r.wantCases("c", 81, 120, 20*time.Second)
		if n := r.slack.RateLimited(); n != 0 {
			t.Errorf("%d calls were over the pace", n)
		}
	})
}

func TestAnUnknownChannelKeepsItsQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, `rules: [{name: all, match: {}, channel: "#later"}]`, "support").start()
		r.calls("", 1, 20)
		pass(30 * time.Minute)
		r.slack.AddChannel(fakeslack.Channel{Name: "later"})
		r.wantCases("later", 1, 20, 2*time.Minute)
	})
}

func TestTwoNamesOfOneChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigWith(t, `rules:
  - {name: by name, match: {}, channel: "#support", continue: true}
  - {name: by id, match: {topic: CALL_RECEIVED}, channel: C0SUPPORT}`,
			fakeslack.Options{Token: testToken, Channels: []fakeslack.Channel{{Name: "support", ID: "C0SUPPORT"}}}).start()
		r.calls("", 1, 12)
		pass(20 * time.Second)
		r.calls("", 13, 14)
		r.wantCases("support", 1, 14, 20*time.Second)
		r.polite()
	})
}

func TestASendInFlightIsGivenTimeToBeAnswered(t *testing.T) {
	for name, tc := range map[string]struct {
		delay time.Duration
		looks int // at history by the next process
	}{"answered": {6 * time.Second, 0}, "not answered": {20 * time.Second, 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, toSupport, "support").start()
				r.calls("", 1, 1)
				pass(2 * time.Second)
				slow := post(fakeslack.Slow, 1)
				slow.Delay = tc.delay
				r.slack.Fault(slow)
				r.calls("", 2, 2)
				pass(time.Second)
				began := time.Now()
				r.stop()
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("stopped after %v, want within 10 s", took)
				}
				pass(15 * time.Second)
				r.start()
				r.calls("", 3, 3)
				r.wantCases("support", 1, 3, 20*time.Second)
				if got := len(r.slack.Calls("conversations.history")); got != tc.looks {
					t.Errorf("history was read %d times, want %d", got, tc.looks)
				}
			})
		})
	}
}

func TestAcceptCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, `rules:
  - {name: quiet, match: {topic: CONTACT_CREATED}, mute: true}
  - {name: calls, match: {topic: CALL_RECEIVED}, channel: "#support"}`, "support").start()
		r.accept(aCall(1, ""))
		if !r.accept(aCall(1, "")) {
			t.Error("a repeat was not recognised")
		}
		r.accept(`{"topic":"CONTACT_CREATED","data":{"id":"c"}}`)
		r.accept(`{"topic":"SOMETHING_NEW","data":{"id":"c"}}`)
		r.accept(`{"topic":"PING"}`)
		for fate, want := range map[string]float64{"routed": 1, "duplicate": 1, "muted": 1, "unrouted": 1} {
			if got := r.count("allo_slack_events_total", fate); got != want {
				t.Errorf("%s = %v, want %v", fate, got, want)
			}
		}
	})
}
