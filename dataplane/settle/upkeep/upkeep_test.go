package upkeep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

var errDown = errors.New("down")

// world is a ledger, an admission store and a source, and how often each was asked.
type world struct {
	mu      sync.Mutex
	down    bool
	due     [][]ledger.Account // what the next calls of PostDue answer
	copies  map[string]admit.Copy
	prices  map[string]string
	months  []int
	noCopy  bool
	deaf    map[string]bool // accounts whose copies cannot be loaded
	changed []string        // accounts
	current *snapshot.Index
}

func newWorld() *world {
	return &world{copies: map[string]admit.Copy{}, prices: map[string]string{}, deaf: map[string]bool{}, current: &snapshot.Index{Snapshot: &snapshot.Snapshot{GatewayUID: "g"}}}
}

func (w *world) ChangedAccounts(_ context.Context, gateway, after string, limit int) (out []ledger.ChangedAccount, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, errDown
	}
	for _, a := range slices.Sorted(slices.Values(w.changed)) {
		if a > after && len(out) < limit {
			out = append(out, ledger.ChangedAccount{GatewayUID: gateway, Account: a, Version: 3})
		}
	}
	return out, nil
}

func (w *world) DoneAccount(_ context.Context, c ledger.ChangedAccount) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed = slices.DeleteFunc(w.changed, func(a string) bool { return a == c.Account })
	return nil
}

func (w *world) PostDue(_ context.Context, _ int) ([]ledger.Account, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down || len(w.due) == 0 {
		return nil, map[bool]error{true: errDown}[w.down]
	}
	out := w.due[0]
	w.due = w.due[1:]
	return out, nil
}

func (w *world) Current(_ context.Context, account string) (ledger.Account, int64, error) {
	if account == "gone" {
		return ledger.Account{}, 0, ledger.ErrNotFound
	}
	return ledger.Account{ID: account, Balance: 5, Overdraft: 2, Version: 3}, 77, nil
}

func (w *world) MakePartitions(_ context.Context, months int) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return 0, errDown
	}
	w.months = append(w.months, months)
	return 1, nil
}

func (w *world) PutPriceVersions(_ context.Context, versions []ledger.PriceVersion) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range versions {
		switch was, there := w.prices[v.Version]; {
		case w.down:
			return errDown
		case there && was != string(v.Components):
			return fmt.Errorf("%s: %w", v.Version, ledger.ErrConflict)
		}
	}
	for _, v := range versions {
		w.prices[v.Version] = string(v.Components)
	}
	return nil
}

func (w *world) LoadAccount(_ context.Context, c admit.Copy) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.noCopy || w.deaf[c.Account] {
		return errDown
	}
	w.copies[c.Account] = c
	return nil
}

