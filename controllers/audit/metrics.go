package audit

import (
	"errors"
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/ledger"
)

var (
	descDrift   = prometheus.NewDesc("layers_ledger_drift", "What did not agree in the last day of a gateway's ledger that was checked, by kind; a check stops at a hundred of a kind.", []string{"gateway", "kind"}, nil)
	descChecked = prometheus.NewDesc("layers_ledger_checked_timestamp_seconds", "When a gateway's ledger was checked last.", []string{"gateway"}, nil)
)

// Metrics tell what the last checks found. They are a prometheus.Collector.
type Metrics struct {
	mu   sync.Mutex
	last map[types.NamespacedName]v1alpha1.GatewayAudit
}

// Unregistered are metrics that somebody else registers.
func Unregistered() *Metrics { return &Metrics{last: map[types.NamespacedName]v1alpha1.GatewayAudit{}} }

// NewMetrics registers the metrics; where they are registered already, by another operator of the same process, it answers
// those.
func NewMetrics(to prometheus.Registerer) (*Metrics, error) {
	m := Unregistered()
	err := to.Register(m)
	if there := (prometheus.AlreadyRegisteredError{}); errors.As(err, &there) {
		if have, ok := there.ExistingCollector.(*Metrics); ok {
			return have, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("registering the metrics of checks: %w", err)
	}
	return m, nil
}

// set says what a gateway's last check found.
func (m *Metrics) set(gateway types.NamespacedName, a v1alpha1.GatewayAudit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last[gateway] = a
}

// forget takes a gateway's metrics away.
func (m *Metrics) forget(gateway types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.last, gateway)
}

// Describe sends the descriptions.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- descDrift
	ch <- descChecked
}

// Collect sends the metrics. Every kind has a line, so that one that vanishes goes to zero and not away.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for gateway, a := range m.last {
		name := gateway.String()
		ch <- prometheus.MustNewConstMetric(descChecked, prometheus.GaugeValue, float64(a.CheckedAt.Unix()), name)
		counts := ledger.Drift(nil)
		for _, d := range a.Drift {
			counts[d.Kind] = int(d.Count)
		}
		for kind, n := range counts {
			ch <- prometheus.MustNewConstMetric(descDrift, prometheus.GaugeValue, float64(n), name, kind)
		}
	}
}
