package cli

import (
	"context"
	"fmt"
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
			"are each grant's amount, and that each request was settled once. With a window, only what was posted and finished in it,\n" +
			"and the bill of each request is computed again, too; a window reads less, and is what a nightly job wants.",
		Example: "  layers ledger check --ledger sqlite:layers.db\n  layers ledger check --from 2030-01-30 --to 2030-01-31",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.ready(cmd, func(ctx context.Context, l ledger.Ledger) error { return f.run(ctx, cmd, l) })
		},
	}
	f.target.bind(cmd)
	f.spanFlags.bind(cmd)
	return cmd
}

func (f *checkFlags) run(ctx context.Context, cmd *cobra.Command, l ledger.Ledger) error {
	var problems []string
	var err error
	if f.given() {
		var w ledger.Span
		if w, err = f.span(time.Now()); err != nil {
			return err
		}
		problems, err = l.CheckWindow(ctx, w, ledger.FromLines)
	} else {
		problems, err = l.Check(ctx)
	}
	if err != nil {
		return err
	}
	for _, p := range problems {
		fmt.Fprintln(cmd.OutOrStdout(), p)
	}
	if len(problems) > 0 {
		return fmt.Errorf("the ledger is not sound: %d problems", len(problems))
	}
	fmt.Fprintln(cmd.OutOrStdout(), "the ledger is sound")
	return nil
}
