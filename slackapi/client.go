// Package slackapi calls Slack, and nothing else in this program does.
//
// It promises:
//
//   - What an answer of Slack's means, or its absence, is decided in one place (decide), and is one of a few kinds.
//   - Every call but auth.test goes through Ask, the only one that has patience with Slack. It waits for Slack to be back,
//     for the token, for Retry-After and for a method's limit a minute, and backs off. An outage never spends a caller's
//     patience.
//   - Any 429 has everybody wait for as long as it asks. While Slack as a whole is away one caller asks auth.test every 5 s
//     for all, and its first answer wakes the rest; while the token is refused one caller tries it once a minute.
//   - Of answers only what is wanted is read: what others posted, and odd fields, break nothing.
//
// It knows neither events nor rules nor the outbox.
package slackapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slack-go/slack"
	"golang.org/x/sync/singleflight"
)

// Config is what a Client works with. All but the token may be left out.
type Config struct {
	Token  string       // the bot's
	URL    string       // of Slack's API; "" is the real one
	HTTP   *http.Client // as HTTPClient makes it, or one on top of Transport
	Log    *slog.Logger
	Used   float64   // the share of a minute's calls that processes before this one may have made (see Begin)
	Paused time.Time // until when one of them was asked to wait
	// KeepPause is told until when Slack wants nothing to be asked, for the process after this one.
	KeepPause func(ctx context.Context, until time.Time) error
}

// Client calls Slack. Its methods may be used by any number of goroutines.
type Client struct {
	api       *slack.Client
	http      *http.Client
	url       string // ends in a slash
	secret    string
	log       *slog.Logger
	limits    *limits
	clock     slackClock
	pauses    pauses
	keepPause func(context.Context, time.Time) error
	breaker   breaker
	token     *gate
	asked     singleflight.Group
}

