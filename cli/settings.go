package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"allo-slack/allo"
	"allo-slack/outbox"
)

// settings are read from the environment, and from nowhere else.
type settings struct {
	SlackBotToken secret        `env:"SLACK_BOT_TOKEN"`
	WebhookSecret secret        `env:"WEBHOOK_SECRET"`
	SigningSecret secret        `env:"ALLO_SIGNING_SECRET"`
	RequireSigned bool          `env:"ALLO_REQUIRE_SIGNED"`
	AlloAPIKey    secret        `env:"ALLO_API_KEY"`
	AlloAPIURL    string        `env:"ALLO_API_URL"`
	PublicURL     string        `env:"PUBLIC_URL"`
	CallLinkTTL   time.Duration `env:"CALL_LINK_TTL" envDefault:"720h"`
	Reconcile     string        `env:"RECONCILE"`
	RulesFile     string        `env:"RULES_FILE" envDefault:"rules.yaml"`
	DatabaseURL   string        `env:"DATABASE_URL" envDefault:"sqlite:allo-slack.db"`
	Port          uint16        `env:"PORT" envDefault:"8080"`
	MetricsPort   uint16        `env:"METRICS_PORT" envDefault:"9091"`
	Retention     time.Duration `env:"RETENTION" envDefault:"720h"`
	Silence       time.Duration `env:"SILENCE" envDefault:"72h"`
	LogLevel      slog.Level    `env:"LOG_LEVEL" envDefault:"info"`
	LogFormat     string        `env:"LOG_FORMAT"`
	SlackAPIURL   string        `env:"SLACK_API_URL"`
	FlyAppName    string        `env:"FLY_APP_NAME"` // set by Fly
}

// secret is a setting that is never printed. White space around it, such as the newline at a file's end, is not
// part of it.
type secret string

// UnmarshalText reads a secret.
func (s *secret) UnmarshalText(b []byte) error {
	*s = secret(strings.TrimSpace(string(b)))
	return nil
}

// String hides the secret, as do the other ways to print it.
func (s secret) String() string { return "[redacted]" }

// GoString hides the secret.
func (s secret) GoString() string { return s.String() }

