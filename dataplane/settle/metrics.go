package settle

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/layers-dev/layers/dataplane/pricing"
)

type stats struct {
	committed, failures, dropped, unconfirmedLost, notLogged, replayed int
	busy                                                               time.Duration
}

func (s *Settler) count(rows int, took time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.busy += took
	if err != nil {
		s.stats.failures++
		return
	}
	s.stats.committed += rows
}

var (
	descQueue     = prometheus.NewDesc("layers_settle_queue", "Settlements that the ledger does not have yet.", nil, nil)
	descLag       = prometheus.NewDesc("layers_settle_lag_seconds", "Age of the oldest of them.", nil, nil)
	descUnconf    = prometheus.NewDesc("layers_settle_unconfirmed", "Committed settlements that the admission store was not told of yet.", nil, nil)
	descOpen      = prometheus.NewDesc("layers_unconfirmed_settlements", "Ends of requests that the ledger does not have, or that the admission store was not told of.", nil, nil)
	descExposure  = prometheus.NewDesc("layers_exposure_usd", "What they charge that the ledger does not have yet, in USD.", nil, nil)
	descAway      = prometheus.NewDesc("layers_ledger_away", "1 while the ledger cannot be reached, else 0.", nil, nil)
	descCommitted = prometheus.NewDesc("layers_settle_committed_total", "Settlements committed.", nil, nil)
	descFailures  = prometheus.NewDesc("layers_settle_failures_total", "Tries that the ledger refused or did not answer.", nil, nil)
	descDropped   = prometheus.NewDesc("layers_settle_dropped_total", "Settlements not taken because the queue was full.", nil, nil)
	descBusy      = prometheus.NewDesc("layers_settle_busy_seconds_total", "Time spent writing to the ledger; of two batches at once it is the sum.", nil, nil)
	descLost      = prometheus.NewDesc("layers_settle_unconfirmed_lost_total", "Confirmations given up because too many waited; their holds end with the next comparison, or by time.", nil, nil)
	descNoLog     = prometheus.NewDesc("layers_settle_not_logged_total", "Settlements that the write-ahead log did not take; they were tried without it.", nil, nil)
	descReplayed  = prometheus.NewDesc("layers_settle_replayed_total", "Settlements that came from the write-ahead log at the start.", nil, nil)
)

// Describe implements prometheus.Collector.
func (s *Settler) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descQueue, descLag, descUnconf, descOpen, descExposure, descAway, descCommitted, descFailures, descDropped, descBusy, descLost, descNoLog, descReplayed,
	} {
		ch <- d
	}
}

// nanoPerUSD is what one USD is of pricing.Nano.
const nanoPerUSD = 1e9

// open is what the settler has not brought to its end.
type open struct {
	queue, untold, all int
	oldest             time.Duration
	exposure           pricing.Nano // charged, and not in the ledger
	away               bool
}

func (s *Settler) open() (o open) {
	logged := 0
	if s.o.WAL != nil {
		logged = s.o.WAL.Stats().Unconfirmed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range s.queue {
		o.oldest = max(o.oldest, s.o.Now().Sub(it.queuedAt))
		o.exposure += it.s.Charged
	}
	o.queue, o.untold, o.away = len(s.queue), len(s.unconfirmed)+len(s.late), s.away
	o.all = o.queue + o.untold
	if s.replaying { // the log has more than the queue
		o.all = max(o.all, logged)
	}
	return o
}

// Collect implements prometheus.Collector.
func (s *Settler) Collect(ch chan<- prometheus.Metric) {
	now := s.open()
	s.mu.Lock()
	defer s.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	counter := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v)
	}
	gauge(descQueue, float64(now.queue))
	gauge(descLag, now.oldest.Seconds())
	gauge(descUnconf, float64(now.untold))
	gauge(descOpen, float64(now.all))
	gauge(descExposure, float64(now.exposure)/nanoPerUSD)
	away := 0.0
	if now.away {
		away = 1
	}
	gauge(descAway, away)
	counter(descCommitted, float64(s.stats.committed))
	counter(descFailures, float64(s.stats.failures))
	counter(descDropped, float64(s.stats.dropped))
	counter(descBusy, s.stats.busy.Seconds())
	counter(descLost, float64(s.stats.unconfirmedLost))
	counter(descNoLog, float64(s.stats.notLogged))
	counter(descReplayed, float64(s.stats.replayed))
}
