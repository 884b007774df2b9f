package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"allo-slack/format"
)

// metadataType and metadataID are the mark that each message carries, by which it is found in a channel's history.
// The whole workspace can read it: it holds an opaque id and nothing else.
const (
	metadataType = "allo_delivery"
	metadataID   = "delivery_id"
)

// client is Slack as this package uses it. Every answer goes through decide.
type client struct {
	api   *slack.Client
	http  *http.Client
	url   string // ends in a slash
	token string
	tiers *tiers
	clock slackClock
	// limited is told of each answer that asks to wait; nil is told nothing.
	limited func(context.Context, Outcome)
}

// newClient calls Slack's API at url; "" is the real one.
func newClient(token, url string, http *http.Client) *client {
	if url == "" {
		url = slack.APIURL
	}
	url = strings.TrimSuffix(url, "/") + "/"
	return &client{
		api:  slack.New(token, slack.OptionHTTPClient(http), slack.OptionAPIURL(url)),
		http: http, url: url, token: token, tiers: newTiers(),
	}
}

// place is where in a channel a message goes.
type place struct {
	channel   string
	thread    string // the ts of the message that it replies to; "" is the top
	broadcast bool   // a reply that the channel shows too
}

// post sends a message that carries an id. Outcome.Thread tells whether it became a reply: where the parent was
// deleted Slack posts at the top and says ok.
func (c *client) post(ctx context.Context, to place, id string, m format.Message) Outcome {
	options := content(id, m)
	if to.thread != "" {
		options = append(options, slack.MsgOptionTS(to.thread))
		if to.broadcast {
			options = append(options, slack.MsgOptionBroadcast())
		}
	}
	ctx, w := watch(ctx, smallAnswer)
	_, _, err := c.api.PostMessageContext(ctx, to.channel, options...)
	o := c.decide(ctx, w.answer.text("ts"), confirmed(err, w), w)
	if o.Kind == Sent {
		c.clock.heardTS(o.TS)
		if to.thread != "" {
			o.Thread = to.thread
			if message := w.answer.object("message"); message != nil {
				o.Thread = message.text("thread_ts")
			}
		}
	}
	return o
}

// update replaces what a message says. Without parse=none Slack would look for mentions in its text, other than when it
// is posted. Source: https://docs.slack.dev/reference/methods/chat.update
func (c *client) update(ctx context.Context, channel, ts, id string, m format.Message) Outcome {
	o := c.call(ctx, updating, func(ctx context.Context, w *wire) error {
		_, _, _, err := c.api.UpdateMessageContext(ctx, channel, ts, append(content(id, m), slack.MsgOptionParse(false))...)
		return confirmed(err, w)
	})
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

// content is what a message says, and the id that it carries.
func content(id string, m format.Message) []slack.MsgOption {
	options := []slack.MsgOption{
		slack.MsgOptionText(m.Text, false),
		slack.MsgOptionDisableLinkUnfurl(),
		slack.MsgOptionDisableMediaUnfurl(),
		slack.MsgOptionMetadata(slack.SlackMetadata{
			EventType:    metadataType,
			EventPayload: map[string]any{metadataID: id},
		}),
	}
	if len(m.Blocks) > 0 {
		options = append(options, slack.MsgOptionBlocks(m.Blocks...))
	}
	return options
}

// call makes any other call to Slack, at the pace of its tier. There is no ts: without an error it is Sent.
func (c *client) call(ctx context.Context, t tier, f func(context.Context, *wire) error) Outcome {
	if err := c.tiers.wait(ctx, t); err != nil {
		return storeFailed(err)
	}
	most := smallAnswer
	if t == listing || t == reading {
		most = maxAnswer
	}
	ctx, w := watch(ctx, most)
	err := f(ctx, w)
	return c.decide(ctx, "done", err, w)
}

// decide says what an answer means, sets the clock by it, and has everybody wait if it asks to.
func (c *client) decide(ctx context.Context, ts string, err error, w *wire) Outcome {
	o := decide(ts, err, w)
	if o.Kind == Wait && c.limited != nil {
		c.limited(ctx, o)
	}
	if o.Answered {
		c.clock.heardDate(w.date)
	}
	return o
}

// hello asks Slack for nothing but an answer. Source: https://docs.slack.dev/reference/methods/auth.test
func (c *client) hello(ctx context.Context) Outcome {
	return c.call(ctx, greeting, func(ctx context.Context, _ *wire) error {
		_, err := c.api.AuthTestContext(ctx)
		return err
	})
}

// errUnreadable says that an answer of Slack's lacks what it must have.
var errUnreadable = errors.New("the answer lacks what was asked for")

// read calls a method that only tells something. What is wanted of the answer is read by itself: slack-go decodes all of
// it, and refuses the whole for one odd message, channel or user that somebody else made.
func (c *client) read(ctx context.Context, t tier, method string, form url.Values, want func(answer) error) Outcome {
	o := c.call(ctx, t, func(ctx context.Context, w *wire) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+method, strings.NewReader(form.Encode()))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Authorization", "Bearer "+c.token)
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
				return fmt.Errorf("reading the answer of %s: %w", method, err)
			}
			return nil
		case a.text("error") != "":
			messages, _ := a.object("response_metadata").list("messages")
			return slack.SlackErrorResponse{Err: a.text("error"), Needed: a.text("needed"), ResponseMetadata: slack.ResponseMetadata{Messages: readable[string](messages)}}
		}
		return fmt.Errorf("reading the answer of %s: %w", method, errUnreadable)
	})
	if o.Kind == RefusedToken && ofMethod[o.Code] {
		// The token works, but not for this. It is the trouble of the channel that this was asked for.
		o.Kind = RefusedChannel
	}
	return o
}

