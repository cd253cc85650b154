package ledger_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// clock is the time of a ledger, in microseconds, that a test moves.
type clock struct{ atomic.Int64 }

// at opens the same ledger with a clock of the test's own, which begins at noon of the day of settlement.
func (e env) at(t *testing.T) (env, *clock) {
	t.Helper()
	c := new(clock)
	c.Store(1_700_000_000_000_000)
	l, err := ledger.Open(t.Context(), e.url, ledger.Options{Now: func() time.Time { return time.UnixMicro(c.Load()) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	e.Ledger = l
	return e, c
}

// grants are what remains of each grant of an account, in the order in which they are drawn.
func (e env) grants(t *testing.T, account string) (out []left) {
	t.Helper()
	all, err := e.Grants(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range all {
		out = append(out, left{g.ID, g.Remaining})
	}
	return out
}

type left struct {
	ID        string
	Remaining pricing.Nano
}

// grant posts a grant, which must succeed.
func (e env) grant(t *testing.T, g ledger.Grant) ledger.Account {
	t.Helper()
	g.Account, g.Reason = "default/a", "test"
	a, err := e.Ledger.Grant(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// is fails the test unless the account has this balance and its grants what is left, and the ledger is sound.
func (e env) is(t *testing.T, balance pricing.Nano, want ...left) {
	t.Helper()
	if a, err := e.Account(t.Context(), "default/a"); err != nil || a.Balance != balance {
		t.Errorf("%+v, %v; want a balance of %d", a, err, balance)
	}
	if diff := cmp.Diff(want, e.grants(t, "default/a")); diff != "" {
		t.Error(diff)
	}
	e.sound(t)
}

const soon = 1_700_000_100_000_000 // a hundred seconds after the clock's beginning

func TestDrawnInOrder(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, _ = e.at(t)
		e.grant(t, ledger.Grant{ID: "bought", Amount: 100, Kind: ledger.GrantPurchased})
		e.grant(t, ledger.Grant{ID: "plan", Amount: 10, Kind: ledger.GrantSubscription, ExpiresAt: soon})
		e.grant(t, ledger.Grant{ID: "promo", Amount: 10, Kind: ledger.GrantPromo})
		e.grant(t, ledger.Grant{ID: "later", Amount: 10, Kind: ledger.GrantPromo, ExpiresAt: soon + 1})
		e.grant(t, ledger.Grant{ID: "sooner", Amount: 10, Kind: ledger.GrantPromo, ExpiresAt: soon})
		e.grant(t, ledger.Grant{ID: "first of all", Amount: 10, Kind: ledger.GrantPurchased, Priority: 1})
		e.only(t, settlement("req_1", "default/a", 25))
		e.is(t, 125, left{"first of all", 0}, left{"sooner", 0}, left{"later", 5}, left{"promo", 10}, left{"plan", 10}, left{"bought", 100})
		e.only(t, settlement("req_2", "default/a", 30))
		e.is(t, 95, left{"first of all", 0}, left{"sooner", 0}, left{"later", 0}, left{"promo", 0}, left{"plan", 0}, left{"bought", 95})
		if n := e.number(t, "SELECT SUM(amount) FROM grant_draws WHERE tx = 'settle:req_2'"); n != 30 {
			t.Errorf("req_2 drew %d", n)
		}
		if n := e.number(t, "SELECT COUNT(*) FROM accounts WHERE id LIKE 'system/%'"); n != 0 {
			t.Error("a system account has a row")
		}
	})
}

func TestDebtIsRepaidByTheNextGrant(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, _ = e.at(t)
		e.grant(t, ledger.Grant{ID: "1", Amount: 10, Kind: ledger.GrantPromo})
		e.only(t, settlement("req_1", "default/a", 25))
		e.is(t, -15, left{"1", 0})
		e.grant(t, ledger.Grant{ID: "2", Amount: 5, Kind: ledger.GrantPromo})
		e.is(t, -10, left{"1", 0}, left{"2", 0})
		e.grant(t, ledger.Grant{ID: "3", Amount: 50, Kind: ledger.GrantPurchased})
		e.is(t, 40, left{"1", 0}, left{"2", 0}, left{"3", 40})
	})
}

func TestExpiryTakesWhatRemains(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, now := e.at(t)
		e.grant(t, ledger.Grant{ID: "promo", Amount: 10, Kind: ledger.GrantPromo, ExpiresAt: soon})
		e.grant(t, ledger.Grant{ID: "bought", Amount: 10, Kind: ledger.GrantPurchased, ExpiresAt: soon + 50})
		e.only(t, settlement("req_1", "default/a", 4))
		a, next, err := e.Current(t.Context(), "default/a")
		if err != nil || a.Balance != 16 || next != soon {
			t.Errorf("Current = %+v, %d, %v", a, next, err)
		}
		if changed, err := e.PostDue(t.Context(), 10); err != nil || len(changed) != 0 {
			t.Errorf("nothing is due, but %v, %v", changed, err)
		}
		now.Store(soon)
		changed, err := e.PostDue(t.Context(), 10)
		if err != nil || len(changed) != 1 || changed[0].Balance != 10 || changed[0].Version <= a.Version {
			t.Errorf("PostDue = %+v, %v, after %+v", changed, err, a)
		}
		e.is(t, 10, left{"promo", 0}, left{"bought", 10})
		if again, err := e.PostDue(t.Context(), 10); err != nil || len(again) != 0 {
			t.Errorf("expired again: %v, %v", again, err)
		}
		if n := e.number(t, "SELECT balance FROM balances WHERE account = 'system/breakage'"); n != 6 {
			t.Errorf("breakage is %d", n)
		}
		if a, next, err := e.Current(t.Context(), "default/a"); err != nil || a != changed[0] || next != soon+50 {
			t.Errorf("Current = %+v, %d, %v", a, next, err)
		}
		if _, _, err := e.Current(t.Context(), "default/nobody"); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("Current of nobody: %v", err)
		}
		now.Store(soon + 50)
		if a, next, err := e.Current(t.Context(), "default/a"); err != nil || a.Balance != 0 || next != 0 {
			t.Errorf("Current = %+v, %d, %v", a, next, err)
		}
		e.is(t, 0, left{"promo", 0}, left{"bought", 0})
	})
}

