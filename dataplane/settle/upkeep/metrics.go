package upkeep

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

type stats struct {
	posted, conflicts int
	failures          map[string]int // by task
}

func (u *Upkeep) posted(accounts int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stats.posted += accounts
}

func (u *Upkeep) conflict() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stats.conflicts++
}

var (
	descPosted    = prometheus.NewDesc("layers_grants_due_total", "Accounts whose grants began or expired by the clock and were posted by this process.", nil, nil)
	descConflicts = prometheus.NewDesc("layers_price_version_conflicts_total", "Versions of prices that were stored with another content before.", nil, nil)
	descFailures  = prometheus.NewDesc("layers_upkeep_failures_total", "Upkeep of the ledger that failed and was tried again, by task.", []string{"task"}, nil)
)

// Describe implements prometheus.Collector.
func (u *Upkeep) Describe(ch chan<- *prometheus.Desc) {
	ch <- descPosted
	ch <- descConflicts
	ch <- descFailures
}

// Collect implements prometheus.Collector.
func (u *Upkeep) Collect(ch chan<- prometheus.Metric) {
	u.mu.Lock()
	defer u.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(descPosted, prometheus.CounterValue, float64(u.stats.posted))
	ch <- prometheus.MustNewConstMetric(descConflicts, prometheus.CounterValue, float64(u.stats.conflicts))
	for _, task := range slices.Sorted(maps.Keys(u.stats.failures)) {
		ch <- prometheus.MustNewConstMetric(descFailures, prometheus.CounterValue, float64(u.stats.failures[task]), task)
	}
}
