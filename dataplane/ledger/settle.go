package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// MaxSettle bounds how many settlements one call of Settle takes.
const MaxSettle = 1000

// maxText bounds, in bytes, ids that others made.
const maxText = 200

// usageColumns are the columns of usage_logs that a receipt has, in the order of usageRow.
const usageColumns = "request_id, account, key_id, model, provider, backend, upstream_id, input_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, " +
	"output_tokens, reasoning_tokens, searches, lines, price_version, cost, charged, held, evidence, status, stream, started_at, finished_at, provider_cost, orphan_charge, usage, " +
	"provider_price, disconnect"

// rolledUp are the last columns of a row that is counted in key_windows and in usage_daily.
const rolledUp = ", rolled_up, rolled_daily"

// state is what a batch leaves: accounts by id, what keys have spent in the windows that it moved, which requests were new, and
// the windows of those that were adjusted, which are where the orphan counted.
type state struct {
	accounts map[string]Account
	spent    map[keyWindow]pricing.Nano
	fresh    map[string]bool
	adjusted map[string][]keyWindow
}

// windows are where a settlement counts.
func (s state) windows(e Settlement) []keyWindow {
	if moved, adjusted := s.adjusted[e.RequestID]; adjusted {
		return moved
	}
	return windowsOf(e)
}

// Settle posts settlements in one transaction. An account that is not there is made, at zero: money is not lost for it.
func (s *store) Settle(ctx context.Context, batch []Settlement) ([]Settled, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	if len(batch) > MaxSettle {
		return nil, fmt.Errorf("%w settlements: %d at once, at most %d", errInvalid, len(batch), MaxSettle)
	}
	accounts := make([]string, len(batch))
	for i, e := range batch {
		if err := checkSettlement(e); err != nil {
			return nil, err
		}
		accounts[i] = e.Account
	}
	settled, err := s.settleAll(ctx, batch, accounts, false)
	if errors.Is(err, ErrNotFound) || errors.Is(err, sqldb.ErrTaken) {
		settled, err = s.settleAll(ctx, batch, accounts, true)
	}
	if err != nil {
		return nil, wrap("settling", err)
	}
	return settled, nil
}

// settleAll settles a batch in one transaction. What hardly ever happens is not looked for unless carefully: accounts that are
// not there (ErrNotFound then), requests that were settled before, and usage rows without a transaction (ErrTaken).
//
// What no account is needed for comes first, and is about half of the work: accounts are locked for the rest alone, so that of
// two batches that have an account in common the second one is half done when the first one ends.
func (s *store) settleAll(ctx context.Context, batch []Settlement, accounts []string, carefully bool) ([]Settled, error) {
	var settled []Settled
	err := s.db.Write(ctx, func(tx sqldb.Tx) error {
		once := firsts(batch)
		b := s.newBook(tx)
		b.carefully = carefully
		after := state{accounts: map[string]Account{}, spent: map[keyWindow]pricing.Nano{}, adjusted: map[string][]keyWindow{}}
		posted, err := b.postSettlements(ctx, once)
		if err != nil {
			return err
		}
		if after.fresh, err = b.insertUsage(ctx, once, posted); err != nil {
			return err
		}
		if err := b.enterSettlements(ctx, once, after.fresh); err != nil {
			return err
		}
		if err := b.open(ctx, accounts); err != nil {
			return err
		}
		if err := b.settle(ctx, once, &after); err != nil {
			return err
		}
		settled, err = answers(ctx, tx, batch, after)
		return err
	})
	return settled, err
}

// postSettlements inserts the transactions of settlements, carefully those that are not there yet: their keys tell what is new.
// Where all are new, which they nearly always are, that is not asked for row by row, in a third less time. They are inserted in
// one order and before accounts are locked, so that two batches with the same requests never wait for each other. A replica of
// the version before locks accounts first: where both settle a request at the same instant one may be undone, and runs again.
func (b *book) postSettlements(ctx context.Context, once []Settlement) (map[string]bool, error) {
	posted := make(map[string]bool, len(once))
	txs := make([][]any, len(once))
	for i, e := range once {
		kind := kindSettle
		if e.Charged == 0 {
			kind = kindFree
		}
		txs[i] = []any{settleKey(e), kind, b.now}
	}
	slices.SortFunc(txs, func(a, b []any) int { return strings.Compare(a[0].(string), b[0].(string)) })
	if !b.carefully {
		for _, row := range txs {
			posted[row[0].(string)] = true
		}
		return posted, b.tx.Copy(ctx, "ledger_tx", "idem_key, kind, created_at", txs)
	}
	return posted, b.tx.Run(ctx, insertNew(b.tx, "ledger_tx", "idem_key, kind, created_at", "idem_key", txs, posted)...)
}

