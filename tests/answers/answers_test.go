// Package answers measures how many webhooks are answered durably, beside a bare handler that only decodes the same body.
package answers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"allo-slack/allo"
	"allo-slack/notify"
	"allo-slack/outbox"
	"allo-slack/rules"
	"allo-slack/webhook"
)

const (
	secret      = "a-secret-of-the-benchmark"
	connections = 64
)

// BenchmarkAnswers compares a bare handler with the whole way to the answer, alone and while what was answered is routed. The
// ratio of their times, in one run, is what counts.
func BenchmarkAnswers(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		load(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var envelope map[string]any
			if err := json.NewDecoder(r.Body).Decode(&envelope); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			io.WriteString(w, `{"status":"accepted"}`)
		}))
	})
	b.Run("stored", func(b *testing.B) { load(b, bot(b, false)) })
	b.Run("stored and routed", func(b *testing.B) { load(b, bot(b, true)) })
}

// bot is the handler of a bot with a store on disk.
func bot(b *testing.B, routes bool) http.Handler {
	b.Helper()
	fail := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	store, err := outbox.Open(b.Context(), "sqlite:"+filepath.Join(b.TempDir(), "test.db"))
	fail(err)
	file, err := rules.Parse("rules.yaml", []byte(`rules: [{name: all, match: {topic: CALL_RECEIVED}, channel: "#support"}]`))
	fail(err)
	limiter, err := notify.NewLimiter()
	fail(err)
	log := slog.New(slog.DiscardHandler)
	n, err := notify.New(b.Context(), notify.Config{
		Store: store, Rules: file, Token: "xoxb-1", SlackURL: "http://127.0.0.1:1/", Limiter: limiter, Metrics: notify.NewMetrics(prometheus.NewRegistry()), Log: log,
	})
	fail(err)
	h, err := webhook.New(webhook.Config{Secrets: []string{secret}, Acceptor: n, Log: log})
	fail(err)
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	if routes {
		running.Go(func() { _ = n.Run(ctx) })
	}
	b.Cleanup(func() {
		stop()
		running.Wait()
		h.Close()
		store.Close()
	})
	mux := http.NewServeMux()
	mux.Handle(webhook.Pattern, h)
	return mux
}

// load posts b.N calls through so many connections.
func load(b *testing.B, h http.Handler) {
	b.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	sample, err := allo.Samples.ReadFile("samples/call_received.json")
	if err != nil {
		b.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	var all sync.WaitGroup
	b.ResetTimer()
	for range connections {
		all.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				body := strings.NewReplacer("call_abc123", fmt.Sprint("call-", n), "call_original123", fmt.Sprint("call-", n)).Replace(string(sample))
				resp, err := client.Post(server.URL+"/webhook/"+secret, "application/json", strings.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					b.Errorf("answered %s", resp.Status)
					return
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
}
