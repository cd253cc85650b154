package audit

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/ledger"
)

func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	m, err := NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	name := types.NamespacedName{Namespace: "ai", Name: "main"}
	when := metav1.NewTime(time.Unix(1_800_000_000, 0))
	drifts := func(want ...string) {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			for _, one := range f.GetMetric() {
				text := f.GetName()
				for _, l := range one.GetLabel() {
					text += " " + l.GetValue()
				}
				got[text] = one.GetGauge().GetValue()
			}
		}
		for _, w := range want {
			if got[w] == 0 {
				t.Errorf("%s is not there: %v", w, got)
			}
			delete(got, w)
		}
		for text, value := range got {
			if value != 0 {
				t.Errorf("%s is %v", text, value)
			}
		}
	}
	drifts()
	m.set(name, v1alpha1.GatewayAudit{CheckedAt: when, Drift: []v1alpha1.GatewayDrift{{Kind: "account", Count: 2}, {Kind: "grant", Count: 1}}})
	drifts("layers_ledger_checked_timestamp_seconds ai/main", "layers_ledger_drift ai/main account", "layers_ledger_drift ai/main grant")
	const sound = `
# HELP layers_ledger_checked_timestamp_seconds When a gateway's ledger was checked last.
# TYPE layers_ledger_checked_timestamp_seconds gauge
layers_ledger_checked_timestamp_seconds{gateway="ai/main"} 1.8e+09
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(sound), "layers_ledger_checked_timestamp_seconds"); err != nil {
		t.Error(err)
	}
	m.set(name, v1alpha1.GatewayAudit{CheckedAt: when})
	drifts("layers_ledger_checked_timestamp_seconds ai/main")
	if n := testutil.CollectAndCount(m, "layers_ledger_drift"); n != len(ledger.Drift(nil)) {
		t.Errorf("%d kinds: one that was repaired must be zero, not away", n)
	}
	m.forget(name)
	drifts()
}

func TestMetricsOfTwoOperators(t *testing.T) {
	registry := prometheus.NewRegistry()
	one, err := NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	if two, err := NewMetrics(registry); err != nil || one != two {
		t.Errorf("the second has %p, %v; the first %p", two, err, one)
	}
	other := prometheus.NewRegistry()
	other.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "layers_ledger_drift", Help: "Another."}, func() float64 { return 0 }))
	if _, err := NewMetrics(other); err == nil {
		t.Error("another metric of the name is nobody's business")
	}
}
