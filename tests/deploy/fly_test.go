package deploy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// flyConfig has the keys of fly.toml that this project uses or is likely to: https://fly.io/docs/reference/configuration/.
// Decoding is strict, so a key that is missing here is refused; add it when Fly's reference has it.
type flyConfig struct {
	App           string            `toml:"app"`
	PrimaryRegion string            `toml:"primary_region"`
	KillSignal    string            `toml:"kill_signal"`
	KillTimeout   string            `toml:"kill_timeout"`
	SwapSizeMB    int               `toml:"swap_size_mb"`
	Env           map[string]string `toml:"env"`
	Deploy        struct {
		ReleaseCommand        string `toml:"release_command"`
		ReleaseCommandTimeout string `toml:"release_command_timeout"`
		Strategy              string `toml:"strategy"`
		WaitTimeout           string `toml:"wait_timeout"`
	} `toml:"deploy"`
	Mounts struct {
		Source                  string `toml:"source"`
		Destination             string `toml:"destination"`
		InitialSize             string `toml:"initial_size"`
		SnapshotRetention       int    `toml:"snapshot_retention"`
		ScheduledSnapshots      *bool  `toml:"scheduled_snapshots"`
		AutoExtendSizeThreshold int    `toml:"auto_extend_size_threshold"`
		AutoExtendSizeIncrement string `toml:"auto_extend_size_increment"`
		AutoExtendSizeLimit     string `toml:"auto_extend_size_limit"`
	} `toml:"mounts"`
	HTTPService struct {
		InternalPort       int    `toml:"internal_port"`
		ForceHTTPS         bool   `toml:"force_https"`
		AutoStopMachines   string `toml:"auto_stop_machines"`
		AutoStartMachines  bool   `toml:"auto_start_machines"`
		MinMachinesRunning int    `toml:"min_machines_running"`
		Concurrency        struct {
			Type      string `toml:"type"`
			SoftLimit int    `toml:"soft_limit"`
			HardLimit int    `toml:"hard_limit"`
		} `toml:"concurrency"`
		Checks []struct {
			Method      string `toml:"method"`
			Path        string `toml:"path"`
			Interval    string `toml:"interval"`
			Timeout     string `toml:"timeout"`
			GracePeriod string `toml:"grace_period"`
		} `toml:"checks"`
	} `toml:"http_service"`
	Restart []struct {
		Policy  string `toml:"policy"`
		Retries int    `toml:"retries"`
	} `toml:"restart"`
	Metrics []struct {
		Port int    `toml:"port"`
		Path string `toml:"path"`
	} `toml:"metrics"`
	VM []struct {
		Size   string `toml:"size"`
		Memory string `toml:"memory"`
	} `toml:"vm"`
}

func decodeFly(text string) (flyConfig, error) {
	var config flyConfig
	err := toml.NewDecoder(strings.NewReader(text)).DisallowUnknownFields().Decode(&config)
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) {
		err = errors.New("fly.toml has keys that are not known here:\n" + unknown.String())
	}
	return config, err
}

