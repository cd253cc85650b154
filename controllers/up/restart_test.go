package up

import (
	"context"
	"database/sql"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// A process that is killed after it has answered, before the ledger has the charges, writes them when it is started again: each
// once, to the nano-dollar.
func TestKilledProcessSettles(t *testing.T) {
	dir := folder(t, manifest(t, provider(t), keys.Digest(plainKey)))
	first := startChild(t, dir)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	if bad := ask(t, client, first.api, 0); bad != "" { // the key and the account are known from here on
		t.Fatal(bad)
	}
	path := filepath.Join(dir, "data", "ledger.db")
	awaitSpent(t, path, charge(0))
	release := seize(t, path)
	const more = 12
	want := charge(0)
	for i := 1; i <= more; i++ {
		if bad := ask(t, client, first.api, i); bad != "" {
			t.Fatal(bad)
		}
		want += charge(i)
	}
	first.kill(t)
	if got := spent(t, path); got != charge(0) {
		t.Fatalf("%d nano-dollars are in the ledger, want %d: nothing waited", got, charge(0))
	}
	release()

	startChild(t, dir)
	awaitSpent(t, path, want)
	books, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer books.Close()
	if bad, err := books.Check(t.Context()); err != nil || len(bad) > 0 {
		t.Errorf("ledger: %v %v", bad, err)
	}
}

// seize keeps everybody else from writing to a SQLite file until release.
func seize(t *testing.T, path string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "PRAGMA busy_timeout = 5000"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
			t.Error(err)
		}
		_ = conn.Close()
	}
}

func awaitSpent(t *testing.T, path string, want pricing.Nano) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		got := spent(t, path)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the ledger has %d nano-dollars, want %d", got, want)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// spent is what all accounts of a SQLite ledger were charged.
func spent(t *testing.T, path string) (n pricing.Nano) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRowContext(t.Context(), "SELECT COALESCE(SUM(charged), 0) FROM usage_logs").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Another password is the same ledger; another ledger is another folder.
func TestLogOfEachLedger(t *testing.T) {
	dir := func(url string) string { return Options{Data: "/data", Ledger: url}.walDir() }
	if got := dir(""); got != filepath.Join("/data", "wal") {
		t.Errorf("embedded: %s", got)
	}
	a, b, c, file := dir("postgres://u:one@h/x"), dir("postgres://u:two@h/x"), dir("postgres://u:one@h/y"), dir("sqlite:/x.db")
	if a != b || a == c || file == a || file == dir("sqlite:/y.db") || !strings.HasPrefix(a, filepath.Join("/data", "wal-")) {
		t.Errorf("%s %s %s %s", a, b, c, file)
	}
}

// Demo mode leaves nothing behind.
func TestDemoHasNoLog(t *testing.T) {
	data := t.TempDir()
	p := start(t, Options{Data: data})
	p.stop(t)
	if left, err := os.ReadDir(data); err != nil || len(left) > 0 {
		t.Errorf("%v %v", left, err)
	}
}
