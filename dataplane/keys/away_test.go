package keys

import (
	"errors"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger"
)

func (r *rows) fails(err error, gate chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err, r.gate = err, gate
}

// While the store cannot be read a row goes on for a quarter of an hour after it was: this replica's, or another's; and a
// store that is back is read at once. Reload never does with an old row.
func TestOldRowsWhileTheStoreIsAway(t *testing.T) {
	f := newFixture(t)
	f.want(f.a, row.Digest, row, nil, 1)
	f.store.fails(errors.New("connection refused"), nil)
	f.pass(MaxAge)
	f.want(f.a, row.Digest, row, nil, 1)
	f.want(f.b, row.Digest, row, nil, 1) // what the shared cache has
	if _, err := f.b.Reload(t.Context(), row.Digest); !errors.Is(err, ErrUnavailable) {
		t.Errorf("reloaded: %v", err)
	}
	f.pass(MaxAgeAway - MaxAge - time.Second)
	f.want(f.a, row.Digest, row, nil, 1)
	f.pass(time.Second)
	f.want(f.a, row.Digest, ledger.Key{}, ErrUnavailable, 1)
	f.want(f.b, row.Digest, ledger.Key{}, ErrUnavailable, 1)
	f.store.fails(nil, nil)
	disabled := row
	disabled.State, disabled.Version = ledger.KeyDisabled, 4
	f.store.set(disabled)
	f.want(f.a, row.Digest, disabled, nil, 1)
}

// A store that hangs holds nobody up for long who can do with an old row; a key is looked for as ever by the others.
func TestOldRowsWhileTheStoreHangs(t *testing.T) {
	f := newFixture(t)
	f.want(f.a, row.Digest, row, nil, 1)
	gate := make(chan struct{})
	f.store.fails(nil, gate)
	f.pass(MaxAge)
	auth := &Authenticator{Resolver: f.a, Guard: NewGuard(GuardOptions{})}
	began := time.Now()
	if k, err := auth.Authenticate(t.Context(), declared, "1.2.3.4"); err != nil || k.ID != row.ID {
		t.Errorf("%+v, %v", k, err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	close(gate)
	f.store.fails(nil, nil)
	f.want(f.a, row.Digest, row, nil, 0) // the read that hung has filled the cache, or is shared
}
