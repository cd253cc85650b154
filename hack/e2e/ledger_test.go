package e2e

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/layers-dev/layers/dataplane/admit"
)

// usageRow is what the ledger keeps of one request; money in nano-USD.
type usageRow struct {
	Account  string
	Model    string
	Evidence string
	Status   int64
	Stream   bool
	Cost     int64
	Charged  int64
}

// books are the sums of one account; money in nano-USD.
type books struct {
	Balance, Granted, Charged int64
	// Unbalanced counts the transactions whose entries do not sum to zero, in the whole ledger.
	Unbalanced int64
}

// query runs one statement that answers one row into a struct.
func query[T any](ctx context.Context, sql string, args ...any) (T, error) {
	var zero T
	conn, err := pgx.Connect(ctx, given.ledgerURL)
	if err != nil {
		return zero, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return zero, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[T])
}

// settled waits for the row of a request, which is written a moment after the answer.
func settled(ctx context.Context, requestID string) usageRow {
	GinkgoHelper()
	var row usageRow
	Eventually(ctx, func() (err error) {
		row, err = query[usageRow](ctx, `SELECT account, model, evidence, status, stream, cost, charged FROM usage_logs WHERE request_id = $1`, requestID)
		return err
	}).Should(Succeed())
	return row
}

// booksOf sums an account.
func booksOf(ctx context.Context, account string) books {
	GinkgoHelper()
	b, err := query[books](ctx, `SELECT
		(SELECT balance FROM accounts WHERE id = $1),
		(SELECT COALESCE(SUM(amount), 0)::bigint FROM credit_grants WHERE account = $1),
		(SELECT COALESCE(SUM(charged), 0)::bigint FROM usage_logs WHERE account = $1),
		(SELECT COUNT(*) FROM (SELECT tx FROM ledger_entries GROUP BY tx HAVING SUM(amount) <> 0) AS bad)`, account)
	Expect(err).NotTo(HaveOccurred())
	return b
}

// orphans counts the requests of an account that nobody finished, and those of them that were charged something else than their
// input, or than was held.
func orphans(ctx context.Context, account string) (count, wrong int64) {
	GinkgoHelper()
	type counts struct{ Count, Wrong int64 }
	c, err := query[counts](ctx, `SELECT COUNT(*), COUNT(*) FILTER (WHERE charged <> LEAST(cost, held) OR charged <= 0)
		FROM usage_logs WHERE account = $1 AND evidence = 'orphan'`, account)
	Expect(err).NotTo(HaveOccurred())
	return c.Count, c.Wrong
}

// copied is what Redis has of an account, by the account's key that is still good: its balance, and what is held of it.
func copied(ctx context.Context, account string) (admit.Decision, error) {
	type row struct {
		Digest  string
		Version int64
	}
	key, err := query[row](ctx, `SELECT digest, version FROM api_keys WHERE account = $1 AND state = 'active'`, account)
	if err != nil {
		return admit.Decision{}, err
	}
	redis, err := admit.NewRedis(admit.Options{URL: given.redisURL})
	if err != nil {
		return admit.Decision{}, err
	}
	defer redis.Close()
	return redis.Preview(ctx, admit.Request{ID: "preview", Account: account, KeyDigest: key.Digest, KeyVersion: key.Version, HoldFor: time.Minute})
}
