package run

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/hack/chaos/judge"
)

// notes has the database note every balance in the order of commits, and every hold that the ledger gives.
const notes = `
CREATE TABLE chaos_balances (n BIGSERIAL PRIMARY KEY, account TEXT NOT NULL, at TIMESTAMPTZ NOT NULL, spendable BIGINT NOT NULL);
CREATE FUNCTION chaos_balance() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO chaos_balances (account, at, spendable) VALUES (NEW.id, clock_timestamp(), NEW.balance + NEW.overdraft); RETURN NULL;
END $$;
CREATE TRIGGER chaos_balance_new AFTER INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION chaos_balance();
CREATE TRIGGER chaos_balance AFTER UPDATE ON accounts FOR EACH ROW
  WHEN (OLD.balance + OLD.overdraft <> NEW.balance + NEW.overdraft) EXECUTE FUNCTION chaos_balance();
CREATE TABLE chaos_holds (n BIGSERIAL PRIMARY KEY, request_id TEXT NOT NULL, account TEXT NOT NULL, at TIMESTAMPTZ NOT NULL, amount BIGINT NOT NULL);
CREATE FUNCTION chaos_hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO chaos_holds (request_id, account, at, amount) VALUES (NEW.request_id, NEW.account, clock_timestamp(), NEW.amount); RETURN NULL;
END $$;
CREATE TRIGGER chaos_hold_new AFTER INSERT ON holds FOR EACH ROW EXECUTE FUNCTION chaos_hold();
CREATE TRIGGER chaos_hold AFTER UPDATE ON holds FOR EACH ROW WHEN (NEW.amount > OLD.amount) EXECUTE FUNCTION chaos_hold();
`

func install(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connecting to PostgreSQL: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, notes); err != nil {
		return fmt.Errorf("installing what notes balances and holds: %w", err)
	}
	return nil
}

func micro(n int64) time.Time { return time.UnixMicro(n) }

// rows reads how every request stands.
func rows(ctx context.Context, url string) (out []judge.Row, err error) {
	const sql = `SELECT u.request_id, u.account, u.model, u.provider, u.input_tokens, u.cache_read_tokens, u.cache_write_tokens, u.output_tokens,
  u.cost, u.charged, u.held, u.floor, u.evidence, u.orphan_charge, u.started_at, u.finished_at, COALESCE(a.created_at, s.created_at, u.finished_at), a.idem_key IS NOT NULL
FROM usage_logs u LEFT JOIN ledger_tx s ON s.idem_key = 'settle:' || u.request_id LEFT JOIN ledger_tx a ON a.idem_key = 'adjust:' || u.request_id ORDER BY u.started_at`
	err = query(ctx, url, sql, func(r pgx.Rows) error {
		var x judge.Row
		var started, finished, settled int64
		err := r.Scan(&x.RequestID, &x.Account, &x.Model, &x.Provider, &x.Usage.Input, &x.Usage.CacheRead, &x.Usage.CacheWrite, &x.Usage.Output,
			&x.Cost, &x.Charged, &x.Held, &x.Floor, (*string)(&x.Evidence), &x.OrphanCharge, &started, &finished, &settled, &x.Adjusted)
		x.Started, x.Finished, x.Settled = micro(started), micro(finished), micro(settled)
		out = append(out, x)
		return err
	})
	return out, err
}

func balances(ctx context.Context, url string) (out []judge.Balance, err error) {
	err = query(ctx, url, "SELECT account, at, spendable FROM chaos_balances ORDER BY n", func(r pgx.Rows) error {
		var b judge.Balance
		err := r.Scan(&b.Account, &b.At, &b.Spendable)
		out = append(out, b)
		return err
	})
	return out, err
}

func fallbacks(ctx context.Context, url string) (out []judge.Fallback, err error) {
	err = query(ctx, url, "SELECT request_id, account, at, amount FROM chaos_holds ORDER BY n", func(r pgx.Rows) error {
		var f judge.Fallback
		err := r.Scan(&f.RequestID, &f.Account, &f.At, &f.Amount)
		out = append(out, f)
		return err
	})
	return out, err
}

// expiries are what expired, and what each grant had left by its draws.
func expiries(ctx context.Context, url string) (out []judge.Expiry, err error) {
	const sql = `SELECT g.idem_key, g.account, g.expires_at, t.created_at, -e.amount, g.amount, CAST(COALESCE((SELECT SUM(d.amount) FROM grant_draws d
    WHERE d.grant_key = g.idem_key AND d.tx <> t.idem_key), 0) AS BIGINT)
FROM ledger_tx t JOIN credit_grants g ON t.idem_key = 'expire:' || g.idem_key JOIN ledger_entries e ON e.tx = t.idem_key AND e.account = g.account WHERE t.kind = 'expire'`
	err = query(ctx, url, sql, func(r pgx.Rows) error {
		var x judge.Expiry
		var due, at int64
		err := r.Scan(&x.Grant, &x.Account, &due, &at, &x.Amount, &x.Granted, &x.Drawn)
		x.Due, x.At = micro(due), micro(at)
		out = append(out, x)
		return err
	})
	return out, err
}

