package fakeslack

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const postMessage = "chat.postMessage"

// method is one of Slack's Web API methods. Run is called with mu held.
type method struct {
	run       func(s *Server, f url.Values, now time.Time) answer
	scopes    []string // one of them is needed; which, where there are several, depends on the channel
	perMinute int      // 0 is without a limit of its own
}

// methods are those that a bot like ours has a use for. Limits are Slack's tiers for each method.
// Source: https://docs.slack.dev/reference/methods
func methods() map[string]method {
	return map[string]method{
		postMessage:             {run: (*Server).postMessage, scopes: []string{"chat:write"}},
		"chat.update":           {run: (*Server).update, scopes: []string{"chat:write"}, perMinute: 50},
		"chat.getPermalink":     {run: (*Server).permalink, perMinute: 300},
		"conversations.list":    {run: (*Server).list, perMinute: 20},
		"conversations.info":    {run: (*Server).info, scopes: []string{"channels:read", "groups:read"}, perMinute: 50},
		"conversations.join":    {run: (*Server).join, scopes: []string{"channels:join"}, perMinute: 50},
		"conversations.history": {run: (*Server).history, scopes: []string{"channels:history", "groups:history"}, perMinute: 50},
		"conversations.replies": {run: (*Server).replies, scopes: []string{"channels:history", "groups:history"}, perMinute: 50},
		"auth.test":             {run: (*Server).authTest, perMinute: 300},
		"users.info":            {run: (*Server).userInfo, scopes: []string{"users:read"}, perMinute: 100},
		"users.lookupByEmail":   {run: (*Server).lookup, scopes: []string{"users:read.email"}, perMinute: 50},
	}
}

// run answers a call that no fault got in the way of. The caller holds mu.
func (s *Server) run(name, token string, f url.Values, now time.Time) answer {
	m, there := s.methods[name]
	if !there {
		a := refuse("unknown_method")
		a.body["req_method"] = name
		return a
	}
	switch {
	case token == "":
		return refuse("not_authed")
	case s.token == "" && !strings.HasPrefix(token, "xoxb-"), s.token != "" && token != s.token:
		return refuse("invalid_auth")
	}
	if wait := s.admit(name, m.perMinute, now); wait > 0 {
		return tooMany(wait)
	}
	if len(m.scopes) > 0 && !slices.ContainsFunc(m.scopes, s.granted) {
		return s.missing(m.scopes[0])
	}
	return m.run(s, f, now)
}

func (s *Server) granted(scope string) bool { return slices.Contains(s.scopes, scope) }

func (s *Server) missing(scope string) answer {
	a := refuse("missing_scope")
	a.body["needed"], a.body["provided"] = scope, strings.Join(s.scopes, ",")
	return a
}

// readable is the channel that a call names by its ID, if the bot may see it: with want, a scope for public channels
// and one for private ones.
func (s *Server) readable(f url.Values, public, private string) (*channel, *answer) {
	ch := s.byID[f.Get("channel")]
	if ch == nil || ch.Private && !ch.BotIsMember {
		a := refuse("channel_not_found")
		return nil, &a
	}
	need := public
	if ch.Private {
		need = private
	}
	if !s.granted(need) {
		a := s.missing(need)
		return nil, &a
	}
	return ch, nil
}

// authTest says whose token it is.
// Source: https://docs.slack.dev/reference/methods/auth.test
func (s *Server) authTest(url.Values, time.Time) answer {
	return ok(map[string]any{"url": "https://fakeslack.slack.com/", "team": "Fake Slack", "user": botName, "team_id": teamID,
		"user_id": botUser, "bot_id": botID, "is_enterprise_install": false})
}

// list pages through the channels that the bot can see.
// Source: https://docs.slack.dev/reference/methods/conversations.list
func (s *Server) list(f url.Values, _ time.Time) answer {
	types := f.Get("types")
	if types == "" {
		types = "public_channel"
	}
	public, private := false, false
	for t := range strings.SplitSeq(types, ",") {
		switch strings.TrimSpace(t) {
		case "public_channel":
			public = true
		case "private_channel":
			private = true
		case "im", "mpim":
		default:
			return refuse("invalid_types")
		}
	}
	switch {
	case public && !s.granted("channels:read"):
		return s.missing("channels:read")
	case private && !s.granted("groups:read"):
		return s.missing("groups:read")
	}
	limit, good := s.limitOf(f, 100, 1000)
	if !good {
		return refuse("invalid_limit")
	}
	from := 0
	if c := f.Get("cursor"); c != "" {
		n, good := fromCursor(c)
		if !good {
			return refuse("invalid_cursor")
		}
		from = int(n)
	}
	page, next := []any{}, ""
	for i := from; i < len(s.channels); i++ {
		ch := s.channels[i]
		shown := public && !ch.Private || private && ch.Private && ch.BotIsMember
		if !shown || ch.Archived && flag(f, "exclude_archived") {
			continue
		}
		if len(page) == limit {
			next = toCursor(int64(i), "")
			break
		}
		page = append(page, ch.json())
	}
	return ok(map[string]any{"channels": page, "response_metadata": map[string]any{"next_cursor": next}})
}