// TestDrawnAsOfItsEnd: a request draws what it could when it ended, however late it is settled; one that ended after a grant's
// time draws nothing of it, and what is left of the grant is taken away before the balance goes below zero.
func TestDrawnAsOfItsEnd(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, now := e.at(t)
		e.grant(t, ledger.Grant{ID: "promo", Amount: 10, Kind: ledger.GrantPromo, ExpiresAt: soon})
		e.grant(t, ledger.Grant{ID: "bought", Amount: 5, Kind: ledger.GrantPurchased})
		now.Store(soon + 10)
		before, after := settlement("req_1", "default/a", 3), settlement("req_2", "default/a", 4)
		before.FinishedAt, after.FinishedAt = soon-1, soon
		e.only(t, before)
		e.is(t, 12, left{"promo", 7}, left{"bought", 5})
		e.only(t, after)
		e.is(t, 8, left{"promo", 7}, left{"bought", 1})
		after.RequestID = "req_3"
		e.only(t, after)
		e.is(t, -3, left{"promo", 0}, left{"bought", 0})
		if n := e.number(t, "SELECT amount FROM ledger_entries WHERE tx = 'expire:grant:promo' AND account = 'default/a'"); n != -7 {
			t.Errorf("expired %d", n)
		}
	})
}

func TestGrantOfTheFuture(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, now := e.at(t)
		g := ledger.Grant{ID: "next month", Amount: 10, Kind: ledger.GrantSubscription, EffectiveAt: soon, ExpiresAt: soon + 9}
		for range 2 {
			if a := e.grant(t, g); a.Balance != 0 {
				t.Errorf("%+v has it already", a)
			}
		}
		e.only(t, settlement("req_1", "default/a", 4))
		e.is(t, -4, left{"next month", 10})
		if a, next, err := e.Current(t.Context(), "default/a"); err != nil || a.Balance != -4 || next != soon {
			t.Errorf("Current = %+v, %d, %v", a, next, err)
		}
		now.Store(soon)
		if a, next, err := e.Current(t.Context(), "default/a"); err != nil || a.Balance != 6 || next != soon+9 {
			t.Errorf("Current = %+v, %d, %v", a, next, err)
		}
		e.is(t, 6, left{"next month", 6})
		if n := e.number(t, "SELECT balance FROM balances WHERE account = 'system/pending'"); n != 0 {
			t.Errorf("pending is %d", n)
		}
		missed := ledger.Grant{ID: "missed", Amount: 50, Kind: ledger.GrantPromo, EffectiveAt: soon + 5, ExpiresAt: soon + 8}
		e.grant(t, missed)
		now.Store(soon + 20)
		if changed, err := e.PostDue(t.Context(), 10); err != nil || len(changed) != 1 || changed[0].Balance != 0 {
			t.Errorf("PostDue = %+v, %v", changed, err)
		}
		e.is(t, 0, left{"missed", 0}, left{"next month", 0})
	})
}

