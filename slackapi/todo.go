package slackapi

import "strings"

// ChannelTodo says what a person can do about a channel that refuses messages, or whose messages get no further.
func ChannelTodo(reason string) string {
	switch code(reason) {
	case "channel_not_found":
		return "create the channel or mend its name in rules.yaml; for a private one type /invite @allo-slack in it"
	case "not_in_channel":
		return "in Slack type /invite @allo-slack in the channel"
	case "is_archived":
		return "unarchive the channel, or name another in rules.yaml and send what waits there: allo-slack replay -from CHANNEL -channel OTHER"
	}
	if todo := WayTodo(reason); todo != "" {
		return todo
	}
	return "let the app post in this channel (channel settings, posting permissions)"
}

// HistoryUnread begins the reason of a post that is in doubt as its history isn't read.
const HistoryUnread = "history not read: "

// code is what a reason begins with, which says what is wrong (see Outcome.Reason).
func code(reason string) string {
	code, _, _ := strings.Cut(strings.TrimPrefix(reason, HistoryUnread), ":")
	return code
}

// WayTodo says what a person can do about what is wrong on the way to any channel; "" if nothing is.
func WayTodo(reason string) string {
	code := code(reason)
	switch {
	case strings.HasPrefix(code, "HTTP 4"), strings.HasPrefix(code, "an answer that"):
		return "something between this machine and Slack answers in its place: look at SLACK_API_URL and at proxies"
	case strings.HasPrefix(code, "HTTP 5"), code == "no answer", code == "no connection":
		return "see whether Slack is up (https://slack-status.com) and whether this machine reaches it"
	}
	switch code {
	case "not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired":
		return "reinstall the app in Slack and set SLACK_BOT_TOKEN to the new xoxb- token"
	case "missing_scope":
		return "add the scope under OAuth & Permissions, or reinstall the app with slack-app.yaml"
	case "message_limit_exceeded", noHeader:
		return "the workspace has reached the limit of its plan: see its billing page; what waits goes out once there is room"
	case "ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable":
		return "nothing: it is tried again by itself"
	}
	return ""
}