// LogValue hides the secret.
func (s secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// secretLength is 128 bits in base64: less could be guessed.
const secretLength = 22

// loadSome reads the settings without asking that all be there: for commands that need few of them. The error names
// every one that can't be read.
func loadSome(environ []string) (settings, error) {
	var s settings
	var found mistakes
	err := env.ParseWithOptions(&s, env.Options{Environment: env.ToMap(environ)})
	var all env.AggregateError
	if errors.As(err, &all) {
		for _, err := range all.Errors {
			found = append(found, parseMistake(err))
		}
	} else if err != nil {
		found = append(found, err.Error())
	}
	if len(found) > 0 {
		return s, found
	}
	return s, nil
}

// loadSettings reads the settings. The error names every one that is missing or bad, and says what to do.
func loadSettings(environ []string) (settings, error) {
	s, err := loadSome(environ)
	var found mistakes
	errors.As(err, &found)

	switch token := string(s.SlackBotToken); {
	case token == "":
		found.add("SLACK_BOT_TOKEN is not set; create the app in Slack from slack-app.yaml, install it, and set this to its Bot User OAuth Token: fly secrets set SLACK_BOT_TOKEN=xoxb-…")
	case !strings.HasPrefix(token, "xoxb-"):
		found.add("SLACK_BOT_TOKEN is not a bot token; it must begin with xoxb- (Slack shows it under OAuth & Permissions, as Bot User OAuth Token)")
	}

	const makeOne = "make one with: openssl rand -hex 24"
	secrets := s.webhookSecrets()
	switch {
	case len(secrets) == 0:
		found.add("WEBHOOK_SECRET is not set; it is the last part of the webhook's URL and keeps others from posting; %s", makeOne)
	case len(secrets) > 2:
		found.add("WEBHOOK_SECRET holds %d secrets; one, or two separated by a comma while rotating", len(secrets))
	}
	for i, one := range secrets {
		which := ""
		if len(secrets) > 1 {
			which = fmt.Sprintf(" (number %d)", i+1)
		}
		if len(one) < secretLength {
			found.add("WEBHOOK_SECRET%s has %d characters; it must have at least %d; %s", which, len(one), secretLength, makeOne)
		}
		if url.PathEscape(one) != one {
			found.add("WEBHOOK_SECRET%s holds a character that can't stand in a URL as it is; use letters, digits, - and _; %s", which, makeOne)
		}
	}
	if s.SigningSecret != "" {
		if _, err := allo.NewVerifier(string(s.SigningSecret)); err != nil {
			found.add("ALLO_SIGNING_SECRET: %s", err)
		}
	}
	if s.RequireSigned && s.SigningSecret == "" {
		found.add("ALLO_REQUIRE_SIGNED is true, but ALLO_SIGNING_SECRET is not set: nothing could be accepted; set it, or leave out ALLO_REQUIRE_SIGNED")
	}
	if s.AlloAPIKey != "" {
		if _, err := allo.NewAPI(string(s.AlloAPIKey), "", nil); err != nil {
			found.add("ALLO_API_KEY: %s", err)
		}
	}
	for name, value := range map[string]string{"PUBLIC_URL": s.PublicURL, "ALLO_API_URL": s.AlloAPIURL} {
		if value != "" && !isURL(value) {
			found.add("%s must be an http or https URL, such as https://example.com; leave it out if you don't need it", name)
		}
	}
	if s.CallLinkTTL < time.Hour {
		found.add("CALL_LINK_TTL is %s; it must be at least 1h", s.CallLinkTTL)
	}
	if s.Reconcile != "" && s.Reconcile != "on" && s.Reconcile != "off" {
		found.add("RECONCILE must be on or off")
	}
	if s.Reconcile == "on" && s.AlloAPIKey == "" {
		found.add("RECONCILE is on, but ALLO_API_KEY is not set: Allo can't be asked for calls; set it, or leave out RECONCILE")
	}
	if _, err := outbox.ParsePath(s.DatabaseURL); err != nil {
		found = append(found, err.Error())
	}
	if s.Retention < time.Hour {
		found.add("RETENTION is %s; it must be at least 1h, as what Allo sends again is recognised by what is kept", s.Retention)
	}
	if s.Silence < 0 || s.Silence > 0 && s.Silence < time.Minute {
		found.add("SILENCE is %s; it must be at least 1m, or 0 to be told of no silence", s.Silence)
	}
	if s.LogFormat != "" && s.LogFormat != "json" && s.LogFormat != "text" {
		found.add("LOG_FORMAT must be json or text")
	}
	if s.Port == s.MetricsPort && s.Port != 0 {
		found.add("METRICS_PORT must not be PORT (%d): metrics are not for the public", s.Port)
	}
	if s.SlackAPIURL != "" && !isURL(s.SlackAPIURL) {
		found.add("SLACK_API_URL must be an http or https URL, such as https://slack.com/api/; leave it out for the real Slack")
	}
	if len(found) > 0 {
		return s, found
	}
	return s, nil
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}

// publicURL is where people and Allo reach the bot, without a slash at its end; "" if that isn't known.
func (s settings) publicURL() string {
	if s.PublicURL == "" && s.FlyAppName != "" {
		return "https://" + s.FlyAppName + ".fly.dev"
	}
	return strings.TrimRight(s.PublicURL, "/")
}

// webhookURL is where Allo is to call. It holds a secret.
func (s settings) webhookURL(secret string) string { return s.publicURL() + "/webhook/" + secret }

func (s settings) webhookSecrets() []string {
	var secrets []string
	for _, one := range strings.Split(string(s.WebhookSecret), ",") {
		if one = strings.TrimSpace(one); one != "" {
			secrets = append(secrets, one)
		}
	}
	return secrets
}

// examples says what a setting takes, by the type of its field.
var examples = map[reflect.Type]string{
	reflect.TypeFor[uint16]():        "a port, from 1 to 65535",
	reflect.TypeFor[time.Duration](): "a duration, such as 720h or 30m",
	reflect.TypeFor[bool]():          "true or false",
	reflect.TypeFor[slog.Level]():    "debug, info, warn or error",
}

// parseMistake rewords the library's error: it quotes values and names Go's fields and types.
func parseMistake(err error) string {
	var parse env.ParseError
	if !errors.As(err, &parse) {
		return err.Error()
	}
	name := parse.Name
	if f, ok := reflect.TypeFor[settings]().FieldByName(parse.Name); ok {
		name, _, _ = strings.Cut(f.Tag.Get("env"), ",")
	}
	takes, ok := examples[parse.Type]
	if !ok {
		takes = parse.Type.String()
	}
	return fmt.Sprintf("%s can't be read; it must be %s", name, takes)
}
