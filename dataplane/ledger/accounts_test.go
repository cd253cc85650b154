package ledger_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/ledger"
)

func TestAccountNotFound(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		if _, err := e.Account(t.Context(), "default/nobody"); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("err = %v", err)
		}
	})
}

func TestGrantOnce(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		g := ledger.Grant{ID: "1", Account: "default/acme", Amount: 500, Kind: "manual", Reason: "a present"}
		began := time.Now()
		want, err := e.Grant(t.Context(), g)
		if err != nil || want.ID != "default/acme" || want.Balance != 500 {
			t.Fatalf("Grant = %+v, %v", want, err)
		}
		newer(t, "granted", began, 0, want.Version)
		if got, err := e.Grant(t.Context(), g); err != nil || got != want {
			t.Fatalf("Grant again = %+v, %v", got, err)
		}
		for name, change := range map[string]func(*ledger.Grant){
			"amount":  func(g *ledger.Grant) { g.Amount++ },
			"account": func(g *ledger.Grant) { g.Account = "default/other" },
		} {
			other := g
			change(&other)
			if _, err := e.Grant(t.Context(), other); !errors.Is(err, ledger.ErrConflict) {
				t.Errorf("the same id with another %s: %v", name, err)
			}
		}
		if _, err := e.Account(t.Context(), "default/other"); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("a refused grant left an account: %v", err)
		}
		if got, err := e.Account(t.Context(), g.Account); err != nil || got != want {
			t.Errorf("Account = %+v, %v", got, err)
		}
		if n := e.number(t, "SELECT amount FROM credit_grants WHERE idem_key = 'grant:1' AND kind = 'manual' AND reason = 'a present'"); n != 500 {
			t.Errorf("the grant's row says %d", n)
		}
		if n := e.number(t, "SELECT balance FROM balances WHERE account = 'system/manual'"); n != -500 {
			t.Errorf("system/manual is %d", n)
		}
		e.sound(t)
	})
}

func TestGrantRefused(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		good := ledger.Grant{ID: "1", Account: "default/acme", Amount: 1, Kind: "promo"}
		for name, change := range map[string]func(*ledger.Grant){
			"no id":          func(g *ledger.Grant) { g.ID = "" },
			"no account":     func(g *ledger.Grant) { g.Account = "" },
			"system account": func(g *ledger.Grant) { g.Account = "system/promo" },
			"nothing":        func(g *ledger.Grant) { g.Amount = 0 },
			"negative":       func(g *ledger.Grant) { g.Amount = -1 },
			"too much":       func(g *ledger.Grant) { g.Amount = ledger.MaxBalance + 1 },
			"kind":           func(g *ledger.Grant) { g.Kind = "purchase" },
		} {
			g := good
			change(&g)
			if _, err := e.Grant(t.Context(), g); err == nil {
				t.Errorf("%s: taken", name)
			}
		}
		if n := e.number(t, "SELECT COUNT(*) FROM accounts"); n != 0 {
			t.Errorf("%d accounts", n)
		}
	})
}

func TestGrantUpToTheLimit(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e.granted(t, "default/rich", ledger.MaxBalance)
		more := ledger.Grant{ID: "more", Account: "default/rich", Amount: 1, Kind: "manual"}
		if _, err := e.Grant(t.Context(), more); !errors.Is(err, ledger.ErrLimit) {
			t.Errorf("above the limit: %v", err)
		}
		e.only(t, settlement("req_1", "default/rich", 1))
		if got, err := e.Grant(t.Context(), more); err != nil || got.Balance != ledger.MaxBalance {
			t.Errorf("after spending: %+v, %v", got, err)
		}
		e.sound(t)
	})
}

func TestGrantConcurrently(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		var wg sync.WaitGroup
		for w := range 32 {
			wg.Go(func() { // every id comes four times
				g := ledger.Grant{ID: fmt.Sprint(w / 4), Account: fmt.Sprintf("default/%d", w/8), Amount: 10, Kind: "promo"}
				if _, err := e.Grant(t.Context(), g); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for a := range 4 {
			if got, err := e.Account(t.Context(), fmt.Sprintf("default/%d", a)); err != nil || got.Balance != 20 {
				t.Errorf("%+v, %v", got, err)
			}
		}
		e.sound(t)
	})
}

func TestCreditsPerDollarIsPinned(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		var got []int64
		for _, want := range []int64{0, 250, 100, 0} {
			have, err := e.CreditsPerDollar(t.Context(), want)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, have)
		}
		if diff := cmp.Diff([]int64{0, 250, 250, 250}, got); diff != "" {
			t.Error(diff)
		}
		if _, err := e.CreditsPerDollar(t.Context(), -1); err == nil {
			t.Error("-1 was taken")
		}
	})
}
