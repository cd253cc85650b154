// Package observe counts and logs requests. Labels are bounded: routes, models of the snapshot, statuses, outcomes; never
// a key, an account or anything that a client or an upstream made up.
package observe

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/layers-dev/layers/dataplane/pricing"
)

// Outcomes that are no refusal's code.
const (
	OK            = "ok"
	ClientGone    = "client_gone"
	UpstreamError = "upstream_error"
	InternalError = "internal_error"
)

// Record is what one request became. The handlers fill it in; Metrics.Done counts and logs it once.
type Record struct {
	// ID is our own id of the request, ClientID the one that is told to the client (its own, if it sent one).
	ID, ClientID string
	Route        string
	Method, Path string
	Start        time.Time
	// Key and Account are ids of rows, for the log only.
	Key, Account string
	// Model is a public name of the snapshot; empty until the model is found.
	Model, Provider, Backend, UpstreamID string
	Attempts                             int
	Stream                               bool
	Status                               int
	// Outcome is OK, one of the words above, or the code of a refusal of ours.
	Outcome string
	// FirstContent is when the first content came; zero: never.
	FirstContent  time.Time
	Usage         pricing.Usage
	Evidence      string
	Cost, Charged pricing.Nano
	// ClientLeft says that the client did not wait for the end.
	ClientLeft bool
	Err        error
}

// Metrics are the counters of one server.
type Metrics struct {
	log *slog.Logger
	now func() time.Time

	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	ttft      *prometheus.HistogramVec
	inFlight  prometheus.Gauge
	tokens    *prometheus.CounterVec
	searches  *prometheus.CounterVec
	cost      *prometheus.CounterVec
	admission *prometheus.CounterVec
	fallbacks *prometheus.CounterVec
	shadowed  *prometheus.CounterVec
	extended  *prometheus.CounterVec
	stopped   *prometheus.CounterVec
	panics    prometheus.Counter
}

// seconds are the buckets of durations: answers take from milliseconds to a quarter of an hour.
var seconds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900}

// New makes the counters and registers them.
func New(reg prometheus.Registerer, log *slog.Logger, now func() time.Time) (*Metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: seconds}, labels)
	}
	m := &Metrics{
		log: log, now: now,
		requests:  counter("layers_requests_total", "Requests answered.", "route", "model", "status", "outcome"),
		durations: histogram("layers_request_duration_seconds", "Time from the request's headers to the end of the answer.", "route", "model"),
		ttft:      histogram("layers_time_to_first_content_seconds", "Time from the request's headers to the first content of a stream.", "model"),
		inFlight:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "layers_requests_in_flight", Help: "Requests being answered."}),
		tokens:    counter("layers_tokens_total", "Tokens used, each in one class.", "model", "class"),
		searches:  counter("layers_searches_total", "Searches of the web, as providers report them.", "model"),
		cost:      counter("layers_charged_nanodollars_total", "Money charged, in nano-USD.", "model"),
		admission: counter("layers_admission_decisions_total", "Decisions of the admission script, retries included.", "outcome"),
		shadowed:  counter("layers_shadow_refusals_total", "Requests that would have been refused, were limits and credits enforced, by the rule.", "rule"),
		extended:  counter("layers_hold_extensions_total", "Holds of running streams that were to be extended.", "outcome"),
		stopped:   counter("layers_streams_cut_short_total", "Streams that ended because their hold could not be extended.", "model"),
		fallbacks: counter("layers_upstream_failures_total", "Attempts at a backend that failed.", "model", "backend"),
		panics:    prometheus.NewCounter(prometheus.CounterOpts{Name: "layers_panics_total", Help: "Handlers that panicked."}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.durations, m.ttft, m.inFlight, m.tokens, m.searches, m.cost, m.admission, m.shadowed, m.extended, m.stopped, m.fallbacks, m.panics} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Begin counts a request that came in.
func (m *Metrics) Begin() { m.inFlight.Inc() }

// Decision counts one decision of the admission script.
func (m *Metrics) Decision(outcome string) { m.admission.WithLabelValues(outcome).Inc() }

// Shadowed counts a request that the rule would have refused.
func (m *Metrics) Shadowed(rule string) { m.shadowed.WithLabelValues(rule).Inc() }

