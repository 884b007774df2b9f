package fakeslack

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/slack-go/slack"
)

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		fault  Fault
		taken  int // messages posted by the call
		status int // in the log of calls
		check  func(err error, ts string) bool
	}{
		{Fault{Kind: RateLimit, RetryAfter: 3 * time.Second}, 0, 429, func(err error, _ string) bool {
			var limited *slack.RateLimitedError
			return errors.As(err, &limited) && limited.RetryAfter == 3*time.Second
		}},
		{Fault{Kind: RateLimitNoHeader}, 0, 429, isStatus(429)},
		{Fault{Kind: SlackError, Code: "channel_not_found"}, 0, 200, isCode("channel_not_found")},
		{Fault{Code: "fatal_error"}, 0, 200, isCode("fatal_error")},
		{Fault{Kind: Status}, 0, 503, isStatus(503)},
		{Fault{Kind: Status, Status: 502}, 0, 502, isStatus(502)},
		{Fault{Kind: CutBefore}, 0, 0, isBroken},
		{Fault{Kind: DropAfterAccept}, 1, 0, isBroken},
		{Fault{Kind: StatusAfterAccept}, 1, 500, isStatus(500)},
		{Fault{Kind: GarbageAfterAccept}, 1, 200, isBroken},
		{Fault{Kind: HalfAnswer}, 1, 0, isBroken},
		{Fault{Kind: LateVisible, Delay: time.Minute}, 1, 0, isBroken},
		{Fault{Kind: Empty}, 0, 200, func(err error, ts string) bool { return err == nil && ts == "" }},
		{Fault{Kind: NoTS}, 1, 200, func(err error, ts string) bool { return err == nil && ts == "" }},
		{Fault{Kind: Slow, Delay: time.Millisecond}, 1, 200, func(err error, ts string) bool { return err == nil && ts != "" }},
		{Fault{Kind: Redirect}, 0, 307, isStatus(307)},
		{Fault{Kind: "odd"}, 0, 501, isStatus(501)},
	} {
		t.Run(string(c.fault.Kind), func(t *testing.T) {
			now := newClock()
			s := support(Options{NoPace: true, Clock: now.Now})
			api := start(t, s)
			s.Fault(c.fault)
			_, ts, err := api.PostMessage("#support", say("x")...)
			if !c.check(err, ts) {
				t.Errorf("got %q, %v", ts, err)
			}
			if n := len(s.Posts("")); n != c.taken {
				t.Errorf("%d messages taken, want %d", n, c.taken)
			}
			if calls := s.Calls("chat.postMessage"); len(calls) != 1 || calls[0].Status != c.status || c.fault.Kind != "" && calls[0].Fault != c.fault.Kind {
				t.Errorf("calls = %+v", calls)
			}
			now.Add(3 * time.Second)
			if _, _, err := api.PostMessage("#support", say("x")...); err != nil {
				t.Errorf("the next call: %v", err)
			}
			if s.RateLimited() != 0 {
				t.Error("a fault counts as a broken pace")
			}
		})
	}
}

func isStatus(code int) func(error, string) bool {
	return func(err error, _ string) bool {
		var status slack.StatusCodeError
		return errors.As(err, &status) && status.Code == code
	}
}

func isCode(code string) func(error, string) bool {
	return func(err error, _ string) bool {
		var refused slack.SlackErrorResponse
		return errors.As(err, &refused) && refused.Err == code
	}
}

func isBroken(err error, ts string) bool {
	var refused slack.SlackErrorResponse
	return err != nil && !errors.As(err, &refused) && ts == ""
}

func TestFaultsChooseTheirCalls(t *testing.T) {
	s := support(Options{NoPace: true})
	s.AddChannel(Channel{Name: "sales", BotIsMember: true})
	api := start(t, s)
	post := func(channel string) error { _, _, err := api.PostMessage(channel, say("x")...); return err }
	s.Fault(Fault{Channel: "sales", Count: 2, Code: "fatal_error"})
	s.Fault(Fault{Method: "auth.test", Code: "account_inactive"})
	wantCode(t, post("#support"), "")
	wantCode(t, post(madeUpID("sales")), "fatal_error")
	_, err := api.AuthTest()
	wantCode(t, err, "account_inactive")
	wantCode(t, post("#sales"), "fatal_error")
	wantCode(t, post("#sales"), "")

	s.Fault(Fault{Method: "*", Count: -1, Kind: Status})
	for range 3 {
		if !isStatus(503)(post("#support"), "") {
			t.Error("an outage lets a call through")
		}
	}
	s.ClearFaults()
	wantCode(t, post("#support"), "")
}

