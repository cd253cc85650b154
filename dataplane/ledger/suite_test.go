package ledger_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // raw access to what the ledger wrote

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/hack/testenv"
)

// env is one migrated ledger and a raw connection to its database.
type env struct {
	ledger.Ledger
	url     string
	raw     *sql.DB
	dialect string // the folder of its migrations
}

// onEach runs a test on SQLite, on PostgreSQL and through PgBouncer, on a fresh migrated ledger each.
func onEach(t *testing.T, test func(t *testing.T, e env)) {
	t.Helper()
	onEachOf(t, sqliteMigrated, func(t *testing.T) string { return testenv.PostgresFilled(t, "migrated", migrate) }, test)
}

// onEachEmpty does the same without migrating.
func onEachEmpty(t *testing.T, test func(t *testing.T, e env)) {
	t.Helper()
	onEachOf(t, func(*testing.T, string) {}, func(t *testing.T) string { return testenv.Postgres(t) }, test)
}

func onEachOf(t *testing.T, file func(*testing.T, string), database func(*testing.T) string, test func(t *testing.T, e env)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "led ger?#%.db") // a path with everything that a URL would take for something else
		file(t, path)
		test(t, open(t, "sqlite:"+path, "sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: "_pragma=busy_timeout(10000)"}).String()))
	})
	t.Run("postgres", func(t *testing.T) {
		at := database(t)
		test(t, open(t, at, "pgx", at))
	})
	t.Run("pgbouncer", func(t *testing.T) {
		at := database(t)
		test(t, open(t, testenv.PgBouncer(t, at), "pgx", at))
	})
}

// migrate makes the tables of a ledger.
func migrate(at string) error {
	l, err := ledger.Open(context.Background(), at, ledger.Options{})
	if err != nil {
		return err
	}
	defer l.Close()
	return l.Migrate(context.Background())
}

// sqliteFile has the bytes of a migrated ledger: a migration takes longer than most tests.
var sqliteFile = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "layers-ledger-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "ledger.db")
	if err := migrate("sqlite:" + path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

func sqliteMigrated(t *testing.T, path string) {
	t.Helper()
	b, err := sqliteFile()
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, at, driver, dsn string) env {
	t.Helper()
	l, err := ledger.Open(t.Context(), at, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	raw, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	return env{l, at, raw, map[string]string{"sqlite": "sqlite", "pgx": "postgres"}[driver]}
}

// number reads one number from the database.
func (e env) number(t *testing.T, query string) int64 {
	t.Helper()
	var n int64
	if err := e.raw.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// sound fails the test unless the ledger's invariants hold.
func (e env) sound(t *testing.T) {
	t.Helper()
	problems, err := e.Check(context.WithoutCancel(t.Context()))
	if err != nil || len(problems) > 0 {
		t.Fatalf("Check = %q, %v", problems, err)
	}
}

// granted makes an account with money.
func (e env) granted(t *testing.T, account string, amount pricing.Nano) {
	t.Helper()
	if _, err := e.Grant(t.Context(), ledger.Grant{ID: "start " + account, Account: account, Amount: amount, Kind: "manual", Reason: "test"}); err != nil {
		t.Fatal(err)
	}
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func settlement(id, account string, charged pricing.Nano) ledger.Settlement {
	return ledger.Settlement{
		RequestID: id, Account: account, KeyID: "key_1", Model: "m", Provider: "p", Backend: "b", UpstreamID: "chatcmpl-1",
		Usage: pricing.Usage{Input: 3, CacheRead: 2, CacheWrite: 1, CacheWrite1h: 6, Output: 5, Reasoning: 4, Searches: 7},
		Lines: []pricing.Line{{Kind: "input", Quantity: 3, UnitPrice: 7, Amount: 0}}, PriceVersion: "v1",
		Cost: charged, Charged: charged, Held: 2 * charged, Evidence: ledger.EvidenceReported,
		Status: 200, Stream: true, StartedAt: 1_700_000_000_000_001, FinishedAt: 1_700_000_000_000_002,
	}
}

// spends is what the key of settlement has spent in its day and its month.
func spends(spent pricing.Nano) []ledger.Spend {
	return []ledger.Spend{
		{Window: ledger.Window{Period: ledger.PeriodDay, Start: 1_699_920_000}, Spent: spent}, // 14 November 2023
		{Window: ledger.Window{Period: ledger.PeriodMonth, Start: 1_698_796_800}, Spent: spent},
	}
}

// only is one request's settlement, which must succeed.
func (e env) only(t *testing.T, s ledger.Settlement) ledger.Settled {
	t.Helper()
	out, err := e.Settle(t.Context(), []ledger.Settlement{s})
	if err != nil || len(out) != 1 {
		t.Fatalf("Settle = %v, %v", out, err)
	}
	return out[0]
}
