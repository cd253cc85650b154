package reap

import (
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// A dead process's request stands in both stores, and only one of them knows how it ended, whoever is asked first: in the end
// that is what it costs, in one charge and at most one adjustment.
func TestOneStoreKnowsTheEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stores) {
		dead, live := s.process("dead"), s.process("live")
		reserve := func(id string) {
			_, err := s.books.Reserve(t.Context(), ledger.Reservation{
				RequestID: id, Account: account, Amount: 50, Owner: "dead", ExpiresAt: time.Now().Add(-time.Second).UnixMicro(), KeyDigest: digest,
				Orphan: new(unfinished(id, ledger.OrphanHold)),
			})
			s.must(err)
		}
		s.admit(dead, "redis", encoded(t, unfinished("redis", ledger.OrphanHold)))
		reserve("redis")
		s.must(dead.Finish(t.Context(), admit.Finish{RequestID: "redis", Account: account, KeyDigest: digest, Actual: 41, Record: encoded(t, finished("redis"))}))
		r := s.reaper(live)
		// The dead process's lease lives on for a moment: its reservation is all that is found.
		if n := s.reaper(live, func(o *Options) { o.Owner = newWorld() }).Round(t.Context()); n != 1 || s.receipt("redis").Charged != 50 {
			t.Fatalf("%d settled, %+v", n, s.receipt("redis"))
		}
		if _, reserved := s.copied(live); reserved != 41 {
			t.Fatalf("%d are held: the end of the request is gone", reserved)
		}
		s.quiet(live, 41, func() { r.Round(t.Context()) })

		s.admit(s.process("other"), "ledger", encoded(t, unfinished("ledger", ledger.OrphanHold)))
		reserve("ledger")
		_, err := s.books.FinishReservation(t.Context(), finished("ledger"))
		s.must(err)
		s.quiet(live, 2*41, func() { r.Round(t.Context()) })
		for _, id := range []string{"redis", "ledger"} {
			if got := s.receipt(id); got.Charged != 41 || got.Evidence != ledger.EvidenceReported {
				t.Errorf("%+v", got)
			}
		}
	})
}
