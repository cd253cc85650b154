// Command holds shows what adaptive holds are worth: the same requests meet the same balances under four ways of holding
// credits, in time that the simulation moves. It prints how many requests each refuses, cuts or stops, and how far below
// zero it lets balances go.
//
//	go run ./hack/bench/holds [-seed N] [-trace FILE]
//
// The decisions are the gateway's own (dataplane/admit/forecast). A trace is a CSV file with the columns TIMESTAMP,
// ContextTokens and GeneratedTokens; without one, the trace beside this file is replayed.
package main

import (
	_ "embed"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/layers-dev/layers/dataplane/pricing"
)

//go:embed testdata/conversations.csv
var conversations string

func main() {
	seed := flag.Uint64("seed", 1, "of what is random in the workloads")
	trace := flag.String("trace", "", "a CSV file to replay")
	flag.Parse()
	if err := run(os.Stdout, *seed, *trace); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(out io.Writer, seed uint64, trace string) error {
	text := conversations
	if trace != "" {
		raw, err := os.ReadFile(trace) //nolint:gosec // it is named by whoever runs this
		if err != nil {
			return fmt.Errorf("reading the trace: %w", err)
		}
		text = string(raw)
	}
	rows, err := parseTrace(strings.NewReader(text))
	if err != nil {
		return err
	}
	for _, w := range []workload{synthetic(seed), replayed(seed, rows), bursts(seed)} {
		if err := report(out, w); err != nil {
			return err
		}
	}
	return nil
}

// report prints one workload under each way of holding.
func report(out io.Writer, w workload) error {
	_, _ = fmt.Fprintf(out, "%s: %d requests of %d accounts\n", w.name, len(w.requests), len(w.balances))
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "hold\tserved\t402\t429\tclamped\tshortened\tstopped\tcharged $\toverspent $\tworst account $\t")
	results := map[string]result{}
	for _, p := range policies() {
		r, err := simulate(w, p)
		if err != nil {
			return err
		}
		results[p.name] = r
		_, _ = fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t\n", p.name, r.served, r.short, r.tiedUp, r.clamped, r.shortened,
			r.stopped, usd(r.charged), usd(r.overspent), usd(r.deepest))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	worst, adaptive := results[worstCase], results[adaptiveHolds]
	_, _ = fmt.Fprintf(out, "402s avoided: %d of %d; refusals avoided (402 and 429): %d of %d; newly refused: %d; overshoot against worst-case holds: $%s, %s of what was charged\n\n",
		worst.short-adaptive.short, worst.short, avoided(worst, adaptive), worst.short+worst.tiedUp, avoided(adaptive, worst),
		usd(adaptive.overspent-worst.overspent), share(adaptive.overspent-worst.overspent, adaptive.charged))
	return nil
}

// avoided is how many requests b served that a refused.
func avoided(a, b result) int {
	n := 0
	for id, refused := range a.refused {
		if refused && !b.refused[id] {
			n++
		}
	}
	return n
}

// usd is an amount with four places.
func usd(n pricing.Nano) string {
	return fmt.Sprintf("%.4f", float64(n)/1e9) // a figure for people
}

func share(part, whole pricing.Nano) string {
	if whole == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%.2f%%", 100*float64(part)/float64(whole))
}
