package sqldb_test

import (
	"context"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
	"github.com/layers-dev/layers/hack/testenv"
)

// A process that is stopped within a transaction, or whose node is lost, does not keep the others from what it has locked.
func TestAStoppedWriterLetsGo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	db, err := sqldb.Open(ctx, testenv.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	exec := func(tx sqldb.Tx, sql string) error {
		_, err := tx.Exec(ctx, sql)
		return err
	}
	err = db.Write(ctx, func(tx sqldb.Tx) error { return exec(tx, "CREATE TABLE x (n BIGINT); INSERT INTO x VALUES (1)") })
	if err != nil {
		t.Fatal(err)
	}
	locked, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- db.Write(ctx, func(tx sqldb.Tx) error {
			if err := exec(tx, "UPDATE x SET n = 2"); err != nil {
				return err
			}
			close(locked)
			<-goOn
			return nil
		})
	}()
	<-locked
	if err := db.Write(ctx, func(tx sqldb.Tx) error { return exec(tx, "UPDATE x SET n = n + 10") }); err != nil {
		t.Errorf("the others wait for it: %v", err)
	}
	close(goOn)
	if err := <-ended; err == nil {
		t.Error("what the server has given up is said to be written")
	}
	var n int64
	err = db.Each(ctx, "SELECT n FROM x", nil, func(scan func(...any) error) error { return scan(&n) })
	if err != nil || n != 11 {
		t.Errorf("n is %d, %v", n, err)
	}
}
