package notify

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"allo-slack/outbox"
)

// Metrics counts what a person who runs the bot wants to see move, or not move.
type Metrics struct {
	accepted    *prometheus.CounterVec // by fate
	rulesFailed prometheus.Counter
	posts       *prometheus.CounterVec // by outcome
	shown       prometheus.Counter     // deliveries that Slack has
	aside       prometheus.Counter
	unsure      *prometheus.CounterVec // by what the look said
	updates     *prometheus.CounterVec // by outcome
	delay       prometheus.Histogram
}

// NewMetrics registers the metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		accepted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "allo_slack_events_total", Help: "Events that were answered, by what became of them: routed, muted, unrouted, amended, duplicate."}, []string{"fate"}),
		rulesFailed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "allo_slack_rules_failed_total", Help: "Rules that could not be asked about an event; the log says why."}),
		posts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "allo_slack_posts_total", Help: "Attempts to post, by outcome."}, []string{"outcome"}),
		shown: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "allo_slack_deliveries_sent_total", Help: "Deliveries that Slack has."}),
		aside: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "allo_slack_deliveries_set_aside_total", Help: "Deliveries that Slack refuses for good; see: allo-slack failed."}),
		unsure: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "allo_slack_unsure_total", Help: "Posts that Slack may or may not have had, by what was found: found, missing, unreadable."}, []string{"look"}),
		updates: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "allo_slack_updates_total", Help: "Attempts to bring a message up to date, by outcome."}, []string{"outcome"}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "allo_slack_delay_seconds", Help: "From an event's answer to its message in Slack.",
			Buckets: []float64{.005, .02, .1, .5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200}}),
	}
	r.MustRegister(m.accepted, m.rulesFailed, m.posts, m.shown, m.aside, m.unsure, m.updates, m.delay)
	return m
}

// queue tells how much waits, each time it is asked.
type queue struct {
	store                  *outbox.Store
	waiting, aside, oldest *prometheus.Desc
}

// NewQueueMetrics tells what a store holds.
func NewQueueMetrics(store *outbox.Store) prometheus.Collector {
	return queue{
		store:   store,
		waiting: prometheus.NewDesc("allo_slack_deliveries_waiting", "Deliveries that wait for Slack, those that are being posted among them.", nil, nil),
		aside:   prometheus.NewDesc("allo_slack_deliveries_aside", "Deliveries that are set aside; see: allo-slack failed.", nil, nil),
		oldest:  prometheus.NewDesc("allo_slack_oldest_waiting_seconds", "Age of the oldest waiting delivery, in seconds; 0 when the queue is empty.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (q queue) Describe(c chan<- *prometheus.Desc) {
	c <- q.waiting
	c <- q.aside
	c <- q.oldest
}

// Collect implements prometheus.Collector.
func (q queue) Collect(c chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	counts, err := q.store.Counts(ctx)
	if err != nil {
		c <- prometheus.NewInvalidMetric(q.waiting, err)
		return
	}
	age := 0.0
	if !counts.Oldest.IsZero() {
		age = time.Since(counts.Oldest).Seconds()
	}
	c <- prometheus.MustNewConstMetric(q.waiting, prometheus.GaugeValue, float64(counts.Waiting))
	c <- prometheus.MustNewConstMetric(q.aside, prometheus.GaugeValue, float64(counts.Aside))
	c <- prometheus.MustNewConstMetric(q.oldest, prometheus.GaugeValue, age)
}
