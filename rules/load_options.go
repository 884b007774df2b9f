package rules

import (
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
)

var (
	userID  = regexp.MustCompile(`^[UW][A-Z0-9]{6,}$`)
	groupID = regexp.MustCompile(`^S[A-Z0-9]{6,}$`)
)

func (l *loader) redact(n *node) []string {
	var kinds []string
	for _, item := range l.list(n, "redact", "numbers, emails, cards") {
		s, ok := l.text(item, "redact", "numbers")
		if known := []string{"numbers", "emails", "cards"}; ok && !slices.Contains(known, s) {
			l.wrong(item, "redact takes numbers, emails and cards, not %q%s", s, didYouMean(s, known))
		} else if ok && !slices.Contains(kinds, s) {
			kinds = append(kinds, s)
		}
	}
	return kinds
}

// transcript reads `none` as "": it is the default.
func (l *loader) transcript(n *node) string {
	if n.kind == isBool {
		l.wrong(n, "transcript is none or thread, not %s", n.text)
		return ""
	}
	s, ok := l.text(n, "transcript", "none")
	switch {
	case !ok || s == "none":
		return ""
	case s != "thread":
		l.wrong(n, "transcript is none or thread, not %q%s", s, didYouMean(s, []string{"none", "thread"}))
	}
	return s
}

func (l *loader) mentions(n *node) []string {
	var all []string
	for _, item := range l.list(n, "mention", "owner") {
		s, ok := l.text(item, "mention", "owner")
		if !ok {
			continue
		}
		who, err := mention(s)
		if err != nil {
			l.wrong(item, "%s", err)
		} else if !slices.Contains(all, who) {
			all = append(all, who)
		}
	}
	return all
}

// mention reads who a rule mentions: `owner`, `@here`, an email in lower case, or the id of a user (U…, W…) or of a
// group (S…).
func mention(s string) (string, error) {
	s = strings.TrimSpace(s)
	switch s {
	case "owner", "@here":
		return s, nil
	case "@channel", "@everyone", "channel", "everyone":
		return "", fmt.Errorf("mention: %s would reach people who are away; rules can mention @here", s)
	}
	if userID.MatchString(s) || groupID.MatchString(s) {
		return s, nil
	}
	if id := strings.NewReplacer("<@", "", "<!subteam^", "", ">", "").Replace(s); id != s && (userID.MatchString(id) || groupID.MatchString(id)) {
		return "", fmt.Errorf("mention %q: write the id alone, as in %s", s, id)
	}
	if a, err := mail.ParseAddress(s); err == nil && a.Address == s {
		return strings.ToLower(s), nil
	}
	hint := didYouMean(s, []string{"owner", "@here"})
	if name, isName := strings.CutPrefix(s, "@"); isName && hint == "" {
		hint = fmt.Sprintf("; Slack knows @%s only by email or id, which stands in their profile behind the three dots", cut(name))
	}
	return "", fmt.Errorf("mention takes owner, \"@here\", an email, or the id of a user (U…) or group (S…), not %q%s", cut(s), hint)
}