// A fault that takes the message waits for one that can be taken.
func TestLostAnswerWaitsForAMessageThatIsTaken(t *testing.T) {
	s := support(Options{NoPace: true})
	api := start(t, s)
	s.Fault(Fault{Kind: DropAfterAccept})
	_, _, err := api.PostMessage("#nowhere", say("x")...)
	wantCode(t, err, "channel_not_found")
	if _, _, err := api.PostMessage("#support", say("x")...); !isBroken(err, "") {
		t.Errorf("got %v, want a broken connection", err)
	}
	_, _, err = api.PostMessage("#support", say("x")...)
	wantCode(t, err, "")
}

func TestRetryAfterHoldsTheMethod(t *testing.T) {
	now := newClock()
	s := support(Options{NoPace: true, Clock: now.Now})
	api := start(t, s)
	s.Fault(Fault{Kind: RateLimit, RetryAfter: 10 * time.Second})
	post := func() error { _, _, err := api.PostMessage("#support", say("x")...); return err }
	var limited *slack.RateLimitedError
	if err := post(); !errors.As(err, &limited) {
		t.Fatalf("got %v", err)
	}
	now.Add(4 * time.Second)
	if err := post(); !errors.As(err, &limited) || limited.RetryAfter != 6*time.Second {
		t.Errorf("got %v, want 6 s more", err)
	}
	if _, err := api.AuthTest(); err != nil {
		t.Errorf("another method: %v", err)
	}
	now.Add(6 * time.Second)
	wantCode(t, post(), "")
	if s.Impatient() != 1 || s.RateLimited() != 0 {
		t.Errorf("impatient %d, rate limited %d; want 1 and 0", s.Impatient(), s.RateLimited())
	}
	s.Fault(Fault{Kind: RateLimit, RetryAfter: time.Hour})
	_ = post()
	s.ClearFaults()
	wantCode(t, post(), "")
}

func TestLateVisible(t *testing.T) {
	now := newClock()
	s := support(Options{NoPace: true, Clock: now.Now})
	api := start(t, s)
	s.Fault(Fault{Kind: LateVisible, Delay: 5 * time.Second})
	_, _, _ = api.PostMessage("#support", say("x")...)
	seen := func() int {
		h, err := api.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: madeUpID("support")})
		if err != nil {
			t.Fatal(err)
		}
		return len(h.Messages)
	}
	if n := seen(); n != 0 {
		t.Errorf("%d messages at once, want none", n)
	}
	now.Add(5 * time.Second)
	if n := seen(); n != 1 {
		t.Errorf("%d messages after the delay, want 1", n)
	}
}

// A slow Slack takes a message even if its client has hung up meanwhile.
func TestSlowTakesItAllTheSame(t *testing.T) {
	s := support(Options{NoPace: true})
	url, stop, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	api := slack.New(token, slack.OptionAPIURL(url), slack.OptionHTTPClient(&http.Client{Timeout: 20 * time.Millisecond}))
	s.Fault(Fault{Kind: Slow, Delay: 60 * time.Millisecond})
	if _, _, err := api.PostMessage("#support", say("x")...); err == nil {
		t.Error("got an answer in time")
	}
	if _, err := s.WaitPosts(t.Context(), "support", 1); err != nil {
		t.Error(err)
	}
}

func TestStopEndsASlowAnswer(t *testing.T) {
	s := support(Options{NoPace: true})
	url, stop, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	arrived := make(chan struct{})
	s.Chaos(func(string, string) *Fault { close(arrived); return &Fault{Kind: Slow, Delay: time.Hour} })
	done := make(chan error)
	go func() {
		_, _, err := slack.New(token, slack.OptionAPIURL(url)).PostMessage("#support", say("x")...)
		done <- err
	}()
	<-arrived
	stop()
	stop() // twice is fine
	if err := <-done; err == nil {
		t.Error("got an answer")
	}
}

func TestRedirectIsSeenWhenFollowed(t *testing.T) {
	s := support(Options{NoPace: true})
	url, stop, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	s.Fault(Fault{Kind: Redirect})
	_, _, _ = slack.New(token, slack.OptionAPIURL(url)).PostMessage("#support", say("x")...) // follows
	if len(s.Calls("redirected.chat.postMessage")) != 1 {
		t.Errorf("calls = %+v", s.Calls(""))
	}
}

func TestChaos(t *testing.T) {
	s := support(Options{NoPace: true})
	api := start(t, s)
	n := 0
	s.Chaos(func(method, channel string) *Fault {
		if method != "chat.postMessage" || channel != "#support" {
			t.Errorf("asked about %s, %s", method, channel)
		}
		if n++; n%2 == 1 {
			return &Fault{Kind: DropAfterAccept}
		}
		return nil
	})
	for i := range 4 {
		if _, _, err := api.PostMessage("#support", say("x")...); (err != nil) != (i%2 == 0) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if len(s.Posts("")) != 4 {
		t.Errorf("%d posts, want 4", len(s.Posts("")))
	}
}
