package failover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// errNoLedger says that there is nothing to decide by.
var errNoLedger = errors.New("there is no ledger")

// Admit asks Redis, and where that does not answer decides itself. An admission that timed out may have run: the request that is
// then admitted here is the owner's under the same id, so that Sync makes the two one; of a request that is not, what Redis
// may hold is released.
func (f *Failover) Admit(ctx context.Context, q admit.Request) (admit.Decision, error) {
	if h, ok := f.book.get(q.ID); ok && h.fallback {
		return h.decision, nil
	}
	d, away, err := try(ctx, f, f.o.Primary.Parts(q.Account), f.o.Timeout, func(ctx context.Context) (admit.Decision, error) {
		return f.o.Primary.Admit(ctx, q)
	})
	if !away {
		if err == nil && d.Outcome == admit.Admitted {
			f.book.put(newHeld(q, d))
		}
		return d, err
	}
	d, err = f.instead(ctx, q, err)
	f.stats.decided(d, err)
	return d, err
}

// instead decides a request that Redis has not answered for that reason.
func (f *Failover) instead(ctx context.Context, q admit.Request, cause error) (d admit.Decision, err error) {
	if err := q.Valid(); err != nil {
		return d, fmt.Errorf("admitting: %w", err)
	}
	defer func() {
		if !errors.Is(cause, ErrAway) && (err != nil || d.Outcome != admit.Admitted || f.o.Demo()) {
			err = errors.Join(err, f.ends.add(q.Account, q.ID, true, 0))
		}
	}()
	if f.o.Reject() {
		return d, fmt.Errorf("admitting without redis is not allowed: %w", cause)
	}
	if h, ok := f.book.get(q.ID); ok { // it was admitted by Redis
		return h.decision, nil
	}
	answer, err, _ := f.flights.Do(q.ID, func() (any, error) {
		if h, ok := f.book.get(q.ID); ok {
			return h.decision, nil
		}
		return f.decide(ctx, q, true)
	})
	if err != nil {
		return admit.Decision{}, fmt.Errorf("admitting without redis (%w): %w", cause, err)
	}
	return answer.(admit.Decision), nil
}

func newHeld(q admit.Request, d admit.Decision) held {
	over := q.Overdraft
	if q.Shadow {
		over = admit.MaxNano // whatever it holds more is only counted
	}
	return held{
		id: q.ID, account: q.Account, digest: q.Counted(), fallback: d.Fallback, decision: d, amount: d.Held,
		at: d.Now, until: d.Now.Add(q.HoldFor), over: over, record: q.Record,
	}
}

// deciding is one decision of the fallback.
type deciding struct {
	f    *Failover
	q    admit.Request
	d    admit.Decision
	take bool // false: only ask
	// reserved says that the ledger holds for it, over that it is beyond its key's cap, and only counted.
	reserved, over bool
}

// decide goes through the rules in the order of the script; take false changes nothing. A refusal gives back what was taken before
// it, so that nothing has changed.
func (f *Failover) decide(ctx context.Context, q admit.Request, take bool) (admit.Decision, error) {
	ctx, cancel := context.WithTimeout(ctx, f.o.LedgerTimeout)
	defer cancel()
	x := &deciding{f: f, q: q, take: take, d: admit.Decision{Now: f.o.Now().UTC().Truncate(time.Microsecond), Fallback: true}}
	if q.Cap != nil {
		start, _ := window(q.Cap.Period, x.d.Now)
		x.d.Window = start.Unix()
	}
	row, outcome, err := x.key(ctx)
	if err == nil && outcome == admit.Admitted {
		outcome, err = x.standing(ctx)
	}
	if err != nil || outcome != admit.Admitted {
		x.d.Outcome = outcome
		return x.d, err
	}
	rates := share(q.Rates, f.replicas())
	before, after, t := f.limits.take(q.Counted(), rates, x.d.Now, take)
	x.d.Requests, x.d.Tokens = before.requests, before.tokens
	if before.wait > 0 && x.refuse(admit.RateLimited, before.refusal, before.wait) {
		return x.d, nil
	}
	err = x.more(ctx, row, t)
	if errors.Is(err, ledger.ErrSuspended) { // since it was asked; whatever else was counted, that refuses
		x.d.Outcome, x.d.Would, x.d.Refusal, x.d.RetryAfter, err = admit.AccountSuspended, admit.Admitted, admit.Refusal{}, 0, nil
	}
	if err != nil || x.d.Outcome != admit.Admitted || x.d.Would != admit.Admitted {
		f.limits.undo(t) // what is only counted takes nothing
		t = taken{}
	} else {
		x.d.Requests, x.d.Tokens = after.requests, after.tokens
	}
	if err != nil || x.d.Outcome != admit.Admitted {
		x.d.Held = 0
		if take {
			f.book.drop(q.ID)
		}
		return x.d, err
	}
	if take {
		x.keep(t)
	}
	return x.d, nil
}

