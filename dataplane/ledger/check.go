package ledger

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
)

// maxProblems bounds how many problems of one kind Check answers.
const maxProblems = 100

// check is an invariant: the statement answers (what, one number, another number) for what violates it. In it stand
// {posted}, transactions t of the window; {finished}, usage rows u of it; {days}, those of its whole days; {touched}, accounts a
// that had entries in it; {from} and {to}.
type check struct{ problem, sql string }

// pieces are what the words in braces mean. Beginning at zero a window is all there is: every account counts then, those
// without entries too.
var pieces = strings.NewReplacer(
	"{posted}", "t.created_at >= CAST($1 AS BIGINT) AND t.created_at < CAST($2 AS BIGINT)",
	"{finished}", "u.finished_at >= CAST($1 AS BIGINT) AND u.finished_at < CAST($2 AS BIGINT)",
	"{days}", "u.finished_at >= CAST($1 AS BIGINT) AND u.finished_at < CAST($2 AS BIGINT) AND u.finished_at / 86400000000 * 86400000000 >= CAST($1 AS BIGINT) "+
		"AND (u.finished_at / 86400000000 + 1) * 86400000000 <= CAST($2 AS BIGINT)",
	"{touched}", "(CAST($1 AS BIGINT) = 0 OR a.id IN (SELECT e.account FROM ledger_tx t JOIN ledger_entries e ON e.tx = t.idem_key WHERE "+
		"t.created_at >= CAST($1 AS BIGINT) AND t.created_at < CAST($2 AS BIGINT)))",
	"{from}", "CAST($1 AS BIGINT)", "{to}", "CAST($2 AS BIGINT)",
)

