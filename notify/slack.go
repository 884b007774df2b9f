package notify

import (
	"context"
	"encoding/json"
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
	_, ts, message, err := c.api.PostMessageWithResponseContext(ctx, to.channel, options...)
	o := c.decide(ts, err, w)
	if to.thread != "" && o.Kind == Sent {
		o.Thread = message.ThreadTimestamp
	}
	return o
}

// update replaces what a message says. Without parse=none Slack would look for mentions in its text, other than when it
// is posted. Source: https://docs.slack.dev/reference/methods/chat.update
func (c *client) update(ctx context.Context, channel, ts, id string, m format.Message) Outcome {
	return c.call(ctx, updating, func(ctx context.Context) error {
		_, _, _, err := c.api.UpdateMessageContext(ctx, channel, ts, append(content(id, m), slack.MsgOptionParse(false))...)
		return err
	})
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
func (c *client) call(ctx context.Context, t tier, f func(context.Context) error) Outcome {
	if err := c.tiers.wait(ctx, t); err != nil {
		return storeFailed(err)
	}
	most := smallAnswer
	if t == listing || t == reading {
		most = maxAnswer
	}
	ctx, w := watch(ctx, most)
	err := f(ctx)
	return c.decide("done", err, w)
}

// decide says what an answer means, and sets the clock by it.
func (c *client) decide(ts string, err error, w *wire) Outcome {
	o := decide(ts, err, w)
	if o.Answered {
		c.clock.heard(w.date)
	}
	return o
}

// hello asks Slack for nothing but an answer. Source: https://docs.slack.dev/reference/methods/auth.test
func (c *client) hello(ctx context.Context) Outcome {
	return c.call(ctx, greeting, func(ctx context.Context) error {
		_, err := c.api.AuthTestContext(ctx)
		return err
	})
}

// errUnreadable says that an answer of Slack's lacks what it must have.
var errUnreadable = errors.New("the answer lacks what was asked for")

// read calls a method that only tells something, and reads what is wanted of the answer and nothing else: slack-go
// decodes all of it, and refuses the whole for one odd message, channel or user that somebody else made.
func (c *client) read(ctx context.Context, t tier, method string, form url.Values, into any) Outcome {
	o := c.call(ctx, t, func(ctx context.Context) error {
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
		if resp.StatusCode != http.StatusOK {
			return slack.StatusCodeError{Code: resp.StatusCode, Status: resp.Status}
		}
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		var said struct {
			OK       bool   `json:"ok"`
			Error    string `json:"error"`
			Needed   string `json:"needed"`
			Metadata struct {
				Messages []string `json:"messages"`
			} `json:"response_metadata"`
		}
		if err := json.Unmarshal(answer, &said); err != nil && (said.OK || said.Error == "") {
			return fmt.Errorf("reading the answer of %s: %w", method, err)
		}
		if !said.OK {
			return slack.SlackErrorResponse{Err: said.Error, Needed: said.Needed, ResponseMetadata: slack.ResponseMetadata{Messages: said.Metadata.Messages}}
		}
		if err := json.Unmarshal(answer, into); err != nil {
			return fmt.Errorf("reading the answer of %s: %w", method, err)
		}
		if a, ok := into.(interface{ complete() bool }); ok && !a.complete() {
			return fmt.Errorf("reading the answer of %s: %w", method, errUnreadable)
		}
		return nil
	})
	if o.Code == "missing_scope" {
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

// items are the elements of a list, each to be read by itself.
type items []json.RawMessage

// each reads the elements that can be read and leaves out the others.
func each[T any](list items, visit func(T)) {
	for _, raw := range list {
		var one T
		if json.Unmarshal(raw, &one) == nil {
			visit(one)
		}
	}
}

// next is where an answer says how to go on.
type next struct {
	Cursor string `json:"next_cursor"`
}

// user asks for the user that an email belongs to. Source: https://docs.slack.dev/reference/methods/users.lookupByEmail
func (c *client) user(ctx context.Context, email string) (id string, o Outcome) {
	var answer userAnswer
	o = c.read(ctx, lookingUp, "users.lookupByEmail", url.Values{"email": {email}}, &answer)
	if o.Kind == Sent && !answer.User.Deleted {
		id = answer.User.ID
	}
	return id, o
}

type userAnswer struct {
	User struct {
		ID      string `json:"id"`
		Deleted bool   `json:"deleted"`
	} `json:"user"`
}

func (a *userAnswer) complete() bool { return a.User.ID != "" }

// Channel is a channel as Slack tells it.
type Channel struct {
	ID, Name          string
	Private, Archived bool
	Member            bool // the bot is in it
}

// channelAnswer is what is read of a channel.
type channelAnswer struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	IsPrivate  bool   `json:"is_private"`
	IsGroup    bool   `json:"is_group"`
	IsChannel  bool   `json:"is_channel"`
	IsArchived bool   `json:"is_archived"`
	IsMember   bool   `json:"is_member"`
}

func (a channelAnswer) channel() Channel {
	return Channel{a.ID, a.Name, a.IsPrivate || a.IsGroup && !a.IsChannel, a.IsArchived, a.IsMember}
}

// listPage is how many channels one call lists, and listPages how many calls list them all.
// Source: https://docs.slack.dev/reference/methods/conversations.list
const (
	listPage  = 999
	listPages = 30
)

// channels lists all channels of the given types that the bot can see: public_channel, and private_channel for those
// that it is in. A list without an end is cut, and no error.
func (c *client) channels(ctx context.Context, types ...string) ([]Channel, Outcome) {
	var all []Channel
	form := url.Values{
		"types": {strings.Join(types, ",")}, "limit": {strconv.Itoa(listPage)},
		"exclude_archived": {"false"}, // that a channel is archived is worth saying
	}
	list := pages{most: listPages}
	for {
		var answer channelsAnswer
		o := c.read(ctx, listing, "conversations.list", form, &answer)
		if o.Kind != Sent {
			return nil, o
		}
		each(*answer.Channels, func(a channelAnswer) {
			if a.ID != "" {
				all = append(all, a.channel())
			}
		})
		if more, _ := list.next(form, answer.Next.Cursor); !more {
			return all, o
		}
	}
}

type channelsAnswer struct {
	Channels *items `json:"channels"`
	Next     next   `json:"response_metadata"`
}

func (a *channelsAnswer) complete() bool { return a.Channels != nil }

// channel asks for one channel by its id. Source: https://docs.slack.dev/reference/methods/conversations.info
func (c *client) channel(ctx context.Context, id string) (Channel, Outcome) {
	var answer infoAnswer
	o := c.read(ctx, asking, "conversations.info", url.Values{"channel": {id}}, &answer)
	return answer.Channel.channel(), o
}

type infoAnswer struct {
	Channel channelAnswer `json:"channel"`
}

func (a *infoAnswer) complete() bool { return a.Channel.ID != "" }

// join makes the bot a member of a public channel, without which its history can't be read.
// Source: https://docs.slack.dev/reference/methods/conversations.join
func (c *client) join(ctx context.Context, id string) Outcome {
	return c.read(ctx, joining, "conversations.join", url.Values{"channel": {id}}, &struct{}{})
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
		var answer historyAnswer
		o := c.read(ctx, reading, method, form, &answer)
		if o.Code == tooLong && limit > fewestMessages {
			limit = max(limit/8, fewestMessages)
			continue
		}
		if o.Kind != Sent {
			return "", o
		}
		each(*answer.Messages, func(m marked) {
			if m.is(id) {
				ts = m.TS
			}
		})
		if ts != "" {
			return ts, o
		}
		switch more, end := history.next(form, answer.Next.Cursor); {
		case !end:
			return "", Outcome{Kind: RefusedMessage, Code: "a history without an end", Answered: true}
		case !more:
			return "", o
		}
	}
}

type historyAnswer struct {
	Messages *items `json:"messages"`
	Next     next   `json:"response_metadata"`
}

func (a *historyAnswer) complete() bool { return a.Messages != nil }

// marked is what is read of a message, whoever posted it.
type marked struct {
	TS       string          `json:"ts"`
	Metadata json.RawMessage `json:"metadata"`
}

// is reports whether a message carries an id of ours.
func (m marked) is(id string) bool {
	var metadata struct {
		Type    string                     `json:"event_type"`
		Payload map[string]json.RawMessage `json:"event_payload"`
	}
	if m.TS == "" || len(m.Metadata) == 0 || json.Unmarshal(m.Metadata, &metadata) != nil || metadata.Type != metadataType {
		return false
	}
	var carried string
	return json.Unmarshal(metadata.Payload[metadataID], &carried) == nil && carried == id
}

// slackTime writes a time as Slack's ts.
func slackTime(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMicro())/1e6, 'f', 6, 64)
}
