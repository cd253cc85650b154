package failover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// divisor bounds what all replicas together hold in the ledger to half of what an account may spend: Redis may hold of the
// same money, and nobody can tell how much.
const divisor = 2

// tries bounds how often an amount is chosen anew because another replica was faster.
const tries = 4

// room is what the ledger lends of an account in all.
func room(a ledger.Account, over pricing.Nano) pricing.Nano { return (a.Spendable() + over) / divisor }

// choose is what a request holds where so much is free, by the rules of the script: what is expected where much is free,
// else the worst case, else all that is left if that is of use.
func choose(q admit.Request, free pricing.Nano) (amount pricing.Nano, ok bool) {
	switch {
	case q.Healthy > 0 && free >= q.Healthy:
		return q.Expected, true
	case free >= q.Hold:
		return q.Hold, true
	case q.Floor > 0 && free >= q.Floor:
		return free, true
	default:
		return 0, false
	}
}

// money checks the cap and holds the credits.
func (x *deciding) money(ctx context.Context, row keyRow) error {
	capRoom, refused, err := x.cap(ctx, row)
	if err != nil || refused {
		return err
	}
	switch {
	case !x.take:
		return x.lookAt(ctx, capRoom)
	case x.over:
		return x.regardless(ctx)
	default:
		return x.reserve(ctx, capRoom)
	}
}

// cap checks the key's spend cap: what the ledger says that it has spent, and what this replica holds of it.
func (x *deciding) cap(ctx context.Context, row keyRow) (left pricing.Nano, refused bool, err error) {
	if x.q.Cap == nil {
		return admit.MaxNano, false, nil
	}
	spent, end, err := x.f.spent(ctx, row, x.q.Cap.Period, x.d.Now)
	if err != nil {
		return 0, false, err
	}
	least := x.q.Hold
	if x.q.Floor > 0 {
		least = x.q.Floor
	}
	_, used, ok := x.f.book.allot(held{id: x.q.ID, digest: x.q.Counted()}, x.q.Cap.Amount-spent, x.q.Hold, least, x.take)
	used += spent
	if !ok {
		wait := end.Sub(x.d.Now)
		refused = x.refuse(admit.CapReached, admit.Refusal{Rule: admit.RuleCap, Limit: x.q.Cap.Amount, Used: used, Reset: wait}, wait)
		if refused {
			_, err = x.look(ctx, x.q.Cap.Amount-used)
			return 0, true, err
		}
		x.over = true
	}
	return x.q.Cap.Amount - used, false, nil
}

// spent is what a key has spent in the window of an instant.
func (f *Failover) spent(ctx context.Context, row keyRow, period string, now time.Time) (spent pricing.Nano, end time.Time, err error) {
	start, end := window(period, now)
	err = f.inLedger(ctx, func(ctx context.Context) error {
		spends, err := f.o.Ledger.KeySpends(ctx, row.key.ID, []ledger.Window{{Period: period, Start: start.Unix()}})
		if err == nil && len(spends) != 1 {
			err = fmt.Errorf("the ledger does not say what key %s has spent", row.key.ID)
		}
		if err == nil {
			spent = spends[0].Spent
		}
		return err
	})
	return spent, end, err
}

// window is the calendar window of an instant, UTC.
func window(period string, now time.Time) (start, end time.Time) {
	y, m, d := now.UTC().Date()
	if period == ledger.PeriodDay {
		start = time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
		return start, start.AddDate(0, 0, 1)
	}
	start = time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
	return start, start.AddDate(0, 1, 0)
}

// look reads the account without changing anything, and answers what is free of it. Of other replicas' holds it does not know.
func (x *deciding) look(ctx context.Context, capRoom pricing.Nano) (free pricing.Nano, err error) {
	var a ledger.Account
	err = x.f.inLedger(ctx, func(ctx context.Context) (err error) {
		a, err = x.f.o.Ledger.Account(ctx, x.q.Account)
		return err
	})
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return 0, err
	}
	return x.tell(a, x.f.book.reserved(x.q.Account), capRoom), nil
}

// lookAt says what reserve would.
func (x *deciding) lookAt(ctx context.Context, capRoom pricing.Nano) error {
	free, err := x.look(ctx, capRoom)
	if err != nil {
		return err
	}
	amount, ok := choose(x.q, free)
	if !ok || x.over {
		if !x.over && x.short() {
			return nil
		}
		amount = x.q.Hold
	}
	x.d.Held = amount
	return nil
}

// tell puts the account into the decision, as it is without this request, and answers what is free of it. The half that is
// not lent counts as reserved, so that whoever needs it hears that it is there, and to come again.
func (x *deciding) tell(a ledger.Account, others, capRoom pricing.Nano) pricing.Nano {
	lent := room(a, x.q.Overdraft)
	x.d.Spendable = a.Spendable()
	x.d.Reserved = max(0, x.d.Spendable-lent) + others
	free := min(lent-others, capRoom)
	x.d.Fits = max(0, free)
	return free
}

// short refuses for want of credits.
func (x *deciding) short() bool {
	return x.refuse(admit.InsufficientCredits, admit.Refusal{Rule: admit.RuleCredits, Limit: x.d.Spendable, Used: x.d.Reserved}, 0)
}

