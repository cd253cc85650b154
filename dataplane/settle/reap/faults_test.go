package reap

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// Two reapers see the same: the one that comes second finds a duplicate, and takes the hold away.
func TestTwoReapers(t *testing.T) {
	w := newWorld()
	w.orphan("a", true, encoded(t, finished("a")))
	first, second := w.reaper(), w.reaper()
	w.between = func() {
		w.between = nil
		second.Round(t.Context())
	}
	first.Round(t.Context())
	if len(w.posted) != 1 || len(w.orphaned) != 0 || second.stats.reaped[kindDuplicate]+first.stats.reaped[kindDuplicate] != 1 {
		t.Errorf("posted %v, %v and %v", w.posted, first.stats, second.stats)
	}
}

// A reaper that dies between the commit and the confirmation leaves to the next one what only has to be confirmed.
func TestDeathBeforeConfirmation(t *testing.T) {
	w := newWorld()
	w.orphan("a", false, encoded(t, unfinished("a", ledger.OrphanInput)))
	w.noConfirm = true
	w.reaper().Round(t.Context())
	if len(w.posted) != 1 || len(w.orphaned) != 1 {
		t.Fatalf("posted %v, left %v", w.posted, w.orphaned)
	}
	w.noConfirm, w.now = false, w.now.Add(time.Hour)
	next := w.reaper()
	next.Round(t.Context())
	if len(w.orphaned) != 0 || w.posted["a"].FinishedAt == w.now.UnixMicro() || next.stats.reaped[kindDuplicate] != 1 || next.stats.charged != 0 {
		t.Errorf("left %v, posted %v, %v", w.orphaned, w.posted, next.stats)
	}
}

// A reservation is gone once it is settled: what could not be confirmed is told again.
func TestReservationIsConfirmedLater(t *testing.T) {
	w := newWorld()
	w.noConfirm = true
	w.reserved = []ledger.Reservation{{RequestID: "a", Account: "ns/a", Amount: 100, Owner: "dead", Finished: true, Record: new(finished("a"))}}
	r := w.reaper()
	r.Round(t.Context())
	if len(w.posted) != 1 || len(w.reserved) != 0 || len(w.confirmed) != 0 {
		t.Fatalf("posted %v, confirmed %v", w.posted, w.confirmed)
	}
	w.noConfirm = false
	for range 2 {
		r.Round(t.Context())
	}
	if len(w.confirmed) != 1 {
		t.Errorf("confirmed %v", w.confirmed)
	}
}

// A row that the ledger refuses and an account that the admission store refuses hold up nobody else.
func TestOneBadOne(t *testing.T) {
	w := newWorld()
	for _, id := range []string{"a", "bad", "c"} {
		w.orphan(id, true, encoded(t, finished(id)))
	}
	e := finished("deaf")
	e.Account = "ns/deaf"
	w.orphan("deaf", true, encoded(t, e))
	w.orphaned[3].Account = "ns/deaf"
	w.bad["bad"], w.deaf["ns/deaf"] = true, true
	r := w.reaper()
	if n := r.Round(t.Context()); n != 2 || len(w.posted) != 3 {
		t.Errorf("%d settled, posted %v", n, w.posted)
	}
	var left []string
	for _, o := range w.orphaned {
		left = append(left, o.RequestID)
	}
	if fmt.Sprint(left) != "[bad deaf]" {
		t.Errorf("left %v", left)
	}
	clear(w.bad)
	clear(w.deaf)
	if r.Round(t.Context()); len(w.orphaned) != 0 || len(w.posted) != 4 {
		t.Errorf("left %v", w.orphaned)
	}
}

// While a store is away nothing is lost and nothing is charged; without the admission store the ledger's own are settled.
func TestStoresAway(t *testing.T) {
	w := newWorld()
	w.orphan("a", true, encoded(t, finished("a")))
	w.reserved = []ledger.Reservation{{RequestID: "b", Account: "ns/a", Amount: 100, Owner: "dead", Finished: true, Record: new(finished("b"))}}
	r := w.reaper()
	w.noLedger = true
	if n := r.Round(t.Context()); n != 0 || w.settles != 0 || len(w.posted) != 0 {
		t.Errorf("without the ledger: %d, %v", n, w.posted)
	}
	w.noLedger, w.noRedis, w.noConfirm = false, true, true
	r.Round(t.Context())
	if _, there := w.posted["b"]; len(w.posted) != 1 || !there {
		t.Errorf("without the admission store: %v", w.posted)
	}
	w.noRedis, w.noConfirm = false, false
	r.Round(t.Context())
	if len(w.posted) != 2 || len(w.confirmed) != 2 {
		t.Errorf("with both: %v, %v", w.posted, w.confirmed)
	}
	if err := testutil.CollectAndCompare(r, strings.NewReader(`
# HELP layers_orphans_charged_usd_total What requests that nobody finished were charged by their policies, in USD.
# TYPE layers_orphans_charged_usd_total counter
layers_orphans_charged_usd_total 0
# HELP layers_reap_failures_total Tries to settle them that a store refused or did not answer, and records in it that cannot be read.
# TYPE layers_reap_failures_total counter
layers_reap_failures_total{store="admission"} 2
layers_reap_failures_total{store="ledger"} 1
# HELP layers_reaped_total Requests whose process was gone and that were settled by this one, by what became of them.
# TYPE layers_reaped_total counter
layers_reaped_total{kind="duplicate"} 0
layers_reaped_total{kind="finished"} 2
layers_reaped_total{kind="orphan"} 0
layers_reaped_total{kind="unreadable"} 0
`)); err != nil {
		t.Error(err)
	}
}
