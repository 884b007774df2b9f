package slackapi

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"
)

// Kind is what an answer of Slack's, or its absence, means.
type Kind int

// The kinds of outcomes. Every call has exactly one; of a call that isn't about a message Sent says that it succeeded.
const (
	Unsure         Kind = iota // Slack may have it: look before it is sent again
	Sent                       // Slack has it
	Wait                       // surely not taken: Slack wants peace for RetryAfter. Not an attempt
	Later                      // surely not taken: try again, less and less often
	RefusedMessage             // this message can't be posted as it is
	RefusedThread              // this thread can't be replied to
	RefusedChannel             // nothing can be posted in this channel
	RefusedToken               // nothing can be posted at all
	Missing                    // it was looked for, and Slack doesn't show it
	Unreadable                 // it was looked for where nothing can be read, so it isn't known
	NotAsked                   // nothing was asked of Slack, as there was nothing to ask; Err says if that went wrong
	Stopped                    // the caller was told to stop before Slack answered
)

func (k Kind) String() string {
	return [...]string{"unsure", "sent", "wait", "later", "message refused", "thread refused", "channel refused", "token refused", "missing", "unreadable", "not asked", "stopped"}[k]
}

// Outcome is what became of one call to Slack.
type Outcome struct {
	Kind       Kind
	TS         string        // of a message that was sent
	Thread     string        // of a message that was sent as a reply: the ts of what it replies to
	RetryAfter time.Duration // with Wait
	Bounded    bool          // with Later and Unsure: not tried for ever
	Answered   bool          // it was Slack that answered: it isn't away
	Strange    bool          // something answered, but not as Slack does: that says nothing of Slack as a whole
	At         time.Time     // when it was known
	Spent      time.Duration // what was spent of the patience for it
	Code       string        // Slack's error, or a word for what broke
	Detail     string        // what Slack adds: which block is invalid, which scope is missing
	Err        error
}

// Unasked is the outcome of a call that asks nothing, and why if that isn't as it should be.
func Unasked(err error) Outcome { return Outcome{Kind: NotAsked, Err: err} }

// Reason says an outcome in a line, for the log and for what is set aside. It holds no text of messages.
func (o Outcome) Reason() string {
	if o.Detail == "" {
		return o.Code
	}
	return o.Code + ": " + o.Detail
}

const (
	// minWait and maxWait bound what a Retry-After is believed.
	minWait = time.Second
	maxWait = time.Hour
	// longWait is how long a limit that names no time is respected (message_limit_exceeded on a free plan).
	longWait = time.Minute
)

// kinds maps the errors of chat.postMessage to what they mean. Source: https://docs.slack.dev/reference/methods/chat.postMessage#errors
// and what is known of them beyond that page. What is not listed is Later, bounded.
var kinds = map[string]Kind{
	"ratelimited":  Wait,
	"rate_limited": Wait,

	"request_timeout":    Later,
	"team_added_to_org":  Later,
	"org_login_required": Later,

	"message_limit_exceeded": Later,
	"accesslimited":          Later,

	"internal_error":      Unsure,
	"fatal_error":         Unsure,
	"service_unavailable": Unsure,

	"channel_not_found":                        RefusedChannel,
	"not_in_channel":                           RefusedChannel,
	"is_archived":                              RefusedChannel,
	"messages_tab_disabled":                    RefusedChannel,
	"ekm_access_denied":                        RefusedChannel,
	"no_permission":                            RefusedChannel,
	"access_denied":                            RefusedChannel,
	"team_not_found":                           RefusedChannel,
	"method_not_supported":                     RefusedChannel,
	"restricted_action":                        RefusedChannel, // and all that begin with it, but for the two of threads
	"as_user_not_supported":                    RefusedChannel,
	"user_not_in_channel":                      RefusedChannel,
	"posting_to_general_channel_denied":        RefusedChannel,
	"cannot_reply_to_message":                  RefusedThread,
	"restricted_action_non_threadable_channel": RefusedThread,
	"restricted_action_thread_locked":          RefusedThread,
	"thread_not_found":                         RefusedThread,
	"invalid_thread_ts":                        RefusedThread,

	"invalid_blocks":                          RefusedMessage,
	"invalid_blocks_format":                   RefusedMessage,
	"block_mismatch":                          RefusedMessage,
	"msg_blocks_too_long":                     RefusedMessage,
	"msg_too_long":                            RefusedMessage,
	"no_text":                                 RefusedMessage,
	"invalid_attachments":                     RefusedMessage,
	"too_many_attachments":                    RefusedMessage,
	"attachment_payload_limit_exceeded":       RefusedMessage,
	"invalid_metadata_format":                 RefusedMessage,
	"invalid_metadata_schema":                 RefusedMessage,
	"metadata_too_large":                      RefusedMessage,
	"metadata_must_be_sent_from_app":          RefusedMessage,
	"markdown_text_conflict":                  RefusedMessage,
	"invalid_arguments":                       RefusedMessage,
	"invalid_arg_name":                        RefusedMessage,
	"invalid_array_arg":                       RefusedMessage,
	"invalid_charset":                         RefusedMessage,
	"invalid_form_data":                       RefusedMessage,
	"invalid_post_type":                       RefusedMessage,
	"missing_post_type":                       RefusedMessage,
	"missing_file_data":                       RefusedMessage,
	"slack_connect_file_link_sharing_blocked": RefusedMessage,
	"too_many_contact_cards":                  RefusedMessage,
	"duplicate_channel_not_found":             RefusedMessage,
	"duplicate_message_not_found":             RefusedMessage,
	"external_channel_migrating":              Later,

	// Of users.lookupByEmail: no such user.
	"users_not_found": RefusedMessage,

	// Of chat.update.
	"message_not_found":   RefusedMessage,
	"cant_update_message": RefusedMessage,
	"edit_window_closed":  RefusedMessage,
	"is_inactive":         RefusedMessage,

	"not_authed":                RefusedToken,
	"invalid_auth":              RefusedToken,
	"account_inactive":          RefusedToken,
	"token_revoked":             RefusedToken,
	"token_expired":             RefusedToken,
	"missing_scope":             RefusedToken,
	"not_allowed_token_type":    RefusedToken,
	"team_access_not_granted":   RefusedToken,
	"two_factor_setup_required": RefusedToken,
	"enterprise_is_restricted":  RefusedToken,
	"deprecated_endpoint":       RefusedToken,
	"method_deprecated":         RefusedToken,
}

