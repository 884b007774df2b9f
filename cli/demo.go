package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"allo-slack/allo"
	"allo-slack/fakeslack"
	"allo-slack/rules"
)

const (
	// demoToken is the stand-in's; it opens nothing else.
	demoToken = "xoxb-demo"
	// watchEvery is how often the demo looks whether the rules file was saved. It reads the file rather than ask for
	// changes of it: editors replace files, and some folders tell of nothing.
	watchEvery = 250 * time.Millisecond
)

// samples are the demo's events, in the order in which they come.
var samples = []struct{ name, file string }{
	{"A call to support has ended", "call_received.json"},
	{"A customer texts", "sms_received.json"},
	{"A text goes to a customer", "sms_sent.json"},
	{"A new contact", "contact_created.json"},
	{"A contact has changed", "contact_updated.json"},
}

// demo runs the real bot against a stand-in Slack in the same process, with a page that shows it. It takes PORT,
// RULES_FILE, LOG_LEVEL and LOG_FORMAT, needs none of them, and leaves nothing behind.
func (p *program) demo(ctx context.Context) (err error) {
	s, err := p.demoSettings()
	if err != nil {
		return err
	}
	file, err := rules.Load(s.RulesFile)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "allo-slack-demo-")
	if err != nil {
		return fmt.Errorf("making a folder for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	listener, err := listen(ctx, "localhost", s.Port, "PORT")
	if err != nil {
		return err
	}
	defer listener.Close()

	base := "http://" + reachable(listener.Addr())
	s.DatabaseURL = "sqlite:" + filepath.Join(folder, "demo.db")
	s.SlackAPIURL = base + "/api/"
	d := &demo{
		slack:  fakeslack.New(fakeslack.Options{Token: demoToken}),
		file:   s.RulesFile,
		hook:   "/webhook/" + string(s.WebhookSecret),
		log:    p.logger(s),
		loaded: file,
	}
	d.addChannels(file)
	a, err := newApp(ctx, s, file, d.log)
	if err != nil {
		return err
	}
	d.app = a
	d.page = &fakeslack.Page{Slack: d.slack, Title: "allo-slack demo", Webhook: d.hook, Notices: d.notices}
	for _, sample := range samples {
		body, err := demoSample(sample.file, time.Now())
		if err != nil {
			return err
		}
		d.samples = append(d.samples, body)
		d.page.Samples = append(d.page.Samples, fakeslack.Sample{Name: sample.name, JSON: body})
	}
	mux := a.routes()
	mux.Handle("/api/", d.slack.API())
	mux.Handle("/", d.page.Handler())

	fmt.Fprintf(p.errs, "\n  Open %s/ to see what Slack would show.\n  Edit %s and save: it takes effect at once. Ctrl-C ends it.\n  Send an event of your own with the page's form, or with: curl -d @EVENT.json %s\n\n",
		base, s.RulesFile, base+d.hook)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, d.page.Close) // its live updates never end by themselves
	var group sync.WaitGroup
	group.Go(func() { d.watch(ctx) })
	group.Go(func() { d.feed(ctx, base+d.hook) })
	defer group.Wait()
	defer cancel()
	return a.run(ctx, server{listener, mux})
}

// demoSettings are the settings that the demo takes from the environment, with its own for the rest.
func (p *program) demoSettings() (settings, error) {
	environ := []string{"SLACK_BOT_TOKEN=" + demoToken, "WEBHOOK_SECRET=" + rand.Text(), "METRICS_PORT=0"}
	for _, setting := range p.environ {
		name, _, _ := strings.Cut(setting, "=")
		if slices.Contains([]string{"PORT", "RULES_FILE", "LOG_LEVEL", "LOG_FORMAT"}, name) {
			environ = append(environ, setting)
		}
	}
	return loadSettings(environ)
}

// reachable is an address that this process can call itself at.
func reachable(a net.Addr) string {
	return net.JoinHostPort("localhost", fmt.Sprint(port(a)))
}

