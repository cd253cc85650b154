package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// listFlags are what `layers keys list` is told.
type listFlags struct {
	target
	outside

	account, output string
	all             bool
}

// newListCommand is `layers keys list`.
func newListCommand(o outside) *cobra.Command {
	f := listFlags{outside: o}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List keys, of objects too, without their secrets",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.output != "table" && f.output != "json" {
				return fmt.Errorf("--output is table or json, not %q", f.output)
			}
			return f.ready(cmd, func(ctx context.Context, l ledger.Ledger) error { return f.run(ctx, cmd, l) })
		},
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&f.account, "account", "", "only the keys of this account: NAMESPACE/NAME")
	cmd.Flags().StringVar(&f.output, "output", "table", "table or json")
	cmd.Flags().BoolVar(&f.all, "all", false, "revoked keys, too")
	return cmd
}

// listed is a key as JSON says it.
type listed struct {
	ID         string   `json:"id"`
	KeyPrefix  string   `json:"keyPrefix,omitempty"`
	Name       string   `json:"name,omitempty"`
	Account    string   `json:"account"`
	User       string   `json:"user,omitempty"`
	State      string   `json:"state"` // active, disabled, revoked or expired
	Tier       string   `json:"tier,omitempty"`
	Policy     string   `json:"policy,omitempty"`
	Scopes     []string `json:"scopes,omitempty"` // none: all
	Models     []string `json:"models,omitempty"` // none: all of the tier
	CapCredits string   `json:"capCredits,omitempty"`
	CapPeriod  string   `json:"capPeriod,omitempty"`
	CreatedAt  string   `json:"createdAt,omitempty"`
	ExpiresAt  string   `json:"expiresAt,omitempty"`
	Source     string   `json:"source"`
	Object     string   `json:"object,omitempty"`
	GatewayUID string   `json:"gatewayUID,omitempty"`
}

func (f *listFlags) run(ctx context.Context, cmd *cobra.Command, l ledger.Ledger) error {
	perDollar, err := creditsPerDollar(ctx, l)
	if err != nil {
		return err
	}
	rows, err := l.ListKeys(ctx, qualified(f.account))
	if err != nil {
		return err
	}
	list := []listed{}
	for _, k := range rows {
		if f.all || k.State != ledger.KeyRevoked {
			list = append(list, f.listed(k, perDollar))
		}
	}
	if f.output == "json" {
		out := json.NewEncoder(cmd.OutOrStdout())
		out.SetIndent("", "  ")
		return out.Encode(list)
	}
	return table(cmd.OutOrStdout(), list)
}

func (f *listFlags) listed(k ledger.Key, perDollar int64) listed {
	out := listed{
		ID: k.ID, KeyPrefix: k.Prefix, Name: k.Name, Account: k.Account, User: k.UserID, State: string(k.State), Tier: k.Tier, Policy: k.Policy,
		Scopes: k.Scopes, Models: k.Models, CreatedAt: created(k.ID), Source: k.Source, Object: k.ObjectName, GatewayUID: k.GatewayUID,
	}
	if k.State != ledger.KeyRevoked && k.Expired(f.now()) {
		out.State = "expired"
	}
	if k.CapAmount > 0 {
		out.CapCredits, out.CapPeriod = pricing.FormatCredits(k.CapAmount, perDollar), k.CapPeriod
	}
	if k.ExpiresAt != 0 {
		out.ExpiresAt = time.UnixMicro(k.ExpiresAt).UTC().Format(time.RFC3339)
	}
	return out
}

// created is when a row was made, as its id (a UUIDv7) says; empty for another id.
func created(id string) string {
	u, err := uuid.Parse(strings.TrimPrefix(id, "key_"))
	if err != nil || u.Version() != 7 {
		return ""
	}
	seconds, nanos := u.Time().UnixTime()
	return time.Unix(seconds, nanos).UTC().Format(time.RFC3339)
}

// table prints what fits a line; "-" stands for nothing.
func table(w io.Writer, list []listed) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "ID\tKEY\tNAME\tACCOUNT\tSTATE\tTIER\tCAP\tEXPIRES\tSOURCE")
	for _, k := range list {
		key, limit := k.KeyPrefix, k.CapCredits
		if key != "" {
			key += "..."
		}
		if limit != "" {
			limit += " a " + strings.ToLower(k.CapPeriod)
		}
		cells := []string{k.ID, key, k.Name, k.Account, k.State, k.Tier, limit, k.ExpiresAt, k.Source}
		for i, cell := range cells {
			if cell == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(out, strings.Join(cells, "\t"))
	}
	return out.Flush()
}
