package slackapi

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

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

// User asks for the user that an email belongs to; "" if there is none. Nothing is posted less for want of an answer, so
// that says nothing of Slack as a whole. Source: https://docs.slack.dev/reference/methods/users.lookupByEmail
func (c *Client) User(ctx context.Context, p Patience, email string) (id string, o Outcome) {
	o = c.Ask(ctx, lookingUp, p, func(ctx context.Context) Outcome {
		o := c.readOnce(ctx, lookingUp, url.Values{"email": {email}}, func(a answer) error {
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
			return Outcome{Kind: Sent, Answered: true}
		}
		o.Strange = o.Strange || !o.Answered
		return o
	})
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

// list lists all channels of the given types that the bot can see: public_channel, and private_channel for those that it is
// in. A list without an end is cut, and no error.
func (c *Client) list(ctx context.Context, p Patience, types ...string) ([]Channel, Outcome) {
	var all []Channel
	seen, stale := map[string]bool{}, 0
	form := url.Values{
		"types": {strings.Join(types, ",")}, "limit": {strconv.Itoa(listPage)},
		"exclude_archived": {"false"}, // that a channel is archived is worth saying
	}
	pages := pages{most: listPages}
	for {
		cursor := ""
		stale++
		o := c.read(ctx, listing, p, form, func(a answer) error {
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
		if more, _ := pages.next(form, cursor); !more || stale == listStale {
			return all, o
		}
	}
}

// The types of channels, and the scopes that it takes to see them.
const (
	public, SeePublic   = "public_channel", "channels:read"
	private, SeePrivate = "private_channel", "groups:read"
)

// Channels lists the channels that the token has the scopes to see. A missing scope is the trouble of those that can't be
// seen, not of the others. hidden is the scope that is missing, before as far as that is known; "" if none is.
func (c *Client) Channels(ctx context.Context, p Patience, before string) (all []Channel, hidden string, o Outcome) {
	if before == "" {
		if all, o := c.list(ctx, p, public, private); o.Code != "missing_scope" {
			return all, "", o
		}
	}
	// Which of the two it is Slack doesn't say where either would do.
	if before != SeePublic {
		if all, o := c.list(ctx, p, public); o.Code != "missing_scope" {
			return all, SeePrivate, o
		}
	}
	all, o = c.list(ctx, p, private)
	return all, SeePublic, o
}

// Channel asks for one channel by its id. Source: https://docs.slack.dev/reference/methods/conversations.info
func (c *Client) Channel(ctx context.Context, p Patience, id string) (channel Channel, o Outcome) {
	o = c.read(ctx, asking, p, url.Values{"channel": {id}}, func(a answer) error {
		if channel = channelOf(a.object("channel")); channel.ID == "" {
			return errUnreadable
		}
		return nil
	})
	return channel, o
}

// Join makes the bot a member of a public channel, without which its history can't be read.
// Source: https://docs.slack.dev/reference/methods/conversations.join
func (c *Client) Join(ctx context.Context, p Patience, id string) Outcome {
	return c.read(ctx, joining, p, url.Values{"channel": {id}}, func(answer) error { return nil })
}

// historyPage is how many messages one read of history returns: 999 is the most for an app that a customer made for
// itself. Where so many make too long an answer, fewer are asked for, down to fewestMessages. historyPages bounds the
// reading of one history. Source: https://docs.slack.dev/reference/methods/conversations.history
const (
	historyPage    = 999
	fewestMessages = 15
	historyPages   = 20
)

// Posted is a message that this program posted, as a history has it.
type Posted struct {
	ID, Shown string // as in Message
	TS        string
	Thread    string // the ts of the message that it is a reply to; "" if it stands at the top
}

// Find looks for the message that carries an id in a channel's history, or in a thread's, between two times of Slack's
// clock. The outcome is Sent, with its ts and thread, Missing, or why that can't be read.
func (c *Client) Find(ctx context.Context, p Patience, in Place, id string, oldest, latest time.Time) Outcome {
	ts := ""
	o := c.posted(ctx, p, in, oldest, latest, func(m Posted) bool {
		if id != "" && m.ID == id {
			ts = m.TS
		}
		return ts != ""
	})
	switch {
	case o.Kind == Sent && ts != "":
		o.TS, o.Thread = ts, in.Thread
	case o.Kind == Sent:
		o.Kind = Missing
	}
	return o
}

// Posted lists the messages that this program posted in a channel, or in a thread, between two times of Slack's clock. The
// outcome is Sent, or why they can't be read.
func (c *Client) Posted(ctx context.Context, p Patience, in Place, oldest, latest time.Time) ([]Posted, Outcome) {
	var all []Posted
	o := c.posted(ctx, p, in, oldest, latest, func(m Posted) bool {
		all = append(all, m)
		return false
	})
	return all, o
}

// posted goes through the messages that this program posted, until visit has seen enough; then the page is read to its end.
// The outcome is Sent, or why they can't be read.
func (c *Client) posted(ctx context.Context, p Patience, in Place, oldest, latest time.Time, visit func(Posted) (enough bool)) Outcome {
	method := history
	form := url.Values{
		"channel": {in.Channel}, "oldest": {slackTime(oldest)}, "latest": {slackTime(latest)}, "inclusive": {"1"}, "include_all_metadata": {"1"},
	}
	if in.Thread != "" {
		method = replies
		form.Set("ts", in.Thread)
	}
	pages, limit := pages{most: historyPages}, historyPage
	for {
		form.Set("limit", strconv.Itoa(limit))
		enough, cursor := false, ""
		o := c.read(ctx, method, p, form, func(a answer) error {
			page, ok := a.list("messages")
			if !ok {
				return errUnreadable
			}
			for _, message := range readable[answer](page) {
				if m, ours := postedOf(message); ours {
					enough = visit(m) || enough
				}
			}
			cursor = a.cursor()
			return nil
		})
		switch {
		case o.Code == tooLong && limit > fewestMessages:
			limit = max(limit/8, fewestMessages)
			continue
		case o.Kind != Sent || enough:
			return o
		}
		switch more, end := pages.next(form, cursor); {
		case !end:
			o.Kind, o.Code = RefusedMessage, "a history without an end"
			return o
		case !more:
			return o
		}
	}
}

// postedOf reads a message of ours; it is false for one that carries nothing of ours, whoever posted it.
func postedOf(message answer) (m Posted, ours bool) {
	metadata := message.object("metadata")
	carried := metadata.object("event_payload")
	m = Posted{ID: carried.text(metadataID), Shown: carried.text(metadataShown), TS: message.text("ts"), Thread: message.text("thread_ts")}
	if m.Thread == m.TS {
		m.Thread = "" // it has replies
	}
	return m, metadata.text("event_type") == metadataType && m.ID != "" && m.TS != ""
}

// slackTime writes a time as Slack's ts.
func slackTime(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMicro())/1e6, 'f', 6, 64)
}