// reserve holds the request's credits in the ledger: the amount is tried first that is likely, and put right by what the
// ledger says.
func (x *deciding) reserve(ctx context.Context, capRoom pricing.Nano) error {
	ask, _ := choose(x.q, capRoom) // as if only the cap were narrow
	for range tries {
		out, err := x.f.reserve(ctx, x.q.ID, x.q.Account, x.q.Counted(), ask, x.q.Overdraft, x.q.Record)
		switch {
		case errors.Is(err, ledger.ErrNotFound): // as an account that has nothing
			out = ledger.Reserved{}
		case errors.Is(err, ledger.ErrInsufficient):
		case err != nil:
			return err
		default:
			return x.settleOn(ctx, out, ask, capRoom)
		}
		amount, ok := choose(x.q, x.tell(out.Account, out.Held, capRoom))
		switch {
		case !ok && x.short():
			return nil
		case !ok:
			return x.regardless(ctx)
		case errors.Is(err, ledger.ErrNotFound):
			x.d.Held = amount // nothing, or an overdraft that nobody can hold
			return nil
		}
		ask = amount
	}
	if x.short() { // others were faster each time: what there is is reserved, and free in a moment
		return nil
	}
	return x.regardless(ctx)
}

// settleOn makes what is reserved the amount that is right by what the ledger has said.
func (x *deciding) settleOn(ctx context.Context, out ledger.Reserved, ask, capRoom pricing.Nano) error {
	x.reserved, x.d.Held = true, out.Amount
	others := out.Held - out.Amount
	amount, ok := choose(x.q, x.tell(out.Account, others, capRoom))
	switch {
	case out.Duplicate || ok && amount <= ask:
		return nil
	case !ok: // what is expected is less than is of use
		return x.notEnough(ctx)
	}
	more, err := x.f.extend(ctx, x.q.Account, x.q.ID, amount-ask)
	switch {
	case err == nil:
		x.d.Held = more.Amount
	case errors.Is(err, ledger.ErrInsufficient): // another replica was faster
		x.tell(more.Account, more.Held-out.Amount, capRoom)
		least := x.q.Hold
		if x.q.Floor > 0 {
			least = x.q.Floor
		}
		if out.Amount < least {
			return x.notEnough(ctx)
		}
	default:
		return errors.Join(err, x.f.giveBack(ctx, x.q.Account, x.q.ID))
	}
	return nil
}

// notEnough gives back what is reserved and refuses; what is only counted holds all.
func (x *deciding) notEnough(ctx context.Context) error {
	x.reserved = false
	err := x.f.giveBack(ctx, x.q.Account, x.q.ID)
	if err != nil || x.short() {
		return err
	}
	return x.regardless(ctx)
}

// regardless holds the worst case of a request that is only counted, whether it fits or not.
func (x *deciding) regardless(ctx context.Context) error {
	out, err := x.f.reserve(ctx, x.q.ID, x.q.Account, x.q.Counted(), x.q.Hold, admit.MaxNano, x.q.Record)
	x.d.Held = x.q.Hold
	if errors.Is(err, ledger.ErrNotFound) || errors.Is(err, ledger.ErrInsufficient) {
		return nil // it runs all the same
	}
	if x.reserved = err == nil; x.reserved {
		x.tell(out.Account, out.Held-out.Amount, admit.MaxNano)
	}
	return err
}

// reserve is one call. What did not answer may have run: it is released.
func (f *Failover) reserve(
	ctx context.Context, id, account, digest string, amount, over pricing.Nano, record []byte,
) (out ledger.Reserved, err error) {
	r := ledger.Reservation{
		RequestID: id, Account: account, Amount: amount, Owner: f.o.Owner, KeyDigest: digest, Overdraft: over, Divisor: divisor,
		ExpiresAt: f.o.Now().Add(f.o.Keep).UnixMicro(), Orphan: orphan(record, id, account),
	}
	err = f.inLedger(ctx, func(ctx context.Context) error {
		out, err = f.o.Ledger.Reserve(ctx, r)
		return err
	})
	switch {
	case err == nil: // what a call before may have made, which was given up, is this one
		f.ends.done(id, false, releases)
	case !errors.Is(err, ledger.ErrNotFound) && !errors.Is(err, ledger.ErrInsufficient) && !errors.Is(err, ledger.ErrSuspended):
		err = errors.Join(err, f.ends.add(account, id, false, releases))
	}
	return out, err
}

func (f *Failover) extend(ctx context.Context, account, id string, more pricing.Nano) (out ledger.Reserved, err error) {
	err = f.inLedger(ctx, func(ctx context.Context) error {
		out, err = f.o.Ledger.ExtendReservation(ctx, account, id, more, divisor)
		return err
	})
	return out, err
}

// giveBack releases a reservation, later if not now.
func (f *Failover) giveBack(ctx context.Context, account, id string) error {
	if err := f.release(ctx, account, id); err != nil {
		return f.ends.add(account, id, false, releases)
	}
	return nil
}

// orphan is what to post of a request that nobody finishes; nil: it is not known.
func orphan(record []byte, id, account string) *ledger.Settlement {
	s, err := ledger.DecodeRecord(record)
	if err != nil || s.RequestID != id || s.Account != account {
		return nil
	}
	return &s
}
