package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// MaxSettle bounds how many settlements one call of Settle takes.
const MaxSettle = 1000

// rowsPerStatement bounds the rows of one INSERT: the SQLite driver looks for each parameter among all of them.
const rowsPerStatement = 100

// maxText bounds, in bytes, ids that others made.
const maxText = 200

// usageColumns are the columns of usage_logs, in the order of usageRow.
const usageColumns = "request_id, account, key_id, model, provider, backend, upstream_id, input_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, " +
	"output_tokens, reasoning_tokens, searches, lines, price_version, cost, charged, held, evidence, status, stream, started_at, finished_at"

// rolledUp is the last column of a row that is counted in key_windows.
const rolledUp = ", rolled_up"

// state is what a batch leaves: accounts by id, and what keys have spent in the windows that it moved.
type state struct {
	accounts map[string]Account
	spent    map[keyWindow]pricing.Nano
}

// Settle posts settlements in one transaction. An account that is not there is made, at zero: money is not lost for it.
func (s *store) Settle(ctx context.Context, batch []Settlement) ([]Settled, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	if len(batch) > MaxSettle {
		return nil, fmt.Errorf("%w settlements: %d at once, at most %d", errInvalid, len(batch), MaxSettle)
	}
	rows := make(map[string][]any, len(batch)) // by request id, the first of each
	accounts := make([]string, len(batch))
	for i, e := range batch {
		row, err := usageRow(e)
		if err != nil {
			return nil, err
		}
		if _, again := rows[e.RequestID]; !again {
			rows[e.RequestID] = row
		}
		accounts[i] = e.Account
	}
	var settled []Settled
	err := s.db.Write(ctx, func(tx sqldb.Tx) error {
		locked, err := s.lockAccounts(ctx, tx, accounts)
		if err != nil {
			return err
		}
		after := state{locked, map[keyWindow]pricing.Nano{}}
		fresh, err := s.postSettlements(ctx, tx, batch, rows, after)
		if err != nil {
			return err
		}
		settled, err = answers(ctx, tx, batch, fresh, after)
		return err
	})
	if err != nil {
		return nil, wrap("settling", err)
	}
	return settled, nil
}

// usageRow is the row of one settlement, or why it must not be posted.
func usageRow(e Settlement) ([]any, error) {
	if err := checkAccount(e.Account); err != nil {
		return nil, err
	}
	switch {
	case e.RequestID == "" || len(e.RequestID) > maxText:
		return nil, fmt.Errorf("%w settlement: request id of %d bytes", errInvalid, len(e.RequestID))
	case e.Charged < 0 || e.Charged > maxAmount || e.Cost < 0 || e.Held < 0:
		return nil, fmt.Errorf("%w settlement %s: charged %d, cost %d, held %d", errInvalid, e.RequestID, e.Charged, e.Cost, e.Held)
	case e.Evidence != EvidenceReported && e.Evidence != EvidenceEstimated && e.Evidence != EvidenceFree:
		return nil, fmt.Errorf("%w settlement %s: evidence %q", errInvalid, e.RequestID, e.Evidence)
	}
	lines, err := json.Marshal(e.Lines)
	if err != nil {
		return nil, fmt.Errorf("writing the lines of %s: %w", e.RequestID, err)
	}
	u := e.Usage
	return []any{e.RequestID, e.Account, e.KeyID, e.Model, e.Provider, e.Backend, clean(e.UpstreamID), u.Input, u.CacheRead, u.CacheWrite, u.CacheWrite1h,
		u.Output, u.Reasoning, u.Searches, string(lines), e.PriceVersion, e.Cost, e.Charged, e.Held, string(e.Evidence), e.Status, e.Stream, e.StartedAt, e.FinishedAt, true}, nil
}

// clean makes text that a provider chose fit for a column: PostgreSQL refuses NUL and what is no UTF-8, and one refused row
// would hold up every other one.
func clean(s string) string {
	s = strings.ReplaceAll(s[:min(len(s), maxText)], "\x00", "")
	return strings.ToValidUTF8(s, "")
}

