package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// checkFlags are what `layers ledger check` is told.
type checkFlags struct {
	target
	spanFlags
}

// newCheckCommand is `layers ledger check`: it prints what is unsound, a line each, and fails if there is any.
func newCheckCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Verify the ledger's invariants",
		Long: "Verify that entries sum to zero for each transaction and to the balance for each account, that draws and what remains\n" +
			"are each grant's amount, that each request was settled once, at what it costs, and that sums by day and by key are the sums.\n" +
			"With a window, only what was posted and finished in it, and the bill of each request is computed again from its usage\n" +
			"and the version of the prices that it was settled by; a window reads less, and is what a nightly job wants.\n\n" +
			"What does not agree is printed, a line each and at most a hundred of each rule, then how much that is of each kind. The exit\n" +
			"code is 0 only for a ledger that is sound; it is 2 where it is not, and 1 where that could not be found out.",
		Example: "  layers ledger check --ledger sqlite:layers.db\n  layers ledger check --window yesterday\n" +
			"  layers ledger check --from 2030-01-01 --to 2030-02-01",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.ready(cmd, func(ctx context.Context, l ledger.Ledger) error { return f.run(ctx, cmd, l) })
		},
	}
	f.target.bind(cmd)
	f.spanFlags.bind(cmd)
	return cmd
}

func (f *checkFlags) run(ctx context.Context, cmd *cobra.Command, l ledger.Ledger) error {
	problems, err := f.problems(ctx, l)
	if err != nil {
		return err
	}
	if len(problems) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "the ledger is sound")
		return nil
	}
	for _, p := range problems {
		fmt.Fprintln(cmd.OutOrStdout(), p)
	}
	printDrift(cmd.OutOrStdout(), ledger.Drift(problems))
	return driftError{fmt.Errorf("the ledger is not sound: %d problems", len(problems))}
}

func (f *checkFlags) problems(ctx context.Context, l ledger.Ledger) ([]string, error) {
	if !f.given() {
		return l.Check(ctx)
	}
	w, err := f.span(time.Now())
	if err != nil {
		return nil, err
	}
	recost, err := ledger.StoredPrices(ctx, l)
	if err != nil {
		return nil, err
	}
	return l.CheckWindow(ctx, w, recost)
}

func printDrift(out io.Writer, drift map[string]int) {
	for _, kind := range slices.Sorted(maps.Keys(drift)) {
		if drift[kind] > 0 {
			fmt.Fprintf(out, "drift of kind %s: %d\n", kind, drift[kind])
		}
	}
}
