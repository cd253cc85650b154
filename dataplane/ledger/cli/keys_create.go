package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// createFlags are what `layers keys create` is told.
type createFlags struct {
	target
	outside

	key          ledger.NewKey
	cap, expires string
}

// newCreateCommand is `layers keys create`.
func newCreateCommand(o outside) *cobra.Command {
	f := createFlags{outside: o}
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create a key and print it, once",
		Long: "Create a key and print it on standard output, once: the ledger keeps only its digest. The account, and the user,\n" +
			"are made if they are not there. Accounts, tiers and policies without a slash are default/NAME.",
		Example: "  layers keys create --account acme --name laptop --cap 500 --expires 720h --ledger sqlite:layers.db",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.ready(cmd, func(ctx context.Context, l ledger.Ledger) error { return f.run(ctx, cmd, l) })
		},
	}
	f.target.bind(cmd)
	flags, k := cmd.Flags(), &f.key
	flags.StringVar(&k.Account, "account", "", "account that pays: NAMESPACE/NAME (required)")
	flags.StringVar(&k.Name, "name", "", "what people call the key")
	flags.StringVar(&k.Tier, "tier", "", "Tier of the key: NAMESPACE/NAME (default: the gateway's)")
	flags.StringVar(&k.Policy, "policy", "", "CreditPolicy of the key: NAMESPACE/NAME (default: the gateway's)")
	flags.StringVar(&k.UserID, "user", "", "id of the user whose key it is, as in the table users")
	flags.StringSliceVar(&k.Scopes, "scopes", nil, "what the key may do: Inference, Usage (default: all)")
	flags.StringSliceVar(&k.Models, "models", nil, "public names of models that the key may call (default: all of its tier)")
	flags.StringVar(&f.cap, "cap", "", "credits that the key may spend in each period (default: no cap)")
	flags.StringVar(&k.CapPeriod, "cap-period", ledger.PeriodMonth, "period of the cap, UTC: Day or Month")
	flags.StringVar(&f.expires, "expires", "", "when the key ends: 2027-01-31, 2027-01-31T12:00:00Z, or a duration such as 720h (default: never)")
	flags.StringVar(&k.GatewayUID, "gateway-uid", "", "uid of the AIGateway that takes the key, \"up\" for layers up (default: the only one that the ledger knows)")
	_ = cmd.MarkFlagRequired("account") // fails only for a flag that is not there
	return cmd
}

// run creates the key and prints it.
func (f *createFlags) run(ctx context.Context, cmd *cobra.Command, l ledger.Ledger) error {
	k := f.key
	k.Account, k.Tier, k.Policy, k.Source = qualified(k.Account), qualified(k.Tier), qualified(k.Policy), ledger.SourceCLI
	var err error
	if k.ExpiresAt, err = expiry(f.expires, f.now()); err != nil {
		return err
	}
	if k.CapAmount, err = f.capAmount(ctx, l); err != nil {
		return err
	}
	if k.GatewayUID, err = gatewayOf(ctx, l, k.GatewayUID); err != nil {
		return err
	}
	plain, err := keys.Generate(f.random)
	if err != nil {
		return err
	}
	k.Digest, k.Prefix = keys.Digest(plain), keys.Prefix(plain)
	made, err := l.CreateKey(ctx, k)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "created %s of account %s; this is the only time that it is shown:\n", made.ID, made.Account)
	return show(cmd, plain, made)
}

// show prints a plain key that cannot be shown again.
func show(cmd *cobra.Command, plain string, k ledger.Key) error {
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), plain); err != nil {
		return fmt.Errorf("printing %s: %w; it is lost: revoke it and make another", k.ID, err)
	}
	return nil
}

// capAmount is the cap in nano-USD, in what the ledger says a credit is; 0: none.
func (f *createFlags) capAmount(ctx context.Context, l ledger.Ledger) (pricing.Nano, error) {
	if f.cap == "" {
		return 0, nil
	}
	perDollar, err := creditsPerDollar(ctx, l)
	if err != nil {
		return 0, err
	}
	amount, err := pricing.ParseCredits(f.cap, perDollar)
	if err != nil {
		return 0, fmt.Errorf("reading --cap: %w", err)
	}
	if amount == 0 { // in a row, 0 is no cap
		return 0, errors.New("reading --cap: a cap of 0 lets the key call nothing that costs: leave --cap out for no cap")
	}
	return amount, nil
}

// gatewayOf is whom the key is for.
func gatewayOf(ctx context.Context, l ledger.Ledger, told string) (string, error) {
	if told != "" {
		return told, nil
	}
	known, err := l.Gateways(ctx)
	switch {
	case err != nil:
		return "", err
	case len(known) == 1:
		return known[0], nil
	case len(known) == 0:
		return "", errors.New("the ledger knows no gateway yet: give --gateway-uid (kubectl get aigateway NAME -o jsonpath={.metadata.uid}; \"up\" for layers up)")
	default:
		return "", fmt.Errorf("which gateway? give --gateway-uid, one of %s", strings.Join(known, ", "))
	}
}

// expiry reads a day, an instant or a duration from now, as microseconds; 0 for nothing.
func expiry(text string, now time.Time) (int64, error) {
	if text == "" {
		return 0, nil
	}
	var at time.Time
	var err error
	if d, errDuration := time.ParseDuration(text); errDuration == nil {
		at = now.Add(d)
	} else if at, err = time.Parse(time.DateOnly, text); err != nil {
		if at, err = time.Parse(time.RFC3339, text); err != nil {
			return 0, fmt.Errorf("reading --expires: %q is no day, no instant and no duration", text)
		}
	}
	if !at.After(now) {
		return 0, fmt.Errorf("reading --expires: %s is over", at.UTC().Format(time.RFC3339))
	}
	return at.UnixMicro(), nil
}
