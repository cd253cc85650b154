package ledger_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// orphan is the settlement of a request that nobody finished, which held 10.
func orphan(id string, charged pricing.Nano) ledger.Settlement {
	s := settlement(id, "default/a", charged)
	s.Evidence, s.OrphanCharge, s.Held, s.Usage, s.Lines = ledger.EvidenceOrphan, ledger.OrphanInput, 10, pricing.Usage{}, nil
	return s
}

func TestFloor(t *testing.T) {
	for _, c := range []struct {
		policy            string
		held, input, want pricing.Nano
	}{
		{ledger.OrphanNone, 10, 5, 0}, {ledger.OrphanInput, 10, 5, 5}, {ledger.OrphanInput, 10, 50, 10},
		{ledger.OrphanInput, 10, -1, 0}, {ledger.OrphanHold, 10, 5, 10}, {"", 10, 5, 0},
	} {
		if got := ledger.Floor(c.policy, c.held, c.input); got != c.want {
			t.Errorf("Floor(%q, %d, %d) = %d, want %d", c.policy, c.held, c.input, got, c.want)
		}
	}
}

// TestLateSettlement: what really was is posted as the difference, once, whatever else comes; the other way round the orphan
// changes nothing.
func TestLateSettlement(t *testing.T) {
	for name, c := range map[string]struct {
		floor, cost pricing.Nano
		kind        string
		left        []left
	}{
		"more":    {4, 9, "adjust", []left{{"start", 11}}},
		"less":    {9, 4, "adjust", []left{{"adjust:req_1", 5}, {"start", 11}}},
		"nothing": {4, 0, "adjust", []left{{"adjust:req_1", 4}, {"start", 16}}},
		"as much": {4, 4, "free", []left{{"start", 16}}},
		"free":    {0, 7, "adjust", []left{{"start", 13}}},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, e env) {
				e, _ = e.at(t)
				e.grant(t, ledger.Grant{ID: "start", Amount: 20, Kind: ledger.GrantPurchased})
				floor, late := orphan("req_1", c.floor), settlement("req_1", "default/a", c.cost)
				if late.FinishedAt += 40 * 86_400_000_000; c.cost == 0 { // in another month
					late.Evidence = ledger.EvidenceFree
				}
				for i := range 2 {
					if got := e.only(t, floor); got.Duplicate != (i > 0) || got.Account.Balance != 20-c.floor {
						t.Errorf("orphan %d: %+v", i, got)
					}
				}
				e.sound(t)
				for i := range 2 {
					if got := e.only(t, late); got.Adjusted != (i == 0) || got.Duplicate == got.Adjusted || got.Account.Balance != 20-c.cost {
						t.Errorf("late %d: %+v", i, got)
					} else if i == 0 && c.cost != c.floor { // the windows that moved are those of the orphan
						if diff := cmp.Diff(spends(c.cost), got.Spends); diff != "" {
							t.Error(diff)
						}
					}
				}
				if got := e.only(t, floor); !got.Duplicate || got.Account.Balance != 20-c.cost {
					t.Errorf("the orphan again: %+v", got)
				}
				e.is(t, 20-c.cost, c.left...)
				if n := e.number(t, "SELECT COUNT(*) FROM ledger_tx WHERE idem_key = 'adjust:req_1' AND kind = '"+c.kind+"' AND reverses = 'settle:req_1'"); n != 1 {
					t.Errorf("%d adjustments", n)
				}
				r, err := e.Receipt(t.Context(), "default/a", "req_1")
				want := ledger.Receipt{Settlement: late, TxID: map[bool]string{true: "settle:req_1", false: "adjust:req_1"}[c.floor > 0], Floor: c.floor}
				want.FinishedAt, want.OrphanCharge, want.Held = floor.FinishedAt, ledger.OrphanInput, 10
				if diff := cmp.Diff(want, r); err != nil || diff != "" {
					t.Error(err, diff)
				}
				daily, err := e.DailyUsage(t.Context(), "default/a", 0, 2_000_000_000)
				if err != nil || len(daily) != 1 || daily[0].Requests != 1 || daily[0].Charged != c.cost || daily[0].OutputTokens != 5 || daily[0].InputTokens != 12 {
					t.Errorf("days %+v, %v", daily, err)
				}
			})
		})
	}
}

