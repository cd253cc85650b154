package ledger_test

import (
	"testing"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// TestExpiryAtItsInstant: a grant is there until the microsecond before it expires, for requests by when they finished.
func TestExpiryAtItsInstant(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, now := e.at(t)
		e.grant(t, ledger.Grant{ID: "1", Amount: 10, Kind: ledger.GrantPromo, ExpiresAt: soon})
		e.grant(t, ledger.Grant{ID: "2", Amount: 10, Kind: ledger.GrantPurchased})
		now.Store(soon - 1)
		if a, next, err := e.Current(t.Context(), "default/a"); err != nil || a.Balance != 20 || next != soon {
			t.Errorf("%+v, %d, %v", a, next, err)
		}
		last, first := settlement("req_1", "default/a", 4), settlement("req_2", "default/a", 3)
		last.FinishedAt, first.FinishedAt = soon-1, soon
		now.Store(soon)
		e.only(t, first)
		e.only(t, last)
		e.is(t, 13, left{"1", 6}, left{"2", 7})
		if a, next, err := e.Current(t.Context(), "default/a"); err != nil || a.Balance != 7 || next != 0 {
			t.Errorf("%+v, %d, %v", a, next, err)
		}
		e.is(t, 7, left{"1", 0}, left{"2", 7})
	})
}

// TestClockAhead: what finished in the future, by the clock of whoever says so, takes no grant away before its time.
func TestClockAhead(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, _ = e.at(t)
		e.grant(t, ledger.Grant{ID: "1", Amount: 10, Kind: ledger.GrantPromo, ExpiresAt: soon})
		ahead := settlement("req_1", "default/a", 4)
		ahead.FinishedAt = soon + 1
		e.only(t, ahead)
		e.is(t, 6, left{"1", 6})
	})
}

// TestGrantThatCameTooLate: a grant whose time is over when it is posted repays what is owed; what is left is spent by nobody.
func TestGrantThatCameTooLate(t *testing.T) {
	for owed, balance := range map[pricing.Nano]pricing.Nano{0: 0, 4: 0, 15: -5} {
		onEach(t, func(t *testing.T, e env) {
			e, now := e.at(t)
			if owed > 0 {
				e.only(t, settlement("req_1", "default/a", owed))
			}
			now.Store(soon)
			for range 2 {
				if a := e.grant(t, ledger.Grant{ID: "1", Amount: 10, Kind: ledger.GrantSubscription, ExpiresAt: soon}); a.Balance != balance {
					t.Errorf("owing %d: %+v", owed, a)
				}
				e.is(t, balance, left{"1", 0})
			}
		})
	}
}
