package failover

import (
	"context"
	"sync"
	"time"
)

// endsEvery is how often holds that could not be released are tried again.
const endsEvery = time.Second

// Run asks a Redis that is away whether it is back, renews the reservations of what runs, releases what could not be
// released, and has the ledger hear of claims that it did not, until ctx ends.
func (f *Failover) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { f.watch(ctx) })
	running.Go(func() { every(ctx, min(f.o.Keep/3, time.Minute), f.renew) })
	running.Go(func() { every(ctx, endsEvery, f.endReserved) })
	running.Go(func() { every(ctx, endsEvery, f.pay) })
	running.Go(func() { every(ctx, endsEvery, f.tidy) })
	running.Wait()
}

func every(ctx context.Context, d time.Duration, do func(context.Context)) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do(ctx)
		}
	}
}

// renew gives what runs more time in the ledger.
func (f *Failover) renew(ctx context.Context) {
	if f.o.Ledger == nil || !f.book.anyReserved() {
		return
	}
	until := f.o.Now().Add(f.o.Keep).UnixMicro()
	err := f.inLedger(ctx, func(ctx context.Context) error {
		_, err := f.o.Ledger.RenewReservations(ctx, f.o.Owner, until)
		return err
	})
	if err != nil && ctx.Err() == nil {
		f.o.Log.Warn("Reservations are not renewed, trying again", "error", err)
	}
}

// tidy releases in Redis what could not be released, and forgets what is over.
func (f *Failover) tidy(ctx context.Context) {
	f.book.sweep(f.o.Now())
	f.claims.sweep(f.o.Now())
	asked := func(part int) bool { return !f.parts.of(part).isOpen() }
	_ = f.endHeld(ctx, asked, f.tell) // what fails waits on
}