func TestOrphanAndItsEndInOneBatch(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		got, err := e.Settle(t.Context(), []ledger.Settlement{orphan("req_1", 4), settlement("req_1", "default/a", 9), orphan("req_1", 4)})
		if err != nil || got[0].Account.Balance != -9 || got[0].Duplicate || !got[1].Duplicate || !got[2].Duplicate {
			t.Errorf("%+v, %v", got, err)
		}
		if n := e.number(t, "SELECT COUNT(*) FROM usage_logs WHERE evidence = 'reported' AND floor = 0"); n != 1 {
			t.Errorf("%d rows", n)
		}
		e.sound(t)
	})
}

// TestGivenBackExpires: what an adjustment gives back is drawn and expires as what the orphan drew.
func TestGivenBackExpires(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, now := e.at(t)
		e.grant(t, ledger.Grant{ID: "promo", Amount: 9, Kind: ledger.GrantPromo, ExpiresAt: soon})
		e.only(t, orphan("req_1", 9))
		e.only(t, settlement("req_1", "default/a", 2))
		e.is(t, 7, left{"adjust:req_1", 7}, left{"promo", 0})
		now.Store(soon)
		if a, _, err := e.Current(t.Context(), "default/a"); err != nil || a.Balance != 0 {
			t.Errorf("%+v, %v", a, err)
		}
		e.sound(t)
	})
}

func TestLateOfAnotherAccountIsADuplicate(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e.only(t, orphan("req_1", 4))
		if got := e.only(t, settlement("req_1", "default/b", 9)); !got.Duplicate || got.Account.Balance != 0 {
			t.Errorf("%+v", got)
		}
		e.sound(t)
	})
}

func TestOrphansRefused(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		for name, change := range map[string]func(*ledger.Settlement){
			"no policy":         func(s *ledger.Settlement) { s.OrphanCharge = "" },
			"another policy":    func(s *ledger.Settlement) { s.OrphanCharge = ledger.OrphanHold },
			"charged for none":  func(s *ledger.Settlement) { s.OrphanCharge = ledger.OrphanNone },
			"more than held":    func(s *ledger.Settlement) { s.Charged, s.Cost = 11, 11 },
			"policy, no orphan": func(s *ledger.Settlement) { s.Evidence = ledger.EvidenceReported },
			"provider cost":     func(s *ledger.Settlement) { s.ProviderCost = -1 },
		} {
			s := orphan("req_1", 4)
			change(&s)
			if _, err := e.Settle(t.Context(), []ledger.Settlement{s}); err == nil {
				t.Errorf("%s: taken", name)
			}
		}
	})
}

// An orphan's charge does not take away a reservation that has finished: it tells of the request's real end.
func TestFinishedReservationOutlivesAnOrphan(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, now := e.at(t)
		e.grant(t, ledger.Grant{ID: "1", Amount: 100, Kind: ledger.GrantPromo})
		for _, id := range []string{"running", "ended"} {
			if _, err := e.Reserve(t.Context(), reservation(id, 30)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := e.FinishReservation(t.Context(), settlement("ended", "default/a", 7)); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Settle(t.Context(), []ledger.Settlement{orphan("running", 10), orphan("ended", 10)}); err != nil {
			t.Fatal(err)
		}
		now.Store(soon)
		gone, err := e.ExpiredReservations(t.Context(), 10)
		if err != nil || len(gone) != 1 || gone[0].RequestID != "ended" || gone[0].Record == nil {
			t.Fatalf("%+v, %v", gone, err)
		}
		for range 2 {
			if got := e.only(t, *gone[0].Record); got.Account.Balance != 83 {
				t.Errorf("%+v", got)
			}
		}
		if n := e.number(t, "SELECT held FROM accounts WHERE id = 'default/a'"); n != 0 {
			t.Errorf("%d are held", n)
		}
		e.sound(t)
	})
}