func port(a net.Addr) int {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.Port
	}
	return 0
}

// demo is what the page shows and the watching of the rules file.
type demo struct {
	slack   *fakeslack.Server
	page    *fakeslack.Page
	app     *app
	file    string
	hook    string
	samples [][]byte
	log     *slog.Logger

	mu     sync.Mutex
	loaded *rules.File
	saved  time.Time // when loaded took effect; zero if it is the first
	wrong  error     // what is wrong with the file as it is now
}

// addChannels gives the stand-in every channel that the rules name, so that a rule can be tried as it is written.
func (d *demo) addChannels(f *rules.File) {
	for _, channel := range f.Channels() {
		if name, ok := strings.CutPrefix(channel, "#"); ok {
			d.slack.AddChannel(fakeslack.Channel{Name: name})
			continue
		}
		d.slack.AddChannel(fakeslack.Channel{ID: channel, Name: strings.ToLower(channel)})
	}
}

// notices say on the page how the rules file is.
func (d *demo) notices() []fakeslack.Notice {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.wrong != nil:
		return []fakeslack.Notice{{Level: "error", Text: "The rules as they were saved are refused; those before them stay.\n" + d.wrong.Error()}}
	case !d.saved.IsZero():
		return []fakeslack.Notice{{Level: "info", Text: fmt.Sprintf("%s was read at %s: %s.", d.file, d.saved.Format("15:04:05"), count(len(d.loaded.Rules), "rule", "rules"))}}
	}
	return nil
}

// watch takes the rules file as it is saved, until ctx ends.
func (d *demo) watch(ctx context.Context) {
	last, _ := os.ReadFile(d.file)
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		now, err := os.ReadFile(d.file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // an editor is replacing it, or it is to come back
		}
		if err == nil && bytes.Equal(now, last) {
			continue
		}
		last = now
		d.take(ctx, now, err)
	}
}

// take makes a rules file count, if it is right.
func (d *demo) take(ctx context.Context, src []byte, err error) {
	var f *rules.File
	if err == nil {
		f, err = rules.Parse(d.file, src)
	}
	d.mu.Lock()
	d.wrong = err
	if err == nil {
		d.loaded, d.saved = f, time.Now()
	}
	d.mu.Unlock()
	if err != nil {
		d.log.ErrorContext(ctx, "rules refused; those before them stay", "err", err)
	} else {
		d.addChannels(f)
		d.app.takeRules(ctx, f)
	}
	d.page.NoticesChanged()
}

// feed sends the samples to the bot's own webhook, as Allo would.
func (d *demo) feed(ctx context.Context, url string) {
	for _, body := range d.samples {
		if err := post(ctx, url, body); err != nil && ctx.Err() == nil {
			d.log.ErrorContext(ctx, "sample not sent", "err", err)
		}
	}
}

func post(ctx context.Context, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("%s: %s", resp.Status, why)
	}
	return nil
}

// demoSample returns a sample of Allo's page as if it happened just now: its times are moved, and where the page hides
// an email a readable one stands.
func demoSample(name string, now time.Time) ([]byte, error) {
	body, err := allo.Samples.ReadFile("samples/" + name)
	if err != nil {
		return nil, err
	}
	e, err := allo.Parse(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	body = bytes.ReplaceAll(body, []byte("[email\u00a0protected]"), []byte("jo@example.com"))
	at := e.At()
	if at.IsZero() {
		return bytes.TrimSpace(body), nil
	}
	began := now.Add(-time.Minute)
	if e.Call != nil {
		began = began.Add(-time.Duration(e.Call.Minutes * float64(time.Minute)))
	}
	body = sampleTime.ReplaceAllFunc(body, func(was []byte) []byte {
		t, err := time.Parse(time.RFC3339, string(was))
		if err != nil {
			return was
		}
		return []byte(began.Add(t.Sub(at)).UTC().Format(time.RFC3339))
	})
	return bytes.TrimSpace(body), nil
}

var sampleTime = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
