package slackapi

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Finding is one thing that was looked at.
type Finding struct {
	Level Level
	What  string
	Todo  string // what a person can do about it; "" if nothing is to be done
}

// Level is how bad a Finding is.
type Level int

// The levels.
const (
	Fine Level = iota
	Worth
	Broken
)

func (l Level) String() string { return [...]string{"ok", "warning", "broken"}[l] }

// scopes are what the app's manifest asks for, and what each is for.
var scopes = []struct{ name, use string }{
	{"chat:write", "nothing can be posted"},
	{"channels:read", "public channels can't be found by name"},
	{"groups:read", "private channels can't be found by name"},
	{"channels:join", "public channels can't be joined"},
	{"channels:history", "after a lost answer a message may be posted twice"},
	{"groups:history", "after a lost answer a message may be posted twice in private channels"},
	{"users:read", "nobody can be mentioned by email"},
	{"users:read.email", "nobody can be mentioned by email"},
}

// Examine asks Slack whether a bot with the client's token could work with these channels (as rules have them), and tells each
// finding as it is made. It changes nothing: it joins and posts nowhere.
func (c *Client) Examine(ctx context.Context, channels []string, tell func(Finding)) {
	if !c.examineToken(ctx, tell) {
		return
	}
	all, _, o := c.Channels(ctx, Once, "") // which scope is missing was told with the token
	if o.Kind != Sent {
		tell(Finding{Broken, "channels can't be listed: " + o.Reason(), "reinstall the app with slack-app.yaml"})
		return
	}
	history := false
	for _, ref := range channels {
		i := slices.IndexFunc(all, func(c Channel) bool { return c.ID == ref || "#"+c.Name == ref })
		if i < 0 {
			tell(Finding{Broken, ref + ": Slack knows no such channel, or it is private and the bot is not in it", ChannelTodo("channel_not_found")})
			continue
		}
		switch channel := all[i]; {
		case channel.Archived:
			tell(Finding{Broken, ref + " is archived", ChannelTodo("is_archived")})
		case channel.Private && !channel.Member:
			tell(Finding{Broken, ref + " is private, and the bot is not in it", ChannelTodo("not_in_channel")})
		case !channel.Member:
			tell(Finding{Fine, ref + " exists; the bot joins it when it starts", ""})
		default:
			tell(Finding{Fine, ref + " exists, and the bot is in it", ""})
			if !history {
				history = true
				c.examineHistory(ctx, channel, ref, tell)
			}
		}
	}
}

// examineToken reports whether the token works.
func (c *Client) examineToken(ctx context.Context, tell func(Finding)) bool {
	who, o := c.who(ctx)
	switch {
	case o.Kind == RefusedToken:
		tell(Finding{Broken, "Slack refuses the token: " + o.Reason(), "reinstall the app in Slack and set SLACK_BOT_TOKEN to the new xoxb- token"})
		return false
	case o.Kind != Sent:
		tell(Finding{Broken, "Slack can't be asked: " + o.Reason(), "see whether Slack is up (https://slack-status.com) and whether this machine reaches it"})
		return false
	}
	tell(Finding{Fine, fmt.Sprintf("Slack takes the token: @%s in the workspace %s", who.User, who.Team), ""})
	granted := strings.FieldsFunc(who.Header.Get("X-OAuth-Scopes"), func(c rune) bool { return c == ',' || c == ' ' })
	if len(granted) == 0 {
		tell(Finding{Worth, "Slack doesn't say which scopes the token has", ""})
		return true
	}
	missing := 0
	for _, scope := range scopes {
		if !slices.Contains(granted, scope.name) {
			missing++
			tell(Finding{Broken, "the scope " + scope.name + " is missing: " + scope.use, "add it under OAuth & Permissions, or reinstall the app with slack-app.yaml"})
		}
	}
	if missing == 0 {
		tell(Finding{Fine, "the token has all scopes that are needed", ""})
	}
	return true
}

func (c *Client) examineHistory(ctx context.Context, channel Channel, ref string, tell func(Finding)) {
	now := time.Now()
	if o := c.Find(ctx, Once, Place{Channel: channel.ID}, "", now.Add(-time.Minute), now); o.Kind != Missing {
		tell(Finding{Broken, "the history of " + ref + " can't be read: " + o.Reason() + "; after a lost answer a message may be posted twice",
			"reinstall the app with slack-app.yaml"})
		return
	}
	tell(Finding{Fine, "history can be read, so that a message whose answer was lost is found and not posted twice", ""})
}
