package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"allo-slack/allo"
	"allo-slack/notify"
	"allo-slack/outbox"
	"allo-slack/rules"
	"allo-slack/slackapi"
	"allo-slack/web"
	"allo-slack/webhook"
)

const (
	// httpGrace is how long requests that were begun may take when the process is told to stop.
	httpGrace = 8 * time.Second
	// purgeEvery is how often what was kept long enough is deleted.
	purgeEvery = 10 * time.Minute
	// purgeAgain is how soon that is tried again when it failed: the disk may be full.
	purgeAgain = time.Minute
)

// serve is the bot.
func (p *program) serve(ctx context.Context) error {
	s, settingsErr := loadSettings(p.environ)
	file, rulesErr := rules.Load(s.RulesFile)
	if err := errors.Join(settingsErr, rulesErr); err != nil {
		return err
	}
	log := p.logger(s)
	for _, w := range file.Warnings {
		log.WarnContext(ctx, "rules", "warning", w.String())
	}
	public, err := listen(ctx, "", s.Port, "PORT")
	if err != nil {
		return err
	}
	defer public.Close()
	private, err := listen(ctx, "", s.MetricsPort, "METRICS_PORT")
	if err != nil {
		return err
	}
	defer private.Close()
	a, err := newApp(ctx, s, file, log)
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "ready", "address", public.Addr().String(), "metrics", private.Addr().String(), "rules", len(file.Rules))
	go a.reload(ctx, p.reload)
	if s.FlyAppName != "" {
		go a.watchMachines(ctx, net.DefaultResolver)
	}
	err = a.run(ctx, server{public, a.routes()}, server{private, a.metrics()})
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	log.InfoContext(context.WithoutCancel(ctx), "stopped", "cause", context.Cause(ctx), "err", err)
	return err
}

// listen takes a port before anything else is begun.
func listen(ctx context.Context, host string, port uint16, setting string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		return nil, fmt.Errorf("port %d can't be listened on; end what uses it, or set %s to another: %w", port, setting, err)
	}
	return l, nil
}

// app is the bot, wired:
//
//	Allo ──POST──▶ webhook ──Accept──▶ notify ──append──▶ outbox (disk) ──▶ 200
//	                                                        ▲      ▲
//	                notify's router ──fold, ask rules, route┘      │ claim, settle
//	                                                               ▼
//	                                       notify's workers, one a channel ──render──▶ format
//	                                                               │ send, look
//	                                                               ▼
//	                                                           slackapi ──▶ Slack
//
//	people ──▶ web (a call's page) ──▶ outbox, and Allo for the recording
//	reconciler ──asks Allo for recent calls──▶ notify
type app struct {
	store    *outbox.Store
	notifier *notify.Notifier
	webhook  *webhook.Handler
	registry *prometheus.Registry
	calls    *reconciler // nil without an API key
	pages    *web.Pages  // nil without an API key, or without a URL at which people reach the bot
	settings settings
	log      *slog.Logger
}

// newApp opens the store and wires the bot. Slack and Allo aren't asked for anything.
func newApp(ctx context.Context, s settings, file *rules.File, log *slog.Logger) (*app, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	limiter, err := notify.NewLimiter()
	if err != nil {
		return nil, err
	}
	store, err := outbox.Open(ctx, s.DatabaseURL)
	if err != nil {
		return nil, err
	}
	if err := store.Full(); err != nil {
		log.ErrorContext(ctx, "the disk is full; events are answered with 503 until there is room", "err", err, "todo", "extend the volume; old events are deleted now")
	}
	registry.MustRegister(notify.NewQueueMetrics(store))
	a := &app{store: store, registry: registry, settings: s, log: log}
	api, err := a.openPages(ctx)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	c := notify.Config{
		Store: store, Rules: file, Token: string(s.SlackBotToken), SlackURL: s.SlackAPIURL, HTTP: slackapi.HTTPClient(),
		Limiter: limiter, Metrics: notify.NewMetrics(registry), Log: log, Silence: s.Silence,
	}
	if a.pages != nil {
		c.CallLink = a.pages.Link
	}
	if a.notifier, err = notify.New(ctx, c); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	hooks := webhook.Config{Secrets: s.webhookSecrets(), Acceptor: a.notifier, Log: log, RequireSigned: s.RequireSigned, TrustFly: s.FlyAppName != ""}
	if s.SigningSecret != "" {
		if hooks.Verifier, err = allo.NewVerifier(string(s.SigningSecret)); err != nil {
			return nil, errors.Join(err, store.Close())
		}
	}
	if a.webhook, err = webhook.New(hooks); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	if api != nil && s.Reconcile != "off" {
		a.calls = newReconciler(api, a.notifier, store, s.Retention, log)
	}
	return a, nil
}