// New prepares a Client. It asks nothing of Slack.
func New(c Config) *Client {
	if c.URL == "" {
		c.URL = slack.APIURL
	}
	if c.HTTP == nil {
		c.HTTP = HTTPClient()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	url := strings.TrimSuffix(c.URL, "/") + "/"
	client := &Client{
		api:  slack.New(c.Token, slack.OptionHTTPClient(c.HTTP), slack.OptionAPIURL(url)),
		http: c.HTTP, url: url, secret: c.Token, log: c.Log, limits: newLimits(1 - c.Used), keepPause: c.KeepPause,
		breaker: breaker{gate: newGate()}, token: newGate(),
	}
	// A clock that was set back must not stop anything for long.
	client.pause(min(time.Until(c.Paused), maxWait))
	return client
}

// Now returns between which times Slack's clock is; told is false as long as Slack hasn't told anything: then it is ours.
func (c *Client) Now() (early, late time.Time, told bool) { return c.clock.now() }

// What each message carries, by which it is found in a channel's history: an id, and in one string what recognises each
// thing that it shows. The whole workspace can read it: all of it is opaque.
// Source: https://docs.slack.dev/messaging/message-metadata
const (
	metadataType  = "allo_delivery"
	metadataID    = "delivery_id"
	metadataShown = "deliveries"
)

// Place is where in a channel a message stands.
type Place struct {
	Channel string // its id
	Thread  string // the ts of the message that it replies to; "" is the top
}

// Message is what is posted.
type Message struct {
	ID        string // opaque; by which it is found again
	Shown     string // opaque; by which each thing that it shows is found again, whatever message that is in
	Text      string
	Blocks    []slack.Block
	Broadcast bool // a reply that the channel shows too
}

// Post makes one attempt to post a message; it is for a call of Ask's, with Posting. Outcome.Thread tells whether it became
// a reply: where the parent was deleted Slack posts at the top and says ok.
// Source: https://docs.slack.dev/reference/methods/chat.postMessage
func (c *Client) Post(ctx context.Context, to Place, m Message) Outcome {
	options := m.content()
	if to.Thread != "" {
		options = append(options, slack.MsgOptionTS(to.Thread))
		if m.Broadcast {
			options = append(options, slack.MsgOptionBroadcast())
		}
	}
	ctx, w := watch(ctx, smallAnswer)
	_, _, err := c.api.PostMessageContext(ctx, to.Channel, options...)
	o := c.decide(ctx, confirmed(err, w), w)
	if o.Kind == Sent {
		o.TS = w.answer.text("ts")
		c.clock.heardTS(o.TS)
		if to.Thread != "" {
			o.Thread = to.Thread
			if message := w.answer.object("message"); message != nil {
				o.Thread = message.text("thread_ts")
			}
		}
	}
	return o
}

// Update replaces what a message says, in one call; it is for a call of Ask's, with Updating. Without parse=none Slack would
// look for mentions in its text, other than when it is posted.
// Source: https://docs.slack.dev/reference/methods/chat.update
func (c *Client) Update(ctx context.Context, channel, ts string, m Message) Outcome {
	ctx, w := watch(ctx, smallAnswer)
	_, _, _, err := c.api.UpdateMessageContext(ctx, channel, ts, append(m.content(), slack.MsgOptionParse(false))...)
	o := c.decide(ctx, confirmed(err, w), w)
	if o.Kind == RefusedToken && ofMethod[o.Code] && o.Code != "missing_scope" { // posting needs the same scope
		o.Kind = RefusedMessage
	}
	return o
}

// confirmed is the error of a message that was posted or updated. What counts is that Slack says ok, and which message it
// is: slack-go takes an echo of it that it can't decode for an error.
func confirmed(err error, w *wire) error {
	switch {
	case !w.answer.is("ok"):
		return err
	case w.answer.text("ts") == "":
		return errUnreadable
	}
	return nil
}

// content is what a message says, and what it carries.
func (m Message) content() []slack.MsgOption {
	carried := map[string]any{metadataID: m.ID}
	if m.Shown != "" {
		carried[metadataShown] = m.Shown
	}
	options := []slack.MsgOption{
		slack.MsgOptionText(m.Text, false),
		slack.MsgOptionDisableLinkUnfurl(),
		slack.MsgOptionDisableMediaUnfurl(),
		slack.MsgOptionMetadata(slack.SlackMetadata{
			EventType:    metadataType,
			EventPayload: carried,
		}),
	}
	if len(m.Blocks) > 0 {
		options = append(options, slack.MsgOptionBlocks(m.Blocks...))
	}
	return options
}

// decide says what an answer means, sets the clock by it, and has everybody wait if it asks to.
func (c *Client) decide(ctx context.Context, err error, w *wire) Outcome {
	o := decide(err, w)
	if o.Kind == Wait {
		c.limited(ctx, o)
	}
	if o.Answered {
		c.clock.heardDate(w.date)
	}
	return o
}

// hello asks Slack for nothing but an answer. Source: https://docs.slack.dev/reference/methods/auth.test
func (c *Client) hello(ctx context.Context) Outcome {
	_, o := c.who(ctx)
	return o
}

// who asks Slack whose token it is.
func (c *Client) who(ctx context.Context) (*slack.AuthTestResponse, Outcome) {
	ctx, w := watch(ctx, smallAnswer)
	who, err := c.api.AuthTestContext(ctx)
	return who, c.decide(ctx, err, w)
}

// errUnreadable says that an answer of Slack's lacks what it must have.
var errUnreadable = errors.New("the answer lacks what was asked for")

// read asks a method that only tells something.
func (c *Client) read(ctx context.Context, m Method, p Patience, form url.Values, want func(answer) error) Outcome {
	return c.Ask(ctx, m, p, func(ctx context.Context) Outcome { return c.readOnce(ctx, m, form, want) })
}

// readOnce makes one call. What is wanted of the answer is read by itself: slack-go decodes all of it, and refuses the whole
// for one odd message, channel or user that somebody else made.
func (c *Client) readOnce(ctx context.Context, m Method, form url.Values, want func(answer) error) Outcome {
	most := smallAnswer
	if m == listing || m == history || m == replies {
		most = maxAnswer
	}
	ctx, w := watch(ctx, most)
	o := c.decide(ctx, c.request(ctx, m, form, want, w), w)
	switch {
	case o.Kind == RefusedToken && ofMethod[o.Code]:
		// The token works, but not for this. It is the trouble of the channel that this was asked for.
		o.Kind = RefusedChannel
	case o.Code == tooLong:
		o.Kind = RefusedMessage // it is each time
	}
	return o
}

// request sends a form and reads the answer; the error is as slack-go's.
func (c *Client) request(ctx context.Context, m Method, form url.Values, want func(answer) error, w *wire) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+string(m), strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer "+c.secret)
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch a := w.answer; {
	case resp.StatusCode != http.StatusOK:
		return slack.StatusCodeError{Code: resp.StatusCode, Status: resp.Status}
	case w.cut:
		_, err := io.ReadAll(resp.Body) // says what broke it
		return err
	case a.is("ok"):
		if err := want(a); err != nil {
			return fmt.Errorf("reading the answer of %s: %w", m, err)
		}
		return nil
	case a.text("error") != "":
		messages, _ := a.object("response_metadata").list("messages")
		return slack.SlackErrorResponse{Err: a.text("error"), Needed: a.text("needed"), ResponseMetadata: slack.ResponseMetadata{Messages: readable[string](messages)}}
	}
	return fmt.Errorf("reading the answer of %s: %w", m, errUnreadable)
}
