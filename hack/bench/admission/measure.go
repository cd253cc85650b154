package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
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
}

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
			made, took, err := w.turnOf(ctx, l, first)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", l.name, err)
			}
			n += made
			server, err := w.scriptTime(ctx)
			if err != nil {
				return nil, err
			}
			if err := w.clean(ctx, l, first, n); err != nil {
				return nil, err
			}
			if round > 0 {
				got[i].rates, got[i].server = append(got[i].rates, float64(made)/took.Seconds()), append(got[i].server, server)
			}
			got[i].name = l.name
		}
	}
	return got, nil
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

// ratio is the median of one line's rates as parts of another's of the same round.
func ratio(a, b result) float64 {
	parts := make([]float64, len(a.rates))
	for i := range parts {
		parts[i] = a.rates[i] / b.rates[i]
	}
	return median(parts)
}

// report prints rates and ratios.
func report(out io.Writer, got []result) {
	by := map[string]result{}
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "line\tcalls a second\tus in the script")
	for _, r := range got {
		by[r.name] = r
		_, _ = fmt.Fprintf(t, "%s\t%.0f\t%.1f\n", r.name, median(r.rates), median(r.server))
	}
	_, _ = fmt.Fprintln(t)
	for _, p := range []struct{ what, a, b string }{
		{"d/c  what the client adds to the script", admitLine, scriptLine},
		{"d/b  an admission beside a bare script call", admitLine, bareLine},
		{"d/a  an admission beside an empty script", admitLine, trivialLine},
		{"b/a  a bare script call beside an empty script", bareLine, trivialLine},
		{"d'/b an admission under every rule beside a bare script call", rulesLine, bareLine},
		{"b1/b one hot account beside many, bare", hotBareLine, bareLine},
		{"d1/d one hot account beside many, Admit", hotLine, admitLine},
		{"e1/e one hot account beside many, all three", hotTriple, tripleLine},
	} {
		a, ok := by[p.a]
		b, ok2 := by[p.b]
		if ok && ok2 {
			_, _ = fmt.Fprintf(t, "%s\t%.2f\n", p.what, ratio(a, b))
		}
	}
	_ = t.Flush()
}
