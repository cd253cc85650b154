package reap

import (
	"fmt"
	"testing"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// A process settled a request and died before it confirmed that, and no store holds for the request any more: the copies of the
// accounts that it used are renewed before it is forgotten.
func TestCopiesOfTheDead(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stores) {
		dead, live := s.process("dead"), s.process("live")
		s.admit(dead, "settled", encoded(t, unfinished("settled", ledger.OrphanHold)))
		_, err := s.books.Settle(t.Context(), []ledger.Settlement{finished("settled")})
		s.must(err)
		s.must(live.Confirm(t.Context(), []admit.Confirmation{{RequestID: "settled", Account: account}})) // the hold goes, the copy stays
		if spendable, reserved := s.copied(live); spendable != begin || reserved != 0 {
			t.Fatalf("Redis has %d and holds %d", spendable, reserved)
		}
		r := s.reaper(live)
		s.quiet(live, 41, func() {
			if n := r.Round(t.Context()); n != 0 {
				t.Errorf("%d are settled", n)
			}
		})
	})
}

// What many dead left is settled in one round, also beside something that cannot be.
func TestOneRound(t *testing.T) {
	w := newWorld()
	for i := range 7 * batch {
		id := fmt.Sprint(i)
		w.orphan(id, true, encoded(t, finished(id)))
		w.bad[id] = i%batch == 0
	}
	if n := w.reaper().Round(t.Context()); n < 6*batch || len(w.orphaned) != 7 {
		t.Errorf("%d are settled, %d left", n, len(w.orphaned))
	}
}
