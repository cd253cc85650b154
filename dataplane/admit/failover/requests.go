package failover

import (
	"context"
	"errors"
	"fmt"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// told is a context that has ended: a call with it tells Redis' owner, who notes before Redis is asked, and asks nobody.
func told(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

// Extend makes a hold larger. Redis is asked whoever admitted the request, because its owner has adopted what the ledger lent: that
// half is not all there is once Redis is back, and a ledger that is away then cuts no stream. What Redis does not answer for goes
// on in the ledger, which holds the rest: a stream is not cut because Redis is away, and the rest is bounded as all is that the
// ledger lends. Redis' owner hears of the whole amount, so that both count it until the request is settled.
func (f *Failover) Extend(ctx context.Context, e admit.Extension) (admit.Decision, error) {
	d, away, err := try(ctx, f, f.o.Primary.Parts(e.Account), f.o.Timeout, func(ctx context.Context) (admit.Decision, error) {
		return f.o.Primary.Extend(ctx, e)
	})
	h, known := f.book.get(e.RequestID)
	if !away || !known {
		if err == nil && d.Outcome == admit.Admitted {
			f.book.change(e.RequestID, func(h *held) { h.amount = max(h.amount, d.Held) })
		}
		return d, err
	}
	if d, err = f.extendInstead(ctx, e, h); err != nil {
		return admit.Decision{}, fmt.Errorf("extending a hold without redis: %w", err)
	}
	return d, nil
}

// extendInstead extends by the ledger.
func (f *Failover) extendInstead(ctx context.Context, e admit.Extension, h held) (admit.Decision, error) {
	if err := e.Valid(); err != nil {
		return admit.Decision{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, f.o.LedgerTimeout)
	defer cancel()
	x := &deciding{f: f, q: admit.Request{ID: e.RequestID, Account: e.Account, KeyDigest: e.KeyDigest, Meter: e.Meter, Cap: e.Cap, Overdraft: h.over}}
	x.d = admit.Decision{Now: f.o.Now().UTC(), Fallback: true, Held: h.amount, Fits: h.amount}
	switch {
	case h.finished || h.account != e.Account:
		x.d.Outcome = admit.UnknownHold
		return x.d, nil
	case e.To <= h.amount:
		return x.d, nil
	case f.o.Ledger == nil:
		return x.d, errNoLedger
	}
	capRoom := admit.MaxNano
	if e.Cap != nil {
		row, err := f.keyRow(ctx, e.KeyDigest, 0)
		if err != nil {
			return x.d, err
		}
		x.q.Hold = e.To
		var refused bool
		if capRoom, refused, err = x.cap(ctx, row); err != nil || refused {
			x.d.Fits = max(h.amount, min(x.q.Cap.Amount-x.d.Refusal.Used, h.amount+x.d.Fits))
			return x.d, err
		}
	}
	out, err := f.reserveMore(ctx, e, h)
	others := out.Held - out.Amount
	switch {
	case err == nil:
		x.tell(out.Account, others, capRoom)
		x.d.Held, x.d.Fits = e.To, e.To+max(0, min(room(out.Account, h.over)-out.Held, capRoom-e.To))
		f.book.change(e.RequestID, func(h *held) { h.amount, h.reserved, h.lent = max(h.amount, e.To), true, out.Amount })
		f.adopt(e.RequestID)
	case errors.Is(err, ledger.ErrNotFound): // settled or released meanwhile
		x.d.Outcome = admit.UnknownHold
	case errors.Is(err, ledger.ErrSuspended):
		x.d.Outcome = admit.AccountSuspended
	case errors.Is(err, ledger.ErrInsufficient):
		free := x.tell(out.Account, out.Held, capRoom-h.amount)
		x.d.Fits = h.amount + max(0, free)
		x.short()
	default:
		return x.d, err
	}
	return x.d, nil
}

// reserveMore has the ledger hold what a request is to hold more.
func (f *Failover) reserveMore(ctx context.Context, e admit.Extension, h held) (ledger.Reserved, error) {
	more := e.To - h.amount
	if h.reserved {
		out, err := f.extend(ctx, e.Account, e.RequestID, more)
		if !errors.Is(err, ledger.ErrNotFound) {
			return out, err
		}
		more += h.lent // the request runs, and its reservation went: with the release of a call before that was given up, or its time
	}
	out, err := f.reserve(ctx, e.RequestID, e.Account, e.Counted(), more, h.over, h.record)
	if err == nil && out.Amount < more { // of a call that was given up and ran
		return f.extend(ctx, e.Account, e.RequestID, more-out.Amount)
	}
	return out, err
}

// Finish tells whoever holds for the request. That Redis is away is no error: its owner notes the end before Redis is asked, and
// Sync tells it.
func (f *Failover) Finish(ctx context.Context, e admit.Finish) error {
	err := f.finishHeld(ctx, e)
	if errors.Is(err, admit.ErrRange) {
		return err
	}
	h, first := f.book.change(e.RequestID, func(h *held) {
		h.amount, h.finished = e.Actual, true
		if h.reserved {
			h.lent = e.Actual
		}
	})
	if !first {
		return err
	}
	f.limits.correct(h.taken, e.InputTokens, e.OutputTokens, f.o.Now())
	if !h.reserved || len(e.Record) == 0 { // without a record the reservation stands until the settlement takes it
		return err
	}
	row, bad := ledger.DecodeRecord(e.Record)
	if bad == nil {
		bad = f.inLedger(ctx, func(ctx context.Context) error {
			_, err := f.o.Ledger.FinishReservation(ctx, row)
			return err
		})
	}
	if bad != nil && !errors.Is(bad, ledger.ErrNotFound) {
		err = errors.Join(err, fmt.Errorf("finishing a reservation: %w", bad))
	}
	return err
}

// finishHeld tells Redis, or its owner alone.
func (f *Failover) finishHeld(ctx context.Context, e admit.Finish) error {
	away, err := f.tell(ctx, e.Account, func(ctx context.Context) error { return f.o.Primary.Finish(ctx, e) })
	if away { // a call that was left may not even have begun
		err = f.o.Primary.Finish(told(ctx), e)
	}
	if away && !errors.Is(err, admit.ErrRange) {
		return nil
	}
	return err
}

// Release takes away what a request holds, wherever; where a store does not answer, later.
func (f *Failover) Release(ctx context.Context, account, requestID string) error {
	var errs []error
	h, ok := f.book.drop(requestID)
	if ok && h.reserved {
		errs = append(errs, f.giveBack(ctx, h.account, requestID))
	}
	away, err := f.tell(ctx, account, func(ctx context.Context) error { return f.o.Primary.Release(ctx, account, requestID) })
	switch {
	case away && ok && h.fallback && f.o.Demo(): // Redis has never heard of it
		err = nil
	case away:
		err = f.ends.add(account, requestID, true, 0)
	}
	return errors.Join(append(errs, err)...)
}

// Confirm forgets what is settled: the ledger has released what it held in the transaction that settled it. While Redis is away
// it answers ErrAway, so that whoever settles keeps what is to be confirmed and counts it; a release (Version 0) is made in the
// ledger all the same. Redis has the holds as Sync writes them, until it is confirmed.
func (f *Failover) Confirm(ctx context.Context, cs []admit.Confirmation) error {
	var errs []error
	for _, c := range cs {
		// A reservation of nothing is one that the settlement does not look for.
		if h, ok := f.book.drop(c.RequestID); ok && h.reserved && (c.Version == 0 || h.lent == 0) {
			errs = append(errs, f.giveBack(ctx, h.account, h.id))
		}
	}
	return errors.Join(append(errs, f.confirm(ctx, cs))...)
}

// confirm tells each part of Redis of its own, all at a time: one that is away keeps no other from hearing.
func (f *Failover) confirm(ctx context.Context, cs []admit.Confirmation) error {
	of, parts := map[int][]admit.Confirmation{}, map[int][]int{}
	for _, c := range cs {
		need := f.o.Primary.Parts(c.Account)
		of[need[0]] = append(of[need[0]], c)
		parts[need[0]] = need[:1] // a confirmation writes nothing on lists
	}
	errs := make(chan error, len(of))
	for part, some := range of {
		go func() {
			_, err := f.tellParts(ctx, parts[part], f.o.Patience, func(ctx context.Context) error { return f.o.Primary.Confirm(ctx, some) })
			errs <- err
		}()
	}
	var err error
	for range of {
		err = errors.Join(err, <-errs)
	}
	return err
}
