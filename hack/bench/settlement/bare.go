package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// bareSchema has a table of usage and balances for whoever keeps no ledger, and tables for the other rows that a ledger has.
const bareSchema = `
CREATE TABLE bare_usage (
  request_id TEXT PRIMARY KEY, account TEXT NOT NULL, key_id TEXT NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL, backend TEXT NOT NULL,
  upstream_id TEXT NOT NULL, input_tokens BIGINT NOT NULL, cache_read_tokens BIGINT NOT NULL, cache_write_tokens BIGINT NOT NULL,
  output_tokens BIGINT NOT NULL, reasoning_tokens BIGINT NOT NULL, lines TEXT NOT NULL, price_version TEXT NOT NULL, cost BIGINT NOT NULL,
  charged BIGINT NOT NULL, provider_cost BIGINT NOT NULL, held BIGINT NOT NULL, evidence TEXT NOT NULL, status BIGINT NOT NULL,
  stream BOOLEAN NOT NULL, started_at BIGINT NOT NULL, finished_at BIGINT NOT NULL);
CREATE INDEX bare_usage_account ON bare_usage (account, finished_at);
CREATE TABLE bare_accounts (id TEXT PRIMARY KEY, balance BIGINT NOT NULL);
CREATE TABLE bare_tx (idem_key TEXT PRIMARY KEY, kind TEXT NOT NULL, created_at BIGINT NOT NULL);
CREATE TABLE bare_entries (tx TEXT NOT NULL, account TEXT NOT NULL, amount BIGINT NOT NULL, PRIMARY KEY (tx, account));
CREATE INDEX bare_entries_account ON bare_entries (account);
CREATE TABLE bare_draws (tx TEXT NOT NULL, grant_key TEXT NOT NULL, amount BIGINT NOT NULL, PRIMARY KEY (tx, grant_key));
`

// The lines.
const (
	bareLine = "bare"
	rowsLine = "rows"
	manyLine = "settlement"
	hotLine  = "settlement-hot"
)

func (w *world) lines() []line {
	return []line{
		{bareLine, "one row of usage for each request and one update of balances, in a transaction", func(ctx context.Context, rows int) error {
			return w.bare(ctx, rows, false)
		}},
		{rowsLine, "the same, and the transaction, two entries and one draw of a ledger", func(ctx context.Context, rows int) error {
			return w.bare(ctx, rows, true)
		}},
		{manyLine, "the gateway's, over many accounts", func(ctx context.Context, rows int) error { return w.settle(ctx, rows, w.accounts) }},
		{hotLine, "the gateway's, all on one account", func(ctx context.Context, rows int) error { return w.settle(ctx, rows, 1) }},
	}
}

// bare inserts rows batch by batch, as the settler does, and with whole also the other rows of a ledger.
func (w *world) bare(ctx context.Context, rows int, whole bool) error {
	for done := 0; done < rows; done += batch {
		settled := make([]ledger.Settlement, min(batch, rows-done))
		for i := range settled {
			settled[i] = w.row(w.accounts)
		}
		err := pgx.BeginFunc(ctx, w.conn, func(tx pgx.Tx) error { return bareBatch(ctx, tx, settled, whole) })
		if err != nil {
			return err
		}
	}
	return nil
}

func bareBatch(ctx context.Context, tx pgx.Tx, settled []ledger.Settlement, whole bool) error {
	usage, txs, entries, draws := [][]any{}, [][]any{}, [][]any{}, [][]any{}
	spent := map[string]pricing.Nano{}
	for _, e := range settled {
		lines, err := json.Marshal(e.Lines)
		if err != nil {
			return err
		}
		u := e.Usage
		usage = append(usage, []any{
			e.RequestID, e.Account, e.KeyID, e.Model, e.Provider, e.Backend, e.UpstreamID, u.Input, u.CacheRead, u.CacheWrite, u.Output, u.Reasoning,
			string(lines), e.PriceVersion, e.Cost, e.Charged, e.ProviderCost, e.Held, string(e.Evidence), e.Status, e.Stream, e.StartedAt, e.FinishedAt,
		})
		spent[e.Account] += e.Charged
		key := "settle:" + e.RequestID
		txs = append(txs, []any{key, "settle", e.FinishedAt})
		entries = append(entries, []any{key, e.Account, -e.Charged}, []any{key, "system/revenue", e.Charged})
		draws = append(draws, []any{key, "grant:" + e.Account, e.Charged})
	}
	if err := insert(ctx, tx, "bare_usage", usage, " ON CONFLICT DO NOTHING"); err != nil {
		return err
	}
	if whole {
		for table, rows := range map[string][][]any{"bare_tx": txs, "bare_entries": entries, "bare_draws": draws} {
			if err := insert(ctx, tx, table, rows, " ON CONFLICT DO NOTHING"); err != nil {
				return err
			}
		}
	}
	var balances [][]any
	for _, id := range slices.Sorted(maps.Keys(spent)) {
		balances = append(balances, []any{id, -spent[id]})
	}
	return insert(ctx, tx, "bare_accounts", balances, " ON CONFLICT (id) DO UPDATE SET balance = bare_accounts.balance + excluded.balance")
}

// rowsPerStatement is what the statements were found to be quickest with.
const rowsPerStatement = 100

func insert(ctx context.Context, tx pgx.Tx, table string, rows [][]any, then string) error {
	for part := range slices.Chunk(rows, rowsPerStatement) {
		var values []string
		var args []any
		for _, row := range part {
			var marks []string
			for _, v := range row {
				args = append(args, v)
				marks = append(marks, fmt.Sprintf("$%d", len(args)))
			}
			values = append(values, "("+strings.Join(marks, ", ")+")")
		}
		if _, err := tx.Exec(ctx, "INSERT INTO "+table+" VALUES "+strings.Join(values, ", ")+then, args...); err != nil {
			return fmt.Errorf("inserting into %s: %w", table, err)
		}
	}
	return nil
}
