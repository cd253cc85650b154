package ledger

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// Recost answers what a request should have cost its customer and what its provider asks, from what its row says. A
// negative number: not known.
type Recost func(Receipt) (cost, provider pricing.Nano, err error)

// FromLines recosts by the lines of a row alone, as pricing.LinesTotal does: with their markup they are the cost, without it
// what the provider asks, unless that has prices of its own, or the row does not say it (rows of older versions).
func FromLines(r Receipt) (cost, provider pricing.Nano, err error) {
	cost, err = pricing.LinesTotal(r.Lines)
	if err != nil || r.ProviderCost == 0 || r.ProviderPrice != "" {
		return cost, -1, err
	}
	bare := slices.Clone(r.Lines)
	for i := range bare {
		bare[i].Markup = ""
	}
	provider, err = pricing.LinesTotal(bare)
	return cost, provider, err
}

// FromPrices recosts by the usage of a row and the versions of prices that it was settled by; the markup is that of its
// lines, which must come to the same. A row whose version is not among them, because it is older than they are, is
// recosted by its lines. What a version that cannot be read should have cost is not known.
func FromPrices(versions []PriceVersion) Recost {
	prices, unread := make(map[string]pricing.Price, len(versions)), map[string]error{}
	for _, v := range versions {
		if p, err := v.Price(); err != nil {
			unread[v.Version] = err
		} else {
			prices[v.Version] = p
		}
	}
	return func(r Receipt) (cost, provider pricing.Nano, err error) {
		if err := cmp.Or(unread[r.PriceVersion], unread[asks(r)]); err != nil {
			return 0, 0, err
		}
		cost, provider, err = FromLines(r)
		p, known := prices[r.PriceVersion]
		if !known || err != nil {
			return cost, provider, err
		}
		byLines := cost
		if cost, err = costOf(r, p); err == nil && byLines != cost {
			err = fmt.Errorf("its lines come to %d, its usage to %d", byLines, cost)
		}
		asked, known := prices[asks(r)]
		if err != nil || r.ProviderCost == 0 || !known {
			return cost, provider, err
		}
		provider, _, err = pricing.Cost(r.Usage, asked)
		return cost, provider, err
	}
}

// asks is the version of what the provider asks.
func asks(r Receipt) string {
	if r.ProviderPrice != "" {
		return r.ProviderPrice
	}
	return r.PriceVersion
}

// costOf is what the usage of a row costs at a price and the markup of its lines.
func costOf(r Receipt, p pricing.Price) (pricing.Nano, error) {
	if len(r.Lines) > 0 && r.Lines[0].Markup != "" {
		var err error
		if p.Markup, err = pricing.ParseRatio(r.Lines[0].Markup); err != nil {
			return 0, err
		}
	}
	cost, _, err := pricing.Cost(r.Usage, p)
	return cost, err
}

// StoredPrices is FromPrices of all versions that a ledger has.
func StoredPrices(ctx context.Context, l interface {
	PriceVersions(ctx context.Context) ([]PriceVersion, error)
}) (Recost, error) {
	versions, err := l.PriceVersions(ctx)
	if err != nil {
		return nil, err
	}
	return FromPrices(versions), nil
}

// recostAll asks what every request of the window should have cost.
func recostAll(ctx context.Context, tx sqldb.Tx, w Span, recost Recost) (problems []string, err error) {
	sql := "SELECT " + usageColumns + ", '', floor FROM usage_logs WHERE evidence IN ('reported', 'estimated') AND finished_at >= $1 AND finished_at < $2 ORDER BY finished_at, request_id"
	err = tx.Each(ctx, sql, []any{w.From, w.To}, func(scan func(...any) error) error {
		r, err := scanReceipt(scan)
		if err != nil || len(problems) >= maxProblems {
			return err
		}
		cost, provider, err := recost(r)
		switch {
		case err != nil:
			problems = append(problems, fmt.Sprintf("request %s: what it should cost is not known: %v", r.RequestID, err))
		case cost >= 0 && cost != r.Cost:
			problems = append(problems, fmt.Sprintf("request %s: its row says that it costs %d, its usage %d", r.RequestID, r.Cost, cost))
		case provider >= 0 && provider != r.ProviderCost:
			problems = append(problems, fmt.Sprintf("request %s: its row says that its provider asks %d, its usage %d", r.RequestID, r.ProviderCost, provider))
		}
		return nil
	})
	return problems, err
}

// Drift counts problems that Check or CheckWindow answered by what they are about: account, adjustment, grant, key, orphan,
// request, settlement or transaction. A kind without problems is there with 0, so that a metric of it never goes away. Of
// each invariant at most 100 violations were answered.
func Drift(problems []string) map[string]int {
	drift := make(map[string]int, len(driftKinds))
	for _, kind := range driftKinds {
		drift[kind] = 0
	}
	for _, p := range problems {
		kind, _, _ := strings.Cut(p, " ")
		drift[kind]++
	}
	return drift
}

// driftKinds are what the sentences of problems begin with.
var driftKinds = []string{"account", "adjustment", "grant", "key", "orphan", "request", "settlement", "transaction"}