// claimed are the requests that have a name in the ledger, where a hash of the body stands behind the id.
func claimed(ctx context.Context, url string) (map[string]bool, error) {
	out := map[string]bool{}
	err := query(ctx, url, "SELECT split_part(request_id, ' ', 1) FROM claims", func(r pgx.Rows) error {
		var id string
		err := r.Scan(&id)
		out[id] = true
		return err
	})
	return out, err
}

// granted is what the books say was granted; that entries are what they say is Check's.
func granted(ctx context.Context, url string) (map[string]pricing.Nano, error) {
	const sql = "SELECT idem_key, amount FROM credit_grants WHERE kind <> 'adjustment'"
	out := map[string]pricing.Nano{}
	err := query(ctx, url, sql, func(r pgx.Rows) error {
		var id string
		var amount pricing.Nano
		err := r.Scan(&id, &amount)
		out[id] = amount
		return err
	})
	return out, err
}

func books(ctx context.Context, url string) (map[string]judge.Book, error) {
	out := map[string]judge.Book{}
	err := query(ctx, url, "SELECT id, balance + overdraft, held, version, (SELECT COUNT(*) FROM holds h WHERE h.account = a.id) FROM accounts a", func(r pgx.Rows) error {
		var id string
		var b judge.Book
		err := r.Scan(&id, &b.Spendable, &b.Held, &b.Version, &b.Holds)
		out[id] = b
		return err
	})
	return out, err
}

// waiting is how many grants the clock will still change: they begin later, or expire with something left.
func waiting(ctx context.Context, url string) (n int64, err error) {
	const sql = "SELECT COUNT(*) FROM credit_grants WHERE pending OR live AND expires_at > 0"
	err = query(ctx, url, sql, func(r pgx.Rows) error { return r.Scan(&n) })
	return n, err
}

// sums are what does not add up, without asking the program's own checks (P1 and P2): the entries of each transaction, those of
// each account that keeps a balance, and each grant's draws.
func sums(ctx context.Context, url string) (out []string, err error) {
	for what, sql := range map[string]string{
		"the entries of transaction %s come to %d, not to %d": "SELECT tx, CAST(SUM(amount) AS BIGINT), 0 FROM ledger_entries GROUP BY tx HAVING SUM(amount) <> 0",
		"the entries of account %s come to %d, its balance is %d": `SELECT a.id, CAST(COALESCE(SUM(e.amount), 0) AS BIGINT), a.balance FROM accounts a LEFT JOIN ledger_entries e ON e.account = a.id
GROUP BY a.id, a.balance HAVING COALESCE(SUM(e.amount), 0) <> a.balance`,
		"grant %s was drawn to what leaves %d, and has %d": `SELECT g.idem_key, CAST(g.amount - COALESCE(SUM(d.amount), 0) AS BIGINT), g.remaining FROM credit_grants g
LEFT JOIN grant_draws d ON d.grant_key = g.idem_key WHERE NOT g.pending GROUP BY g.idem_key, g.amount, g.remaining HAVING g.amount - COALESCE(SUM(d.amount), 0) <> g.remaining`,
	} {
		err := query(ctx, url, sql, func(r pgx.Rows) error {
			var id string
			var is, should int64
			err := r.Scan(&id, &is, &should)
			out = append(out, fmt.Sprintf(what, id, is, should))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// digests are checksums of every table that money is in.
func digests(ctx context.Context, url string) (map[string]string, error) {
	out := map[string]string{}
	for _, table := range []string{"accounts", "ledger_tx", "ledger_entries", "credit_grants", "grant_draws", "usage_logs", "usage_daily", "key_windows", "holds"} {
		sql := fmt.Sprintf("SELECT COUNT(*) || ' rows, ' || COALESCE(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM %s t", table)
		err := query(ctx, url, sql, func(r pgx.Rows) error {
			var sum string
			err := r.Scan(&sum)
			out[table] = sum
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// receipts reads all settlements as they were posted, for a replay.
func receipts(ctx context.Context, l ledger.Ledger, all []judge.Row) (out []ledger.Settlement, err error) {
	for _, r := range all {
		got, err := l.Receipt(ctx, r.Account, r.RequestID)
		if err != nil {
			return nil, fmt.Errorf("reading the receipt of %s: %w", r.RequestID, err)
		}
		if got.Evidence != ledger.EvidenceOrphan { // one that was settled after all says still what its policy was
			got.OrphanCharge = ""
		}
		out = append(out, got.Settlement)
	}
	return out, nil
}
