package format

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/slack-go/slack"
)

// The formats that Slack fills in for each reader, in the reader's own zone and language.
// Source: https://docs.slack.dev/messaging/formatting-message-text#date-formatting
const (
	slackDate      = "{date_short_pretty} at {time}"
	slackDateShort = "{date_short_pretty} {time}"
)

// clock says a time in plain text, in the zone of Options. The year is left out where it is the year in which the
// event was received.
func (v voice) clock(t time.Time) string {
	t = t.In(v.zone)
	layout := "2 Jan 2006 15:04 MST"
	if !v.Received.IsZero() && v.Received.In(v.zone).Year() == t.Year() {
		layout = "2 Jan 15:04 MST"
	}
	return t.Format(layout)
}

// showable reports whether Slack can show a time in the reader's zone: from 1970 to 2100.
func showable(t time.Time) bool {
	return t.Unix() > 0 && t.Unix() < 4102444800
}

// dateToken is a time in mrkdwn, shown in the reader's own zone. Its words are ours: nothing in it needs escaping.
func (v voice) dateToken(t time.Time) string {
	if !showable(t) {
		return v.clock(t)
	}
	return fmt.Sprintf("<!date^%d^%s|%s>", t.Unix(), slackDate, v.clock(t))
}

// dateElement is the same in rich text.
func (v voice) dateElement(t time.Time) slack.RichTextSectionElement {
	if !showable(t) {
		return slack.NewRichTextSectionTextElement(v.clock(t), nil)
	}
	fallback := v.clock(t)
	return slack.NewRichTextSectionDateElement(t.Unix(), slackDateShort, nil, &fallback)
}

// late says how long after its end an event arrived, "" when that is under five minutes or not known.
func (v voice) late(end time.Time) string {
	if end.IsZero() || v.Received.IsZero() {
		return ""
	}
	d := v.Received.Sub(end)
	if d <= 5*time.Minute {
		return ""
	}
	return "arrived " + span(d) + " late"
}

// span says a duration in one unit: minutes up to two hours, hours up to two days, then days.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + " h"
	}
	return strconv.Itoa(int(d.Hours()/24)) + " days"
}

// length says minutes as Allo words a length: "5m 30s".
func length(minutes float64) string {
	seconds := int(math.Round(minutes * 60))
	switch {
	case seconds >= 3600:
		return fmt.Sprintf("%dh %dm", seconds/3600, seconds%3600/60)
	case seconds >= 60:
		return fmt.Sprintf("%dm %ds", seconds/60, seconds%60)
	}
	return fmt.Sprintf("%ds", seconds)
}
