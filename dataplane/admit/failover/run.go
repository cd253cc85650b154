package failover

import (
	"context"
	"fmt"
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

// watch probes while the breaker is open: a first time after Probe, then every Probe.
func (f *Failover) watch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.opened:
		}
		for back := false; !back; {
			timer := time.NewTimer(f.o.Probe)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
			back = f.probe(ctx)
		}
	}
}

// probe closes the breaker if Redis answers and has heard of all that was held and released meanwhile.
func (f *Failover) probe(ctx context.Context) bool {
	if err := f.catchUp(ctx); err != nil {
		f.o.Log.Debug("Redis is still away", "error", err)
		return false
	}
	away := time.Duration(f.o.Now().UnixMicro()-f.since.Load()) * time.Microsecond
	f.breaker.close()
	f.o.Log.Info("Redis is back", "away", away.Round(time.Millisecond))
	// What was admitted by the ledger while Sync ran is in the owner's book: the next admission on its account writes it.
	return true
}

func (f *Failover) catchUp(ctx context.Context) error {
	if err := within(ctx, f.o.Timeout, f.o.Primary.Ping); err != nil {
		return err
	}
	err := f.endHeld(ctx, func(ctx context.Context, call func(context.Context) error) error {
		return within(ctx, f.o.Timeout, call)
	})
	if err != nil {
		return fmt.Errorf("releasing holds: %w", err)
	}
	return within(ctx, f.o.SyncTimeout, f.o.Primary.Sync)
}

func within(ctx context.Context, d time.Duration, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return call(ctx)
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
	_ = f.endHeld(ctx, func(ctx context.Context, call func(context.Context) error) error { // what fails waits on
		_, err := f.try(ctx, f.o.Timeout, call)
		return err
	})
}
