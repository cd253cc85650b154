package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"os"
	"slices"

	"github.com/layers-dev/layers/dataplane/pricing"
)

// driftError says that a command has done its work and that something does not agree.
type driftError struct{ error }

// ExitCode is not that of failures: whoever runs the command by a clock tells a drift from a ledger that was away.
func (driftError) ExitCode() int { return 2 }

// Unwrap answers what does not agree.
func (d driftError) Unwrap() error { return d.error }

// dayDrift is what differs on one day, in nano-USD.
type dayDrift struct {
	// more is what the ledger has beyond the provider, less what it lacks, in groups that both name; unnamed is the provider's without a
	// model.
	more, less, unnamed big.Int
}

// sum is the differences of the day, whatever their sign, after what has no name was set against what it may be of: a charge without a
// model against models for which the ledger has more, a credit against those for which it has less.
func (d *dayDrift) sum() *big.Int {
	against := &d.more
	if d.unnamed.Sign() < 0 {
		against = &d.less
	}
	rest := new(big.Int).Abs(&d.unnamed)
	covered := new(big.Int).Set(rest)
	if covered.Cmp(against) > 0 {
		covered.Set(against)
	}
	out := new(big.Int).Add(&d.more, &d.less)
	out.Add(out, rest)
	return out.Sub(out, covered.Lsh(covered, 1))
}

func (d *dayDrift) add(g group, p pair) {
	difference := big.NewInt(p.ours - p.theirs)
	switch {
	case g.unnamed:
		d.unnamed.Sub(&d.unnamed, difference)
	case difference.Sign() > 0:
		d.more.Add(&d.more, difference)
	default:
		d.less.Sub(&d.less, difference)
	}
}

// totals are in nano-USD.
type totals struct{ ours, theirs, drift *big.Int }

// report prints what differs and the drift; a driftError where that is above the threshold.
func report(out io.Writer, pairs map[group]pair, threshold *big.Rat) (totals, error) {
	if len(pairs) == 0 {
		return totals{}, errors.New("there is nothing to compare: neither the ledger nor the export has usage in the window")
	}
	ours, theirs, drift, days := new(big.Int), new(big.Int), new(big.Int), map[string]*dayDrift{}
	order := slices.SortedFunc(maps.Keys(pairs), func(a, b group) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.model, b.model), cmp.Compare(a.request, b.request))
	})
	for _, g := range order {
		p := pairs[g]
		ours.Add(ours, big.NewInt(p.ours))
		theirs.Add(theirs, big.NewInt(p.theirs))
		if days[g.day] == nil {
			days[g.day] = &dayDrift{}
		}
		days[g.day].add(g, p)
		if d := p.ours - p.theirs; d != 0 {
			fmt.Fprintf(out, "%s: the ledger has %s USD, the provider %s USD, difference %s USD\n", g, pricing.FormatUSD(p.ours), pricing.FormatUSD(p.theirs), pricing.FormatUSD(d))
		}
	}
	for _, d := range days {
		drift.Add(drift, d.sum())
	}
	percent := "unbounded"
	above := drift.Sign() > 0
	if theirs.Sign() > 0 {
		share := new(big.Rat).SetFrac(new(big.Int).Mul(drift, big.NewInt(100)), theirs)
		percent, above = share.FloatString(3)+" %", share.Cmp(threshold) > 0
	}
	fmt.Fprintf(out, "ledger %s USD, provider %s USD, drift %s USD (%s) in %d groups\n",
		usd(ours), usd(theirs), usd(drift), percent, len(pairs))
	if above {
		return totals{ours, theirs, drift}, driftError{fmt.Errorf("the drift is above the threshold of %s %%", threshold.RatString())}
	}
	return totals{ours, theirs, drift}, nil
}

// writeMetrics replaces a file by the totals as Prometheus reads them, in one step: whoever collects such files finds all or nothing new.
func writeMetrics(path, provider string, t totals) error {
	text := fmt.Sprintf(`# HELP layers_reconciled_usd What the ledger and the provider say that the provider asks, in the window that was compared last.
# TYPE layers_reconciled_usd gauge
layers_reconciled_usd{provider=%[1]q,by="ledger"} %[2]s
layers_reconciled_usd{provider=%[1]q,by="provider"} %[3]s
# HELP layers_reconciled_drift_usd The sum of the differences between them, whatever their sign.
# TYPE layers_reconciled_drift_usd gauge
layers_reconciled_drift_usd{provider=%[1]q} %[4]s
`, provider, usd(t.ours), usd(t.theirs), usd(t.drift))
	next := path + ".tmp"
	err := os.WriteFile(next, []byte(text), 0o644) //nolint:gosec // others read it
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return fmt.Errorf("writing the metrics: %w", err)
	}
	return nil
}

// usd writes a sum of nano-USD.
func usd(nano *big.Int) string {
	return new(big.Rat).SetFrac(nano, big.NewInt(1_000_000_000)).FloatString(9)
}