// checks are what holds of every ledger at any time.
var checks = []check{
	// P1: entries sum to zero for each transaction and to the balance for each account.
	{"transaction %s: entries sum to %d in %d entries", "SELECT e.tx, CAST(SUM(e.amount) AS BIGINT), COUNT(*) FROM ledger_tx t JOIN ledger_entries e ON e.tx = t.idem_key WHERE {posted} " +
		"GROUP BY e.tx HAVING SUM(e.amount) <> 0 ORDER BY e.tx"},
	{"transaction %s: %d entries, expected at least %d", "SELECT t.idem_key, 0, 2 FROM ledger_tx t LEFT JOIN ledger_entries e ON e.tx = t.idem_key " +
		"WHERE {posted} AND e.tx IS NULL AND t.kind NOT IN ('free', 'align', 'status') ORDER BY t.idem_key"},
	{"transaction %s: an entry of %d, expected %d entries", "SELECT t.idem_key, e.amount, 0 FROM ledger_tx t JOIN ledger_entries e ON e.tx = t.idem_key " +
		"WHERE {posted} AND t.kind IN ('free', 'align', 'status') ORDER BY t.idem_key"},
	{"account %s: balance %d, but its entries sum to %d", "SELECT a.id, a.balance, COALESCE(b.balance, 0) FROM accounts a LEFT JOIN balances b ON b.account = a.id " +
		"WHERE a.balance <> COALESCE(b.balance, 0) AND {touched} ORDER BY a.id"},
	{"account %s: its entries sum to %d, but it has %d rows", "SELECT e.account, CAST(SUM(e.amount) AS BIGINT), 0 FROM ledger_tx t JOIN ledger_entries e ON e.tx = t.idem_key " +
		"LEFT JOIN accounts a ON a.id = e.account WHERE {posted} AND a.id IS NULL AND e.account NOT LIKE 'system/%' GROUP BY e.account ORDER BY e.account"},
	{"transaction %s: it has an entry of %d, but %d rows", "SELECT e.tx, e.amount, 0 FROM ledger_entries e LEFT JOIN ledger_tx t ON t.idem_key = e.tx " +
		"WHERE {from} = 0 AND {to} > 0 AND t.idem_key IS NULL ORDER BY e.tx"},
	{"grant %s: a draw of %d by nothing or of a grant that has %d rows", "SELECT d.grant_key, d.amount, 0 FROM grant_draws d LEFT JOIN ledger_tx t ON t.idem_key = d.tx " +
		"LEFT JOIN credit_grants g ON g.idem_key = d.grant_key WHERE {from} = 0 AND {to} > 0 AND (t.idem_key IS NULL OR g.idem_key IS NULL) ORDER BY d.grant_key"},
	// P2: draws and what remains are the amount, and what remains is the balance.
	{"grant %s: amount %d, but its entry says %d", "SELECT g.idem_key, g.amount, CAST(COALESCE(SUM(e.amount), 0) AS BIGINT) FROM ledger_tx t JOIN credit_grants g ON g.idem_key = t.idem_key " +
		"LEFT JOIN ledger_entries e ON e.tx IN (g.idem_key, 'effect:' || g.idem_key) AND e.account = g.account WHERE {posted} AND NOT g.pending " +
		"GROUP BY g.idem_key, g.amount HAVING g.amount <> COALESCE(SUM(e.amount), 0) ORDER BY g.idem_key"},
	{"grant %s: amount %d, but its draws and what remains are %d", "SELECT g.idem_key, g.amount, CAST(g.remaining + COALESCE(SUM(d.amount), 0) AS BIGINT) FROM credit_grants g " +
		"LEFT JOIN grant_draws d ON d.grant_key = g.idem_key WHERE g.remaining IS NOT NULL AND (CAST($1 AS BIGINT) = 0 OR g.idem_key IN (" +
		"SELECT t.idem_key FROM ledger_tx t WHERE {posted} UNION ALL SELECT x.grant_key FROM ledger_tx t JOIN grant_draws x ON x.tx = t.idem_key WHERE {posted})) " +
		"GROUP BY g.idem_key, g.amount, g.remaining HAVING g.amount <> g.remaining + COALESCE(SUM(d.amount), 0) ORDER BY g.idem_key"},
	{"account %s: %d to spend, but %d remains of its grants", "SELECT a.id, a.drawn_to, CAST(COALESCE(SUM(g.remaining), 0) AS BIGINT) FROM accounts a " +
		"LEFT JOIN credit_grants g ON g.account = a.id AND g.remaining > 0 AND NOT g.pending WHERE {touched} GROUP BY a.id, a.drawn_to " +
		"HAVING COALESCE(SUM(g.remaining), 0) <> CASE WHEN a.drawn_to > 0 THEN a.drawn_to ELSE 0 END ORDER BY a.id"},
	{"account %s: %d held, but its reservations are %d", "SELECT a.id, a.held, CAST(COALESCE(SUM(h.amount), 0) AS BIGINT) FROM accounts a LEFT JOIN holds h ON h.account = a.id " +
		"WHERE {from} <= {to} GROUP BY a.id, a.held HAVING a.held <> COALESCE(SUM(h.amount), 0) ORDER BY a.id"},
	// P3: one settlement for each request, at most one adjustment, of what it cost.
	{"request %s: charged %d, but its entry says %d", "SELECT u.request_id, u.charged, -COALESCE(e.amount, 0) - COALESCE(l.amount, 0) FROM usage_logs u " +
		"LEFT JOIN ledger_entries e ON e.tx = 'settle:' || u.request_id AND e.account = u.account LEFT JOIN ledger_entries l ON l.tx = 'adjust:' || u.request_id AND l.account = u.account " +
		"WHERE {finished} AND u.charged <> -COALESCE(e.amount, 0) - COALESCE(l.amount, 0) ORDER BY u.request_id"},
	{"request %s: %d rows of usage, expected %d", "SELECT u.request_id, COUNT(*), 1 FROM usage_logs u WHERE {finished} GROUP BY u.request_id HAVING COUNT(*) > 1 ORDER BY u.request_id"},
	{"request %s: charged %d, but it has %d settlements", "SELECT u.request_id, u.charged, 0 FROM usage_logs u LEFT JOIN ledger_tx t ON t.idem_key = 'settle:' || u.request_id " +
		"WHERE {finished} AND u.rolled_daily AND t.idem_key IS NULL ORDER BY u.request_id"},
	{"request %s: charged %d, but it costs %d", "SELECT u.request_id, u.charged, CASE WHEN u.evidence = 'free' THEN 0 ELSE u.cost END FROM usage_logs u " +
		"WHERE {finished} AND u.charged <> 0 AND (u.evidence = 'free' OR u.evidence <> 'orphan' AND u.charged <> u.cost) ORDER BY u.request_id"},
	{"request %s: charged %d, but it held %d and costs something", "SELECT u.request_id, u.charged, u.held FROM usage_logs u WHERE {finished} AND u.charged = 0 AND u.cost > 0 AND u.held > 0 " +
		"AND u.evidence IN ('reported', 'estimated') ORDER BY u.request_id"}, // what is unmetered holds nothing
	{"orphan %s: charged %d of the %d it held, which is not its policy's floor", "SELECT u.request_id, u.charged, u.held FROM usage_logs u WHERE {finished} AND u.evidence = 'orphan' AND u.charged <> CASE " +
		"WHEN u.orphan_charge = 'Hold' THEN u.held WHEN u.orphan_charge <> 'Input' THEN 0 WHEN u.cost < u.held THEN u.cost ELSE u.held END ORDER BY u.request_id"},
	{"orphan %s: charged %d, though it has %d adjustments", "SELECT u.request_id, u.charged, 1 FROM usage_logs u JOIN ledger_tx t ON t.idem_key = 'adjust:' || u.request_id " +
		"WHERE {finished} AND u.evidence = 'orphan' ORDER BY u.request_id"},
	{"adjustment %s: %d of %d settlements", "SELECT t.idem_key, 0, 1 FROM ledger_tx t WHERE {posted} AND t.kind = 'adjust' AND (t.reverses IS NULL OR substr(t.reverses, 8) <> substr(t.idem_key, 8)) ORDER BY t.idem_key"},
	// Roll-ups.
	{"account and day %s: rolled up are %d, but its usage sums to %d", "SELECT COALESCE(w.account, l.account) || ' ' || COALESCE(w.day, l.day), COALESCE(w.charged, 0), COALESCE(l.charged, 0) FROM (" +
		"SELECT account, day, CAST(SUM(charged) AS BIGINT) AS charged FROM usage_daily WHERE day * 1000000 >= {from} AND (day + 86400) * 1000000 <= {to} GROUP BY account, day) w FULL JOIN (" +
		"SELECT u.account, u.finished_at / 86400000000 * 86400 AS day, CAST(SUM(u.charged) AS BIGINT) AS charged FROM usage_logs u WHERE {days} AND u.rolled_daily " +
		"GROUP BY u.account, u.finished_at / 86400000000 * 86400) l ON l.account = w.account AND l.day = w.day WHERE COALESCE(w.charged, 0) <> COALESCE(l.charged, 0) ORDER BY 1"},
	{"key and day %s: the window says %d, but its usage sums to %d", "SELECT COALESCE(w.key_id, l.key_id) || ' ' || COALESCE(w.start, l.start), COALESCE(w.spent, 0), COALESCE(l.charged, 0) " +
		"FROM (SELECT key_id, start, spent FROM key_windows WHERE period = 'Day' AND start * 1000000 >= {from} AND ends * 1000000 <= {to}) w FULL JOIN (" +
		"SELECT key_id, start, CAST(SUM(charged) AS BIGINT) AS charged FROM (" +
		"SELECT u.key_id, u.finished_at / 86400000000 * 86400 AS start, u.charged FROM usage_logs u WHERE {days} AND u.rolled_up AND u.charged > 0 AND u.key_id <> '') d GROUP BY key_id, start) l " +
		"ON l.key_id = w.key_id AND l.start = w.start WHERE COALESCE(w.spent, 0) <> COALESCE(l.charged, 0) ORDER BY 1"},
	{"key and month %s: the window says %d, but its days sum to %d", "SELECT m.key_id || ' ' || m.start, m.spent, CAST(COALESCE(SUM(d.spent), 0) AS BIGINT) FROM key_windows m " +
		"LEFT JOIN key_windows d ON d.key_id = m.key_id AND d.period = 'Day' AND d.start >= m.start AND d.start < m.ends " +
		"WHERE m.period = 'Month' AND m.ends * 1000000 > {from} AND m.start * 1000000 < {to} GROUP BY m.key_id, m.start, m.spent HAVING m.spent <> COALESCE(SUM(d.spent), 0) ORDER BY 1"},
	{"key and day %s: %d spent, but no month has it (%d)", "SELECT d.key_id || ' ' || d.start, d.spent, 0 FROM key_windows d WHERE d.period = 'Day' AND d.ends * 1000000 > {from} AND d.start * 1000000 < {to} AND NOT EXISTS (" +
		"SELECT 1 FROM key_windows m WHERE m.key_id = d.key_id AND m.period = 'Month' AND m.start <= d.start AND d.start < m.ends) ORDER BY 1"},
}