func TestOneGrantForEachSource(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, _ = e.at(t)
		g := ledger.Grant{ID: "1", Account: "default/a", Amount: 10, Kind: ledger.GrantPurchased, Source: "line 7"}
		for _, id := range []string{"1", "1", "2"} {
			g.ID = id
			if a, err := e.Ledger.Grant(t.Context(), g); err != nil || a.Balance != 10 {
				t.Errorf("%s: %+v, %v", id, a, err)
			}
		}
		for name, change := range map[string]func(*ledger.Grant){
			"amount":  func(g *ledger.Grant) { g.Amount = 11 },
			"account": func(g *ledger.Grant) { g.Account = "default/b" },
			"source":  func(g *ledger.Grant) { g.ID, g.Source = "1", "line 8" },
		} {
			other := g
			change(&other)
			if _, err := e.Ledger.Grant(t.Context(), other); !errors.Is(err, ledger.ErrConflict) {
				t.Errorf("another %s: %v", name, err)
			}
		}
		e.is(t, 10, left{"1", 10})
	})
}

func TestGrantsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		for name, change := range map[string]func(*ledger.Grant){
			"adjustment": func(g *ledger.Grant) { g.Kind = "adjustment" },
			"priority":   func(g *ledger.Grant) { g.Priority = -1 },
			"times":      func(g *ledger.Grant) { g.EffectiveAt, g.ExpiresAt = 7, 7 },
			"expiry":     func(g *ledger.Grant) { g.ExpiresAt = -1 },
		} {
			g := ledger.Grant{ID: "1", Account: "default/a", Amount: 1, Kind: ledger.GrantPromo}
			if change(&g); true {
				if _, err := e.Ledger.Grant(t.Context(), g); err == nil {
					t.Errorf("%s: taken", name)
				}
			}
		}
	})
}