func TestFlyTOML(t *testing.T) {
	fly, err := decodeFly(read(t, "fly.toml"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(ok bool, complaint string, args ...any) {
		t.Helper()
		if !ok {
			t.Errorf(complaint, args...)
		}
	}

	check(fly.PrimaryRegion != "", "primary_region is missing: the volume would be made just anywhere")

	// A bot that works off its queue looks idle to Fly's proxy.
	check(fly.HTTPService.AutoStopMachines == "off", "auto_stop_machines = %q, want off", fly.HTTPService.AutoStopMachines)
	check(fly.HTTPService.AutoStartMachines, "auto_start_machines is off: a stopped machine would stay so")
	check(fly.HTTPService.MinMachinesRunning >= 1, "min_machines_running = %d, want 1", fly.HTTPService.MinMachinesRunning)
	check(len(fly.Restart) == 1 && fly.Restart[0].Policy == "always", "restart = %+v, want policy always", fly.Restart)

	// The bot takes up to 10 s to stop; Fly's own default is SIGINT and 5 s.
	check(fly.KillSignal == "SIGTERM", "kill_signal = %q, want SIGTERM", fly.KillSignal)
	grace, err := time.ParseDuration(fly.KillTimeout)
	check(err == nil && grace >= 15*time.Second && grace <= 300*time.Second, "kill_timeout = %q, want 15s to 300s", fly.KillTimeout)

	// Only a release command that needs no volume can run before the old machine is replaced.
	check(fly.Deploy.ReleaseCommand == "check", "release_command = %q, want check", fly.Deploy.ReleaseCommand)
	check(fly.Deploy.Strategy == "rolling", "strategy = %q: only rolling works with a volume", fly.Deploy.Strategy)

	check(fly.HTTPService.InternalPort == 8080, "internal_port = %d, want 8080, the default of PORT", fly.HTTPService.InternalPort)
	check(fly.HTTPService.ForceHTTPS, "force_https is off: the secret in the webhook's path would travel in the clear")
	limits := fly.HTTPService.Concurrency
	check(limits.Type == "requests", "concurrency type = %q, want requests", limits.Type)
	check(limits.HardLimit > limits.SoftLimit && limits.SoftLimit > 0, "concurrency limits = %d and %d, want soft below hard", limits.SoftLimit, limits.HardLimit)
	if len(fly.HTTPService.Checks) != 1 {
		t.Fatalf("got %d checks, want one, of /healthz", len(fly.HTTPService.Checks))
	}
	health := fly.HTTPService.Checks[0]
	check(health.Path == "/healthz" && strings.EqualFold(health.Method, "GET"), "check = %s %s, want GET /healthz", health.Method, health.Path)
	for name, text := range map[string]string{"interval": health.Interval, "timeout": health.Timeout, "grace_period": health.GracePeriod} {
		// A bare number is taken for milliseconds.
		d, err := time.ParseDuration(text)
		check(err == nil && d >= time.Second && d <= time.Minute, "checks: %s = %q, want 1s to 1m, with the unit", name, text)
	}

	check(len(fly.Metrics) == 1 && fly.Metrics[0].Port == 9091 && fly.Metrics[0].Path == "/metrics", "metrics = %+v, want 9091/metrics", fly.Metrics)
	for _, m := range fly.Metrics {
		check(m.Port != fly.HTTPService.InternalPort, "metrics share the public port %d", m.Port)
	}

	// The store is on the volume, and the volume's snapshots last.
	store, isSQLite := strings.CutPrefix(fly.Env["DATABASE_URL"], "sqlite:")
	check(isSQLite && fly.Mounts.Destination != "" && strings.HasPrefix(store, fly.Mounts.Destination+"/"),
		"DATABASE_URL = %q is not on the volume at %q", fly.Env["DATABASE_URL"], fly.Mounts.Destination)
	check(fly.Mounts.Source != "", "mounts has no source")
	check(fly.Mounts.ScheduledSnapshots == nil || *fly.Mounts.ScheduledSnapshots, "scheduled_snapshots are off")
	check(fly.Mounts.SnapshotRetention >= 14 && fly.Mounts.SnapshotRetention <= 60, "snapshot_retention = %d, want 14 to 60 days", fly.Mounts.SnapshotRetention)

	// A small machine: Go's limit leaves room for SQLite, and swap takes the peaks.
	check(len(fly.VM) == 1 && fly.VM[0].Memory == "256mb", "vm = %+v, want one with 256mb", fly.VM)
	check(fly.SwapSizeMB >= 256, "swap_size_mb = %d, want 256 or more", fly.SwapSizeMB)
	var mib int
	_, err = fmt.Sscanf(fly.Env["GOMEMLIMIT"], "%dMiB", &mib)
	check(err == nil && mib >= 96 && mib <= 200, "GOMEMLIMIT = %q, want 96MiB to 200MiB of the machine's 256", fly.Env["GOMEMLIMIT"])
}

// TestFlyEnv: a misspelt setting would be ignored, and this file is public, so no secret belongs into it.
func TestFlyEnv(t *testing.T) {
	fly, err := decodeFly(read(t, "fly.toml"))
	if err != nil {
		t.Fatal(err)
	}
	settings := []string{
		"ALLO_API_URL", "ALLO_REQUIRE_SIGNED", "CALL_LINK_TTL", "DATABASE_URL", "LOG_FORMAT", "LOG_LEVEL", "METRICS_PORT", "PORT",
		"PUBLIC_URL", "RECONCILE", "RETENTION", "RULES_FILE", "SILENCE", "SLACK_API_URL",
		"GOMEMLIMIT", "GOGC", // of Go itself
	}
	secrets := []string{"ADMIN_TOKEN", "ALLO_API_KEY", "ALLO_SIGNING_SECRET", "SLACK_BOT_TOKEN", "WEBHOOK_SECRET"}
	for name := range fly.Env {
		switch {
		case slices.Contains(secrets, name):
			t.Errorf("%s is a secret: fly secrets set %s=…", name, name)
		case !slices.Contains(settings, name):
			t.Errorf("[env] sets %s, which nothing reads", name)
		}
	}
}

// TestFlyDecodingIsStrict: the checks above are worth something only while a typo fails.
func TestFlyDecodingIsStrict(t *testing.T) {
	for _, text := range []string{
		"kill_timout = '30s'",
		"[http_service]\nauto_stop_machine = 'off'",
		"[[http_service.checks]]\nurl = '/healthz'",
		"[mounts]\nsnapshots_retention = 30",
	} {
		if _, err := decodeFly(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
