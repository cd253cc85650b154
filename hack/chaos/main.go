// Command chaos runs real gateways, a real Redis and a real PostgreSQL under load, breaks them, and says whether the money is
// still exactly right:
//
//	go run ./hack/chaos --seed 7 --duration 60s
//	go run ./hack/chaos --seeds 10 --results hack/chaos/RESULTS.md
//
// The seed decides who pays, what is asked when, what is granted, and what breaks; the same seed repeats them. What the
// processes do between is theirs. The exit code is 1 where something was wrong; then the folder of the run stays, with the logs
// of all processes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/layers-dev/layers/hack/chaos/plan"
	"github.com/layers-dev/layers/hack/chaos/run"
	"github.com/layers-dev/layers/hack/chaos/stores"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := chaos(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// options of the command.
type options struct {
	seed      uint64
	seeds     int
	duration  time.Duration
	rate      int
	bin, root string
	results   string
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.Uint64Var(&o.seed, "seed", 1, "the first seed")
	flags.IntVar(&o.seeds, "seeds", 1, "how many seeds, one after the other")
	flags.DurationVar(&o.duration, "duration", time.Minute, "how long requests come, for each seed")
	flags.IntVar(&o.rate, "rate", 70, "how many requests come a second")
	flags.StringVar(&o.root, "root", ".", "folder of the module")
	flags.StringVar(&o.bin, "bin", "", "the program; empty: it is built")
	flags.StringVar(&o.results, "results", "", "file for the table; empty: it is only printed")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.seeds < 1 || o.rate < 1 || o.duration < 15*time.Second {
		return o, errors.New("want at least one seed, one request a second, and 15 seconds")
	}
	return o, nil
}

func chaos(ctx context.Context, args []string) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "layers-chaos-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL runs as somebody else
		return fmt.Errorf("opening the folder: %w", err)
	}
	if o.bin == "" {
		if o.bin, err = stores.Build(ctx, o.root, dir); err != nil {
			return err
		}
	}
	var all []*run.Result
	wrong := 0
	for n := range uint64(o.seeds) {
		r, err := run.Run(ctx, run.Options{
			Options: plan.Options{Seed: o.seed + n, Duration: o.duration, Rate: o.rate}, Bin: o.bin, Dir: filepath.Join(dir, fmt.Sprint(o.seed+n)), Log: os.Stderr,
		})
		if err != nil {
			return fmt.Errorf("seed %d: %w (see %s)", o.seed+n, err, dir)
		}
		fmt.Println(r.Report())
		all = append(all, r)
		wrong += len(r.Violations)
	}
	table := run.Table(all)
	fmt.Println(table)
	if o.results != "" {
		if err := os.WriteFile(o.results, []byte(table), 0o644); err != nil {
			return fmt.Errorf("writing the table: %w", err)
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d violations; what there was is in %s", wrong, dir)
	}
	return os.RemoveAll(dir)
}
