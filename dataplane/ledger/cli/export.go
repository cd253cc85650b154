package cli

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// exportFlags are what `layers ledger export` is told.
type exportFlags struct {
	target
	spanFlags

	format string
}

// newExportCommand is `layers ledger export`: it writes entries to its output.
func newExportCommand() *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the ledger's entries as CSV or JSON",
		Long: "Write the entries that were posted in a window, in the order in which they were: posted_at (RFC 3339, UTC), transaction,\n" +
			"kind, account, amount_nano_usd, amount_usd, reason. The entries of a transaction sum to zero.",
		Example: "  layers ledger export --format csv --from 2030-01-01 --to 2030-02-01 > january.csv",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.format != "csv" && f.format != "json" {
				return fmt.Errorf("--format is csv or json, not %q", f.format)
			}
			w, err := f.span(time.Now())
			if err != nil {
				return err
			}
			return f.ready(cmd, func(ctx context.Context, l ledger.Ledger) error {
				if f.format == "csv" {
					return exportCSV(ctx, l, w, cmd.OutOrStdout())
				}
				return exportJSON(ctx, l, w, cmd.OutOrStdout())
			})
		},
	}
	f.target.bind(cmd)
	f.spanFlags.bind(cmd)
	cmd.Flags().StringVar(&f.format, "format", "csv", "csv or json")
	return cmd
}

// exported is an entry as it is written.
type exported struct {
	PostedAt    string       `json:"posted_at"`
	Transaction string       `json:"transaction"`
	Kind        string       `json:"kind"`
	Account     string       `json:"account"`
	AmountNano  pricing.Nano `json:"amount_nano_usd"`
	AmountUSD   string       `json:"amount_usd"`
	Reason      string       `json:"reason"`
}

func export(e ledger.Entry) exported {
	return exported{time.UnixMicro(e.PostedAt).UTC().Format("2006-01-02T15:04:05.000000Z07:00"), e.Tx, e.Kind, e.Account, e.Amount, pricing.FormatUSD(e.Amount), e.Reason}
}

func exportCSV(ctx context.Context, l ledger.Ledger, w ledger.Span, to io.Writer) error {
	out := csv.NewWriter(to)
	if err := out.Write([]string{"posted_at", "transaction", "kind", "account", "amount_nano_usd", "amount_usd", "reason"}); err != nil {
		return err
	}
	err := l.Entries(ctx, w, func(entry ledger.Entry) error {
		e := export(entry)
		return out.Write([]string{e.PostedAt, e.Transaction, e.Kind, e.Account, strconv.FormatInt(e.AmountNano, 10), e.AmountUSD, harmless(e.Reason)})
	})
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// harmless keeps a spreadsheet from taking what somebody wrote for a formula.
func harmless(text string) string {
	if text != "" && (text[0] == '=' || text[0] == '+' || text[0] == '-' || text[0] == '@' || text[0] == '\t' || text[0] == '\r') {
		return "'" + text
	}
	return text
}

// exportJSON writes an array, an entry a line, so that it can be read as a stream, too.
func exportJSON(ctx context.Context, l ledger.Ledger, w ledger.Span, to io.Writer) error {
	before := "["
	err := l.Entries(ctx, w, func(e ledger.Entry) error {
		line, err := json.Marshal(export(e))
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(to, "%s\n%s", before, line)
		before = ","
		return err
	})
	if err != nil {
		return err
	}
	if before == "[" {
		_, err = fmt.Fprintln(to, "[]")
	} else {
		_, err = fmt.Fprintln(to, "\n]")
	}
	return err
}
