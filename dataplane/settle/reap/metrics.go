package reap

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/layers-dev/layers/dataplane/pricing"
)

// What becomes of a request.
const (
	kindFinished   = "finished"   // posted as it ended
	kindOrphan     = "orphan"     // nobody finished it: charged what its policy says
	kindUnreadable = "unreadable" // its record is missing, or cannot be read: charged nothing
	kindDuplicate  = "duplicate"  // the ledger had it: only its hold was left
)

type stats struct {
	reaped   map[string]int // by kind
	charged  pricing.Nano
	failures map[string]int // by store
}

func newStats() stats {
	return stats{
		reaped:   map[string]int{kindFinished: 0, kindOrphan: 0, kindUnreadable: 0, kindDuplicate: 0},
		failures: map[string]int{"admission": 0, "ledger": 0},
	}
}

func (r *Reaper) count(kind string, charged pricing.Nano) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.reaped[kind]++
	r.stats.charged += charged
}

// failed counts and tells what a store did not do.
func (r *Reaper) failed(store, what string, err error, args ...any) {
	r.mu.Lock()
	r.stats.failures[store]++
	r.mu.Unlock()
	r.o.Log.Error(what, append(args, "error", err)...)
}

var (
	descReaped   = prometheus.NewDesc("layers_reaped_total", "Requests whose process was gone and that were settled by this one, by what became of them.", []string{"kind"}, nil)
	descCharged  = prometheus.NewDesc("layers_orphans_charged_usd_total", "What requests that nobody finished were charged by their policies, in USD.", nil, nil)
	descFailures = prometheus.NewDesc("layers_reap_failures_total", "Tries to settle them that a store refused or did not answer, and records in it that cannot be read.", []string{"store"}, nil)
)

// nanoPerUSD is what one USD is of pricing.Nano.
const nanoPerUSD = 1e9

// Describe implements prometheus.Collector.
func (r *Reaper) Describe(ch chan<- *prometheus.Desc) {
	ch <- descReaped
	ch <- descCharged
	ch <- descFailures
}

// Collect implements prometheus.Collector.
func (r *Reaper) Collect(ch chan<- prometheus.Metric) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, kind := range slices.Sorted(maps.Keys(r.stats.reaped)) {
		ch <- prometheus.MustNewConstMetric(descReaped, prometheus.CounterValue, float64(r.stats.reaped[kind]), kind)
	}
	ch <- prometheus.MustNewConstMetric(descCharged, prometheus.CounterValue, float64(r.stats.charged)/nanoPerUSD)
	for _, store := range slices.Sorted(maps.Keys(r.stats.failures)) {
		ch <- prometheus.MustNewConstMetric(descFailures, prometheus.CounterValue, float64(r.stats.failures[store]), store)
	}
}
