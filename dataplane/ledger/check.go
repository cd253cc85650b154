package ledger

import (
	"context"
	"fmt"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
)

// maxProblems bounds how many problems of one kind Check answers.
const maxProblems = 100

// checks are the invariants: each statement answers (what, one number, another number) for what violates it.
var checks = []struct{ problem, sql string }{
	{"transaction %s: entries sum to %d in %d entries", "SELECT tx, CAST(SUM(amount) AS BIGINT), COUNT(*) FROM ledger_entries GROUP BY tx HAVING SUM(amount) <> 0 ORDER BY tx"},
	{"transaction %s: %d entries, expected at least %d", "SELECT t.idem_key, 0, 2 FROM ledger_tx t LEFT JOIN ledger_entries e ON e.tx = t.idem_key WHERE e.tx IS NULL ORDER BY t.idem_key"},
	{"account %s: balance %d, but its entries sum to %d", "SELECT a.id, a.balance, COALESCE(b.balance, 0) FROM accounts a LEFT JOIN balances b ON b.account = a.id " +
		"WHERE a.balance <> COALESCE(b.balance, 0) ORDER BY a.id"},
	{"account %s: its entries sum to %d, but it has %d rows", "SELECT b.account, b.balance, 0 FROM balances b LEFT JOIN accounts a ON a.id = b.account " +
		"WHERE a.id IS NULL AND b.account NOT LIKE 'system/%' ORDER BY b.account"},
	{"request %s: charged %d, but its entry says %d", "SELECT u.request_id, u.charged, -COALESCE(e.amount, 0) FROM usage_logs u " +
		"LEFT JOIN ledger_entries e ON e.tx = 'settle:' || u.request_id AND e.account = u.account WHERE u.charged <> -COALESCE(e.amount, 0) ORDER BY u.request_id"},
	{"grant %s: amount %d, but its entry says %d", "SELECT g.idem_key, g.amount, COALESCE(e.amount, 0) FROM credit_grants g " +
		"LEFT JOIN ledger_entries e ON e.tx = g.idem_key AND e.account = g.account WHERE g.amount <> COALESCE(e.amount, 0) ORDER BY g.idem_key"},
	{"key and day %s: the window says %d, but its usage sums to %d", "SELECT COALESCE(w.key_id, u.key_id) || ' ' || COALESCE(w.start, u.start), COALESCE(w.spent, 0), COALESCE(u.charged, 0) " +
		"FROM (SELECT key_id, start, spent FROM key_windows WHERE period = 'Day') w FULL JOIN (SELECT key_id, start, CAST(SUM(charged) AS BIGINT) AS charged FROM (" +
		"SELECT key_id, finished_at / 86400000000 * 86400 AS start, charged FROM usage_logs WHERE rolled_up AND charged > 0 AND key_id <> '') d GROUP BY key_id, start) u " +
		"ON u.key_id = w.key_id AND u.start = w.start WHERE COALESCE(w.spent, 0) <> COALESCE(u.charged, 0) ORDER BY 1"},
	{"key and month %s: the window says %d, but its days sum to %d", "SELECT m.key_id || ' ' || m.start, m.spent, CAST(COALESCE(SUM(d.spent), 0) AS BIGINT) FROM key_windows m " +
		"LEFT JOIN key_windows d ON d.key_id = m.key_id AND d.period = 'Day' AND d.start >= m.start AND d.start < m.ends " +
		"WHERE m.period = 'Month' GROUP BY m.key_id, m.start, m.spent HAVING m.spent <> COALESCE(SUM(d.spent), 0) ORDER BY 1"},
	{"key and day %s: %d spent, but no month has it (%d)", "SELECT d.key_id || ' ' || d.start, d.spent, 0 FROM key_windows d WHERE d.period = 'Day' AND NOT EXISTS (" +
		"SELECT 1 FROM key_windows m WHERE m.key_id = d.key_id AND m.period = 'Month' AND m.start <= d.start AND d.start < m.ends) ORDER BY 1"},
}

// Check verifies the ledger on one consistent view of it.
func (s *store) Check(ctx context.Context) ([]string, error) {
	var problems []string
	err := s.db.Snapshot(ctx, func(tx sqldb.Tx) error {
		problems = nil
		for _, c := range checks {
			err := tx.Each(ctx, c.sql+fmt.Sprintf(" LIMIT %d", maxProblems), nil, func(scan func(...any) error) error {
				var what string
				var a, b int64
				err := scan(&what, &a, &b)
				problems = append(problems, fmt.Sprintf(c.problem, what, a, b))
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return problems, wrap("checking the ledger", err)
}
