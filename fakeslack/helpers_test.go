package fakeslack

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/slack-go/slack"
)

const token = "xoxb-test"

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1700000000, 0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// start listens and returns a client of the real library. Redirects are not followed.
func start(t *testing.T, s *Server) *slack.Client {
	t.Helper()
	url, stop, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return slack.New(token, slack.OptionAPIURL(url), slack.OptionHTTPClient(&http.Client{
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}))
}

// support is a workspace with #support and a private #board without the bot.
func support(o Options) *Server {
	o.Token = token
	o.Channels = append(o.Channels, Channel{Name: "support", BotIsMember: true}, Channel{Name: "board", Private: true},
		Channel{Name: "open"}, Channel{Name: "#secret", Private: true, BotIsMember: true})
	return New(o)
}

// wantCode fails the test unless err is Slack's refusal with that code; "" is no error.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var refused slack.SlackErrorResponse
	switch {
	case code == "" && err != nil:
		t.Fatalf("got %v, want no error", err)
	case code != "" && (!errors.As(err, &refused) || refused.Err != code):
		t.Fatalf("got %v, want %s", err, code)
	}
}

func say(text string) []slack.MsgOption { return []slack.MsgOption{slack.MsgOptionText(text, false)} }
