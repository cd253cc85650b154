package source

import "github.com/prometheus/client_golang/prometheus"

var (
	descSequence = prometheus.NewDesc("layers_snapshot_sequence", "Sequence of the snapshot that is served; 0: none.", nil, nil)
	descModels   = prometheus.NewDesc("layers_snapshot_models", "Models in the snapshot that is served.", nil, nil)
	descRefused  = prometheus.NewDesc("layers_snapshot_errors_total", "Snapshots that could not be read or were refused, by origin.", []string{"origin"}, nil)
	descErrorAge = prometheus.NewDesc("layers_snapshot_last_error_age_seconds", "Time since the last such error, by origin.", []string{"origin"}, nil)
)

// Describe implements prometheus.Collector.
func (h *Holder) Describe(ch chan<- *prometheus.Desc) {
	ch <- descSequence
	ch <- descModels
	ch <- descRefused
	ch <- descErrorAge
}

// Collect implements prometheus.Collector.
func (h *Holder) Collect(ch chan<- prometheus.Metric) {
	var sequence, models float64
	if x := h.Current(); x != nil {
		sequence, models = float64(x.Sequence), float64(len(x.Models))
	}
	ch <- prometheus.MustNewConstMetric(descSequence, prometheus.GaugeValue, sequence)
	ch <- prometheus.MustNewConstMetric(descModels, prometheus.GaugeValue, models)
	h.mu.Lock()
	defer h.mu.Unlock()
	for origin, n := range h.refused {
		ch <- prometheus.MustNewConstMetric(descRefused, prometheus.CounterValue, float64(n), origin)
		ch <- prometheus.MustNewConstMetric(descErrorAge, prometheus.GaugeValue, h.now().Sub(h.errors[origin]).Seconds(), origin)
	}
}
