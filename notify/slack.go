package notify

import (
	"context"
	"errors"
	"net/http"
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
	tiers *tiers
}

// newClient calls Slack's API at url, which ends in a slash; "" is the real one.
func newClient(token, url string, http *http.Client) *client {
	options := []slack.Option{slack.OptionHTTPClient(http)}
	if url != "" {
		options = append(options, slack.OptionAPIURL(strings.TrimSuffix(url, "/")+"/"))
	}
	return &client{slack.New(token, options...), newTiers()}
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
	ctx, w := watch(ctx)
	_, ts, message, err := c.api.PostMessageWithResponseContext(ctx, to.channel, options...)
	o := decide(ts, err, w)
	if to.thread != "" && o.Kind == Sent {
		o.Thread = message.ThreadTimestamp
	}
	return o
}

// update replaces what a message says. Source: https://docs.slack.dev/reference/methods/chat.update
func (c *client) update(ctx context.Context, channel, ts, id string, m format.Message) Outcome {
	return c.call(ctx, updating, func(ctx context.Context) error {
		_, _, _, err := c.api.UpdateMessageContext(ctx, channel, ts, content(id, m)...)
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

// user asks for the user that an email belongs to. Source: https://docs.slack.dev/reference/methods/users.lookupByEmail
func (c *client) user(ctx context.Context, email string) (id string, o Outcome) {
	o = c.call(ctx, lookingUp, func(ctx context.Context) error {
		user, err := c.api.GetUserByEmailContext(ctx, email)
		if err == nil && !user.Deleted {
			id = user.ID
		}
		return err
	})
	return id, o
}

// call makes any other call to Slack, at the pace of its tier. There is no ts: without an error it is Sent.
func (c *client) call(ctx context.Context, t tier, f func(context.Context) error) Outcome {
	if err := c.tiers.wait(ctx, t); err != nil {
		return Outcome{Kind: Later, Code: "store", Detail: err.Error(), Err: err, Answered: true} // nothing is known of Slack
	}
	ctx, w := watch(ctx)
	err := f(ctx)
	return decide("done", err, w)
}

// Channel is a channel as Slack tells it.
type Channel struct {
	ID, Name          string
	Private, Archived bool
	Member            bool // the bot is in it
}

func channelOf(c slack.Channel) Channel {
	return Channel{c.ID, c.Name, c.IsPrivate || c.IsGroup && !c.IsChannel, c.IsArchived, c.IsMember}
}

// channels lists all channels that the bot can see: public ones, and private ones it is in.
func (c *client) channels(ctx context.Context) ([]Channel, Outcome) {
	var all []Channel
	params := &slack.GetConversationsParameters{
		Types:           []string{"public_channel", "private_channel"},
		ExcludeArchived: false, // that a channel is archived is worth saying
		Limit:           999,
	}
	for {
		o := c.call(ctx, listing, func(ctx context.Context) error {
			page, next, err := c.api.GetConversationsContext(ctx, params)
			for _, channel := range page {
				all = append(all, channelOf(channel))
			}
			params.Cursor = next
			return err
		})
		if o.Kind != Sent || params.Cursor == "" {
			return all, o
		}
	}
}

// channel asks for one channel by its id.
func (c *client) channel(ctx context.Context, id string) (Channel, Outcome) {
	var channel Channel
	o := c.call(ctx, asking, func(ctx context.Context) error {
		info, err := c.api.GetConversationInfoContext(ctx, &slack.GetConversationInfoInput{ChannelID: id})
		if err == nil {
			channel = channelOf(*info)
		}
		return err
	})
	return channel, o
}

// join makes the bot a member of a public channel, without which its history can't be read.
func (c *client) join(ctx context.Context, id string) Outcome {
	return c.call(ctx, joining, func(ctx context.Context) error {
		_, _, _, err := c.api.JoinConversationContext(ctx, id)
		return err
	})
}

// historyPage is how many messages one read of history returns. 999 is the most for an app that a customer made
// for itself. Source: https://docs.slack.dev/reference/methods/conversations.history
const historyPage = 999

// marks reads a channel's history, or a thread's, between two times and returns the ts of each message by the id
// that its metadata carries.
func (c *client) marks(ctx context.Context, channel, thread string, oldest, latest time.Time) (map[string]string, Outcome) {
	found := map[string]string{}
	cursor := ""
	for {
		var page []slack.Message
		more := false
		o := c.call(ctx, reading, func(ctx context.Context) error {
			if thread != "" {
				messages, hasMore, next, err := c.api.GetConversationRepliesContext(ctx, &slack.GetConversationRepliesParameters{
					ChannelID: channel, Timestamp: thread, Cursor: cursor, Limit: historyPage,
					Oldest: slackTime(oldest), Latest: slackTime(latest), Inclusive: true, IncludeAllMetadata: true,
				})
				page, cursor, more = messages, next, hasMore
				return err
			}
			answer, err := c.api.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{
				ChannelID: channel, Cursor: cursor, Limit: historyPage,
				Oldest: slackTime(oldest), Latest: slackTime(latest), Inclusive: true, IncludeAllMetadata: true,
			})
			if err != nil {
				return err
			}
			if !answer.Ok {
				return errors.New("an answer that is neither ok nor an error")
			}
			page, cursor, more = answer.Messages, answer.ResponseMetaData.NextCursor, answer.HasMore
			return nil
		})
		if o.Kind != Sent {
			return nil, o
		}
		for _, m := range page {
			if id, ok := m.Metadata.EventPayload[metadataID].(string); ok && m.Metadata.EventType == metadataType {
				found[id] = m.Timestamp
			}
		}
		if !more || cursor == "" {
			return found, o
		}
	}
}

// slackTime writes a time as Slack's ts.
func slackTime(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMicro())/1e6, 'f', 6, 64)
}
