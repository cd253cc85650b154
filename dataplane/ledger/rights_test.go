package ledger_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/hack/testenv"
)

// TestWithoutDDL: a role that may do no more than `layers migrate --help` says serves as a gateway does, and cannot migrate.
func TestWithoutDDL(t *testing.T) {
	admin := testenv.Postgres(t)
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	role := "app" + strings.TrimPrefix(u.Path, "/layers_") // roles belong to the server, which other tests share
	e := open(t, admin, "pgx", admin)
	e.exec(t, "CREATE ROLE "+role+" LOGIN PASSWORD 'x'")
	t.Cleanup(func() {
		for _, sql := range []string{"DROP OWNED BY " + role, "DROP ROLE " + role} {
			if _, err := e.raw.ExecContext(context.Background(), sql); err != nil {
				t.Error(err)
			}
		}
	})
	e.exec(t, "REVOKE CREATE ON SCHEMA public FROM PUBLIC") // as it is from PostgreSQL 15 on
	e.exec(t, "ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "+role)
	u.User = url.UserPassword(role, "x")
	l, err := ledger.Open(t.Context(), u.String(), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Migrate(t.Context()); err == nil {
		t.Error("it made the tables")
	}
	if err := e.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	app := env{l, u.String(), e.raw, "postgres"}
	if err := app.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	app.granted(t, "default/acme", 100)
	app.only(t, settlement("req_1", "default/acme", 5))
	app.upserted(t, upsert("object"))
	app.created(t, newKey("k1"))
	if _, _, err := app.RotateKey(t.Context(), digest("k1"), digest("k2"), "", time.Minute); err != nil {
		t.Error(err)
	}
	if _, err := app.RevokeKey(t.Context(), digest("k2")); err != nil {
		t.Error(err)
	}
	if items := app.outbox(t); len(items) != 2 {
		t.Errorf("outbox %v", items)
	}
	if _, err := app.CreditsPerDollar(t.Context(), 100); err != nil {
		t.Error(err)
	}
	if n, err := app.MakePartitions(t.Context(), ledger.MonthsAhead+1); err != nil || n != 1 {
		t.Errorf("made %d months, %v", n, err)
	}
	if _, err := app.Reserve(t.Context(), ledger.Reservation{RequestID: "req_2", Account: "default/acme", Amount: 5, Owner: "pod", ExpiresAt: 1}); err != nil {
		t.Error(err)
	}
	app.only(t, settlement("req_2", "default/acme", 5))
	app.sound(t)
}