// pages goes through an answer that comes in pages. The end is an empty cursor, whatever else the answer says, and
// however short a page is. end is false if there is none: after most pages, or where a cursor comes a second time.
type pages struct {
	most int
	read int
	seen []string
}

// next sets the cursor of the next page; more is false after the last one.
func (p *pages) next(form url.Values, cursor string) (more, end bool) {
	p.read++
	switch {
	case cursor == "":
		return false, true
	case p.read >= p.most, slices.Contains(p.seen, cursor):
		return false, false
	}
	p.seen = append(p.seen, cursor)
	form.Set("cursor", cursor)
	return true, true
}

// cursor is where an answer says how to go on.
func (a answer) cursor() string { return a.object("response_metadata").text("next_cursor") }

// user asks for the user that an email belongs to; "" if there is none. Nothing is posted less for want of an answer, so
// that says nothing of Slack as a whole. Source: https://docs.slack.dev/reference/methods/users.lookupByEmail
func (c *client) user(ctx context.Context, email string) (id string, o Outcome) {
	o = c.read(ctx, lookingUp, "users.lookupByEmail", url.Values{"email": {email}}, func(a answer) error {
		user := a.object("user")
		if user.text("id") == "" {
			return errUnreadable
		}
		if !user.is("deleted") {
			id = user.text("id")
		}
		return nil
	})
	if o.Code == "users_not_found" {
		return "", Outcome{Kind: Sent, Answered: true}
	}
	if !o.Answered && !o.Local {
		o.Strange = true
	}
	return id, o
}

// Channel is a channel as Slack tells it.
type Channel struct {
	ID, Name          string
	Private, Archived bool
	Member            bool // the bot is in it
}

// channelOf reads a channel; its ID is "" if it can't be read.
func channelOf(a answer) Channel {
	return Channel{a.text("id"), a.text("name"), a.is("is_private") || a.is("is_group") && !a.is("is_channel"), a.is("is_archived"), a.is("is_member")}
}

// listPage is how many channels one call lists, and listPages how many calls list them all. A list of which listStale
// pages in a row have nothing new has no end. Source: https://docs.slack.dev/reference/methods/conversations.list
const (
	listPage  = 999
	listPages = 500
	listStale = 5
)

// channels lists all channels of the given types that the bot can see: public_channel, and private_channel for those
// that it is in. A list without an end is cut, and no error.
func (c *client) channels(ctx context.Context, types ...string) ([]Channel, Outcome) {
	var all []Channel
	seen, stale := map[string]bool{}, 0
	form := url.Values{
		"types": {strings.Join(types, ",")}, "limit": {strconv.Itoa(listPage)},
		"exclude_archived": {"false"}, // that a channel is archived is worth saying
	}
	list := pages{most: listPages}
	for {
		cursor := ""
		stale++
		o := c.read(ctx, listing, "conversations.list", form, func(a answer) error {
			page, ok := a.list("channels")
			if !ok {
				return errUnreadable
			}
			for _, one := range readable[answer](page) {
				if channel := channelOf(one); channel.ID != "" && !seen[channel.ID] {
					seen[channel.ID], stale = true, 0
					all = append(all, channel)
				}
			}
			cursor = a.cursor()
			return nil
		})
		if o.Kind != Sent {
			return nil, o
		}
		if more, _ := list.next(form, cursor); !more || stale == listStale {
			return all, o
		}
	}
}

