package observe

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// circuits tells which circuits are open when it is asked: one series, of value 1, for each of them.
type circuits struct {
	open func() []string
	desc *prometheus.Desc
}

// Circuits registers layers_circuit_open; open answers "namespace/name of the Model/backend" of each open circuit.
func Circuits(reg prometheus.Registerer, open func() []string) error {
	c := circuits{open, prometheus.NewDesc("layers_circuit_open", "Backends whose circuit is open, by their Model's namespace/name.", []string{"object", "backend"}, nil)}
	if err := reg.Register(c); err != nil {
		return fmt.Errorf("registering the gauge of open circuits: %w", err)
	}
	return nil
}

// Describe implements prometheus.Collector.
func (c circuits) Describe(to chan<- *prometheus.Desc) { to <- c.desc }

// Collect implements prometheus.Collector.
func (c circuits) Collect(to chan<- prometheus.Metric) {
	for _, key := range c.open() {
		at := strings.LastIndexByte(key, '/')
		if at < 0 {
			continue
		}
		to <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, 1, key[:at], key[at+1:])
	}
}
