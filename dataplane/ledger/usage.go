package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// WindowAt is the calendar window of a period that an instant is in, UTC; zero for what is no period.
func WindowAt(period string, at time.Time) Window {
	y, m, d := at.UTC().Date()
	switch period {
	case PeriodDay:
		return Window{period, time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix()}
	case PeriodMonth:
		return Window{period, time.Date(y, m, 1, 0, 0, 0, 0, time.UTC).Unix()}
	default:
		return Window{}
	}
}

// End is when the next window of the period begins, Unix seconds.
func (w Window) End() int64 {
	start := time.Unix(w.Start, 0).UTC()
	if w.Period == PeriodMonth {
		return start.AddDate(0, 1, 0).Unix()
	}
	return start.AddDate(0, 0, 1).Unix()
}

// keyWindow is the primary key of key_windows.
type keyWindow struct {
	key string
	Window
}

// windowsOf are the windows that a settlement counts in; none where nothing is charged or no key is named.
func windowsOf(e Settlement) []keyWindow {
	if e.Charged == 0 || e.KeyID == "" {
		return nil
	}
	at := time.UnixMicro(e.FinishedAt)
	return []keyWindow{{e.KeyID, WindowAt(PeriodDay, at)}, {e.KeyID, WindowAt(PeriodMonth, at)}}
}

// rollUp adds what was settled now to the days of its accounts and to the windows of its keys, in one order, so that two
// transactions never wait for each other, and puts what the windows are after it into spent.
func (b *book) rollUp(rows []rolled, spent map[keyWindow]pricing.Nano) []sqldb.Statement {
	add := map[keyWindow]pricing.Nano{}
	for _, e := range rows {
		for _, w := range windowsOf(e.Settlement) {
			add[w] += e.Charged
		}
	}
	var into [][]any
	for _, w := range slices.SortedFunc(maps.Keys(add), compareWindows) {
		into = append(into, []any{w.key, w.Period, w.Start, w.End(), add[w]})
	}
	return slices.Concat(b.rollDaily(rows), insert(b.tx, "key_windows (key_id, period, start, ends, spent)", into,
		"ON CONFLICT (key_id, period, start) DO UPDATE SET spent = key_windows.spent + excluded.spent RETURNING key_id, period, start, spent", scanWindows(spent)),
		siblings(b.tx, slices.Collect(maps.Keys(add)), spent))
}

// siblings add to windows what other keys of the same meter have spent in them. Most keys have none: as one value of each row that is
// found in two steps by indexes, while whoever plans a join might read all windows there are.
func siblings(q sqldb.Dialect, windows []keyWindow, spent map[keyWindow]pricing.Nano) (all []sqldb.Statement) {
	for part := range slices.Chunk(windows, q.Batch()) {
		rows := make([][]any, len(part))
		for i, w := range part {
			rows[i] = []any{w.key, w.Period, w.Start}
		}
		source, args := q.Values(rows, 1)
		sql := "SELECT v.column1, v.column2, v.column3, (SELECT CAST(COALESCE(SUM(w.spent), 0) AS BIGINT) FROM api_keys k JOIN api_keys o ON o.meter = k.meter AND o.id <> k.id " +
			"JOIN key_windows w ON w.key_id = o.id AND w.period = v.column2 AND w.start = v.column3 WHERE k.id = v.column1) FROM " + source
		all = append(all, sqldb.Statement{SQL: sql, Args: args, Row: func(scan func(...any) error) error {
			var w keyWindow
			var others pricing.Nano
			err := scan(&w.key, &w.Period, &w.Start, &others)
			if others != 0 {
				spent[w] += others
			}
			return err
		}})
	}
	return all
}

func compareWindows(a, b keyWindow) int {
	return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.Period, b.Period), cmp.Compare(a.Start, b.Start))
}

