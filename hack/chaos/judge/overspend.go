package judge

import (
	"cmp"
	"slices"
	"time"

	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/hack/chaos/plan"
)

// Overspent is how far an account went below what it might spend, and how far it may have.
type Overspent struct {
	Account   string
	Class     plan.Class
	By, Bound pricing.Nano
	At        time.Time
}

// Overspend checks that no account went further below zero than what its admissions could not see (P4).
//
// An admission lets a request in if what may be spent covers all holds that it sees, the request's own included. So at any
// instant t the balance is at least -U(T) - O(T), T being the last admission before t: U(T) is what was held or owed at T and
// hidden from whoever admitted then, O(T) by how much the requests that ran at T cost more than they held. Expiries take no
// more than what is left, so they are no part of it but where a request ran over one.
//
// What may be hidden is known before it is: a Loss is the holds that a fault is about to hide, read just before (an admission
// store that loses its data, or that is away while the ledger admits; the holds of a stopped gateway that will be taken for
// dead); each counts from then until its request is settled. A Fallback is a hold that the ledger gave: those that admit by
// the admission store do not see it before it is adopted; it counts from when it was given until its request is settled. A request
// that ran over an expiry counts with what expired meanwhile, at most its charge. One that is settled counts no more: the balance
// itself has it, and the copies of the balance only move forward.
//
// The bound at t is the largest U+O of any instant up to t. A request counts once, with the largest of its amounts; what is never
// settled is never charged, and counts as long as it may be.
func (w *World) Overspend() (out []Violation, worst []Overspent) {
	x := w.index()
	steps := x.hidden()
	for _, a := range w.Accounts {
		o := Overspent{Account: a.ID, Class: a.Class}
		bound, sum, next := pricing.Nano(0), pricing.Nano(0), 0
		mine := steps[a.ID]
		for _, b := range w.Balances {
			if b.Account != a.ID {
				continue
			}
			for ; next < len(mine) && !mine[next].at.After(b.At); next++ {
				sum += mine[next].by
				bound = max(bound, sum)
			}
			if by := max(0, -b.Spendable); by > o.By {
				o.By, o.At = by, b.At
			}
			if by := max(0, -b.Spendable); by > bound {
				out = append(out, wrong("P4", a.ID, "", "%d below zero at %s, at most %d may be", by, b.At.Format(time.RFC3339Nano), bound))
				break
			}
		}
		o.Bound = bound
		if o.By > 0 || o.Bound > 0 {
			worst = append(worst, o)
		}
	}
	return out, worst
}

// step is a change of what is hidden.
type step struct {
	at time.Time
	by pricing.Nano
}

// weight is what a request counts from an instant on.
type weight struct {
	account string
	from    time.Time
	amount  pricing.Nano
}

// hidden is how what is hidden of each account changes with time.
func (x *index) hidden() map[string][]step {
	weights := map[string][]weight{} // by request
	for _, l := range x.Losses {
		for _, h := range l.Holds {
			weights[h.RequestID] = append(weights[h.RequestID], weight{h.Account, l.At, h.Amount})
		}
	}
	for _, f := range x.Fallbacks {
		weights[f.RequestID] = append(weights[f.RequestID], weight{f.Account, f.At, f.Amount})
	}
	steps := map[string][]step{}
	add := func(account string, from, to time.Time, amount pricing.Nano) {
		steps[account] = append(steps[account], step{from, amount}, step{to, -amount})
	}
	for id, of := range weights {
		slices.SortFunc(of, func(a, b weight) int { return a.from.Compare(b.from) })
		end := x.end(id)
		had := pricing.Nano(0)
		for _, w := range of {
			if w.amount > had && w.from.Before(end) {
				add(w.account, w.from, end, w.amount-had)
				had = w.amount
			}
		}
	}
	for _, e := range x.Expiries {
		if amount, until := x.ranOver(e); amount > 0 {
			add(e.Account, e.Due, until, amount)
		}
	}
	for _, r := range x.Rows {
		if over := r.Charged - r.Held; over > 0 {
			add(r.Account, r.Started, x.end(r.RequestID), over)
		}
	}
	for _, of := range steps {
		// At one instant what begins counts before what ends: a settlement's own step down is hidden until it is there.
		slices.SortStableFunc(of, func(a, b step) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(b.by, a.by)) })
	}
	return steps
}

// ranOver is how much of an expiry requests that ran then had been admitted on, and until when they were settled. They began
// before it was posted, and were settled when the grant had ended: a settlement that finds it so posts the expiry with itself,
// so that the two are of one instant.
func (x *index) ranOver(e Expiry) (amount pricing.Nano, until time.Time) {
	for _, r := range x.Rows {
		if r.Account == e.Account && !r.Started.After(e.At) && !r.Settled.Before(e.Due) {
			amount += r.Charged
			if r.Settled.After(until) {
				until = r.Settled
			}
		}
	}
	return min(amount, e.Amount), until
}

// end is when a request was settled; one that never was may be at any time.
func (x *index) end(id string) time.Time {
	if r, ok := x.rows[id]; ok {
		return r.Settled
	}
	return orLater(time.Time{})
}
