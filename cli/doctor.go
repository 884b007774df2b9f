package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"allo-slack/allo"
	"allo-slack/outbox"
	"allo-slack/rules"
	"allo-slack/slackapi"
)

// doctor asks Slack and Allo whether the bot could work as it is set up, and says what to do about each finding. It
// changes nothing there.
func (p *program) doctor(ctx context.Context) error {
	d := &doctor{program: p}
	s, settingsErr := loadSettings(p.environ)
	for _, text := range lines(settingsErr) {
		d.tell(slackapi.Finding{Level: slackapi.Broken, What: text})
	}
	f, rulesErr := rules.Load(s.RulesFile)
	switch {
	case rulesErr != nil:
		d.tell(slackapi.Finding{Level: slackapi.Broken, What: "the rules are refused", Todo: rulesErr.Error()})
		f = &rules.File{}
	default:
		d.tell(slackapi.Finding{What: fmt.Sprintf("%s: %s", s.RulesFile, count(len(f.Rules), "rule", "rules"))})
		for _, result := range f.RunTests() {
			if !result.OK() {
				d.tell(slackapi.Finding{Level: slackapi.Broken, What: result.Problem().String(), Todo: "mend the rule or the test"})
			}
		}
	}
	d.store(ctx, s.DatabaseURL)
	if s.SlackBotToken != "" {
		fmt.Fprintln(p.errs, "asking Slack…")
		slackapi.New(slackapi.Config{Token: string(s.SlackBotToken), URL: s.SlackAPIURL}).Examine(ctx, f.Channels(), d.tell)
	}
	if s.AlloAPIKey == "" {
		d.tell(slackapi.Finding{Level: slackapi.Worth, What: "ALLO_API_KEY is not set: recordings may not open from Slack, and calls whose event never comes are not found",
			Todo: "make a key at Allo under Settings > API: fly secrets set ALLO_API_KEY=…"})
	} else {
		fmt.Fprintln(p.errs, "asking Allo…")
		d.allo(ctx, s, f)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.broken > 0 {
		return fmt.Errorf("%s to mend", count(d.broken, "thing is", "things are"))
	}
	_, err := fmt.Fprintln(p.out, "all is well")
	return err
}

// doctor counts what it finds.
type doctor struct {
	*program
	broken int
}

func (d *doctor) tell(f slackapi.Finding) {
	if f.Level == slackapi.Broken {
		d.broken++
	}
	fmt.Fprintf(d.out, "%-8s %s\n", f.Level, f.What)
	if f.Todo != "" {
		fmt.Fprintf(d.out, "         -> %s\n", strings.ReplaceAll(f.Todo, "\n", "\n            "))
	}
}

func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

// store looks whether the store can be written, also while a bot has it open.
func (d *doctor) store(ctx context.Context, url string) {
	path, err := outbox.ParsePath(url)
	if err != nil {
		return // the settings said so
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		probe, err := os.CreateTemp(filepath.Dir(path), ".allo-slack-*")
		if err != nil {
			d.tell(slackapi.Finding{Level: slackapi.Broken, What: "the store can't be made: " + err.Error(), Todo: "let DATABASE_URL name a folder that can be written, such as the volume's"})
			return
		}
		defer os.Remove(probe.Name())
		defer probe.Close()
		d.tell(slackapi.Finding{What: path + " will be made at the first start"})
		return
	}
	store, err := outbox.OpenBeside(ctx, url)
	if err == nil {
		err = errors.Join(store.Check(ctx), store.Close())
	}
	if err != nil {
		d.tell(slackapi.Finding{Level: slackapi.Broken, What: "the store can't be written: " + err.Error()})
		return
	}
	d.tell(slackapi.Finding{What: path + " can be written"})
}

// allo looks at the key, the webhooks, and the tags and numbers that rules name.
func (d *doctor) allo(ctx context.Context, s settings, f *rules.File) {
	api, err := allo.NewAPI(string(s.AlloAPIKey), s.AlloAPIURL, nil)
	if err != nil {
		d.tell(slackapi.Finding{Level: slackapi.Broken, What: "ALLO_API_KEY: " + err.Error()})
		return
	}
	access, err := api.Generation(ctx)
	if err != nil {
		d.tell(slackapi.Finding{Level: slackapi.Broken, What: "Allo: " + err.Error()})
		return
	}
	d.tell(slackapi.Finding{What: fmt.Sprintf("Allo takes the key, for generation %d of its API", access.Generation)})
	d.webhooks(ctx, api, access, s)
	tags, numbers := f.Named()
	if len(numbers) > 0 {
		ours, err := api.Numbers(ctx)
		d.known(err, "number", numbers, func(number string) bool {
			return slices.ContainsFunc(ours, func(n allo.OurNumber) bool { return digits(n.Number) == digits(number) })
		}, "a customer's number is fine; of one of your own lines it may be mistyped")
	}
	if len(tags) > 0 && access.Generation == 2 {
		known, err := api.Tags(ctx)
		d.known(err, "tag", tags, func(tag string) bool {
			return slices.ContainsFunc(known, func(other string) bool { return allo.FoldTag(other) == allo.FoldTag(tag) })
		}, "make it at Allo, or mend its name in the rules")
	}
}

// known tells which of what rules name Allo doesn't know.
func (d *doctor) known(err error, what string, named []string, knows func(string) bool, todo string) {
	if err != nil {
		d.tell(slackapi.Finding{Level: slackapi.Worth, What: "Allo's " + what + "s can't be read: " + err.Error()})
		return
	}
	unknown := 0
	for _, name := range named {
		if !knows(name) {
			unknown++
			d.tell(slackapi.Finding{Level: slackapi.Worth, What: fmt.Sprintf("Allo knows no %s %q that the rules name", what, name), Todo: todo})
		}
	}
	if unknown == 0 {
		d.tell(slackapi.Finding{What: "Allo knows every " + what + " that the rules name"})
	}
}

// webhooks looks whether Allo calls this bot, and for what.
func (d *doctor) webhooks(ctx context.Context, api *allo.API, access allo.Access, s settings) {
	hooks, err := api.Webhooks(ctx)
	if err != nil {
		d.tell(slackapi.Finding{Level: slackapi.Worth, What: "Allo's webhooks can't be read: " + err.Error()})
		return
	}
	if s.publicURL() == "" {
		d.tell(slackapi.Finding{Level: slackapi.Worth, What: "PUBLIC_URL is not set, so it can't be told whether Allo calls the right URL", Todo: "fly secrets set PUBLIC_URL=https://NAME.fly.dev"})
		return
	}
	const create = "allo-slack webhook create"
	topics := map[allo.Topic]bool{}
	for _, hook := range hooks {
		if !slices.ContainsFunc(s.webhookSecrets(), func(secret string) bool { return hook.URL == s.webhookURL(secret) }) {
			if strings.HasPrefix(hook.URL, s.publicURL()+"/") {
				d.tell(slackapi.Finding{Level: slackapi.Broken, What: hook.String() + " has another secret than WEBHOOK_SECRET", Todo: "delete it (allo-slack webhook delete " + hook.ID + ") and make it anew: " + create})
			}
			continue
		}
		if !hook.Enabled {
			d.tell(slackapi.Finding{Level: slackapi.Broken, What: hook.String() + " is switched off at Allo", Todo: "switch it on there, or delete it and make it anew: " + create})
			continue
		}
		for _, name := range hook.Topics {
			topic, _ := allo.Canonical(name)
			topics[topic] = true
		}
		if hook.Generation == 2 && s.SigningSecret == "" {
			d.tell(slackapi.Finding{Level: slackapi.Worth, What: hook.String() + " signs its events, and ALLO_SIGNING_SECRET is not set", Todo: "fly secrets set ALLO_SIGNING_SECRET=whsec_… (told when a webhook is made)"})
		}
	}
	if len(topics) == 0 {
		d.tell(slackapi.Finding{Level: slackapi.Broken, What: "no webhook at Allo calls this bot", Todo: create})
		return
	}
	var missing []string
	for _, topic := range webhookTopics {
		if canonical, _ := allo.Canonical(topic); !topics[canonical] {
			missing = append(missing, topic)
		}
	}
	if len(missing) > 0 {
		d.tell(slackapi.Finding{Level: slackapi.Worth, What: "Allo doesn't send " + strings.Join(missing, ", "), Todo: "fine if no rule needs them; otherwise delete the webhook and make it anew: " + create})
		return
	}
	d.tell(slackapi.Finding{What: "Allo calls this bot for all topics"})
}

func digits(number string) string {
	return strings.Map(func(c rune) rune {
		if c < '0' || c > '9' {
			return -1
		}
		return c
	}, number)
}
