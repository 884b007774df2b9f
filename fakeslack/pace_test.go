package fakeslack

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/slack-go/slack"
)

func limitedFor(err error) time.Duration {
	var limited *slack.RateLimitedError
	if errors.As(err, &limited) {
		return limited.RetryAfter
	}
	return 0
}

func TestOneMessageASecondAChannel(t *testing.T) {
	now := newClock()
	s := support(Options{Clock: now.Now})
	s.AddChannel(Channel{Name: "sales", BotIsMember: true})
	api := start(t, s)
	post := func(channel string) error { _, _, err := api.PostMessage(channel, say("x")...); return err }
	wantCode(t, post("#support"), "")
	wantCode(t, post("#sales"), "") // another channel does not wait
	now.Add(999 * time.Millisecond)
	if got := limitedFor(post("#support")); got != time.Second {
		t.Errorf("after 0.999 s: held for %v, want 1 s", got)
	}
	if got := limitedFor(post("#sales")); got == 0 {
		t.Error("a Retry-After holds the whole method, another channel got through")
	}
	now.Add(time.Second)
	wantCode(t, post("#support"), "")
	now.Add(time.Second)
	wantCode(t, post("#support"), "")
	if s.RateLimited() != 2 || s.Impatient() != 1 {
		t.Errorf("rate limited %d, impatient %d; want 2 and 1", s.RateLimited(), s.Impatient())
	}
}

func TestWorkspaceBucket(t *testing.T) {
	now := newClock()
	s := support(Options{Clock: now.Now})
	api := start(t, s)
	post := func(i int) error {
		name := fmt.Sprint("c", i)
		s.AddChannel(Channel{Name: name, BotIsMember: true})
		_, _, err := api.PostMessage("#"+name, say("x")...)
		return err
	}
	for i := range 30 {
		wantCode(t, post(i), "")
	}
	if limitedFor(post(30)) == 0 {
		t.Error("the 31st at once got through")
	}
	now.Add(time.Second)
	for i := range 5 {
		wantCode(t, post(40+i), "")
	}
	if limitedFor(post(50)) == 0 {
		t.Error("more than 5 a second got through")
	}
}

func TestMethodsHaveTheirOwnLimits(t *testing.T) {
	for _, c := range []struct {
		method string
		limit  int
		call   func(*slack.Client) error
	}{
		{"conversations.history", 50, func(a *slack.Client) error {
			_, err := a.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: madeUpID("support")})
			return err
		}},
		{"conversations.list", 20, func(a *slack.Client) error {
			_, _, err := a.GetConversations(&slack.GetConversationsParameters{})
			return err
		}},
		{"chat.update", 50, func(a *slack.Client) error {
			_, _, _, err := a.UpdateMessage(madeUpID("support"), "1700000000.000000", say("x")...)
			return err
		}},
	} {
		t.Run(c.method, func(t *testing.T) {
			now := newClock()
			s := support(Options{Clock: now.Now})
			api := start(t, s)
			if _, _, err := api.PostMessage("#support", say("x")...); err != nil {
				t.Fatal(err)
			}
			for range c.limit {
				now.Add(time.Second / 2)
				wantCode(t, c.call(api), "")
			}
			want := time.Minute - time.Second/2*time.Duration(c.limit-1)
			if got := limitedFor(c.call(api)); got != time.Duration(seconds(want))*time.Second {
				t.Errorf("held for %v, want %v", got, want)
			}
			now.Add(time.Minute)
			wantCode(t, c.call(api), "")
		})
	}
}

func TestNoPace(t *testing.T) {
	s := support(Options{NoPace: true, Clock: newClock().Now})
	api := start(t, s)
	for range 100 {
		_, _, err := api.PostMessage("#support", say("x")...)
		wantCode(t, err, "")
	}
}