// more is what comes after the rates: a slot, the cap, the credits.
func (x *deciding) more(ctx context.Context, row keyRow, t taken) error {
	if x.slot() || x.q.Unmetered {
		return nil
	}
	return x.money(ctx, row)
}

// keep notes an admission, here and for when Redis is back.
func (x *deciding) keep(t taken) {
	x.f.book.change(x.q.ID, func(h *held) {
		h.decision, h.amount, h.reserved, h.taken = x.d, x.d.Held, x.reserved, t
		if x.reserved {
			h.lent = x.d.Held
		}
	})
	if x.f.o.Demo() { // nothing is settled, so nothing would end it
		return
	}
	x.f.adopt(x.q.ID)
}

// adopt gives a hold, as large as it is now, to Redis' owner.
func (f *Failover) adopt(id string) {
	if h, ok := f.book.get(id); ok {
		f.o.Primary.Adopt(admit.Adopted{
			RequestID: id, Account: h.account, KeyDigest: h.digest, Amount: h.amount, At: h.at, Until: h.until, Record: h.record,
		})
	}
}

// key is keyState, but that in demo mode there is none: any key is good, and nothing is charged.
func (x *deciding) key(ctx context.Context) (keyRow, admit.Outcome, error) {
	switch {
	case x.q.Unmetered && x.f.o.Demo():
		return keyRow{}, admit.Admitted, nil
	case x.f.o.Ledger == nil:
		return keyRow{}, 0, errNoLedger
	default:
		return x.f.keyState(ctx, x.q)
	}
}

// standing says whether the account is suspended: also a request that is only counted, or costs nothing, is then refused.
func (x *deciding) standing(ctx context.Context) (admit.Outcome, error) {
	if x.q.Unmetered && x.f.o.Demo() {
		return admit.Admitted, nil
	}
	var a ledger.Account
	err := x.f.inLedger(ctx, func(ctx context.Context) (err error) {
		a, err = x.f.o.Ledger.Account(ctx, x.q.Account)
		return err
	})
	switch {
	case err != nil && !errors.Is(err, ledger.ErrNotFound):
		return 0, err
	case a.Suspended:
		return admit.AccountSuspended, nil
	}
	return admit.Admitted, nil
}

// refuse refuses, or counts the first refusal where nothing is refused (Request.Shadow); true: it refuses.
func (x *deciding) refuse(o admit.Outcome, r admit.Refusal, wait time.Duration) bool {
	if x.q.Shadow && x.d.Would != admit.Admitted {
		return false
	}
	x.d.Refusal, x.d.RetryAfter = r, wait
	if x.q.Shadow {
		x.d.Would = o
		return false
	}
	x.d.Outcome = o
	return true
}

// slot takes a slot; true: the key has none.
func (x *deciding) slot() bool {
	most, n := x.q.MaxConcurrent, x.f.replicas()
	most = (most + n - 1) / n
	h := newHeld(x.q, x.d)
	r, ok := x.f.book.enter(h, most, x.d.Now, x.take)
	if ok {
		return false
	}
	left := func(at time.Time) time.Duration { return at.Sub(x.d.Now) }
	refusal := admit.Refusal{Rule: admit.RuleConcurrency, Limit: most, Used: r.count, Reset: left(r.latest)}
	if x.refuse(admit.TooManyConcurrent, refusal, left(r.first)) {
		return true
	}
	x.f.book.enter(h, 0, x.d.Now, x.take)
	return false
}
