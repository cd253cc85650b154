package ledger

import (
	"context"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// Span is the time in [From, To), microseconds.
type Span struct{ From, To int64 }

// Entry is one side of a transaction as it was posted.
type Entry struct {
	// Tx is the transaction's idempotency key, Kind its kind (grant, settle, adjust, expire, effect, correction).
	Tx, Kind string
	// Account is a customer's, or begins with "system/"; Amount in nano-USD is what it was given (taken from it, below zero).
	Account string
	Amount  pricing.Nano
	// Reason is why, where somebody said it.
	Reason string
	// PostedAt is when, in microseconds.
	PostedAt int64
}

// Entries reads entries on one consistent view.
func (s *store) Entries(ctx context.Context, w Span, fn func(Entry) error) error {
	const sql = "SELECT t.idem_key, t.kind, e.account, e.amount, COALESCE(NULLIF(t.reason, ''), g.reason, ''), t.created_at FROM ledger_tx t JOIN ledger_entries e ON e.tx = t.idem_key " +
		"LEFT JOIN credit_grants g ON g.idem_key = t.idem_key WHERE t.created_at >= $1 AND t.created_at < $2 ORDER BY t.created_at, t.idem_key, e.account"
	err := s.db.Snapshot(ctx, func(tx sqldb.Tx) error {
		return tx.Each(ctx, sql, []any{w.From, w.To}, func(scan func(...any) error) error {
			var e Entry
			if err := scan(&e.Tx, &e.Kind, &e.Account, &e.Amount, &e.Reason, &e.PostedAt); err != nil {
				return err
			}
			return fn(e)
		})
	})
	return wrap("reading entries", err)
}

// ProviderRow is what one request used at its provider.
type ProviderRow struct {
	RequestID, UpstreamID, Provider, Model string
	InputTokens, OutputTokens              int64        // Input has cached and cache writing tokens, too
	Cost                                   pricing.Nano // what the provider asks; where the row does not say it, what the request costs
	FinishedAt                             int64
}

// ProviderUsage reads what was used of a provider. Answers that were free for the customer count, if the provider asks for
// them.
func (s *store) ProviderUsage(ctx context.Context, provider string, w Span, fn func(ProviderRow) error) error {
	const sql = "SELECT request_id, upstream_id, provider, model, input_tokens + cache_read_tokens + cache_write_tokens + cache_write_1h_tokens, output_tokens, CASE WHEN provider_cost = 0 AND provider_price = '' THEN cost ELSE provider_cost END, finished_at " +
		"FROM usage_logs WHERE finished_at >= $1 AND finished_at < $2 AND ($3 = '' OR provider = $3) ORDER BY finished_at, request_id"
	err := s.db.Snapshot(ctx, func(tx sqldb.Tx) error {
		return tx.Each(ctx, sql, []any{w.From, w.To, provider}, func(scan func(...any) error) error {
			var r ProviderRow
			if err := scan(&r.RequestID, &r.UpstreamID, &r.Provider, &r.Model, &r.InputTokens, &r.OutputTokens, &r.Cost, &r.FinishedAt); err != nil {
				return err
			}
			return fn(r)
		})
	})
	return wrap("reading usage of a provider", err)
}
