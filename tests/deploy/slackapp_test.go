package deploy

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
)

// slackManifest has the keys of https://docs.slack.dev/reference/app-manifest that the app uses.
type slackManifest struct {
	DisplayInformation struct {
		Name            string `yaml:"name"`
		Description     string `yaml:"description"`
		LongDescription string `yaml:"long_description"`
		BackgroundColor string `yaml:"background_color"`
	} `yaml:"display_information"`
	Features struct {
		BotUser struct {
			DisplayName  string `yaml:"display_name"`
			AlwaysOnline bool   `yaml:"always_online"`
		} `yaml:"bot_user"`
	} `yaml:"features"`
	OAuthConfig struct {
		Scopes struct {
			Bot  []string `yaml:"bot"`
			User []string `yaml:"user"`
		} `yaml:"scopes"`
	} `yaml:"oauth_config"`
	Settings struct {
		Interactivity struct {
			IsEnabled bool `yaml:"is_enabled"`
		} `yaml:"interactivity"`
		SocketModeEnabled    bool `yaml:"socket_mode_enabled"`
		OrgDeployEnabled     bool `yaml:"org_deploy_enabled"`
		TokenRotationEnabled bool `yaml:"token_rotation_enabled"`
	} `yaml:"settings"`
}

func TestSlackAppManifest(t *testing.T) {
	var app slackManifest
	if err := yaml.NewDecoder(strings.NewReader(read(t, "slack-app.yaml")), yaml.Strict()).Decode(&app); err != nil {
		t.Fatal(err)
	}

	// A workspace's admin reads this list before saying yes: every further scope needs a reason.
	want := []string{
		"channels:history", "channels:join", "channels:read", "chat:write", "groups:history", "groups:read", "users:read", "users:read.email",
	}
	got := slices.Sorted(slices.Values(app.OAuthConfig.Scopes.Bot))
	if !slices.Equal(got, want) {
		t.Errorf("bot scopes = %q\nwant %q", got, want)
	}
	if len(app.OAuthConfig.Scopes.User) > 0 {
		t.Errorf("user scopes = %q, want none: the bot acts for itself", app.OAuthConfig.Scopes.User)
	}

	if app.Features.BotUser.DisplayName != "allo-slack" {
		t.Errorf("bot user = %q, want allo-slack: people are told to type /invite @allo-slack", app.Features.BotUser.DisplayName)
	}
	info := app.DisplayInformation
	if n := utf8.RuneCountInString(info.Name); n == 0 || n > 35 {
		t.Errorf("name has %d characters, want 1 to 35", n)
	}
	if n := utf8.RuneCountInString(info.Description); n == 0 || n > 140 {
		t.Errorf("description has %d characters, want 1 to 140", n)
	}

	settings := app.Settings
	if settings.Interactivity.IsEnabled || settings.SocketModeEnabled || settings.OrgDeployEnabled || settings.TokenRotationEnabled {
		t.Errorf("settings = %+v, want all off: the bot has nothing that would answer", settings)
	}
}
