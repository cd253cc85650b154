package ledger_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/layers-dev/layers/dataplane/ledger"
)

func TestReadyOnlyWhenMigrated(t *testing.T) {
	onEachEmpty(t, func(t *testing.T, e env) {
		if err := e.Ready(t.Context()); !errors.Is(err, ledger.ErrSchema) {
			t.Errorf("Ready of an empty database: %v", err)
		}
		if _, err := e.Account(t.Context(), "default/a"); !errors.Is(err, ledger.ErrSchema) {
			t.Errorf("Account in an empty database: %v", err)
		}
		if _, err := e.Settle(t.Context(), []ledger.Settlement{settlement("req_1", "default/a", 1)}); !errors.Is(err, ledger.ErrSchema) {
			t.Errorf("Settle in an empty database: %v", err)
		}
		if err := e.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := e.Ready(t.Context()); err != nil {
			t.Errorf("Ready after Migrate: %v", err)
		}
	})
}

// TestServerVersions says in the log what the tests run on; the manual claims no other versions.
func TestServerVersions(t *testing.T) {
	onEachEmpty(t, func(t *testing.T, e env) {
		query := map[string]string{"sqlite": "SELECT sqlite_version()", "postgres": "SHOW server_version"}[e.dialect]
		var version string
		if err := e.raw.QueryRowContext(t.Context(), query).Scan(&version); err != nil || version == "" {
			t.Fatal(err)
		}
		t.Logf("tested on %s %s", e.dialect, version)
		if manual, err := os.ReadFile("../console/docs/money.md"); err != nil || e.dialect == "sqlite" && !strings.Contains(string(manual), "the SQLite "+version[:strings.LastIndex(version, ".")]+" that is built in") {
			t.Errorf("the manual does not name the SQLite that is built in, %s: %v", version, err)
		}
	})
}

func TestReadyForTheNextVersion(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		now := e.number(t, "SELECT MAX(version) FROM schema_version")
		for ahead, ready := range map[int64]bool{1: true, 2: false} {
			if _, err := e.raw.ExecContext(t.Context(), fmt.Sprintf("UPDATE schema_version SET version = %d WHERE version >= %d", now+ahead, now)); err != nil {
				t.Fatal(err)
			}
			if err := e.Ready(t.Context()); (err == nil) != ready {
				t.Errorf("%d ahead: %v", ahead, err)
			}
			if err := e.Migrate(t.Context()); err != nil {
				t.Errorf("Migrate of a newer schema: %v", err)
			}
		}
	})
}

func TestMigrateConcurrently(t *testing.T) {
	onEachEmpty(t, func(t *testing.T, e env) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				l, err := ledger.Open(t.Context(), e.url, ledger.Options{})
				if err != nil {
					t.Error(err)
					return
				}
				defer l.Close()
				if err := l.Migrate(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := e.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		if n := e.number(t, "SELECT COUNT(*) FROM schema_version"); n != e.number(t, "SELECT MAX(version) FROM schema_version") {
			t.Errorf("%d migrations were applied", n)
		}
	})
}

func TestEntriesAreAppendOnly(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e.only(t, settlement("req_1", "default/a", 5))
		for _, sql := range []string{
			"UPDATE ledger_entries SET amount = 1", "DELETE FROM ledger_entries",
			"UPDATE ledger_tx SET kind = 'grant'", "DELETE FROM ledger_tx",
		} {
			if _, err := e.raw.ExecContext(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: %v", sql, err)
			}
		}
		if _, err := e.raw.ExecContext(t.Context(), "TRUNCATE ledger_entries"); err == nil { // SQLite has no such statement
			t.Error("TRUNCATE was let through")
		}
		if n := e.number(t, "SELECT COUNT(*) FROM ledger_entries"); n != 2 {
			t.Errorf("%d entries", n)
		}
	})
}

