// Command settlement measures what it costs to settle requests into a real PostgreSQL (write-ahead log, settler, ledger) beside
// batched inserts that do less, in turns within one run: what counts is ratios, and only those of one run on one machine.
//
//	go run ./hack/bench/settlement [-rows 4000] [-rounds 7] [-accounts 100] [-durable=false]
//
// It starts a PostgreSQL of its own with that one's own defaults; -durable=false takes fsync from it, so that what is
// left is the work. All write batches of 200, of which each is one transaction: the inserts one after the other through one
// connection, the settler as it does in a gateway, where a full batch is sent ahead of the answer to the one before. What that
// takes is in the columns of the processors' time.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"slices"
	"text/tabwriter"
	"time"
)

func main() {
	var o options
	flag.IntVar(&o.rows, "rows", 4000, "that are settled in each turn")
	flag.IntVar(&o.rounds, "rounds", 7, "how often each line has its turn; the ratios are medians")
	flag.IntVar(&o.accounts, "accounts", 100, "over which the rows are spread where they are")
	flag.BoolVar(&o.durable, "durable", true, "commits reach the disk")
	flag.StringVar(&o.only, "only", "", "measure this line alone")
	profile := flag.String("cpuprofile", "", "a file for a profile of the client")
	flag.Parse()
	if err := profiled(*profile, func() error { return run(context.Background(), os.Stdout, o) }); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// profiled runs fn, with a profile where there is a name for it.
func profiled(name string, fn func() error) error {
	if name == "" {
		return fn()
	}
	f, err := os.Create(name) //nolint:gosec // it is named by whoever runs this
	if err != nil {
		return fmt.Errorf("making the profile: %w", err)
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		return fmt.Errorf("profiling: %w", err)
	}
	defer pprof.StopCPUProfile()
	return fn()
}

type options struct {
	rows, rounds, accounts int
	durable                bool
	only                   string
}

// batch is how many rows are in a transaction, as the settler's default is.
const batch = 200

// line is one thing that is measured: turn writes so many new rows and answers when they are committed.
type line struct {
	name, what string
	turn       func(ctx context.Context, rows int) error
}

func run(ctx context.Context, out io.Writer, o options) error {
	dir, err := os.MkdirTemp("", "layers-bench-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	url, server, err := startPostgres(ctx, dir, o.durable)
	if err != nil {
		return err
	}
	defer server.Kill()
	w, err := newWorld(ctx, url, dir, o.accounts)
	if err != nil {
		return err
	}
	defer w.close()
	lines := slices.DeleteFunc(w.lines(), func(l line) bool { return o.only != "" && o.only != l.name })
	got, err := measure(ctx, lines, o, server.PID())
	if err != nil {
		return err
	}
	return report(out, lines, got)
}

// figures are of one line, round by round: rows per second, and the time of processors that a row takes, in microseconds, of
// this process and of the server.
type figures struct{ rate, client, server []float64 }

// measure gives lines their turns, in another order each time.
func measure(ctx context.Context, lines []line, o options, server int) ([]figures, error) {
	got := make([]figures, len(lines))
	for round := range o.rounds + 1 {
		for i := range lines {
			at := (i + round) % len(lines)
			backends := serverTime(server)
			client, start := clientTime(), time.Now()
			if err := lines[at].turn(ctx, o.rows); err != nil {
				return nil, fmt.Errorf("%s: %w", lines[at].name, err)
			}
			took, spent := time.Since(start), clientTime()-client
			if round > 0 { // the first is for warming up
				f := &got[at]
				f.rate = append(f.rate, float64(o.rows)/took.Seconds())
				f.client = append(f.client, float64(spent.Microseconds())/float64(o.rows))
				f.server = append(f.server, float64((serverTime(server)-backends).Microseconds())/float64(o.rows))
			}
		}
	}
	return got, nil
}

// report prints the medians, and each line's ratio to the others', round by round.
func report(out io.Writer, lines []line, got []figures) error {
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "line\trows/s\tclient us\tserver us\tof bare\tof rows\tof settlement\twhat it is")
	at := map[string]int{}
	for i, l := range lines {
		at[l.name] = i
	}
	for i, l := range lines {
		_, _ = fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.0f", l.name, median(got[i].rate), median(got[i].client), median(got[i].server))
		for _, of := range []string{bareLine, rowsLine, manyLine} {
			base, there := at[of]
			if !there {
				_, _ = fmt.Fprint(t, "\t")
				continue
			}
			ratios := make([]float64, len(got[i].rate))
			for round := range ratios {
				ratios[round] = got[i].rate[round] / got[base].rate[round]
			}
			_, _ = fmt.Fprintf(t, "\t%.2f", median(ratios))
		}
		_, _ = fmt.Fprintf(t, "\t%s\n", l.what)
	}
	return t.Flush()
}

func median(of []float64) float64 {
	of = slices.Sorted(slices.Values(of))
	return of[len(of)/2]
}
