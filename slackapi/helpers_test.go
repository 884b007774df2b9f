package slackapi

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"allo-slack/fakeslack"
	"allo-slack/tests/direct"
)

const testToken = "xoxb-17-of-the-tests"

// bubble runs a test inside a bubble of its own, beside others: there time passes when all wait for it.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

func bubbleIn(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { bubble(t, f) })
}

// pass lets time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// journal keeps what was logged.
type journal struct {
	mu  sync.Mutex
	all strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.all.Write(p)
}

// times is how often a text was logged.
func (j *journal) times(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.all.String(), text)
}

// What is logged when an outage begins and ends.
const (
	logAway = "slack is away"
	logBack = "slack is back"
)

// rig is a client, and a Slack in this process. It is made inside a bubble.
type rig struct {
	*Client
	slack *fakeslack.Server
	wire  *direct.Transport
	log   *journal
}

// newRig has a Slack with the public channel #a, whose id is C0A, and more as the options have it.
func newRig(t *testing.T, options fakeslack.Options) *rig {
	t.Helper()
	return newRigWith(t, options, Config{})
}

func newRigWith(t *testing.T, options fakeslack.Options, config Config) *rig {
	t.Helper()
	options.Token = testToken
	options.Channels = append(options.Channels, fakeslack.Channel{ID: "C0A", Name: "a", BotIsMember: true})
	r := &rig{slack: fakeslack.New(options), log: &journal{}}
	r.wire = &direct.Transport{API: r.slack.API()}
	config.Token, config.URL = testToken, "http://slack.test/api/"
	config.HTTP = HTTPClient()
	config.HTTP.Transport = Transport(r.wire)
	config.Log = slog.New(slog.NewTextHandler(r.log, nil))
	r.Client = New(config)
	t.Cleanup(r.wire.Going.Wait)
	return r
}

// goesAway has the client find out that Slack is away: calls weren't answered, auth.test among them.
func (r *rig) goesAway() {
	r.breaker.silent = true
	for range awayAfter {
		r.report(context.Background(), turn{}, lost)
	}
}

// noAuthTest has something else answer auth.test, so that what a caller wants is the try for all.
func (r *rig) noAuthTest() {
	r.slack.Fault(fakeslack.Fault{Method: "auth.test", Kind: fakeslack.Status, Status: 404, Count: -1})
}