// ofMethod are errors that say RefusedToken of chat.postMessage, but of any other method only that the token is not for
// that one.
var ofMethod = map[string]bool{
	"missing_scope": true, "not_allowed_token_type": true, "team_access_not_granted": true, "enterprise_is_restricted": true,
	"deprecated_endpoint": true, "method_deprecated": true,
}

// noHeader is the Code of a 429 that doesn't say how long to wait.
const noHeader = "a limit without Retry-After (message_limit_exceeded?)"

// tooLong is the Code of an answer that is longer than its like may be.
const tooLong = "an answer that is too long"

// decide says what an answer means. It is the only place that does. err is what slack-go returned; w is
// what happened on the wire, which tells what they hide: whether the request was written, and whether the answer says
// ok, as slack-go takes {} for a success.
func decide(err error, w *wire) Outcome {
	var refused slack.SlackErrorResponse
	switch {
	case w.status == http.StatusTooManyRequests:
		return readLimit(err, w)
	case errors.As(err, &refused) && refused.Err != "":
		return answered(refused)
	case err == nil && w.answer.is("ok"):
		return Outcome{Kind: Sent, Answered: true}
	case w.status == http.StatusOK && w.cut:
		return Outcome{Kind: Unsure, Strange: true, Bounded: true, Code: "an answer that broke off", Err: err}
	case w.status == http.StatusOK && w.long:
		return Outcome{Kind: Unsure, Strange: true, Bounded: true, Code: tooLong, Err: err}
	case w.status == http.StatusOK:
		if err == nil {
			err = errUnreadable
		}
		return Outcome{Kind: Unsure, Strange: true, Bounded: true, Code: "an answer that can't be read", Err: err}
	case w.status >= 500:
		return Outcome{Kind: Unsure, Code: "HTTP " + strconv.Itoa(w.status), Err: err}
	case w.status >= 400:
		// Slack itself answers with 200: this is a proxy's, or SLACK_API_URL is wrong.
		return Outcome{Kind: Later, Strange: true, Bounded: true, Code: "HTTP " + strconv.Itoa(w.status), Err: err}
	case w.status >= 300:
		return Outcome{Kind: Unsure, Strange: true, Bounded: true, Code: "HTTP " + strconv.Itoa(w.status) + ": a redirect, which is not followed", Err: err}
	case w.status != 0:
		return Outcome{Kind: Unsure, Strange: true, Bounded: true, Code: "HTTP " + strconv.Itoa(w.status), Err: err}
	case w.written.Load():
		return Outcome{Kind: Unsure, Code: "no answer", Err: err}
	}
	return Outcome{Kind: Later, Code: "no connection", Err: err}
}

// readLimit reads a 429. Without a Retry-After it is the free plan's message_limit_exceeded.
func readLimit(err error, w *wire) Outcome {
	o := Outcome{Kind: Wait, Answered: true, Code: "ratelimited", Err: err}
	seconds, parse := strconv.Atoi(strings.TrimSpace(w.retryAfter))
	switch {
	case w.retryAfter == "":
		o.RetryAfter, o.Code = longWait, noHeader
	case parse != nil || seconds < 0:
		o.RetryAfter = longWait
	default:
		o.RetryAfter = min(max(time.Duration(min(seconds, 1<<20))*time.Second, minWait), maxWait)
	}
	return o
}

// answered reads an error that Slack names.
func answered(e slack.SlackErrorResponse) Outcome {
	o := Outcome{Answered: true, Code: e.Err, Err: e}
	kind, known := kinds[e.Err]
	switch {
	case known:
		o.Kind = kind
	case strings.HasPrefix(e.Err, "restricted_action"):
		o.Kind = RefusedChannel
	default:
		o.Kind, o.Bounded = Later, true
	}
	if o.Kind == Wait {
		o.RetryAfter = longWait
	}
	details := e.ResponseMetadata.Messages
	if e.Needed != "" {
		details = append(details, "the scope "+e.Needed+" is needed; reinstall the app with slack-app.yaml")
	}
	o.Detail = strings.Join(details, "; ")
	return o
}
