package ledger

import (
	"context"
	"fmt"
	"slices"
)

// adjustOrphans looks at requests that were settled before. It posts the difference where requests that were settled as orphans have ended after all, once for each, and
// makes their usage rows say what is true. It answers what changed in roll-ups.
func (b *book) adjustOrphans(ctx context.Context, again []Settlement) ([]rolled, error) {
	if len(again) == 0 {
		return nil, nil
	}
	rows, err := b.settledRows(ctx, again)
	if err != nil {
		return nil, err
	}
	var late, lost []Settlement
	var accounts []string
	for _, e := range again {
		switch row, there := rows[e.RequestID]; {
		case !there:
			lost = append(lost, e)
		case row.Evidence == EvidenceOrphan && row.Account == e.Account: // of another account's it is a mistake, and a duplicate
			late = append(late, e)
			accounts = append(accounts, e.Account)
		}
	}
	if err := b.restore(ctx, lost); err != nil || len(late) == 0 {
		return nil, err
	}
	if err := b.load(ctx, accounts); err != nil {
		return nil, err
	}
	var changes []rolled
	for _, e := range late {
		change, err := b.adjustOrphan(ctx, e, rows[e.RequestID])
		if err != nil {
			return nil, err
		}
		changes = append(changes, change)
	}
	return changes, nil
}

// settledRows reads what the roll-ups counted of requests that were settled before. Their accounts are locked, so that it
// stays so.
func (b *book) settledRows(ctx context.Context, again []Settlement) (map[string]Settlement, error) {
	found := map[string]Settlement{}
	for part := range slices.Chunk(again, b.tx.Batch()) {
		ids := make([]string, len(part))
		for i, e := range part {
			ids[i] = e.RequestID
		}
		among, args := b.tx.Among(ids, 1)
		sql := "SELECT request_id, evidence, account, key_id, model, provider, charged, cost, provider_cost, finished_at, " +
			"input_tokens + cache_read_tokens + cache_write_tokens + cache_write_1h_tokens, output_tokens FROM usage_logs WHERE request_id " + among
		err := b.tx.Each(ctx, sql, args, func(scan func(...any) error) error {
			var r Settlement
			err := scan(&r.RequestID, (*string)(&r.Evidence), &r.Account, &r.KeyID, &r.Model, &r.Provider, &r.Charged, &r.Cost, &r.ProviderCost, &r.FinishedAt, &r.Usage.Input, &r.Usage.Output)
			found[r.RequestID] = r
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// restore writes the usage rows of requests that were charged before, though their rows are gone.
func (b *book) restore(ctx context.Context, lost []Settlement) error {
	rows := make([][]any, len(lost))
	for i, e := range lost {
		row, err := usageRow(e)
		if err != nil {
			return err
		}
		rows[i] = row
	}
	return b.tx.Run(ctx, insertNew(b.tx, "usage_logs", usageColumns+rolledUp, "request_id", rows, map[string]bool{})...)
}

// adjustOrphan posts one difference. The row keeps its place in time, which is when the floor was charged.
func (b *book) adjustOrphan(ctx context.Context, e, was Settlement) (rolled, error) {
	a, key, more := b.accounts[e.Account], "adjust:"+e.RequestID, e.Charged-was.Charged
	kind := kindAdjust
	if more == 0 {
		kind = kindFree
	}
	b.post(key, kind, settleKey(e), "")
	switch {
	case more > 0:
		b.debit(a, key, "revenue", more, e.FinishedAt)
	case more < 0:
		from, err := b.lastDrawn(ctx, settleKey(e))
		if err != nil {
			return rolled{}, err
		}
		b.giveBack(a, key, "revenue", "settled late", -more, from)
	}
	row, err := usageRow(e)
	if err != nil {
		return rolled{}, err
	}
	const sql = "UPDATE usage_logs SET upstream_id = $3, input_tokens = $4, cache_read_tokens = $5, cache_write_tokens = $6, cache_write_1h_tokens = $7, output_tokens = $8, " +
		"reasoning_tokens = $9, searches = $10, lines = $11, price_version = $12, cost = $13, floor = charged, charged = $14, evidence = $15, status = $16, provider_cost = $17, usage = $18, " +
		"provider_price = $19, disconnect = $20 " +
		"WHERE request_id = $1 AND finished_at = $2"
	args := append([]any{e.RequestID, was.FinishedAt}, row[6:18]...) // upstream_id to charged
	if _, err := b.tx.Exec(ctx, sql, append(args, string(e.Evidence), e.Status, e.ProviderCost, row[26], e.ProviderPrice, e.Disconnect)...); err != nil {
		return rolled{}, fmt.Errorf("adjusting %s: %w", e.RequestID, err)
	}
	return difference(e, was), nil
}

// lastDrawn is the last grant that a transaction drew from; nil: it drew none.
func (b *book) lastDrawn(ctx context.Context, tx string) (last *grant, err error) {
	sql := "SELECT " + grantColumns + " FROM credit_grants WHERE idem_key IN (SELECT grant_key FROM grant_draws WHERE tx = $1)"
	err = b.tx.Each(ctx, sql, []any{tx}, func(scan func(...any) error) error {
		g, err := scanGrant(scan)
		if last == nil || drawOrder(last, g) < 0 {
			last = g
		}
		return err
	})
	return last, err
}
