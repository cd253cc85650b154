package ledger_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// act is something that is done to a ledger; done again, in any order, it changes nothing.
type act struct {
	name string
	do   func(l ledger.Ledger) error
}

// drawActs draws grants, settlements, orphans, corrections and late settlements of a few accounts. sums are what the accounts
// were given, less what they were charged, before anything expires.
func drawActs(rt *rapid.T, now int64) (acts []act, sums map[string]pricing.Nano) {
	sums = map[string]pricing.Nano{}
	add := func(name string, do func(l ledger.Ledger) error) { acts = append(acts, act{name, do}) }
	for i := range rapid.IntRange(5, 25).Draw(rt, "acts") {
		account := fmt.Sprint("default/", rapid.IntRange(0, 1).Draw(rt, "account"))
		amount := rapid.Int64Range(1, 30).Draw(rt, "amount")
		switch rapid.SampledFrom([]string{"grant", "settle", "late", "adjust"}).Draw(rt, "act") {
		case "grant":
			g := ledger.Grant{ID: fmt.Sprint(i), Account: account, Amount: amount, Reason: "test"}
			g.Kind = rapid.SampledFrom([]string{ledger.GrantPromo, ledger.GrantSubscription, ledger.GrantPurchased}).Draw(rt, "kind")
			g.EffectiveAt = max(0, now+rapid.Int64Range(-20, 10).Draw(rt, "effective"))
			if rapid.Bool().Draw(rt, "expires") {
				g.ExpiresAt = g.EffectiveAt + rapid.Int64Range(1, 20).Draw(rt, "for")
			}
			sums[account] += amount
			add("grant", func(l ledger.Ledger) error { _, err := l.Grant(rt.Context(), g); return err })
		case "settle":
			s := settlement(fmt.Sprint("req_", i), account, amount)
			s.FinishedAt = now + rapid.Int64Range(-5, 25).Draw(rt, "finished")
			sums[account] -= amount
			add("settle", func(l ledger.Ledger) error { _, err := l.Settle(rt.Context(), []ledger.Settlement{s}); return err })
		case "late":
			real := settlement(fmt.Sprint("req_", i), account, amount)
			real.FinishedAt = now + rapid.Int64Range(-5, 25).Draw(rt, "finished")
			floor := orphan(real.RequestID, rapid.Int64Range(0, 10).Draw(rt, "floor"))
			floor.Account = account
			sums[account] -= amount
			for _, s := range []ledger.Settlement{floor, real} {
				add("late", func(l ledger.Ledger) error { _, err := l.Settle(rt.Context(), []ledger.Settlement{s}); return err })
			}
		case "adjust":
			c := ledger.Adjustment{ID: fmt.Sprint(i), Account: account, Amount: amount * (2*rapid.Int64Range(0, 1).Draw(rt, "sign") - 1), Reason: "test"}
			sums[account] += c.Amount
			add("adjust", func(l ledger.Ledger) error { _, err := l.Adjust(rt.Context(), c); return err })
		}
	}
	return acts, sums
}

// TestMoneyProperties does random acts in a random order while the clock goes on and grants expire. P1, P2 and P3 hold after each, and
// in the end (a late settlement may have come before its orphan) the balances are what was given, less what was charged and what
// expired. P6: everything again, in another order, changes nothing. P7: no more expired than was granted with an end.
func TestMoneyProperties(t *testing.T) {
	fewer(t)
	rapid.Check(t, func(rt *rapid.T) {
		now := int64(1_700_000_000_000_000)
		l, err := ledger.Open(rt.Context(), "sqlite:"+filepath.Join(t.TempDir(), "l.db"), ledger.Options{Now: func() time.Time { return time.UnixMicro(now) }})
		if err != nil {
			rt.Fatal(err)
		}
		defer l.Close()
		if err := l.Migrate(rt.Context()); err != nil {
			rt.Fatal(err)
		}
		acts, sums := drawActs(rt, now)
		for _, a := range rapid.Permutation(acts).Draw(rt, "order") {
			if now += rapid.Int64Range(0, 4).Draw(rt, "passes"); rapid.IntRange(0, 2).Draw(rt, "sweep") == 0 {
				if _, err := l.PostDue(rt.Context(), 10); err != nil {
					rt.Fatal(err)
				}
			}
			if err := a.do(l); err != nil {
				rt.Fatalf("%s: %v", a.name, err)
			}
			holds(rt, l)
		}
		now += 1000 // every end has come
		if _, err := l.PostDue(rt.Context(), 10); err != nil {
			rt.Fatal(err)
		}
		holds(rt, l)
		before := books(rt, l, sums)
		for _, a := range rapid.Permutation(acts).Draw(rt, "again") {
			if err := a.do(l); err != nil {
				rt.Fatalf("%s again: %v", a.name, err)
			}
		}
		if _, err := l.PostDue(rt.Context(), 10); err != nil {
			rt.Fatal(err)
		}
		if after := books(rt, l, sums); !slices.Equal(before, after) {
			rt.Fatalf("everything again changed\n%v into\n%v", before, after)
		}
	})
}

// holds fails unless P1, P2 and P3 hold.
func holds(rt *rapid.T, l ledger.Ledger) {
	problems, err := l.CheckWindow(rt.Context(), ledger.Span{To: 1 << 62}, nil)
	if err != nil || len(problems) > 0 {
		rt.Fatalf("%q, %v", problems, err)
	}
}

// books are all entries and all grants. They must come to sums, less what expired.
func books(rt *rapid.T, l ledger.Ledger, sums map[string]pricing.Nano) (lines []string) {
	breakage, ending := map[string]pricing.Nano{}, map[string]pricing.Nano{}
	err := l.Entries(rt.Context(), ledger.Span{To: 1 << 62}, func(e ledger.Entry) error {
		lines = append(lines, fmt.Sprint(e))
		if e.Kind == "expire" {
			breakage[e.Account] -= e.Amount
		}
		return nil
	})
	if err != nil {
		rt.Fatal(err)
	}
	for _, account := range slices.Sorted(maps.Keys(sums)) {
		grants, err := l.Grants(rt.Context(), account)
		if err != nil {
			rt.Fatal(err)
		}
		for _, g := range grants {
			lines = append(lines, fmt.Sprint(g))
			if g.ExpiresAt != 0 {
				ending[account] += g.Amount
			}
		}
		a, err := l.Account(rt.Context(), account)
		if err != nil || a.Balance != sums[account]-breakage[account] {
			rt.Fatalf("%+v, %v; want a balance of %d less %d", a, err, sums[account], breakage[account])
		}
		if breakage[account] < 0 || breakage[account] > ending[account] {
			rt.Fatalf("%s: %d expired of %d", account, breakage[account], ending[account])
		}
		lines = append(lines, fmt.Sprint(a))
	}
	return lines
}
