package wal

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Stats is the state of a log.
type Stats struct {
	// Unconfirmed counts the records that are not done, Oldest is the age of the one that was appended first; 0: there is none.
	Unconfirmed int
	Oldest      time.Duration
	// Bytes and Segments are what the folder holds.
	Bytes    int64
	Segments int
	// Corrupt counts the places that hold no sound record; their segments are kept until somebody takes them away.
	Corrupt int
	// Failures counts what the log could not write, sync or delete.
	Failures int
}

// Stats is the state now.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := Stats{Bytes: l.bytes, Segments: len(l.segments), Failures: l.failures}
	oldest := int64(0)
	for _, s := range l.segments {
		st.Unconfirmed += s.live
		st.Corrupt += s.corrupt()
		for _, at := range s.at {
			if at != 0 && (oldest == 0 || at < oldest) {
				oldest = at
			}
		}
	}
	if oldest != 0 {
		st.Oldest = max(0, l.o.Now().Sub(time.UnixMicro(oldest)))
	}
	return st
}

var (
	descRecords  = prometheus.NewDesc("layers_wal_records", "Settlements in the write-ahead log that are not done: the ledger does not have them, or did not a moment ago.", nil, nil)
	descOldest   = prometheus.NewDesc("layers_wal_oldest_seconds", "Age of the oldest of them.", nil, nil)
	descBytes    = prometheus.NewDesc("layers_wal_bytes", "Size of the write-ahead log.", nil, nil)
	descCorrupt  = prometheus.NewDesc("layers_wal_corrupt_places", "Places in the write-ahead log that hold no sound record; their segments are kept.", nil, nil)
	descFailures = prometheus.NewDesc("layers_wal_failures_total", "What the write-ahead log could not write, sync or delete.", nil, nil)
)

// Describe implements prometheus.Collector.
func (l *Log) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descRecords, descOldest, descBytes, descCorrupt, descFailures} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (l *Log) Collect(ch chan<- prometheus.Metric) {
	st := l.Stats()
	for d, v := range map[*prometheus.Desc]float64{
		descRecords: float64(st.Unconfirmed), descOldest: st.Oldest.Seconds(), descBytes: float64(st.Bytes), descCorrupt: float64(st.Corrupt),
	} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	ch <- prometheus.MustNewConstMetric(descFailures, prometheus.CounterValue, float64(st.Failures))
}
