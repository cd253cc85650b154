package failover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
)

// mostEnds bounds the holds that wait to be released.
const mostEnds = 100_000

// releases is how often a reservation is released whose making was given up: it may commit after the first time.
const releases = 2

// errEnds says that too many wait.
var errEnds = errors.New("too many holds wait to be released")

// end is a hold that is to be released: it was given up, or nobody knows whether it was ever made.
type end struct {
	account string
	redis   bool
	ledger  int // so many times
}

// ends are worked off by Run, as soon as the stores answer. What is left when the process ends is reaped.
type ends struct {
	mu  sync.Mutex
	all map[string]end // by request id
}

// add has a hold released in Redis, and so many times in the ledger.
func (e *ends) add(account, id string, redis bool, ledger int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	was, ok := e.all[id]
	if !ok && len(e.all) >= mostEnds {
		return fmt.Errorf("releasing %s: %w", id, errEnds)
	}
	e.all[id] = end{account, redis || was.redis, max(ledger, was.ledger)}
	return nil
}

func (e *ends) list() map[string]end {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.all)
}

// done notes what was released, once.
func (e *ends) done(id string, redis bool, ledger int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	of, ok := e.all[id]
	if !ok {
		return
	}
	of.redis, of.ledger = of.redis && !redis, max(0, of.ledger-ledger)
	if e.all[id] = of; !of.redis && of.ledger == 0 {
		delete(e.all, id)
	}
}

// endReserved releases what waits in the ledger; what fails waits on.
func (f *Failover) endReserved(ctx context.Context) {
	for id, of := range f.ends.list() {
		if of.ledger == 0 {
			continue
		}
		if err := f.release(ctx, of.account, id); err != nil {
			return // it is away: the next one would wait as long
		}
		f.ends.done(id, false, 1)
	}
}

// release is one call.
func (f *Failover) release(ctx context.Context, account, id string) error {
	return f.inLedger(ctx, func(ctx context.Context) error { return f.o.Ledger.ReleaseReservation(ctx, account, id) })
}

// endHeld releases what waits in the parts of Redis that are asked, gives up claims and tells of those that the ledger gave, by call. A part that fails is not asked again.
func (f *Failover) endHeld(
	ctx context.Context, asked func(part int) bool, call func(ctx context.Context, account string, do func(context.Context) error) (bool, error),
) (err error) {
	failed := map[int]bool{}
	one := func(account string, do func(context.Context) error) bool {
		part := f.part(account)
		if failed[part] || !asked(part) {
			return false
		}
		if _, e := call(ctx, account, do); e != nil {
			failed[part], err = true, e
			return false
		}
		return true
	}
	for id, of := range f.ends.list() {
		if of.redis && one(of.account, func(ctx context.Context) error { return f.o.Primary.Release(ctx, of.account, id) }) {
			f.ends.done(id, true, 0)
		}
	}
	for g := range f.claims.toGiveUp() {
		if one(g.account, func(ctx context.Context) error { return f.o.Primary.GiveUp(ctx, g.account, g.name, g.holder) }) {
			f.claims.told(g)
		}
	}
	for g, until := range f.claims.toSay() {
		if heard := one(g.account, f.saying(g, until)); !f.claims.stillSaid(g, heard) { // it was given up meanwhile, and may have run after that
			f.claims.giveUp(g.claimName, g.holder)
		}
	}
	return err
}
