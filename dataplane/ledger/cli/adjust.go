package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// adjustFlags are what `layers ledger adjust` is told.
type adjustFlags struct {
	target

	amount, reason, id string
}

// newAdjustCommand is `layers ledger adjust`: a correction by hand.
func newAdjustCommand() *cobra.Command {
	var f adjustFlags
	cmd := &cobra.Command{
		Use:   "adjust ACCOUNT",
		Short: "Correct an account's balance by hand",
		Long: "Give credits to an account, or take some, with a reason that stays in the ledger. What is taken is drawn from its grants\n" +
			"as a charge is, and may leave the balance below zero. ACCOUNT is NAMESPACE/NAME; without a slash it is default/NAME.",
		Example: "  layers ledger adjust acme --amount=-12.5 --reason 'refund 4711 was paid twice'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.ready(cmd, func(ctx context.Context, l ledger.Ledger) error { return f.run(ctx, cmd, l, args[0]) })
		},
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&f.amount, "amount", "", "credits to give, below zero: to take (required)")
	cmd.Flags().StringVar(&f.reason, "reason", "", "why, for whoever reads the ledger (required)")
	cmd.Flags().StringVar(&f.id, "id", "", "id of the correction: the same id again changes nothing (default: a new one, printed)")
	_ = cmd.MarkFlagRequired("amount") // these fail only for a flag that is not there
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func (f *adjustFlags) run(ctx context.Context, cmd *cobra.Command, l ledger.Ledger, account string) error {
	if strings.TrimSpace(f.reason) == "" {
		return errors.New("adjusting: the reason is empty")
	}
	perDollar, err := creditsPerDollar(ctx, l)
	if err != nil {
		return err
	}
	credits, taken := strings.CutPrefix(f.amount, "-")
	amount, err := pricing.ParseCredits(credits, perDollar)
	if err != nil {
		return err
	}
	if amount == 0 {
		return errors.New("adjusting: by nothing")
	}
	if taken {
		amount = -amount
	}
	if account, err = named(account); err != nil {
		return fmt.Errorf("adjusting: %w", err)
	}
	if _, err := l.Account(ctx, account); err != nil {
		return err // a mistyped name must not make an account
	}
	if f.id, err = idOr(f.id); err != nil {
		return err
	}
	after, err := l.Adjust(ctx, ledger.Adjustment{ID: f.id, Account: account, Amount: amount, Reason: f.reason})
	if err != nil {
		return once(err, "adjusting", f.id)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "adjustment %s: %s credits to %s, balance %s credits\n", f.id,
		pricing.FormatCredits(amount, perDollar), after.ID, pricing.FormatCredits(after.Balance, perDollar))
	return nil
}

// newOverdraftCommand is `layers ledger overdraft`: how far below zero an account may go.
func newOverdraftCommand() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:     "overdraft ACCOUNT CREDITS",
		Short:   "Let an account go below zero, down to a limit",
		Long:    "Let requests of an account be admitted until its balance is CREDITS below zero; 0 takes that away.",
		Example: "  layers ledger overdraft acme 1000",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.ready(cmd, func(ctx context.Context, l ledger.Ledger) error {
				account, err := named(args[0])
				if err != nil {
					return err
				}
				perDollar, err := creditsPerDollar(ctx, l)
				if err != nil {
					return err
				}
				limit, err := pricing.ParseCredits(args[1], perDollar)
				if err != nil {
					return err
				}
				after, err := l.SetOverdraft(ctx, account, limit)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s may go %s credits below zero, balance %s credits\n", after.ID,
					pricing.FormatCredits(after.Overdraft, perDollar), pricing.FormatCredits(after.Balance, perDollar))
				return nil
			})
		},
	}
	t.bind(cmd)
	return cmd
}