// recent is what holds of a window whose usage rows were not thrown away: every settlement has one.
var recent = check{"settlement %s: it has %d rows of usage, expected %d", "SELECT t.idem_key, 0, 1 FROM ledger_tx t WHERE {posted} AND t.idem_key LIKE 'settle:%' AND NOT EXISTS (" +
	"SELECT 1 FROM usage_logs u WHERE u.request_id = substr(t.idem_key, 8)) ORDER BY t.idem_key"}

// Check verifies the ledger on one consistent view of it.
func (s *store) Check(ctx context.Context) ([]string, error) {
	problems, err := s.verify(ctx, Span{0, math.MaxInt64}, checks, nil)
	return problems, wrap("checking the ledger", err)
}

// CheckWindow verifies a window of the ledger.
func (s *store) CheckWindow(ctx context.Context, w Span, recost Recost) ([]string, error) {
	if w.From < 0 || w.To < w.From {
		return nil, fmt.Errorf("%w window: from %d to %d", errInvalid, w.From, w.To)
	}
	problems, err := s.verify(ctx, w, append(checks[:len(checks):len(checks)], recent), recost)
	return problems, wrap("checking the ledger", err)
}

func (s *store) verify(ctx context.Context, w Span, all []check, recost Recost) (problems []string, err error) {
	err = s.db.Snapshot(ctx, func(tx sqldb.Tx) error {
		problems = nil
		for _, c := range all {
			sql := pieces.Replace(pieces.Replace(c.sql)) + fmt.Sprintf(" LIMIT %d", maxProblems)
			err := tx.Each(ctx, sql, []any{w.From, w.To}, func(scan func(...any) error) error {
				var what string
				var a, b int64
				err := scan(&what, &a, &b)
				problems = append(problems, fmt.Sprintf(c.problem, what, a, b))
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", strings.ReplaceAll(c.problem, "%", ""), err)
			}
		}
		if recost == nil {
			return nil
		}
		wrong, err := recostAll(ctx, tx, w, recost)
		problems = append(problems, wrong...)
		return err
	})
	return problems, err
}