// reload reads the rules again at each signal, until ctx ends. Rules with a mistake are refused; those before them stay.
func (a *app) reload(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
		f, err := rules.Load(a.settings.RulesFile)
		if err != nil {
			a.log.ErrorContext(ctx, "rules refused; those before them stay", "err", err)
			continue
		}
		a.takeRules(ctx, f)
	}
}

// takeRules makes rules count for the events that come from now on.
func (a *app) takeRules(ctx context.Context, f *rules.File) {
	for _, w := range f.Warnings {
		a.log.WarnContext(ctx, "rules", "warning", w.String())
	}
	a.notifier.SetRules(f)
	a.log.InfoContext(ctx, "rules taken", "rules", len(f.Rules))
}

// routes is what the public port answers.
func (a *app) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle(webhook.Pattern, a.webhook)
	mux.HandleFunc("GET /healthz", a.health)
	if a.pages != nil {
		a.pages.Routes(mux)
	}
	return mux
}

// health answers 200 while process and store work. Slack isn't asked: its outages are waited for, not healed by
// sending events elsewhere.
func (a *app) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	w.Header().Set("Cache-Control", "no-store")
	if err := a.store.Check(ctx); err != nil {
		a.log.ErrorContext(ctx, "not healthy: the store can't be written", "err", err)
		http.Error(w, "the store can't be written", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// metrics is what the private port answers.
func (a *app) metrics() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{}))
	return mux
}

// server is what one port answers.
type server struct {
	listener net.Listener
	handler  http.Handler
}

// run works until ctx ends, or until something fails that can't go on, and closes the store.
func (a *app) run(ctx context.Context, servers ...server) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range servers {
		h := &http.Server{
			Handler:           s.handler,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       15 * time.Second,
			WriteTimeout:      20 * time.Second,
			IdleTimeout:       120 * time.Second,
			MaxHeaderBytes:    64 << 10,
			ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
		}
		group.Go(func() error {
			if err := h.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving: %w", err)
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), httpGrace)
			defer cancel()
			if err := h.Shutdown(ending); err != nil {
				return errors.Join(err, h.Close())
			}
			return nil
		})
	}
	group.Go(func() error { return a.notifier.Run(ctx) })
	group.Go(func() error { return a.purge(ctx) })
	if a.calls != nil {
		group.Go(func() error { return a.calls.run(ctx) })
	}
	return errors.Join(group.Wait(), a.close())
}

func (a *app) close() error { return errors.Join(a.webhook.Close(), a.store.Close()) }

// purge deletes what was delivered, muted or unrouted for longer than RETENTION.
func (a *app) purge(ctx context.Context) error {
	warned := "" // of what
	for {
		n, err := a.purgeOnce(ctx)
		again, wrong := purgeEvery, ""
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			again, wrong = purgeAgain, err.Error()
			if wrong != warned {
				a.log.WarnContext(ctx, "old events not deleted, will retry", "err", err)
			}
		case n > 0:
			a.log.InfoContext(ctx, "old events deleted", "events", n)
		}
		warned = wrong
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return nil
		}
	}
}

// plausible is how long after its newest event our clock is believed without Slack's.
const plausible = 24 * time.Hour

// purgeOnce purges, once the time is known. A clock that is far ahead, as it may be right after a start, would have
// everything deleted, with the keys that repeats are recognised by.
func (a *app) purgeOnce(ctx context.Context) (int64, error) {
	now, told := a.notifier.Now(ctx)
	if !told {
		heard, err := a.store.LastHeard(ctx, now)
		if err != nil {
			return 0, err
		}
		if now.Sub(heard) > plausible {
			return 0, errors.New("slack doesn't tell the time, and the newest event is over a day old: this machine's clock may be far ahead")
		}
	}
	return a.store.Purge(ctx, now.Add(-a.settings.Retention))
}
