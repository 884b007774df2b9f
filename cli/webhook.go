package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"allo-slack/allo"
)

// webhookTopics are what a webhook is made for if nothing else is said.
var webhookTopics = []string{"CALL_RECEIVED", "SMS_RECEIVED", "SMS_SENT", "CONTACT_CREATED", "CONTACT_UPDATED"}

// lateTopics are what the second generation tells of a call later; they bring its message up to date.
var lateTopics = []string{"tag.added", "tag.removed", "summary.updated"}

// alloAPI is Allo's API, with the settings that are needed for it.
func (p *program) alloAPI() (*allo.API, settings, error) {
	s, err := loadSome(p.environ)
	if err != nil {
		return nil, s, err
	}
	if s.AlloAPIKey == "" {
		return nil, s, errors.New("ALLO_API_KEY is not set; make a key at Allo under Settings > API: fly secrets set ALLO_API_KEY=…")
	}
	api, err := allo.NewAPI(string(s.AlloAPIKey), s.AlloAPIURL, nil)
	if err != nil {
		return nil, s, fmt.Errorf("ALLO_API_KEY: %w", err)
	}
	return api, s, nil
}

// webhookCreate makes a webhook at Allo, in whichever generation the key is for.
func (p *program) webhookCreate(ctx context.Context, url, number string, topics []string, secret bool) error {
	api, s, err := p.alloAPI()
	if err != nil {
		return err
	}
	if url == "" {
		secrets := s.webhookSecrets()
		if s.publicURL() == "" || len(secrets) == 0 {
			return errors.New("where is Allo to call? set PUBLIC_URL and WEBHOOK_SECRET, or pass --url https://NAME.fly.dev/webhook/SECRET")
		}
		url = s.webhookURL(secrets[0])
	}
	if !strings.HasPrefix(url, "https://") {
		return errors.New("--url must begin with https://; Allo calls nothing else")
	}
	access, err := api.Generation(ctx)
	if err != nil {
		return err
	}
	if len(topics) == 0 {
		topics = slices.Clone(webhookTopics)
		if access.Generation == 2 {
			topics = append(topics, lateTopics...)
		}
	}
	if access.Generation == 1 && number == "" {
		ours, err := api.Numbers(ctx)
		if err != nil || len(ours) != 1 {
			return errors.Join(errors.New("a webhook of the first generation belongs to one number of yours; pass it: --number +33…"), err)
		}
		number = ours[0].Number
	}
	made, err := api.CreateWebhook(ctx, allo.Webhook{Generation: access.Generation, URL: url, Topics: topics, Number: number, Description: "allo-slack"})
	if err != nil {
		return err
	}
	fmt.Fprintf(p.out, "made %s for %s\n", made, strings.Join(made.Topics, ", "))
	switch {
	case made.SigningSecret == "":
	case secret:
		fmt.Fprintf(p.out, "\nIts signing secret, which Allo tells only now:\n\n    fly secrets set ALLO_SIGNING_SECRET=%s\n", made.SigningSecret)
	default:
		fmt.Fprintln(p.errs, "It signs its events. Allo tells the signing secret only now: had you passed --print-secret, it would stand here. To see one, delete the webhook and make it anew.")
	}
	return nil
}

// webhookList lists Allo's webhooks, without the secrets in their URLs.
func (p *program) webhookList(ctx context.Context) error {
	api, s, err := p.alloAPI()
	if err != nil {
		return err
	}
	hooks, err := api.Webhooks(ctx)
	if err != nil {
		return err
	}
	if len(hooks) == 0 {
		_, err := fmt.Fprintln(p.out, "there are none; make one with: allo-slack webhook create")
		return err
	}
	table := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tGENERATION\tURL\tENABLED\tNUMBER\tTOPICS")
	for _, h := range hooks {
		fmt.Fprintf(table, "%s\t%d\t%s\t%t\t%s\t%s\n", h.ID, h.Generation, shownURL(h.URL, s), h.Enabled, dash(h.Number), strings.Join(h.Topics, ","))
	}
	return table.Flush()
}

// shownURL is a webhook's URL without the secret in it.
func shownURL(url string, s settings) string {
	before, _, ours := strings.Cut(url, "/webhook/")
	if !ours {
		before, _, _ = strings.Cut(url, "?")
		return before
	}
	for _, secret := range s.webhookSecrets() {
		if strings.HasSuffix(url, "/webhook/"+secret) {
			return before + "/webhook/WEBHOOK_SECRET"
		}
	}
	return before + "/webhook/(another secret)"
}

// webhookDelete deletes a webhook at Allo.
func (p *program) webhookDelete(ctx context.Context, id string) error {
	api, _, err := p.alloAPI()
	if err != nil {
		return err
	}
	if err := api.DeleteWebhook(ctx, id); err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.out, "deleted", id)
	return err
}
