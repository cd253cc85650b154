package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/admit/failover"
	"github.com/layers-dev/layers/dataplane/admit/forecast"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/server"
	"github.com/layers-dev/layers/dataplane/settle"
	"github.com/layers-dev/layers/dataplane/settle/reap"
	"github.com/layers-dev/layers/dataplane/settle/upkeep"
	"github.com/layers-dev/layers/dataplane/settle/wal"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

const (
	// forecastEvery is how often what was seen of answers is exchanged with the other replicas.
	forecastEvery = 10 * time.Second
	// lastTime bounds each of the last words of a replica that ends: what fails is found by the others, later.
	lastTime = 2 * time.Second
)

// admission is Redis, or a failover before it.
type admission interface {
	server.Admission
	keys.Cache
}

// money is what a live data plane has beside its server: how requests are admitted and settled, and what keeps that right while
// they run.
type money struct {
	p          Parts
	admission  admission
	failover   *failover.Failover // nil: Redis is in this process
	settler    *settle.Settler
	log        *wal.Log // nil: there is none
	book       *forecast.Book
	collectors []prometheus.Collector
	// beside are run while the server serves and drains, and until the settler is empty.
	beside []func(context.Context)
}

// newMoney wires what Parts bring. Whoever has it calls run, and end after it.
func newMoney(p Parts) *money {
	m := &money{p: p, admission: p.Admission}
	if !p.Admission.InProcess() {
		m.failover = failover.New(failover.Options{
			Primary: p.Admission, Ledger: p.Books, Owner: p.Owner, Reject: m.rejects, Demo: m.demo, Log: p.Log, Now: time.Now, Timeout: p.RedisTimeout,
		})
		m.admission = m.failover
		m.also(m.failover, m.failover.Run)
	}
	m.openLog()
	m.settler = settle.New(m.settling())
	m.also(m.settler, nil)
	m.book = forecast.New(forecast.Options{
		Replica: p.Owner, Now: time.Now, Store: forecast.Redis{Client: p.Admission.Client}, History: history{p.Books},
	})
	told := m.admission
	if m.failover != nil {
		told = failover.Teller{Failover: m.failover}
	}
	m.beside = append(m.beside, m.forecast, delivery{source: p.Source, books: p.Books, admission: told, log: p.Log, every: deliverEvery}.run)
	if p.Owner != "" {
		m.beside = append(m.beside, m.keep)
	}
	reaper := reap.New(reap.Options{Owner: p.Admission, Ledger: p.Books, Confirmer: m.admission, Log: p.Log, Self: p.Owner, Every: m.reapEvery()})
	m.also(reaper, reaper.Run)
	due := upkeep.New(upkeep.Options{Ledger: p.Books, Admission: told, Source: p.Source, Log: p.Log})
	m.also(due, due.Run)
	return m
}

// also has one more to be measured and, where run is not nil, run.
func (m *money) also(c prometheus.Collector, run func(context.Context)) {
	m.collectors = append(m.collectors, c)
	if run != nil {
		m.beside = append(m.beside, run)
	}
}

func (m *money) settling() settle.Options {
	o := settle.Options{Ledger: m.p.Books, Confirmer: m.admission, Log: m.p.Log, Owned: m.p.Owner != "", Forget: m.p.Admission.Forget}
	if m.log != nil {
		o.WAL = m.log
	}
	return o
}

// reapEvery is as often as a lease is renewed: what the dead leave waits about a lease and a third.
func (m *money) reapEvery() time.Duration {
	lease := m.p.Lease
	if lease <= 0 {
		lease = admit.DefaultLease
	}
	return min(reap.DefaultEvery, lease/3)
}

// rejects says that the AIGateway wants no requests to be admitted without Redis; demo that they cost nothing.
func (m *money) rejects() bool {
	x := m.p.Source.Current()
	return x != nil && x.RejectWithoutRedis
}

func (m *money) demo() bool {
	x := m.p.Source.Current()
	return x != nil && x.Mode == snapshot.Demo
}

// openLog opens the write-ahead log. A replica that has none serves as well: then an answer waits for the ledger. That is loud,
// because it must not stay so.
func (m *money) openLog() {
	open := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "layers_wal_open", Help: "Whether settlements go to a write-ahead log before answers go out; 0: answers wait for the ledger.",
	})
	m.also(open, nil)
	if m.p.WALDir == "" {
		return
	}
	log, err := wal.Open(m.p.WALDir, wal.Options{})
	if err != nil {
		m.p.Log.Error("Write-ahead log is not opened: answers wait for the ledger, and what is in the log waits for the next start", "folder", m.p.WALDir, "error", err)
		return
	}
	open.Set(1)
	m.log = log
	m.also(log, nil)
}

// serve adds to the server's options.
func (m *money) serve(o *server.Options) {
	resolver := keys.NewResolver(keys.Options{Store: m.p.Books, Cache: m.admission})
	o.Keys = authenticator{&keys.Authenticator{Resolver: resolver, Guard: keys.NewGuard(keys.GuardOptions{})}}
	o.Admitter, o.Settler, o.Book, o.Accounts, o.Degraded = m.admission, m.settler, m.book, m.p.Books, m.degraded
}

// degraded names the stores that are away.
func (m *money) degraded() (away []string) {
	if m.settler.Away() {
		away = append(away, "ledger")
	}
	if m.failover != nil && m.failover.Away() {
		away = append(away, "redis")
	}
	return away
}

// run runs what is beside the server until ctx ends.
func (m *money) run(ctx context.Context) {
	var running sync.WaitGroup
	for _, job := range m.beside {
		running.Go(func() { job(ctx) })
	}
	running.Wait()
}

// keep keeps this replica's holds its own.
func (m *money) keep(ctx context.Context) {
	m.p.Admission.Keep(ctx, func(err error) {
		m.p.Log.Warn("Holds are not compared with the admission store, trying again", "error", err)
	})
}

// forecast exchanges what was seen of answers.
func (m *money) forecast(ctx context.Context) {
	tick := time.NewTicker(forecastEvery)
	defer tick.Stop()
	m.book.Run(ctx, tick.C, lastTime, func(err error) {
		m.p.Log.Log(ctx, slog.LevelDebug, "Estimates of answers are not exchanged, trying again", "error", err)
	})
}

// end is called after run has ended. The server has closed the settler, where it served; it is closed again, then its log, and what
// this replica still holds is left to the others, who settle it at once.
func (m *money) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), lastTime)
	defer cancel()
	_ = m.settler.Close(ctx) // the server has told
	if m.p.Owner != "" {
		if err := m.p.Admission.Leave(ctx); err != nil && !errors.Is(err, admit.ErrNoURL) {
			m.p.Log.Warn("The lease ends by itself: others settle then what is still held", "error", err)
		}
	}
	if m.log == nil {
		return nil
	}
	if err := m.log.Close(); err != nil {
		return fmt.Errorf("closing the write-ahead log: %w", err)
	}
	return nil
}

// history reads older answers from the ledger.
type history struct{ books Books }

// Recent implements forecast.History.
func (h history) Recent(ctx context.Context, s forecast.Series, most int) ([]int64, error) {
	return h.books.RecentOutput(ctx, s.Key, s.Model, most)
}
