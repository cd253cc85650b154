// Command admission measures what an admission costs on a real Redis beside calls of scripts that do less, all from many
// clients at once, in turns within one run: what counts is ratios, and only those of one run on one machine.
//
//	go run ./hack/bench/admission [-clients 64] [-rounds 9] [-turn 300ms] [-accounts 256]
//
// It starts a redis-server of its own. hack/adr/0007 says which of the lines is "a bare Redis script call" and why.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"time"
)

func main() {
	var o options
	flag.IntVar(&o.clients, "clients", 64, "that ask at the same time")
	flag.IntVar(&o.rounds, "rounds", 9, "how often each line has its turn; the ratios are medians")
	flag.DurationVar(&o.turn, "turn", 300*time.Millisecond, "how long each turn is")
	flag.IntVar(&o.accounts, "accounts", 256, "over which the requests are spread")
	flag.StringVar(&o.only, "only", "", "measure this line alone")
	profile := flag.String("cpuprofile", "", "a file for a profile of the client")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		defer pprof.StopCPUProfile()
	}
	if err := run(context.Background(), os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type options struct {
	clients, rounds, accounts int
	turn                      time.Duration
	only                      string
}

// run starts a Redis, measures, and prints.
func run(ctx context.Context, out io.Writer, o options) error {
	url, stop, err := startRedis(ctx)
	if err != nil {
		return err
	}
	defer stop()
	w, err := newWorld(ctx, url, o)
	if err != nil {
		return err
	}
	defer w.close()
	got, err := w.measure(ctx)
	if err != nil {
		return err
	}
	report(out, got)
	return w.memory(ctx, out)
}