// enterSettlements writes the entries of settlements that are new.
func (b *book) enterSettlements(ctx context.Context, once []Settlement, fresh map[string]bool) error {
	rows := make([][]any, 0, 2*len(once))
	for _, e := range once {
		if fresh[e.RequestID] && e.Charged > 0 {
			key := settleKey(e)
			rows = append(rows, []any{key, e.Account, -e.Charged}, []any{key, systemPrefix + "revenue", e.Charged})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return b.tx.Copy(ctx, "ledger_entries", "tx, account, amount", rows)
}

// open locks the accounts of a batch and reads their grants, where they are all there at once; carefully it makes those that
// are not.
func (b *book) open(ctx context.Context, accounts []string) error {
	ids := slices.Compact(slices.Sorted(slices.Values(accounts)))
	if b.carefully {
		return b.tx.Run(ctx, append(b.making(ids), b.lock(ids))...)
	}
	if err := b.tx.Run(ctx, b.lock(ids), b.read(ids)); err != nil {
		return err
	}
	if len(b.accounts) < len(ids) {
		return ErrNotFound
	}
	b.loaded(ids)
	return nil
}

// firsts are the settlements that count of a batch, one for each request in the order in which they come: its first one,
// but an orphan only if there is nothing else.
func firsts(batch []Settlement) []Settlement {
	at := make(map[string]int, len(batch))
	out := make([]Settlement, 0, len(batch))
	for _, e := range batch {
		i, there := at[e.RequestID]
		switch {
		case !there:
			at[e.RequestID] = len(out)
			out = append(out, e)
		case out[i].Evidence == EvidenceOrphan && e.Evidence != EvidenceOrphan:
			out[i] = e
		}
	}
	return out
}

// checkSettlement is why a settlement must not be posted.
func checkSettlement(e Settlement) error {
	known := e.Evidence == EvidenceReported || e.Evidence == EvidenceEstimated || e.Evidence == EvidenceFree || e.Evidence == EvidenceOrphan
	switch {
	case e.RequestID == "" || len(e.RequestID) > maxText:
		return fmt.Errorf("%w settlement: request id of %d bytes", errInvalid, len(e.RequestID))
	case e.Charged < 0 || e.Charged > maxAmount || e.Cost < 0 || e.Held < 0 || e.ProviderCost < 0:
		return fmt.Errorf("%w settlement %s: charged %d, cost %d, of the provider %d, held %d", errInvalid, e.RequestID, e.Charged, e.Cost, e.ProviderCost, e.Held)
	case !known || (e.Evidence == EvidenceOrphan) != (e.OrphanCharge != ""):
		return fmt.Errorf("%w settlement %s: evidence %q, orphans charged %q", errInvalid, e.RequestID, e.Evidence, e.OrphanCharge)
	case e.Disconnect != "" && e.Disconnect != DisconnectCancelled && e.Disconnect != DisconnectDrained:
		return fmt.Errorf("%w settlement %s: disconnect %q", errInvalid, e.RequestID, e.Disconnect)
	case e.Evidence == EvidenceOrphan && e.Charged != 0 && e.Charged != Floor(e.OrphanCharge, e.Held, e.Cost):
		return fmt.Errorf("%w settlement %s: an orphan charged %d, holding %d", errInvalid, e.RequestID, e.Charged, e.Held)
	}
	return checkAccount(e.Account)
}

// usageRow is the row of one settlement.
func usageRow(e Settlement) ([]any, error) {
	lines, err := json.Marshal(e.Lines)
	if err != nil {
		return nil, fmt.Errorf("writing the lines of %s: %w", e.RequestID, err)
	}
	u := e.Usage
	usage, err := json.Marshal(u)
	if err != nil {
		return nil, fmt.Errorf("writing the usage of %s: %w", e.RequestID, err)
	}
	return []any{
		e.RequestID, e.Account, e.KeyID, e.Model, e.Provider, e.Backend, clean(e.UpstreamID), u.Input, u.CacheRead, u.CacheWrite, u.CacheWrite1h,
		u.Output, u.Reasoning, u.Searches, string(lines), e.PriceVersion, e.Cost, e.Charged, e.Held, string(e.Evidence), e.Status, e.Stream, e.StartedAt, e.FinishedAt,
		e.ProviderCost, e.OrphanCharge, string(usage), e.ProviderPrice, e.Disconnect, true, true,
	}, nil
}

// clean makes text that a provider chose fit for a column: PostgreSQL refuses NUL and what is no UTF-8, and one refused row
// would hold up every other one.
func clean(s string) string {
	s = strings.ReplaceAll(s[:min(len(s), maxText)], "\x00", "")
	return strings.ToValidUTF8(s, "")
}

// settle posts what is new. What is not new may be the late end of an orphan.
func (b *book) settle(ctx context.Context, once []Settlement, after *state) error {
	var charged []string
	var again []Settlement
	for _, e := range once {
		switch {
		case after.fresh[e.RequestID] && e.Charged > 0:
			charged = append(charged, e.Account)
		case !after.fresh[e.RequestID] && e.Evidence != EvidenceOrphan:
			again = append(again, e)
		}
	}
	if err := b.load(ctx, charged); err != nil {
		return err
	}
	rolled := make([]rolled, 0, len(once))
	for _, e := range once {
		if after.fresh[e.RequestID] {
			if e.Charged > 0 {
				b.draw(b.accounts[e.Account], settleKey(e), e.Charged, e.FinishedAt) // it has its entries
			}
			rolled = append(rolled, whole(e))
		}
	}
	late, err := b.adjustOrphans(ctx, again)
	if err != nil {
		return err
	}
	for _, r := range late {
		after.adjusted[r.RequestID] = windowsOf(r.Settlement)
	}
	if err := b.releaseHolds(ctx, once, after.fresh); err != nil {
		return err
	}
	changed, err := b.flush(ctx, b.rollUp(append(rolled, late...), after.spent)...)
	if err != nil {
		return err
	}
	for id, a := range b.accounts {
		after.accounts[id] = a.Account
	}
	maps.Copy(after.accounts, changed)
	return nil
}

// insertUsage inserts the usage rows of transactions that are new and answers which requests those are. Rows of usage may be
// thrown away, transactions may not: they say what is new. A usage row without one was written by the version before, of an
// answer that was free.
func (b *book) insertUsage(ctx context.Context, once []Settlement, posted map[string]bool) (map[string]bool, error) {
	var usage [][]any
	fresh := make(map[string]bool, len(once))
	for _, e := range once {
		if posted[settleKey(e)] {
			row, err := usageRow(e)
			if err != nil {
				return nil, err
			}
			usage = append(usage, row)
			fresh[e.RequestID] = true
		}
	}
	switch {
	case len(usage) == 0:
		return fresh, nil
	case !b.carefully:
		return fresh, b.tx.Copy(ctx, "usage_logs", usageColumns+rolledUp, usage)
	}
	clear(fresh)
	return fresh, b.tx.Run(ctx, insertNew(b.tx, "usage_logs", usageColumns+rolledUp, "request_id", usage, fresh)...)
}

func settleKey(e Settlement) string { return "settle:" + e.RequestID }

// insertNew inserts the rows whose key is not there yet and puts the keys of those into fresh.
func insertNew(tx sqldb.Tx, table, columns, key string, rows [][]any, fresh map[string]bool) []sqldb.Statement {
	return insert(tx, table+" ("+columns+")", rows, "ON CONFLICT DO NOTHING RETURNING "+key, func(scan func(...any) error) error {
		var k string
		err := scan(&k)
		fresh[k] = true
		return err
	})
}

// answers are in the order of the call: the first settlement of a request is new, those after it are duplicates. The windows
// of duplicates may have moved on since: those that the batch did not move are read.
func answers(ctx context.Context, tx sqldb.Tx, batch []Settlement, after state) ([]Settled, error) {
	var others []keyWindow
	for _, e := range batch {
		for _, w := range after.windows(e) {
			if _, moved := after.spent[w]; !moved {
				others = append(others, w)
			}
		}
	}
	if err := readWindows(ctx, tx, others, after.spent); err != nil {
		return nil, err
	}
	out := make([]Settled, len(batch))
	told := make(map[string]bool, len(batch))
	for i, e := range batch {
		fresh := after.fresh[e.RequestID]
		_, adjusted := after.adjusted[e.RequestID]
		out[i] = Settled{RequestID: e.RequestID, Account: after.accounts[e.Account], Duplicate: told[e.RequestID] || !fresh && !adjusted, Adjusted: adjusted && !told[e.RequestID]}
		for _, w := range after.windows(e) {
			out[i].Spends = append(out[i].Spends, Spend{w.Window, after.spent[w]})
		}
		told[e.RequestID] = true
	}
	return out, nil
}