// TestCheckFinds breaks a sound ledger in every way that Check knows.
func TestCheckFinds(t *testing.T) {
	for sql, want := range map[string]string{
		"UPDATE accounts SET balance = balance + 1 WHERE id = 'default/a'":                             "account default/a: balance 96, but its entries sum to 95",
		"INSERT INTO ledger_entries (tx, account, amount) VALUES ('settle:req_1', 'system/promo', 1)":  "transaction settle:req_1: entries sum to 1 in 3 entries",
		"INSERT INTO ledger_entries (tx, account, amount) VALUES ('settle:req_1', 'default/ghost', 1)": "account default/ghost: its entries sum to 1, but it has 0 rows",
		"INSERT INTO ledger_tx (idem_key, kind, created_at) VALUES ('settle:x', 'settle', 0)":          "transaction settle:x: 0 entries, expected at least 2",
		"INSERT INTO ledger_entries (tx, account, amount) VALUES ('settle:x', 'system/promo', 1)":      "transaction settle:x: it has an entry of 1, but 0 rows",
		"INSERT INTO grant_draws VALUES ('settle:x', 'grant:start default/a', 1)":                      "grant grant:start default/a: a draw of 1 by nothing or of a grant that has 0 rows",
		"INSERT INTO grant_draws VALUES ('settle:req_1', 'grant:x', 1)":                                "grant grant:x: a draw of 1 by nothing or of a grant that has 0 rows",
		"UPDATE usage_logs SET charged = 6":                                                            "request req_1: charged 6, but its entry says 5",
		"UPDATE credit_grants SET amount = 99":                                                         "grant grant:start default/a: amount 99, but its entry says 100",
		"UPDATE key_windows SET spent = 6 WHERE period = 'Day'":                                        "key and day key_1 1699920000: the window says 6, but its usage sums to 5",
		"DELETE FROM key_windows WHERE period = 'Day'":                                                 "key and day key_1 1699920000: the window says 0, but its usage sums to 5",
		"INSERT INTO key_windows VALUES ('key_2', 'Day', 0, 86400, 7)":                                 "key and day key_2 0: the window says 7, but its usage sums to 0",
		"UPDATE key_windows SET spent = 6 WHERE period = 'Month'":                                      "key and month key_1 1698796800: the window says 6, but its days sum to 5",
		"DELETE FROM key_windows WHERE period = 'Month'":                                               "key and day key_1 1699920000: 5 spent, but no month has it (0)",
	} {
		t.Run(want, func(t *testing.T) {
			onEach(t, func(t *testing.T, e env) {
				e.granted(t, "default/a", 100)
				e.only(t, settlement("req_1", "default/a", 5))
				e.sound(t)
				if _, err := e.raw.ExecContext(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
				problems, err := e.Check(t.Context())
				if err != nil || !strings.Contains(strings.Join(problems, "\n"), want) {
					t.Errorf("Check = %q, %v", problems, err)
				}
			})
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, url := range []string{
		"", "mysql://u:hunter2@h/db", "sqlite:", "sqlite::memory:", "file:x.db?mode=hunter2", "file:%zzhunter2", "file://elsewhere/hunter2",
		"postgres://u:hunter2@h:port/db", "postgres://u:hunter2%zz@h/db", "postgres://u:hunter2@h/db?sslmode=hunter2", "postgres://u:hunter2@h/db?pool_max_conns=hunter2",
	} {
		l, err := ledger.Open(t.Context(), url, ledger.Options{})
		if err == nil {
			l.Close()
			t.Errorf("%q was taken", url)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows the URL: %v", err)
		}
	}
}

func TestUnreachableNeverShowsThePassword(t *testing.T) {
	l, err := ledger.Open(t.Context(), "postgres://u:hunter2@127.0.0.1:1/db", ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Ready(t.Context()); err == nil || strings.Contains(err.Error(), "hunter2") || errors.Is(err, ledger.ErrSchema) {
		t.Errorf("Ready = %v", err)
	}
}

func TestFileURLs(t *testing.T) {
	dir := t.TempDir()
	for _, url := range []string{"sqlite:" + dir + "/a.db", "sqlite://" + dir + "/b.db", "file:" + dir + "/c.db", "file://" + dir + "/d.db"} {
		l, err := ledger.Open(t.Context(), url, ledger.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Migrate(t.Context()); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		l.Close()
	}
}
