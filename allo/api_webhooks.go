package allo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	v1Webhooks = "/v1/api/webhooks"
	v2Webhooks = "/v2/api/webhooks"
)

// Webhook is one address that Allo calls. In the first generation it belongs to one of the workspace's numbers, in the
// second to the workspace.
//
// URL ends in our own secret and SigningSecret is one: neither is to be printed. String and LogValue leave them out.
type Webhook struct {
	ID            string // "" before it is created
	Generation    int    // 1 or 2
	URL           string // https
	Topics        []string
	Enabled       bool
	Number        string    // E.164; first generation only
	Description   string    // second generation only
	SigningSecret string    // whsec_…; second generation, told when the webhook is created and at no other time
	Created       time.Time // zero if Allo doesn't say
}

// String names the webhook without its secrets.
func (w Webhook) String() string {
	host := "an address that can't be read"
	if u, err := url.Parse(w.URL); err == nil {
		host = u.Host
	}
	return fmt.Sprintf("webhook %s (generation %d) to %s", cmp.Or(w.ID, "without id"), w.Generation, host)
}

// GoString hides the secrets as well.
func (w Webhook) GoString() string { return w.String() }

// LogValue hides the secrets as well.
func (w Webhook) LogValue() slog.Value { return slog.StringValue(w.String()) }

// webhook is a Webhook as Allo writes it. The first generation answers in camelCase when one is made, and in
// snake_case when they are listed.
type webhook struct {
	ID            string   `json:"id"`
	URL           string   `json:"url"`
	Topics        []string `json:"topics"`
	Enabled       bool     `json:"enabled"`
	Number        string   `json:"allo_number"`
	NumberInPOST  string   `json:"alloNumber"`
	Description   string   `json:"description"`
	SigningSecret string   `json:"signing_secret"`
	Created       string   `json:"created_at"`
}

func (w webhook) read(generation int) Webhook {
	created, _ := time.Parse(time.RFC3339, w.Created) // zero if there is none
	return Webhook{
		ID: w.ID, Generation: generation, URL: w.URL, Topics: w.Topics, Enabled: w.Enabled,
		Number: cmp.Or(w.Number, w.NumberInPOST), Description: w.Description, SigningSecret: w.SigningSecret, Created: created,
	}
}

// Webhooks lists the webhooks of both generations, the second's first. A generation that doesn't know the key has none;
// a key that may not see them is an error.
func (a *API) Webhooks(ctx context.Context) ([]Webhook, error) {
	second, secondErr := list[webhook](ctx, a, v2Webhooks)
	if secondErr != nil && !notForThisKey(secondErr) {
		return nil, secondErr
	}
	first, firstErr := list[webhook](ctx, a, v1Webhooks)
	if firstErr != nil && !notForThisKey(firstErr) {
		return nil, firstErr
	}
	var all []Webhook
	for _, w := range second {
		all = append(all, w.read(2))
	}
	for _, w := range first {
		all = append(all, w.read(1))
	}
	switch {
	case len(all) > 0 || secondErr == nil:
		return all, nil
	case firstErr != nil:
		return nil, telling(secondErr, firstErr)
	case statusOf(secondErr) == http.StatusForbidden:
		return nil, secondErr // it knows the key, and would not show it what there is
	}
	return nil, nil
}

// telling is, of the refusals of both generations, that of the one which knows the key.
func telling(second, first error) error {
	if statusOf(second) == http.StatusUnauthorized {
		return first
	}
	return second
}

func webhooksOf(generation int) string {
	if generation == 1 {
		return v1Webhooks
	}
	return v2Webhooks
}

// CreateWebhook makes a webhook, enabled, and returns it as Allo has it. Topics may be of either generation's names.
// The first generation needs a Number and takes no Description.
func (a *API) CreateWebhook(ctx context.Context, w Webhook) (Webhook, error) {
	topics, err := Topics(w.Generation, w.Topics)
	if err != nil {
		return Webhook{}, err
	}
	in := map[string]any{"url": w.URL, "topics": topics, "enabled": true}
	switch {
	case len(topics) == 0:
		return Webhook{}, errors.New("a webhook needs at least one topic")
	case w.Generation == 1 && w.Number == "":
		return Webhook{}, errors.New("a webhook of the first generation belongs to one of your numbers at Allo; name it")
	case w.Generation == 1:
		in["allo_number"] = w.Number
	case w.Description != "":
		in["description"] = w.Description
	}
	var answer struct {
		Data webhook `json:"data"`
	}
	if err := a.do(ctx, call{method: http.MethodPost, path: webhooksOf(w.Generation), in: in, out: &answer}); err != nil {
		return Webhook{}, err
	}
	return answer.Data.read(w.Generation), nil
}

// DeleteWebhook deletes a webhook of either generation. An id that neither knows is an APIError of status 404.
func (a *API) DeleteWebhook(ctx context.Context, id string) error {
	if strings.Trim(id, ".") == "" {
		return errors.New("which webhook is to be deleted? name its id")
	}
	second := a.do(ctx, call{method: http.MethodDelete, path: v2Webhooks + "/" + url.PathEscape(id)})
	if second == nil || !notForThisKey(second) {
		return second
	}
	first := a.do(ctx, call{method: http.MethodDelete, path: v1Webhooks + "/" + url.PathEscape(id)})
	if notForThisKey(first) {
		return telling(second, first)
	}
	return first
}

// EventType is a topic that a webhook of the second generation can have.
type EventType struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// EventTypes lists the topics that the second generation has now, those included that this program doesn't know.
func (a *API) EventTypes(ctx context.Context) ([]EventType, error) {
	return list[EventType](ctx, a, v2Webhooks+"/event_types")
}

// Topics says topics in the names of a generation, 1 or 2, each once and in their order. They may come in either one's
// names: what a webhook of the second generation calls `call.completed` is CALL_RECEIVED in the first.
func Topics(generation int, names []string) ([]string, error) {
	if generation != 1 && generation != 2 {
		return nil, fmt.Errorf("webhooks have the generations 1 and 2, not %d", generation)
	}
	second := map[Topic]string{}
	for _, name := range KnownTopics() {
		if topic, _ := Canonical(name); strings.Contains(name, ".") {
			second[topic] = name
		}
	}
	var topics []string
	for _, name := range names {
		topic, known := Canonical(name)
		own := string(topic)
		switch {
		case !known:
			return nil, fmt.Errorf("%q is no topic of Allo's; there are %s", name, strings.Join(KnownTopics(), ", "))
		case topic == Ping:
			return nil, errors.New("PING can't be asked for: Allo sends it to try a webhook")
		case generation == 1 && topic.OnlyWhenNamed():
			return nil, fmt.Errorf("only webhooks of the second generation have the topic %s", name)
		case generation == 2:
			own = second[topic]
		}
		if !slices.Contains(topics, own) {
			topics = append(topics, own)
		}
	}
	return topics, nil
}