// Extended counts an attempt to make the hold of a running stream larger.
func (m *Metrics) Extended(outcome string) { m.extended.WithLabelValues(outcome).Inc() }

// Stopped counts and logs a stream that its hold did not pay for any longer.
func (m *Metrics) Stopped(r *Record) {
	m.stopped.WithLabelValues(r.Model).Inc()
	m.log.Info("Stream is cut short, the credits are used up", "requestID", r.ID, "account", r.Account, "model", r.Model)
}

// AttemptFailed counts and logs an attempt at a backend that failed.
func (m *Metrics) AttemptFailed(r *Record, err error) {
	m.fallbacks.WithLabelValues(r.Model, r.Backend).Inc()
	m.log.Warn("Backend failed", "requestID", r.ID, "model", r.Model, "provider", r.Provider, "backend", r.Backend, "error", err)
}

// Panicked counts and logs a panic, without the request's body.
func (m *Metrics) Panicked(r *Record, value any, stack []byte) {
	m.panics.Inc()
	m.log.Error("Handler panicked", "requestID", r.ID, "route", r.Route, "panic", value, "stack", string(stack))
}

// Done counts and logs the end of a request.
func (m *Metrics) Done(ctx context.Context, r *Record) {
	end := m.now()
	m.inFlight.Dec()
	m.requests.WithLabelValues(r.Route, r.Model, strconv.Itoa(r.Status), r.Outcome).Inc()
	m.durations.WithLabelValues(r.Route, r.Model).Observe(end.Sub(r.Start).Seconds())
	if r.Stream && !r.FirstContent.IsZero() {
		m.ttft.WithLabelValues(r.Model).Observe(r.FirstContent.Sub(r.Start).Seconds())
	}
	for class, n := range map[string]int64{
		"input": r.Usage.Input, "cache_read": r.Usage.CacheRead, "cache_write": r.Usage.CacheWrite, "cache_write_1h": r.Usage.CacheWrite1h,
		"output": r.Usage.Output,
	} {
		if n > 0 {
			m.tokens.WithLabelValues(r.Model, class).Add(float64(n))
		}
	}
	if r.Usage.Searches > 0 {
		m.searches.WithLabelValues(r.Model).Add(float64(r.Usage.Searches))
	}
	if r.Charged > 0 {
		m.cost.WithLabelValues(r.Model).Add(float64(r.Charged))
	}
	m.log.LogAttrs(ctx, level(r), "Answered request", attrs(r, end)...)
}

// level is warn where we or an upstream are to blame.
func level(r *Record) slog.Level {
	if r.Status >= 500 || r.Outcome == UpstreamError || r.Outcome == InternalError {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

func attrs(r *Record, end time.Time) []slog.Attr {
	out := []slog.Attr{
		slog.String("requestID", r.ID), slog.String("clientRequestID", r.ClientID), slog.String("route", r.Route),
		slog.String("method", r.Method), slog.String("path", r.Path), slog.Int("status", r.Status), slog.String("outcome", r.Outcome), slog.Duration("duration", end.Sub(r.Start)),
	}
	text := func(name, value string) {
		if value != "" {
			out = append(out, slog.String(name, value))
		}
	}
	text("key", r.Key)
	text("account", r.Account)
	text("model", r.Model)
	text("provider", r.Provider)
	text("backend", r.Backend)
	text("upstreamID", r.UpstreamID)
	if r.Evidence != "" {
		out = append(out, slog.Bool("stream", r.Stream), slog.Int("attempts", r.Attempts), slog.String("evidence", r.Evidence),
			slog.Int64("inputTokens", r.Usage.Input+r.Usage.CacheRead+r.Usage.CacheWrite+r.Usage.CacheWrite1h), slog.Int64("outputTokens", r.Usage.Output), slog.Int64("searches", r.Usage.Searches),
			slog.Int64("costNano", r.Cost), slog.Int64("chargedNano", r.Charged))
	}
	if r.ClientLeft {
		out = append(out, slog.Bool("clientLeft", true))
	}
	if r.Err != nil {
		out = append(out, slog.String("error", r.Err.Error()))
	}
	return out
}