// info describes one channel.
// Source: https://docs.slack.dev/reference/methods/conversations.info
func (s *Server) info(f url.Values, _ time.Time) answer {
	ch, no := s.readable(f, "channels:read", "groups:read")
	if no != nil {
		return *no
	}
	return ok(map[string]any{"channel": ch.json()})
}

// join makes the bot a member of a public channel.
// Source: https://docs.slack.dev/reference/methods/conversations.join
func (s *Server) join(f url.Values, _ time.Time) answer {
	ch := s.byID[f.Get("channel")]
	switch {
	case ch == nil || ch.Private && !ch.BotIsMember:
		return refuse("channel_not_found")
	case ch.Private:
		return refuse("method_not_supported_for_channel_type")
	case ch.Archived:
		return refuse("is_archived")
	}
	a := ok(nil)
	if ch.BotIsMember {
		a.body["warning"] = "already_in_channel"
		a.body["response_metadata"] = map[string]any{"warnings": []string{"already_in_channel"}}
	}
	if !ch.BotIsMember {
		ch.BotIsMember = true
		s.note("", "")
	}
	a.body["channel"] = ch.json()
	return a
}

// json is a channel as Slack describes it.
func (ch *channel) json() map[string]any {
	return map[string]any{
		"id": ch.ID, "name": ch.Name, "name_normalized": ch.Name, "is_channel": !ch.Private, "is_group": false,
		"is_im": false, "is_mpim": false, "is_private": ch.Private, "is_archived": ch.Archived, "is_general": false,
		"is_shared": false, "is_ext_shared": false, "is_org_shared": false, "is_member": ch.BotIsMember,
		"created": 1600000000, "creator": "U0CREATOR", "unlinked": 0, "num_members": 1,
		"topic":   map[string]any{"value": "", "creator": "", "last_set": 0},
		"purpose": map[string]any{"value": "", "creator": "", "last_set": 0},
	}
}

// userInfo describes one person.
// Source: https://docs.slack.dev/reference/methods/users.info
func (s *Server) userInfo(f url.Values, _ time.Time) answer {
	for _, u := range s.users {
		if u.ID == f.Get("user") {
			return ok(map[string]any{"user": s.person(u)})
		}
	}
	return refuse("user_not_found")
}

// lookup finds a person by email. One who left is not found.
// Source: https://docs.slack.dev/reference/methods/users.lookupByEmail
func (s *Server) lookup(f url.Values, _ time.Time) answer {
	email := f.Get("email")
	if email == "" {
		return refuse("invalid_arguments")
	}
	for _, u := range s.users {
		if strings.EqualFold(u.Email, email) && !u.Deleted {
			return ok(map[string]any{"user": s.person(u)})
		}
	}
	return refuse("users_not_found")
}

func (s *Server) person(u User) map[string]any {
	profile := map[string]any{"real_name": u.RealName, "display_name": u.Name}
	if s.granted("users:read.email") {
		profile["email"] = u.Email
	}
	return map[string]any{"id": u.ID, "team_id": teamID, "name": u.Name, "real_name": u.RealName, "deleted": u.Deleted,
		"is_bot": false, "tz": "Europe/Paris", "profile": profile}
}

func flag(f url.Values, name string) bool {
	v := strings.ToLower(f.Get(name))
	return v == "1" || v == "true"
}

// limitOf is the size of the page that a call gets.
func (s *Server) limitOf(f url.Values, usual, most int) (n int, good bool) {
	n = usual
	if v := f.Get("limit"); v != "" && v != "0" {
		var err error
		if n, err = strconv.Atoi(v); err != nil || n < 1 || n > most {
			return 0, false
		}
	}
	if s.longest > 0 {
		n = min(n, s.longest)
	}
	return n, true
}

func toCursor(n int64, suffix string) string {
	return base64.StdEncoding.EncodeToString([]byte("next:" + strconv.FormatInt(n, 10) + suffix))
}

func fromCursor(c string) (int64, bool) {
	raw, err := base64.StdEncoding.DecodeString(c)
	if err != nil {
		return 0, false
	}
	digits, there := strings.CutPrefix(string(raw), "next:")
	digits, _, _ = strings.Cut(digits, "+") // another name for the same place
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, there && err == nil && n >= 0
}
