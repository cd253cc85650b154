package ledger_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/hack/testenv"
)

// batchSize is what the settler posts at once.
const batchSize = 200

// BenchmarkSettle settles in batches into one hot account and into many, and inserts the same rows of usage, and nothing else,
// in batches: rows/s are what to compare, of one run.
func BenchmarkSettle(b *testing.B) {
	for _, dialect := range []string{"sqlite", "postgres"} {
		for _, accounts := range []int{1, 10, batchSize} {
			b.Run(fmt.Sprintf("%s/accounts=%d", dialect, accounts), func(b *testing.B) { benchmarkSettle(b, dialect, accounts) })
		}
	}
	b.Run("postgres/bare", benchmarkBare)
}

func openBench(b *testing.B, dialect string) (string, ledger.Ledger) {
	b.Helper()
	url := "sqlite:" + b.TempDir() + "/l.db"
	if dialect == "postgres" {
		url = testenv.Postgres(b)
	}
	l, err := ledger.Open(b.Context(), url, ledger.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(l.Close)
	if err := l.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	return url, l
}

func benchmarkSettle(b *testing.B, dialect string, accounts int) {
	_, l := openBench(b, dialect)
	for i := range accounts {
		if _, err := l.Grant(b.Context(), ledger.Grant{ID: fmt.Sprint(i), Account: fmt.Sprint("default/a", i), Amount: 1 << 50, Kind: ledger.GrantPurchased, Reason: "bench"}); err != nil {
			b.Fatal(err)
		}
	}
	batch, n := make([]ledger.Settlement, batchSize), 0
	for b.Loop() {
		for i := range batch {
			batch[i] = settlement(fmt.Sprintf("req_%d_%d", b.N, n), fmt.Sprint("default/a", i%accounts), 1)
			batch[i].KeyID = fmt.Sprint("key_", i%accounts)
			n++
		}
		if _, err := l.Settle(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
}

// benchmarkBare inserts the rows that tell of usage, and their unique key, as one would who keeps no ledger.
func benchmarkBare(b *testing.B) {
	url, _ := openBench(b, "postgres")
	db, err := sql.Open("pgx", url+"&default_query_exec_mode=exec")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(b.Context(), "CREATE TABLE bare (LIKE usage_logs INCLUDING ALL)"); err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		var values []string
		var args []any
		for i := range batchSize {
			s := settlement(fmt.Sprintf("req_%d_%d", b.N, n), fmt.Sprint("default/a", i), 1)
			row := []any{s.RequestID, s.Account, s.KeyID, s.Model, s.Provider, s.Backend, s.UpstreamID, 3, 2, 1, 6, 5, 4, 7, "[]", "v1", 1, 1, 2, "reported", 200, true, s.StartedAt, s.FinishedAt}
			marks := make([]string, len(row))
			for j := range row {
				args = append(args, row[j])
				marks[j] = fmt.Sprint("$", len(args))
			}
			values = append(values, "("+strings.Join(marks, ",")+")")
			n++
		}
		insert := "INSERT INTO bare (request_id, account, key_id, model, provider, backend, upstream_id, input_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, " +
			"output_tokens, reasoning_tokens, searches, lines, price_version, cost, charged, held, evidence, status, stream, started_at, finished_at) VALUES " + strings.Join(values, ",") + " ON CONFLICT DO NOTHING"
		if _, err := db.ExecContext(context.Background(), insert, args...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
}
