package judge

import (
	"fmt"
	"maps"
	"slices"

	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/hack/chaos/plan"
)

// Copy is what the admission store has of an account.
type Copy struct {
	// There says that there is a copy; the holds may be without one.
	There     bool
	Spendable pricing.Nano
	Version   int64
	// Holds are those in flight, Sum is what stands beside them as their sum, Running how many slots are taken.
	Holds   []Hold
	Sum     pricing.Nano
	Running int64
}

// Book is an account in the ledger.
type Book struct {
	Spendable, Held pricing.Nano
	Version         int64
	// Holds is how many there are.
	Holds int64
}

// Rest checks that nothing is held after a run has come to rest, and that the admission store's copies are the ledger's rows
// (P5). Before every account was asked once more (touched), a copy may be behind what was granted since: it is below then; and one
// that went with the store's data may not be there.
func Rest(books map[string]Book, copies map[string]Copy, touched bool) (out []Violation) {
	for _, account := range slices.Sorted(maps.Keys(copies)) {
		c, b := copies[account], books[account]
		if len(c.Holds) > 0 || c.Sum != 0 || c.Running != 0 {
			out = append(out, wrong("P5", account, "", "%d holds, their sum %d, %d running: %+v", len(c.Holds), c.Sum, c.Running, c.Holds))
		}
		same := c.Spendable == b.Spendable && c.Version == b.Version
		behind := !touched && c.Spendable <= b.Spendable && c.Version < b.Version
		if touched && !c.There {
			out = append(out, wrong("P5", account, "", "there is no copy, though it was asked for"))
		}
		if c.There && !same && !behind {
			out = append(out, wrong("P5", account, "", "the copy is %d, version %d; the ledger has %d, version %d", c.Spendable, c.Version, b.Spendable, b.Version))
		}
	}
	for _, account := range slices.Sorted(maps.Keys(books)) {
		if b := books[account]; b.Held != 0 || b.Holds != 0 {
			out = append(out, wrong("P5", account, "", "the ledger holds %d in %d holds", b.Held, b.Holds))
		}
	}
	return out
}

// Same checks that what was done again has changed nothing (P6 and P9): the same names with the same content.
func Same(rule, what string, before, after map[string]string) (out []Violation) {
	names := maps.Clone(before)
	maps.Copy(names, after)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if before[name] != after[name] {
			out = append(out, wrong(rule, "", "", "%s changed %s: %q was %q", what, name, after[name], before[name]))
		}
	}
	return out
}

// Expired checks that no expiry took more than was left (P7).
func (w *World) Expired() (out []Violation) {
	for _, e := range w.Expiries {
		if e.Amount > e.Granted-e.Drawn || e.Amount < 0 {
			out = append(out, wrong("P7", e.Account, e.Grant, "%d expired of %d, of which %d was drawn", e.Amount, e.Granted, e.Drawn))
		}
	}
	return out
}

// Granted checks that each grant is in the books once, with its amount.
func Granted(want, have map[string]pricing.Nano) (out []Violation) {
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if have[id] != want[id] {
			out = append(out, wrong("P1", "", id, "%d was granted, the books have %d", want[id], have[id]))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(have)) {
		if _, ok := want[id]; !ok {
			out = append(out, wrong("P1", "", id, "the books have a grant of %d that nobody made", have[id]))
		}
	}
	return out
}

// Rich checks that nobody was refused for want of money who has plenty.
func (w *World) Rich() (out []Violation) {
	x := w.index()
	for _, c := range w.Calls {
		class := x.accounts[c.Account].Class
		short := c.Code == "insufficient_credits" || c.Code == "credits_reserved"
		if short && (class == plan.Large || class == plan.Hot) {
			out = append(out, wrong("P10", c.Account, c.RequestID, "%d %s with plenty of money: %+v", c.Status, c.Code, c))
		}
	}
	return out
}

// Monotone checks that more balance never turned an admission into a refusal (P10): answers by rising balance.
func Monotone(admitted []bool) []Violation {
	for i := 1; i < len(admitted); i++ {
		if admitted[i-1] && !admitted[i] {
			return []Violation{wrong("P10", "", "", "the %s balance is refused, the one below it is not: %v", ordinal(i+1), admitted)}
		}
	}
	return nil
}

func ordinal(n int) string { return fmt.Sprintf("%d.", n) }