// readWindows reads what was spent in windows by their keys and all of the same meters; those without a row are left out.
func readWindows(ctx context.Context, q each, windows []keyWindow, spent map[keyWindow]pricing.Nano) error {
	windows = slices.Compact(slices.SortedFunc(slices.Values(windows), compareWindows))
	for part := range slices.Chunk(windows, q.Batch()) {
		rows := make([][]any, len(part))
		for i, w := range part {
			rows[i] = []any{w.key, w.Period, w.Start}
		}
		source, args := q.Values(rows, 1)
		sql := "SELECT key_id, period, start, spent FROM key_windows WHERE (key_id, period, start) IN (SELECT * FROM " + source + ")"
		if err := q.Each(ctx, sql, args, scanWindows(spent)); err != nil {
			return err
		}
	}
	for _, of := range siblings(q, windows, spent) {
		if err := q.Each(ctx, of.SQL, of.Args, of.Row); err != nil {
			return err
		}
	}
	return nil
}

func scanWindows(into map[keyWindow]pricing.Nano) func(func(...any) error) error {
	return func(scan func(...any) error) error {
		var w keyWindow
		var spent pricing.Nano
		err := scan(&w.key, &w.Period, &w.Start, &spent)
		into[w] = spent
		return err
	}
}

// KeySpends answers what a key has spent in each window.
func (s *store) KeySpends(ctx context.Context, keyID string, windows []Window) ([]Spend, error) {
	asked := make([]keyWindow, len(windows))
	for i, w := range windows {
		asked[i] = keyWindow{keyID, w}
	}
	found := make(map[keyWindow]pricing.Nano, len(windows))
	if err := readWindows(ctx, s.db, asked, found); err != nil {
		return nil, wrap("reading what a key has spent", err)
	}
	out := make([]Spend, len(windows))
	for i, w := range asked {
		out[i] = Spend{w.Window, found[w]}
	}
	return out, nil
}

// Receipt finds a settlement of the account.
func (s *store) Receipt(ctx context.Context, account, requestID string) (Receipt, error) {
	var found []Receipt
	sql := "SELECT " + usageColumns + ", COALESCE((SELECT idem_key FROM ledger_tx WHERE idem_key = 'settle:' || request_id AND kind <> 'free'), " +
		"(SELECT idem_key FROM ledger_tx WHERE idem_key = 'adjust:' || request_id AND kind <> 'free'), ''), floor FROM usage_logs WHERE request_id = $1 AND account = $2"
	err := s.db.Each(ctx, sql, []any{requestID, account}, func(scan func(...any) error) error {
		r, err := scanReceipt(scan)
		found = append(found, r)
		return err
	})
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Receipt{}, wrap("reading a receipt", err)
	}
	return found[0], nil
}

func scanReceipt(scan func(...any) error) (r Receipt, err error) {
	var lines, usage string
	u := &r.Usage
	err = scan(&r.RequestID, &r.Account, &r.KeyID, &r.Model, &r.Provider, &r.Backend, &r.UpstreamID, &u.Input, &u.CacheRead, &u.CacheWrite, &u.CacheWrite1h,
		&u.Output, &u.Reasoning, &u.Searches, &lines, &r.PriceVersion, &r.Cost, &r.Charged, &r.Held, (*string)(&r.Evidence), &r.Status, &r.Stream,
		&r.StartedAt, &r.FinishedAt, &r.ProviderCost, &r.OrphanCharge, &usage, &r.ProviderPrice, &r.Disconnect, &r.TxID, &r.Floor)
	if err != nil {
		return Receipt{}, err
	}
	if err := json.Unmarshal([]byte(lines), &r.Lines); err != nil {
		return Receipt{}, fmt.Errorf("reading its lines: %w", err)
	}
	if usage != "" { // rows of before have the columns alone
		if err := json.Unmarshal([]byte(usage), &r.Usage); err != nil {
			return Receipt{}, fmt.Errorf("reading its usage: %w", err)
		}
	}
	return r, nil
}
