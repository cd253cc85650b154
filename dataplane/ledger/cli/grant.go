package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// grantFlags are what `layers grant` is told.
type grantFlags struct {
	target

	reason, id, kind, source, expires string
	priority                          int64
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
	cmd.Flags().StringVar(&f.kind, "kind", ledger.GrantManual, "manual, promo, subscription or purchased: the first two are drawn first, purchased is drawn last")
	cmd.Flags().StringVar(&f.expires, "expires", "", "when what is left is taken away: a day (2030-01-31, UTC), an instant (2030-01-31T12:00:00Z) or a duration from now (720h)")
	cmd.Flags().Int64Var(&f.priority, "priority", 0, "lower ones are drawn first (default: 10 for manual and promo, 20 for subscription, 30 for purchased)")
	cmd.Flags().StringVar(&f.source, "source", "", "what the grant is for, such as an invoice: no two grants have the same")
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
	if amount == 0 {
		return errors.New("granting: nothing")
	}
	if account, err = named(account); err != nil {
		return fmt.Errorf("granting: %w", err)
	}
	expires, err := endOf(f.expires, time.Now())
	if err != nil {
		return fmt.Errorf("granting: %w", err)
	}
	if f.id, err = idOr(f.id); err != nil {
		return err
	}
	after, err := l.Grant(ctx, ledger.Grant{
		ID: f.id, Account: account, Amount: amount, Kind: f.kind, Reason: f.reason, Source: f.source, Priority: f.priority, ExpiresAt: expires,
	})
	if err != nil {
		return once(err, "granting", f.id)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "grant %s: %s credits to %s, balance %s credits\n", f.id,
		pricing.FormatCredits(amount, perDollar), after.ID, pricing.FormatCredits(after.Balance, perDollar))
	return nil
}

// named is an account that an APIKey can name.
func named(account string) (string, error) {
	if account = qualified(account); !accountName.MatchString(account) {
		return "", fmt.Errorf("%q is no account: NAMESPACE/NAME in lower case, as an APIKey names it", account)
	}
	return account, nil
}

// idOr is an id that was given, or a new one.
func idOr(id string) (string, error) {
	if id != "" {
		return id, nil
	}
	made, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("making an id: %w", err)
	}
	return made.String(), nil
}

// endOf reads an instant after now, or a duration from now, in microseconds; 0: none is given.
func endOf(text string, now time.Time) (int64, error) {
	if text == "" {
		return 0, nil
	}
	at, err := instant(text)
	if d, notDuration := time.ParseDuration(text); notDuration == nil {
		at, err = now.Add(d), nil
	}
	switch {
	case err != nil:
		return 0, err
	case !at.After(now):
		return 0, fmt.Errorf("%s is over already", text)
	default:
		return at.UnixMicro(), nil
	}
}
