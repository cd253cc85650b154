package failover

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
)

const (
	// ticks is in how many ticks a deadline passes.
	ticks = 5
	// mostStrays bounds the calls that nobody waits for any more and that have not ended. With so many out, no more are made.
	mostStrays = 1000
)

var (
	errLate   = fmt.Errorf("redis does not answer: %w", context.DeadlineExceeded)
	errStrays = errors.New("too many calls to redis have not ended")
)

// stray is where a call stands: whoever comes first, its end or its deadline, says so.
const (
	awaited = iota
	ended
	stray
)

type answer[T any] struct {
	value T
	err   error
}

// ask makes a call and leaves it when its time is over, whatever it does then: a driver that waits for a lock, or for the
// connection that another call makes, does not look at its context.
//
// Time passes in ticks, and one that comes late is one tick all the same: while this process has none of the machine, the
// answer may be there and nobody has looked, so that then no time passes for Redis.
func ask[T any](ctx context.Context, f *Failover, within time.Duration, call func(context.Context) (T, error)) (T, error) {
	var none T
	if f.strays.Load() >= mostStrays {
		return none, errStrays
	}
	inner, cancel := context.WithCancel(ctx)
	done := make(chan answer[T], 1)
	var state atomic.Int32
	go func() {
		var a answer[T]
		defer cancel()
		defer func() {
			if p := recover(); p != nil {
				a.err = fmt.Errorf("a call to redis has panicked: %v\n%s", p, debug.Stack())
				f.o.Log.Error("A call to Redis has panicked", "error", a.err)
			}
			if done <- a; !state.CompareAndSwap(awaited, ended) {
				f.strays.Add(-1)
			}
		}()
		a.value, a.err = call(inner)
	}()
	err := errLate
	for tick, left := time.NewTicker(max(1, within/ticks)), ticks; ; {
		select {
		case a := <-done:
			tick.Stop()
			return a.value, a.err
		case <-ctx.Done():
			left, err = 0, ctx.Err()
		case <-tick.C:
			left--
		}
		if left > 0 {
			continue
		}
		tick.Stop()
		f.strays.Add(1)
		if !state.CompareAndSwap(awaited, stray) { // it has ended just now
			f.strays.Add(-1)
			a := <-done
			return a.value, a.err
		}
		cancel()
		return none, err
	}
}

// try makes one call about an account to Redis, unless it needs a part of it that is away. away: Redis has not answered, or is not
// asked (ErrAway); else the error, if there is one, is the caller's own.
func try[T any](
	ctx context.Context, f *Failover, parts []int, within time.Duration, call func(context.Context) (T, error),
) (out T, away bool, err error) {
	if f.parts.anyOpen(parts) {
		return out, true, ErrAway
	}
	out, err = ask(ctx, f, within, call)
	if err != nil && (errors.Is(err, admit.ErrRange) || ctx.Err() != nil) {
		return out, false, err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		f.stats.timeouts.Add(1)
	}
	for _, part := range parts {
		if f.parts.of(part).told(err == nil) {
			f.spawn(func() { f.look(part) })
		}
	}
	return out, err != nil, err
}

// tell is try for a call about an account that answers nothing.
func (f *Failover) tell(ctx context.Context, account string, call func(context.Context) error) (away bool, err error) {
	return f.tellParts(ctx, f.o.Primary.Parts(account), f.o.Timeout, call)
}

func (f *Failover) tellParts(ctx context.Context, parts []int, within time.Duration, call func(context.Context) error) (away bool, err error) {
	_, away, err = try(ctx, f, parts, within, alone(call))
	return away, err
}

// alone is a call that answers nothing as one that does.
func alone(call func(context.Context) error) func(context.Context) (struct{}, error) {
	return func(ctx context.Context) (struct{}, error) { return struct{}{}, call(ctx) }
}
