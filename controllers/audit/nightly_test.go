package audit

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// lockedLedger is a fakeLedger that a test changes meanwhile.
type lockedLedger struct {
	fakeLedger

	mu sync.Mutex
}

func (l *lockedLedger) CheckWindow(ctx context.Context, w ledger.Span, recost ledger.Recost) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fakeLedger.CheckWindow(ctx, w, recost)
}

// set says what is found from now on.
func (l *lockedLedger) set(err error, problems ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked, l.err, l.problems = ledger.Span{}, err, problems
}

func (l *lockedLedger) last() ledger.Span {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// lockedText is written while it is read.
type lockedText struct {
	text strings.Builder
	mu   sync.Mutex
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// A process without a cluster checks the last week when it starts, then every night; what fails is tried again.
func TestNightly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // its clock begins at 2000-01-01T00:00:00Z
		l := &lockedLedger{}
		l.set(errors.New("away"))
		var log lockedText
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
			if got := l.last(); got != want {
				t.Errorf("asked for %v, want %v", got, want)
			}
			if got := strings.Count(log.String(), "problem="); got != problems {
				t.Errorf("%d problems are told, want %d: %s", got, problems, log.String())
			}
		}
		asked("1999-12-24", "1999-12-31", 0) // at half past midnight the last day of the year will have settled
		if !strings.Contains(log.String(), "away") || testutil.CollectAndCount(registry) != 0 {
			t.Errorf("%s", log.String())
		}
		l.set(nil)
		<-time.After(againIll)
		asked("1999-12-24", "1999-12-31", 0)
		l.set(nil, "grant x: amount 5, but its draws and what remains are 4")
		<-time.After(settled - againIll - time.Second)
		synctest.Wait()
		if got := l.last(); got != (ledger.Span{}) {
			t.Errorf("it is checked before a day is due: %v", got)
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
