package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// What charges and a provider's usage are compared by.
const (
	byDay     = "day"
	byModel   = "model"
	byRequest = "request"
)

// reconcileFlags are what `layers ledger reconcile` is told.
type reconcileFlags struct {
	target
	spanFlags

	file, provider, by, threshold, metrics string
	columns, models                        map[string]string
}

// newReconcileCommand is `layers ledger reconcile`: it compares the ledger with what a provider says that it was used.
func newReconcileCommand() *cobra.Command {
	var f reconcileFlags
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Compare the ledger with a provider's usage export",
		Long:  reconcileLong,
		Example: "  layers ledger reconcile --import usage.csv --provider default/openai --by model --threshold 0.5\n" +
			"  layers ledger reconcile --import costs.csv --provider default/openai --columns date=start_time_iso,cost_usd=amount_value",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.by != byDay && f.by != byModel && f.by != byRequest {
				return fmt.Errorf("--by is day, model or request, not %q", f.by)
			}
			return f.ready(cmd, func(ctx context.Context, l ledger.Ledger) error { return f.run(ctx, cmd, l) })
		},
	}
	f.target.bind(cmd)
	f.spanFlags.bind(cmd)
	cmd.Flags().StringVar(&f.file, "import", "", "the provider's usage export, a .csv or .json file (required)")
	cmd.Flags().StringVar(&f.provider, "provider", "", "the provider's id in the gateway, NAMESPACE/NAME as receipts have it (required)")
	cmd.Flags().StringVar(&f.by, "by", byDay, "what is compared: day, model (of a day) or request")
	cmd.Flags().StringToStringVar(&f.columns, "columns", nil, "what the export calls its columns, such as date=start_time_iso,cost_usd=amount_value")
	cmd.Flags().StringToStringVar(&f.models, "models", nil, "models that the export calls otherwise than the gateway, as THEIRS=OURS")
	cmd.Flags().StringVar(&f.threshold, "threshold", "1", "the drift in percent above which the command fails")
	cmd.Flags().StringVar(&f.metrics, "metrics", "", "file to write the sums and the drift to, as Prometheus' textfile collector reads them")
	_ = cmd.MarkFlagRequired("import") // these fail only for a flag that is not there
	_ = cmd.MarkFlagRequired("provider")
	return cmd
}

// reconcileLong is the command's help.
const reconcileLong = `Compare what the ledger says that a provider asks with the provider's own usage export: a CSV file with a header, or a JSON
array of objects, with these columns in any order (others are ignored):

  date        the day, 2030-01-31, an instant, RFC 3339, or Unix seconds (required for --by day and model)
  cost_usd    what the provider asks, a decimal number of USD (required; or cost_cents, in cents)
  model       the model, under the name that the gateway has for it (for --by model; a row may have none)
  request_id  the provider's id of the answer (required for --by request)

--columns says what an export calls them. Of JSON, a page of an interface is taken, too, with its objects below "data"; what is in an
object of an object has both names with a dot between them, and each of its "results" is a row. So, for exports of

  OpenAI, costs as CSV         --columns date=start_time_iso,cost_usd=amount_value
  OpenAI, /organization/costs  --columns date=start_time,cost_usd=results.amount.value
  Anthropic, cost as CSV       --columns date=usage_date_utc
  Anthropic, cost_report       --columns date=starting_at,cost_cents=results.amount,model=results.model

Rows of one group are added up. The window is that of the export's days unless flags say otherwise, and all of the ledger where it
has none. Every group that differs is printed; the drift is the sum of the differences, whatever their sign, in percent of what
the provider asks. With --by model, what an export has without a model, such as a search or a line item, is a line of its own for each
day, and is set against the models of that day for which the ledger has more than the provider names.

The exit code is 0 where the drift is not above the threshold, 2 where it is, and 1 where it could not be found out.`

// group is what is compared: a day, a model of a day, or a request; unnamed: what a provider has on a day without a model.
type group struct {
	day, model, request string
	unnamed             bool
}

func (g group) String() string {
	if g.request != "" {
		return g.request
	}
	if g.unnamed {
		return g.day + " without a model"
	}
	if g.model != "" {
		return g.day + " " + g.model
	}
	return g.day
}

// pair is what the ledger and the provider say of a group.
type pair struct{ ours, theirs pricing.Nano }

func (f *reconcileFlags) run(ctx context.Context, cmd *cobra.Command, l ledger.Ledger) error {
	threshold, err := decimalOf(f.threshold)
	if err != nil || threshold.Sign() < 0 {
		return fmt.Errorf("--threshold: %q is no percentage", f.threshold)
	}
	file, err := os.Open(f.file)
	if err != nil {
		return fmt.Errorf("reading the export: %w", err)
	}
	defer file.Close()
	names, err := columnsOf(f.columns)
	if err != nil {
		return err
	}
	rows, err := readUsage(file, f.file, f.by, names)
	if err != nil {
		return fmt.Errorf("reading %s: %w", f.file, err)
	}
	w, err := f.window(rows, time.Now())
	if err != nil {
		return err
	}
	pairs, err := f.compare(ctx, l, rows, w)
	if err != nil {
		return err
	}
	found, err := report(cmd.OutOrStdout(), pairs, threshold)
	if f.metrics != "" && found.drift != nil {
		err = errors.Join(err, writeMetrics(f.metrics, f.provider, found))
	}
	return err
}

// window is what the flags say, or the days of the export.
func (f *reconcileFlags) window(rows []usageLine, now time.Time) (ledger.Span, error) {
	w, err := f.span(now)
	if err != nil || f.given() {
		return w, err
	}
	var first, last time.Time
	for _, r := range rows {
		if !r.at.IsZero() && (first.IsZero() || r.at.Before(first)) {
			first = r.at
		}
		if r.at.After(last) {
			last = r.at
		}
	}
	if !first.IsZero() {
		day := 24 * time.Hour
		w = ledger.Span{From: max(0, first.UTC().Truncate(day).UnixMicro()), To: last.UTC().Truncate(day).Add(day).UnixMicro()}
	}
	return w, nil
}

// compare adds both sides up.
func (f *reconcileFlags) compare(ctx context.Context, l ledger.Ledger, rows []usageLine, w ledger.Span) (map[group]pair, error) {
	pairs := map[group]pair{}
	for _, r := range rows {
		if at := r.at.UnixMicro(); !r.at.IsZero() && (at < w.From || at >= w.To) {
			continue
		}
		g := f.group(r.at, cmp.Or(f.models[r.model], r.model), r.request)
		p := pairs[g]
		p.theirs += r.cost
		pairs[g] = p
	}
	err := l.ProviderUsage(ctx, f.provider, w, func(r ledger.ProviderRow) error {
		id := r.UpstreamID
		if id == "" {
			id = r.RequestID // the provider never gave one, so that nothing of the export is the same
		}
		g := f.group(time.UnixMicro(r.FinishedAt), r.Model, id)
		p := pairs[g]
		p.ours += r.Cost
		pairs[g] = p
		return nil
	})
	return pairs, err
}

func (f *reconcileFlags) group(at time.Time, model, request string) group {
	switch day := at.UTC().Format(time.DateOnly); f.by {
	case byRequest:
		return group{request: request}
	case byModel:
		return group{day: day, model: model, unnamed: model == ""}
	default:
		return group{day: day}
	}
}
