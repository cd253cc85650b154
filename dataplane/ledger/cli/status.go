package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// statusFlags are what `layers ledger suspend` and `layers ledger resume` are told.
type statusFlags struct {
	target

	account, reason string
}

// newSuspendCommand is `layers ledger suspend`: all requests of an account are refused.
func newSuspendCommand() *cobra.Command {
	return newStatusCommand(ledger.AccountSuspended, "suspended", &cobra.Command{
		Use:   "suspend",
		Short: "Refuse all requests of an account",
		Long: "Refuse all requests of an account, whichever key they come with, until it is resumed: they are answered 403,\n" +
			"account_suspended, within seconds. Streams that run end where they would hold more. What was served is charged, and\n" +
			"credits may be given. The reason stays in the ledger; no caller is told.",
		Example: "  layers ledger suspend --account default/acme --reason 'chargeback 4711'",
	})
}

// newResumeCommand is `layers ledger resume`: it takes suspend back.
func newResumeCommand() *cobra.Command {
	return newStatusCommand(ledger.AccountActive, "active", &cobra.Command{
		Use:     "resume",
		Short:   "Let a suspended account be served again",
		Long:    "Let an account that was suspended be served again, within seconds. The reason stays in the ledger.",
		Example: "  layers ledger resume --account default/acme --reason 'chargeback 4711 is paid'",
	})
}

func newStatusCommand(status ledger.AccountStatus, word string, cmd *cobra.Command) *cobra.Command {
	var f statusFlags
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return f.ready(cmd, func(ctx context.Context, l ledger.Ledger) error { return f.run(ctx, cmd, l, status, word) })
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&f.account, "account", "", "the account, NAMESPACE/NAME; without a slash it is default/NAME (required)")
	cmd.Flags().StringVar(&f.reason, "reason", "", "why, for whoever reads the ledger (required)")
	_ = cmd.MarkFlagRequired("account") // these fail only for a flag that is not there
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func (f *statusFlags) run(ctx context.Context, cmd *cobra.Command, l ledger.Ledger, status ledger.AccountStatus, word string) error {
	if strings.TrimSpace(f.reason) == "" {
		return errors.New("changing the status of an account: the reason is empty")
	}
	account, err := named(f.account)
	if err != nil {
		return fmt.Errorf("changing the status of an account: %w", err)
	}
	after, err := l.SetAccountStatus(ctx, account, status, f.reason)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s is %s\n", after.ID, word)
	return nil
}