func (w *world) snapshot() *snapshot.Index {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.current
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// served is a source.
type served func() *snapshot.Index

func (s served) Current() *snapshot.Index { return s() }

func (w *world) upkeep(change ...func(*Options)) *Upkeep {
	o := Options{
		Ledger: w, Admission: w, Source: served(w.snapshot), Log: slog.New(slog.DiscardHandler),
		Due: time.Millisecond, Months: time.Millisecond, Look: time.Millisecond, Tell: time.Millisecond, Retry: time.Millisecond,
	}
	for _, c := range change {
		c(&o)
	}
	return New(o)
}

func run(t *testing.T, u *Upkeep) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { u.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

func prices(versions ...string) *snapshot.Index {
	s := &snapshot.Snapshot{GatewayUID: "g"}
	for i, v := range versions {
		s.Models = append(s.Models, snapshot.Model{
			PublicName: v, Price: &snapshot.Price{Version: v, InputPerMillion: int64(i + 1)},
			Backends: []snapshot.Backend{{Price: &snapshot.Price{Version: v, InputPerMillion: int64(i + 1)}}, {}},
		})
	}
	return &snapshot.Index{Snapshot: s}
}

// All tasks go on through an outage of both stores, and what was posted is told when the admission store is back.
func TestTasks(t *testing.T) {
	w := newWorld()
	w.down, w.noCopy, w.current = true, true, prices("v1", "v2")
	u := w.upkeep()
	run(t, u)
	failed := func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.stats.failures[taskCopies] > 0 && u.stats.failures[taskDue] > 0 && u.stats.failures[taskMonths] > 0 && u.stats.failures[taskPrices] > 0
	}
	eventually(t, "all fail", failed)
	w.set(func() {
		w.down = false
		full := make([]ledger.Account, dueAtOnce)
		for i := range full {
			full[i].ID = fmt.Sprint(i)
		}
		w.due = [][]ledger.Account{full, {{ID: "last"}, {ID: "gone"}}}
		for _, batch := range w.due {
			for _, a := range batch {
				w.changed = append(w.changed, a.ID)
			}
		}
	})
	eventually(t, "grants are posted", func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.stats.posted == dueAtOnce+2
	})
	w.set(func() { w.noCopy = false })
	eventually(t, "copies are loaded", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.copies) == dueAtOnce+1 && len(w.changed) == 0 && len(w.months) > 1 && len(w.prices) == 2
	})
	w.set(func() {
		if diff := cmp.Diff(admit.Copy{Account: "last", Spendable: 7, Version: 3, Next: 77}, w.copies["last"]); diff != "" {
			t.Error(diff)
		}
		if w.months[0] != ledger.MonthsAhead {
			t.Errorf("months %v", w.months)
		}
		w.current = prices("v1", "v2", "v3")
	})
	eventually(t, "new prices are stored", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.prices) == 3
	})
}

// A version that is stored with another content keeps nobody from the others, and is told once for each snapshot.
func TestPriceConflict(t *testing.T) {
	w := newWorld()
	w.prices["v1"] = "{}"
	w.current = prices("v1", "v2")
	var log strings.Builder
	u := w.upkeep(func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	for range 3 {
		if err := u.storePrices(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if w.prices["v1"] != "{}" || w.prices["v2"] == "" || strings.Count(log.String(), "level=ERROR") != 1 || !strings.Contains(log.String(), "version=v1") {
		t.Errorf("%v, %s", w.prices, log.String())
	}
	if err := testutil.CollectAndCompare(u, strings.NewReader(`
# HELP layers_grants_due_total Accounts whose grants began or expired by the clock and were posted by this process.
# TYPE layers_grants_due_total counter
layers_grants_due_total 0
# HELP layers_price_version_conflicts_total Versions of prices that were stored with another content before.
# TYPE layers_price_version_conflicts_total counter
layers_price_version_conflicts_total 1
# HELP layers_upkeep_failures_total Upkeep of the ledger that failed and was tried again, by task.
# TYPE layers_upkeep_failures_total counter
layers_upkeep_failures_total{task="copies"} 0
layers_upkeep_failures_total{task="grants"} 0
layers_upkeep_failures_total{task="partitions"} 0
layers_upkeep_failures_total{task="prices"} 0
`)); err != nil {
		t.Error(err)
	}
}

// A version can be read back as the prices that it was, those of providers too; what has no price is left out.
func TestVersions(t *testing.T) {
	read := int64(7)
	price := &snapshot.Price{Version: "v1", InputPerMillion: 5, OutputPerMillion: 6, CacheReadPerMillion: &read, Steps: []snapshot.PriceStep{{AboveInput: 9, InputPerMillion: 10}}}
	provider := &snapshot.Price{Version: "p1", InputPerMillion: 1}
	s := &snapshot.Snapshot{Models: []snapshot.Model{
		{Price: price, Backends: []snapshot.Backend{{Price: provider}, {}}},
		{Price: price, Backends: []snapshot.Backend{{Price: provider}}},
		{}, // demo mode
	}}
	got, err := ledger.PricesOf(s)
	if err != nil || len(got) != 2 || got[0].Version != "v1" || got[1].Version != "p1" {
		t.Fatalf("%+v, %v", got, err)
	}
	var back snapshot.Price
	if err := json.Unmarshal(got[0].Components, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*price, back); diff != "" {
		t.Error(diff)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
