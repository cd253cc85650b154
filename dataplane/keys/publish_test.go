package keys

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/hack/testenv"
)

// A published revocation is refused by the very next admission, and found by the next lookup through the shared cache.
func TestPublish(t *testing.T) {
	for name, open := range map[string]func() (*admit.Redis, error){
		"embedded": func() (*admit.Redis, error) { return admit.Embedded(admit.Options{}) },
		"server":   func() (*admit.Redis, error) { return admit.NewRedis(admit.Options{URL: testenv.Redis(t)}) },
	} {
		t.Run(name, func(t *testing.T) {
			r, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			testPublish(t, r)
		})
	}
}

func testPublish(t *testing.T, r *admit.Redis) {
	ctx := context.Background()
	f := newFixture(t)
	resolver := NewResolver(Options{Store: f.store, Cache: r, Now: f.clock})
	publish := func(k ledger.Key) {
		t.Helper()
		f.store.set(k)
		if err := Publish(ctx, r, r, k); err != nil {
			t.Fatal(err)
		}
	}
	admitted := func(version int64, want admit.Outcome) {
		t.Helper()
		d, err := r.Admit(ctx, admit.Request{
			ID: fmt.Sprint("req_", time.Now().UnixNano()), Account: row.Account, KeyDigest: row.Digest, KeyVersion: version, HoldFor: time.Minute,
		})
		if err != nil || d.Outcome != want {
			t.Fatalf("outcome %d, want %d, %v", d.Outcome, want, err)
		}
	}
	if err := r.LoadAccount(ctx, admit.Copy{Account: row.Account, Spendable: 0, Version: 1}); err != nil {
		t.Fatal(err)
	}
	publish(row)
	f.want(resolver, row.Digest, row, nil, 1)
	f.want(NewResolver(Options{Store: f.store, Cache: r, Now: f.clock}), row.Digest, row, nil, 0)
	admitted(row.Version, admit.Admitted)

	gone := row
	gone.Version, gone.State = row.Version+1, ledger.KeyRevoked
	publish(gone)
	admitted(row.Version, admit.KeyRefused)
	f.want(NewResolver(Options{Store: f.store, Cache: r, Now: f.clock}), row.Digest, gone, nil, 1)
	publish(gone)
	if err := Publish(ctx, r, nil, row); err != nil { // late
		t.Fatal(err)
	}
	admitted(row.Version, admit.KeyRefused)

	r.Close()
	if err := Publish(ctx, r, r, gone); err == nil {
		t.Error("no error where nobody could be told")
	}
}
