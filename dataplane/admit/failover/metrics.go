package failover

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/layers-dev/layers/dataplane/admit"
)

var (
	descAway     = prometheus.NewDesc("layers_admission_fallback", "1 while Redis, or a part of it, is away and admission goes on without it, else 0.", nil, nil)
	descDecided  = prometheus.NewDesc("layers_admission_fallback_total", "Admissions that Redis did not decide, by what they came to.", []string{"outcome"}, nil)
	descOpenings = prometheus.NewDesc("layers_redis_breaker_opened_total", "How often Redis was taken for away.", nil, nil)
	descTimeouts = prometheus.NewDesc("layers_redis_timeouts_total", "Calls to Redis that were given up at their deadline.", nil, nil)
	descEnds     = prometheus.NewDesc("layers_admission_releases_waiting", "Holds that wait to be released until their store answers.", nil, nil)
)

// outcomes by name; what is not among them is an error.
var outcomes = map[admit.Outcome]string{
	admit.Admitted: "admitted", admit.ReloadKey: "reload_key", admit.KeyRefused: "key_refused", admit.AccountSuspended: "account_suspended", admit.RateLimited: "rate_limited",
	admit.TooManyConcurrent: "too_many_concurrent", admit.CapReached: "cap_reached", admit.InsufficientCredits: "insufficient_credits",
}

type stats struct {
	openings, timeouts atomic.Int64

	mu sync.Mutex
	by map[string]int64
}

func newStats() stats { return stats{by: map[string]int64{}} }

func (s *stats) decided(d admit.Decision, err error) {
	name := outcomes[d.Outcome]
	if err != nil {
		name = "error"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.by[name]++
}

// Describe implements prometheus.Collector.
func (f *Failover) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descAway, descDecided, descOpenings, descTimeouts, descEnds} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (f *Failover) Collect(ch chan<- prometheus.Metric) {
	away := 0.0
	if f.Away() {
		away = 1
	}
	ch <- prometheus.MustNewConstMetric(descAway, prometheus.GaugeValue, away)
	ch <- prometheus.MustNewConstMetric(descOpenings, prometheus.CounterValue, float64(f.stats.openings.Load()))
	ch <- prometheus.MustNewConstMetric(descTimeouts, prometheus.CounterValue, float64(f.stats.timeouts.Load()))
	ch <- prometheus.MustNewConstMetric(descEnds, prometheus.GaugeValue, float64(len(f.ends.list())))
	f.stats.mu.Lock()
	defer f.stats.mu.Unlock()
	for name, n := range f.stats.by {
		ch <- prometheus.MustNewConstMetric(descDecided, prometheus.CounterValue, float64(n), name)
	}
}