// postSettlements writes what is not there yet, usage rows first: their request ids tell what is new. It answers the new
// ones and puts what they changed into after.
func (s *store) postSettlements(ctx context.Context, tx sqldb.Tx, batch []Settlement, rows map[string][]any, after state) (map[string]bool, error) {
	usage := make([][]any, 0, len(rows))
	once := make([]Settlement, 0, len(rows))
	taken := make(map[string]bool, len(rows))
	for _, e := range batch {
		if !taken[e.RequestID] {
			taken[e.RequestID] = true
			usage, once = append(usage, rows[e.RequestID]), append(once, e)
		}
	}
	fresh, err := insertNew(ctx, tx, "usage_logs", usageColumns+rolledUp, "request_id", usage)
	if err != nil {
		return nil, err
	}
	var txs [][]any
	for _, e := range once {
		if fresh[e.RequestID] && e.Charged > 0 {
			txs = append(txs, []any{settleKey(e), "settle", s.now().UnixMicro()})
		}
	}
	posted, err := insertNew(ctx, tx, "ledger_tx", "idem_key, kind, created_at", "idem_key", txs)
	if err != nil {
		return nil, err
	}
	for _, e := range once {
		if e.Charged > 0 && !posted[settleKey(e)] {
			fresh[e.RequestID] = false // charged before, though its usage row is gone: rows of usage may be thrown away
		}
	}
	return fresh, s.charge(ctx, tx, once, posted, after)
}

func settleKey(e Settlement) string { return "settle:" + e.RequestID }

// charge appends the entries of the transactions that were posted, changes the balances, each account once, and counts what
// the keys have spent.
func (s *store) charge(ctx context.Context, tx sqldb.Tx, once []Settlement, posted map[string]bool, after state) error {
	var entries []entry
	var charged []Settlement
	add := map[string]pricing.Nano{}
	for _, e := range once {
		if posted[settleKey(e)] {
			entries = append(entries, entry{settleKey(e), e.Account, -e.Charged}, entry{settleKey(e), systemPrefix + "revenue", e.Charged})
			add[e.Account] -= e.Charged
			charged = append(charged, e)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	if err := postEntries(ctx, tx, entries); err != nil {
		return err
	}
	changed, err := s.addBalances(ctx, tx, add)
	if err != nil {
		return err
	}
	maps.Copy(after.accounts, changed)
	return rollUp(ctx, tx, charged, after.spent)
}

// insertNew inserts the rows whose key is not there yet and answers the keys of those.
func insertNew(ctx context.Context, tx sqldb.Tx, table, columns, key string, rows [][]any) (map[string]bool, error) {
	fresh := make(map[string]bool, len(rows))
	for part := range slices.Chunk(rows, rowsPerStatement) {
		args := make([]any, 0, len(part)*len(part[0]))
		for _, r := range part {
			args = append(args, r...)
		}
		sql := "INSERT INTO " + table + " (" + columns + ") VALUES " + placeholders(len(part), len(part[0])) + " ON CONFLICT DO NOTHING RETURNING " + key
		err := tx.Each(ctx, sql, args, func(scan func(...any) error) error {
			var k string
			err := scan(&k)
			fresh[k] = true
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return fresh, nil
}

// answers are in the order of the call: the first settlement of a request is new, those after it are duplicates. The windows
// of duplicates may have moved on since: those that the batch did not move are read.
func answers(ctx context.Context, tx sqldb.Tx, batch []Settlement, fresh map[string]bool, after state) ([]Settled, error) {
	var others []keyWindow
	for _, e := range batch {
		for _, w := range windowsOf(e) {
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
		out[i] = Settled{RequestID: e.RequestID, Account: after.accounts[e.Account], Duplicate: told[e.RequestID] || !fresh[e.RequestID]}
		for _, w := range windowsOf(e) {
			out[i].Spends = append(out[i].Spends, Spend{w.Window, after.spent[w]})
		}
		told[e.RequestID] = true
	}
	return out, nil
}
