package audit

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// A process without a cluster checks the last week when it starts, then every night; what fails is tried again.
func TestNightly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // its clock begins at 2000-01-01T00:00:00Z
		l := &fakeLedger{err: errors.New("away")}
		var log strings.Builder
		n := Nightly{l, types.NamespacedName{Name: "up"}, Unregistered(), slog.New(slog.NewTextHandler(&log, nil)), time.Now}
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(n.Metrics)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { n.Run(ctx); close(ended) }()
		asked := func(from, to string, problems int) {
			t.Helper()
			synctest.Wait()
			want := ledger.Span{From: at(from + "T00:00:00Z").UnixMicro(), To: at(to + "T00:00:00Z").UnixMicro()}
			if l.asked != want {
				t.Errorf("asked for %v, want %v", l.asked, want)
			}
			if got := strings.Count(log.String(), "problem="); got != problems {
				t.Errorf("%d problems are told, want %d: %s", got, problems, log.String())
			}
		}
		asked("1999-12-24", "1999-12-31", 0) // at half past midnight the last day of the year will have settled
		if !strings.Contains(log.String(), "away") || testutil.CollectAndCount(registry) != 0 {
			t.Errorf("%s", log.String())
		}
		l.err, l.asked = nil, ledger.Span{}
		<-time.After(againIll)
		asked("1999-12-24", "1999-12-31", 0)
		l.asked, l.problems = ledger.Span{}, []string{"grant x: amount 5, but its draws and what remains are 4"}
		<-time.After(settled - againIll - time.Second)
		synctest.Wait()
		if l.asked != (ledger.Span{}) {
			t.Errorf("it is checked before a day is due: %v", l.asked)
		}
		<-time.After(time.Second)
		asked("1999-12-31", "2000-01-01", 1)
		<-time.After(day - time.Second)
		asked("1999-12-31", "2000-01-01", 1)
		<-time.After(time.Second)
		asked("2000-01-01", "2000-01-02", 2)
		text := "# HELP layers_ledger_checked_timestamp_seconds When a gateway's ledger was checked last.\n# TYPE layers_ledger_checked_timestamp_seconds gauge\n" +
			"layers_ledger_checked_timestamp_seconds{gateway=\"/up\"} 9.46773e+08\n"
		if err := testutil.GatherAndCompare(registry, strings.NewReader(text), "layers_ledger_checked_timestamp_seconds"); err != nil {
			t.Error(err)
		}
		stop()
		<-ended
	})
}