// The types of channels, and the scopes that it takes to see them.
const (
	public, seePublic   = "public_channel", "channels:read"
	private, seePrivate = "private_channel", "groups:read"
)

// visible lists the channels that the token has the scopes to see. A missing scope is the trouble of those that can't be
// seen, not of the others. hidden is the scope that is missing, before as far as that is known; "" if none is.
func (c *client) visible(ctx context.Context, before string) (all []Channel, hidden string, o Outcome) {
	if before == "" {
		if all, o := c.channels(ctx, public, private); o.Code != "missing_scope" {
			return all, "", o
		}
	}
	// Which of the two it is Slack doesn't say where either would do.
	if before != seePublic {
		if all, o := c.channels(ctx, public); o.Code != "missing_scope" {
			return all, seePrivate, o
		}
	}
	all, o = c.channels(ctx, private)
	return all, seePublic, o
}

// channel asks for one channel by its id. Source: https://docs.slack.dev/reference/methods/conversations.info
func (c *client) channel(ctx context.Context, id string) (channel Channel, o Outcome) {
	o = c.read(ctx, asking, "conversations.info", url.Values{"channel": {id}}, func(a answer) error {
		if channel = channelOf(a.object("channel")); channel.ID == "" {
			return errUnreadable
		}
		return nil
	})
	return channel, o
}

// join makes the bot a member of a public channel, without which its history can't be read.
// Source: https://docs.slack.dev/reference/methods/conversations.join
func (c *client) join(ctx context.Context, id string) Outcome {
	return c.read(ctx, joining, "conversations.join", url.Values{"channel": {id}}, func(answer) error { return nil })
}

// historyPage is how many messages one read of history returns: 999 is the most for an app that a customer made for
// itself. Where so many make too long an answer, fewer are asked for, down to fewestMessages. historyPages bounds the
// reading of one history. Source: https://docs.slack.dev/reference/methods/conversations.history
const (
	historyPage    = 999
	fewestMessages = 15
	historyPages   = 20
)

// find looks for the message that carries an id in a channel's history, or in a thread's, between two times of Slack's
// clock. ts is "" if it isn't there.
func (c *client) find(ctx context.Context, channel, thread, id string, oldest, latest time.Time) (ts string, o Outcome) {
	method := "conversations.history"
	form := url.Values{
		"channel": {channel}, "oldest": {slackTime(oldest)}, "latest": {slackTime(latest)}, "inclusive": {"1"}, "include_all_metadata": {"1"},
	}
	if thread != "" {
		method = "conversations.replies"
		form.Set("ts", thread)
	}
	history, limit := pages{most: historyPages}, historyPage
	for {
		form.Set("limit", strconv.Itoa(limit))
		cursor := ""
		o := c.read(ctx, reading, method, form, func(a answer) error {
			page, ok := a.list("messages")
			if !ok {
				return errUnreadable
			}
			for _, message := range readable[answer](page) {
				if carries(message, id) && message.text("ts") != "" {
					ts = message.text("ts")
				}
			}
			cursor = a.cursor()
			return nil
		})
		switch {
		case o.Code == tooLong && limit > fewestMessages:
			limit = max(limit/8, fewestMessages)
			continue
		case o.Kind != Sent || ts != "":
			return ts, o
		}
		switch more, end := history.next(form, cursor); {
		case !end:
			return "", Outcome{Kind: RefusedMessage, Code: "a history without an end", Answered: true}
		case !more:
			return "", o
		}
	}
}

// carries reports whether a message, whoever posted it, carries an id of ours.
func carries(message answer, id string) bool {
	metadata := message.object("metadata")
	return metadata.text("event_type") == metadataType && id != "" && metadata.object("event_payload").text(metadataID) == id
}

// slackTime writes a time as Slack's ts.
func slackTime(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMicro())/1e6, 'f', 6, 64)
}
