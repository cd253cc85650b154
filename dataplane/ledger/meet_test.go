package ledger_test

import (
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/hack/testenv"
)

// TestSettlingBatchesMeet has a batch meet another one that has its first request: it waits there, with neither the account nor
// its second request, though that one comes first in it. So the other one goes on to its end, and nothing is charged twice.
func TestSettlingBatchesMeet(t *testing.T) {
	at := testenv.Postgres(t)
	e := open(t, at, "pgx", at)
	if err := e.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.granted(t, "default/a", 100)
	e.only(t, settlement("req_0", "default/a", 1)) // asked before: how statements are described
	other, err := e.raw.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Rollback()
	run := func(sql string) {
		t.Helper()
		if _, err := other.ExecContext(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	const waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
	const post = "INSERT INTO ledger_tx (idem_key, kind, created_at) VALUES "
	run("SET LOCAL lock_timeout = '5s'")
	run(post + "('settle:req_1', 'free', 1)")
	type answer struct {
		settled []ledger.Settled
		err     error
	}
	done := make(chan answer, 1)
	go func() {
		settled, err := e.Settle(t.Context(), []ledger.Settlement{settlement("req_2", "default/a", 7), settlement("req_1", "default/a", 5)})
		done <- answer{settled, err}
	}()
	for deadline := time.Now().Add(10 * time.Second); e.number(t, waiting) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the batch does not wait")
		}
	}
	run(post + "('settle:req_2', 'free', 1)")
	run("SELECT id FROM accounts WHERE id = 'default/a' FOR UPDATE")
	if err := other.Rollback(); err != nil { // the other one ends in vain
		t.Fatal(err)
	}
	got := <-done
	if got.err != nil || len(got.settled) != 2 || got.settled[0].Duplicate || got.settled[1].Duplicate || got.settled[0].Account.Balance != 100-1-7-5 {
		t.Errorf("%+v, %v", got.settled, got.err)
	}
	e.sound(t)
}
