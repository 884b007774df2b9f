package rules

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

var channelID = regexp.MustCompile(`^[CGD][A-Z0-9]{6,}$`)

// Channel reads a channel as a person writes it and returns "#name", or an id as it is.
func Channel(s string) (string, error) {
	if channelID.MatchString(s) {
		return s, nil
	}
	name := strings.TrimPrefix(s, "#")
	switch {
	case strings.TrimSpace(name) == "":
		return "", errors.New("the channel is empty; write it in quotes, as in \"#support\": outside quotes # starts a comment")
	case strings.HasPrefix(s, "@"):
		return "", fmt.Errorf("%q is a person, not a channel; write a channel, as in \"#support\"", s)
	case utf8.RuneCountInString(name) > 80:
		return "", fmt.Errorf("channel %q is longer than the 80 characters that Slack allows", cut(s))
	}
	fixed := strings.Map(slackRune, strings.TrimSpace(name))
	if fixed == name {
		return "#" + name, nil
	}
	if strings.Trim(fixed, "-_") == "" {
		return "", fmt.Errorf("channel %q: Slack's channel names are made of letters, digits, - and _", s)
	}
	return "", fmt.Errorf("channel %q: Slack's channel names have no capitals, spaces or dots (did you mean %q?)", s, "#"+fixed)
}

// slackRune is the character that Slack would put in a channel's name instead.
func slackRune(c rune) rune {
	switch {
	case c == '-' || c == '_':
		return c
	case unicode.IsLetter(c) || unicode.IsMark(c) || unicode.IsDigit(c):
		return unicode.ToLower(c)
	case unicode.IsSpace(c) || c == '.':
		return '-'
	}
	return -1
}

// cut shortens what is quoted in a message.
func cut(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
