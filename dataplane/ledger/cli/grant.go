package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// grantFlags are what `layers grant` is told.
type grantFlags struct {
	target

	reason, id string
}

// NewGrantCommand is `layers grant ACCOUNT CREDITS`: it adds credits to an account, making it if need be.
func NewGrantCommand() *cobra.Command {
	var f grantFlags
	cmd := &cobra.Command{
		Use:   "grant ACCOUNT CREDITS",
		Short: "Give credits to an account",
		Long: "Give credits to an account, which is made if it is not there. ACCOUNT is NAMESPACE/NAME; without a slash it is\n" +
			"default/NAME. CREDITS is a decimal number of credits, in what the ledger says a credit is.",
		Example: "  layers grant acme 500 --ledger sqlite:layers.db --reason 'welcome'",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.ready(cmd, func(ctx context.Context, l ledger.Ledger) error { return f.run(ctx, cmd, l, args[0], args[1]) })
		},
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&f.reason, "reason", "", "why, for whoever reads the ledger (required)")
	cmd.Flags().StringVar(&f.id, "id", "", "id of the grant: the same id again changes nothing (default: a new one, printed)")
	_ = cmd.MarkFlagRequired("reason") // fails only for a flag that is not there
	return cmd
}

// accountName is an account as an APIKey can name it (api/v1alpha1): a grant to any other could never be spent.
var accountName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9_.]{0,61}[a-z0-9])?$`)

// run posts the grant and prints its id and the new balance.
func (f *grantFlags) run(ctx context.Context, cmd *cobra.Command, l ledger.Ledger, account, credits string) error {
	if strings.TrimSpace(f.reason) == "" {
		return errors.New("granting: the reason is empty")
	}
	perDollar, err := creditsPerDollar(ctx, l)
	if err != nil {
		return err
	}
	amount, err := pricing.ParseCredits(credits, perDollar)
	if err != nil {
		return err
	}
	account = qualified(account)
	if !accountName.MatchString(account) {
		return fmt.Errorf("granting: %q is no account: NAMESPACE/NAME in lower case, as an APIKey names it", account)
	}
	if f.id == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("making an id: %w", err)
		}
		f.id = id.String()
	}
	after, err := l.Grant(ctx, ledger.Grant{ID: f.id, Account: account, Amount: amount, Kind: "manual", Reason: f.reason})
	if err != nil {
		return fmt.Errorf("%w (to try again without granting twice: --id %s)", err, f.id)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "grant %s: %s credits to %s, balance %s credits\n", f.id,
		pricing.FormatCredits(amount, perDollar), after.ID, pricing.FormatCredits(after.Balance, perDollar))
	return nil
}
