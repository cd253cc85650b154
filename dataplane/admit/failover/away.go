package failover

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// scanEvery is how often at most all parts are looked at because one has opened: a node that hangs has many.
const scanEvery = time.Second

// Away says that Redis, or a part of it, is not asked now: what would be asked there is admitted by the fallback, or not at all.
func (f *Failover) Away() bool { return f.parts.count(0) > 0 }

// part is where an account is.
func (f *Failover) part(account string) int { return f.o.Primary.Parts(account)[0] }

// look finds out whether a part of Redis that is under suspicion is away, which costs no request its time: calls may have failed
// because this process had no time, while Redis was well.
func (f *Failover) look(part int) {
	err := f.reach(context.Background(), part, f.o.Timeout)
	if !f.parts.of(part).looked(err == nil) {
		return
	}
	f.open(part, err)
	if !f.parts.scan(time.Now(), scanEvery) {
		return
	}
	// Whatever else has stopped answering is found before it costs more requests their time.
	for other := range f.o.Primary.Split() {
		if other != part && f.parts.of(other).suspect() {
			f.spawn(func() { f.look(other) })
		}
	}
}

// reach probes a part.
func (f *Failover) reach(ctx context.Context, part int, patience time.Duration) error {
	return f.within(ctx, patience, func(ctx context.Context) error { return f.o.Primary.Probe(ctx, part) })
}

func (f *Failover) within(ctx context.Context, d time.Duration, call func(context.Context) error) error {
	_, err := ask(ctx, f, d, alone(call))
	return err
}

// open tells of a part that has just been found away.
func (f *Failover) open(part int, err error) {
	if f.parts.count(1) == 0 {
		f.stats.openings.Add(1)
		f.since.Store(f.o.Now().UnixMicro())
		instead := "limits are counted by each replica, credits are held in the ledger"
		if f.o.Reject() {
			instead = "requests are refused"
		}
		f.o.Log.Warn("Redis is away: "+instead, "part", part, "of", f.o.Primary.Split(), "error", err)
	}
	select {
	case f.opened <- part:
	default: // it is in it already: whoever takes it out looks
	}
}

// watch has each part that is away probed until it is back.
func (f *Failover) watch(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case part := <-f.opened:
			running.Go(func() { f.bringBack(ctx, part) })
		}
	}
}

// bringBack probes until a part is back. What hangs has a probe waiting for it, so that it is back when it answers, not when it is
// next asked; what refuses is asked again after a pause.
func (f *Failover) bringBack(ctx context.Context, part int) {
	for {
		timer := time.NewTimer(f.parts.of(part).next(time.Now(), min(f.o.Timeout, f.o.Probe), f.o.Probe))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if f.answers(ctx, part) && f.probe(ctx, part) {
			return
		}
	}
}

// answers waits for as long as the part hangs; false: it refuses.
func (f *Failover) answers(ctx context.Context, part int) bool {
	for {
		begun := time.Now()
		err := f.reach(ctx, part, f.o.Probe)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) < f.o.Timeout || ctx.Err() != nil {
			return err == nil
		}
	}
}

// probe closes a part's breaker if the part answers in time and has heard of all that was held and released meanwhile.
func (f *Failover) probe(ctx context.Context, part int) bool {
	if err := f.catchUp(ctx, part); err != nil {
		f.o.Log.Debug("Redis is still away", "part", part, "error", err)
		return false
	}
	f.parts.of(part).close(time.Now())
	if f.parts.count(-1) == 1 {
		away := time.Duration(f.o.Now().UnixMicro()-f.since.Load()) * time.Microsecond
		f.o.Log.Info("Redis is back", "away", away.Round(time.Millisecond))
	}
	// What was admitted by the ledger while Sync ran is in the owner's book: the next admission on its account writes it.
	return true
}

func (f *Failover) catchUp(ctx context.Context, part int) error {
	if err := f.reach(ctx, part, f.o.Timeout); err != nil {
		return err
	}
	this := func(of int) bool { return of == part }
	err := f.endHeld(ctx, this, func(ctx context.Context, _ string, do func(context.Context) error) (bool, error) {
		err := f.within(ctx, f.o.Timeout, do)
		return err != nil, err
	})
	if err != nil {
		return fmt.Errorf("releasing holds: %w", err)
	}
	return f.within(ctx, f.o.SyncTimeout, func(ctx context.Context) error { return f.o.Primary.SyncPart(ctx, part) })
}
