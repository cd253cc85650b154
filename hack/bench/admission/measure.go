package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
)

// wait is a short pause while something starts.
func wait(ctx context.Context) {
	t := time.NewTimer(10 * time.Millisecond)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// result is what a line did, in each round.
type result struct {
	name   string
	rates  []float64 // calls a second
	server []float64 // what the server says that a script took, us
	cpu    []float64 // of the server, us a call
	alone  []float64 // half of the calls that one client made one after another took less, us
}

// lone is how many calls one client makes one after another.
const lone = 200

// measure lets each line have its turn in each round, the first of which does not count.
func (w *world) measure(ctx context.Context) ([]result, error) {
	lines := slices.DeleteFunc(w.lines(), func(l line) bool { return w.only != "" && !strings.HasPrefix(l.name, w.only+" ") })
	got := make([]result, len(lines))
	n := 0
	for round := range w.rounds + 1 {
		for i, l := range lines {
			first := n
			if err := w.raw.Do(ctx, w.raw.B().ConfigResetstat().Build()).Error(); err != nil {
				return nil, err
			}
			before, err := w.cpuTime(ctx)
			if err != nil {
				return nil, err
			}
			made, took, err := w.turnOf(ctx, l, first)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", l.name, err)
			}
			n += made
			after, err := w.cpuTime(ctx)
			if err != nil {
				return nil, err
			}
			server, err := w.scriptTime(ctx)
			if err != nil {
				return nil, err
			}
			alone, err := w.oneByOne(ctx, l, n)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", l.name, err)
			}
			n += lone
			if err := w.clean(ctx, l, first, n); err != nil {
				return nil, err
			}
			if round > 0 {
				got[i].add(float64(made)/took.Seconds(), server, (after-before)/float64(made), alone)
			}
			got[i].name = l.name
		}
	}
	return got, nil
}

func (r *result) add(rate, server, cpu, alone float64) {
	r.rates, r.server, r.cpu, r.alone = append(r.rates, rate), append(r.server, server), append(r.cpu, cpu), append(r.alone, alone)
}

// oneByOne lets one client make calls one after another, which is what a request feels, and answers what half of them took less than, us.
func (w *world) oneByOne(ctx context.Context, l line, first int) (us float64, err error) {
	took := make([]float64, lone)
	for i := range took {
		start := time.Now()
		if err := l.call(ctx, first+i); err != nil {
			return 0, err
		}
		took[i] = float64(time.Since(start).Nanoseconds()) / 1000
	}
	return median(took), nil
}

// cpuTime is how much of a processor the server has used, us.
func (w *world) cpuTime(ctx context.Context) (us float64, err error) {
	info, err := w.raw.Do(ctx, w.raw.B().Info().Section("cpu").Build()).ToString()
	if err != nil {
		return 0, err
	}
	for l := range strings.Lines(info) {
		name, seconds, _ := strings.Cut(strings.TrimSpace(l), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			used, err := strconv.ParseFloat(seconds, 64)
			if err != nil {
				return 0, fmt.Errorf("reading %q: %w", l, err)
			}
			us += 1e6 * used
		}
	}
	return us, nil
}

// turnOf lets all clients make calls for one turn.
func (w *world) turnOf(ctx context.Context, l line, first int) (made int, took time.Duration, err error) {
	var next atomic.Int64
	next.Store(int64(first) - 1)
	errs := make([]error, w.clients)
	start := time.Now()
	end := start.Add(w.turn)
	var running sync.WaitGroup
	for c := range w.clients {
		running.Go(func() {
			for time.Now().Before(end) && errs[c] == nil {
				errs[c] = l.call(ctx, int(next.Add(1)))
			}
		})
	}
	running.Wait()
	took = time.Since(start)
	for _, e := range errs {
		if e != nil {
			err = e
		}
	}
	return int(next.Load()) + 1 - first, took, err
}

// scriptTime is what the server says that a call of a script took since it was last asked to forget, in microseconds.
func (w *world) scriptTime(ctx context.Context) (us float64, err error) {
	info, err := w.raw.Do(ctx, w.raw.B().Info().Section("commandstats").Build()).ToString()
	if err != nil {
		return 0, err
	}
	for l := range strings.Lines(info) {
		if rest, ok := strings.CutPrefix(l, "cmdstat_evalsha:"); ok {
			var calls, usec int64
			_, err = fmt.Sscanf(rest, "calls=%d,usec=%d,usec_per_call=%f", &calls, &usec, &us)
		}
	}
	return us, err
}

// clean takes away the holds of a turn.
func (w *world) clean(ctx context.Context, l line, first, last int) error {
	var cs []admit.Confirmation
	for n := first; l.kept && n < last; n++ {
		i := n % w.accounts
		if l.hot {
			i = 0
		}
		cs = append(cs, admit.Confirmation{RequestID: id(n), Account: account(i)})
	}
	if err := w.redis.Confirm(ctx, cs); err != nil {
		return err
	}
	for i := range w.accounts {
		if err := w.raw.Do(ctx, w.raw.B().Del().Key("bare:{"+account(i)+"}:holds").Build()).Error(); err != nil {
			return err
		}
	}
	return nil
}

func median(of []float64) float64 {
	of = slices.Sorted(slices.Values(of))
	return (of[(len(of)-1)/2] + of[len(of)/2]) / 2
}
