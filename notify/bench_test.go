package notify

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"allo-slack/allo"
	"allo-slack/outbox"
	"allo-slack/rules"
	"allo-slack/slackapi"
)

// BenchmarkAccept is what an answer costs beyond HTTP, with 64 requests at once.
func BenchmarkAccept(b *testing.B) {
	body, err := allo.Samples.ReadFile("samples/call_received.json")
	if err != nil {
		b.Fatal(err)
	}
	file, err := rules.Load("../rules.yaml")
	if err != nil {
		b.Fatal(err)
	}
	store, err := outbox.Open(b.Context(), "sqlite:"+filepath.Join(b.TempDir(), "bench.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	bot, err := New(b.Context(), Config{Store: store, Rules: file, Token: testToken, HTTP: slackapi.HTTPClient(), Limiter: always{},
		Metrics: NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.NewJSONHandler(io.Discard, nil))})
	if err != nil {
		b.Fatal(err)
	}
	var id atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			e, err := allo.Parse(bytes.Replace(body, []byte(`"id": "`), fmt.Appendf(nil, `"id": "%d-`, id.Add(1)), 1))
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := bot.Accept(b.Context(), &e); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