func TestAdjustByHand(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, _ = e.at(t)
		e.grant(t, ledger.Grant{ID: "1", Amount: 10, Kind: ledger.GrantPromo})
		take := ledger.Adjustment{ID: "x", Account: "default/a", Amount: -30, Reason: "a chargeback"}
		give := ledger.Adjustment{ID: "y", Account: "default/a", Amount: 25, Reason: "an outage"}
		for range 2 {
			for want, c := range map[pricing.Nano]ledger.Adjustment{-20: take} {
				if a, err := e.Adjust(t.Context(), c); err != nil || a.Balance != want {
					t.Errorf("%+v, %v", a, err)
				}
			}
		}
		for range 2 {
			if a, err := e.Adjust(t.Context(), give); err != nil || a.Balance != 5 {
				t.Errorf("%+v, %v", a, err)
			}
		}
		e.is(t, 5, left{"1", 0}, left{"correction:y", 5})
		if n := e.number(t, "SELECT COUNT(*) FROM ledger_tx WHERE idem_key = 'correction:x' AND kind = 'correction' AND reason = 'a chargeback'"); n != 1 {
			t.Error("the reason is not stored")
		}
		for name, change := range map[string]func(*ledger.Adjustment){
			"no id": func(c *ledger.Adjustment) { c.ID = "" }, "nothing": func(c *ledger.Adjustment) { c.Amount = 0 },
			"no reason": func(c *ledger.Adjustment) { c.Reason = " " }, "system": func(c *ledger.Adjustment) { c.Account = "system/revenue" },
			"too little": func(c *ledger.Adjustment) { c.Amount = -ledger.MaxBalance - 1 },
			"another":    func(c *ledger.Adjustment) { c.Amount++ },
		} {
			c := give
			change(&c)
			if _, err := e.Adjust(t.Context(), c); err == nil {
				t.Errorf("%s: taken", name)
			}
		}
		give.ID, give.Amount = "z", ledger.MaxBalance
		if _, err := e.Adjust(t.Context(), give); !errors.Is(err, ledger.ErrLimit) {
			t.Errorf("above the limit: %v", err)
		}
	})
}

func TestOverdraft(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		if _, err := e.SetOverdraft(t.Context(), "default/a", 5); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("of nobody: %v", err)
		}
		e.granted(t, "default/a", 10)
		was, err := e.Account(t.Context(), "default/a")
		if err != nil {
			t.Fatal(err)
		}
		a, err := e.SetOverdraft(t.Context(), "default/a", 5)
		if err != nil || a.Overdraft != 5 || a.Spendable() != 15 || a.Version <= was.Version {
			t.Errorf("%+v, %v", a, err)
		}
		if again, err := e.SetOverdraft(t.Context(), "default/a", 5); err != nil || again != a {
			t.Errorf("%+v, %v", again, err)
		}
		if got, err := e.Account(t.Context(), "default/a"); err != nil || got != a {
			t.Errorf("%+v, %v", got, err)
		}
		if got := e.only(t, settlement("req_1", "default/a", 1)); got.Account.Overdraft != 5 {
			t.Errorf("%+v", got)
		}
		if _, err := e.SetOverdraft(t.Context(), "default/a", -1); err == nil {
			t.Error("-1 was taken")
		}
	})
}

// TestGrantsConcurrently: settlements, grants and expiries of one account at a time leave what is sound.
func TestGrantsConcurrently(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, now := e.at(t)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				id := string(rune('a' + w))
				g := ledger.Grant{ID: id, Account: "default/a", Amount: 10, Kind: ledger.GrantPromo, Reason: "test", ExpiresAt: soon + int64(w%2)*1000}
				if _, err := e.Ledger.Grant(t.Context(), g); err != nil {
					t.Error(err)
				}
				if _, err := e.Settle(t.Context(), []ledger.Settlement{settlement("req_"+id, "default/a", 3), settlement("req_z", "default/a", 1)}); err != nil {
					t.Error(err)
				}
				now.Store(soon)
				if _, err := e.PostDue(t.Context(), 10); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		e.sound(t)
		if n := e.number(t, "SELECT SUM(amount) FROM ledger_entries WHERE account = 'system/revenue'"); n != 25 {
			t.Errorf("revenue is %d", n)
		}
		if n := e.number(t, "SELECT COUNT(*) FROM credit_grants WHERE remaining > 0 AND expires_at <= 1700000100000000"); n != 0 {
			t.Errorf("%d grants outlive their time", n)
		}
	})
}
