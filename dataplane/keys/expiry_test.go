package keys

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// TestExpiryIsExact: a key is refused from its last microsecond on, whichever cache has it and however old that is.
func TestExpiryIsExact(t *testing.T) {
	f := newFixture(t)
	ends := f.clock().Add(10 * time.Second)
	k := row
	k.ExpiresAt = ends.UnixMicro()
	f.store.set(k)
	f.want(f.a, k.Digest, k, nil, 1) // now in the cache of a and in the shared one
	f.pass(10*time.Second - time.Microsecond)
	f.want(f.a, k.Digest, k, nil, 0)
	f.pass(time.Microsecond)
	f.want(f.a, k.Digest, k, ErrExpired, 0)
	f.want(f.b, k.Digest, k, ErrExpired, 0) // by the shared cache
	key, err := f.a.Reload(context.Background(), k.Digest)
	wantKey(t, key, err, k, ErrExpired)

	longer := k
	longer.ExpiresAt, longer.Version = ends.Add(time.Hour).UnixMicro(), k.Version+1
	f.store.set(longer)
	key, err = f.a.Reload(context.Background(), k.Digest)
	wantKey(t, key, err, longer, nil)
}

// TestRevokedIsToldBeforeExpired: an expired key that was revoked, too, is told as revoked.
func TestRevokedIsToldBeforeExpired(t *testing.T) {
	f := newFixture(t)
	k := row
	k.ExpiresAt, k.State = 1, ledger.KeyRevoked
	f.store.set(k)
	f.want(f.a, k.Digest, k, nil, 1)
}

// TestAuthenticateExpired: an expired key costs its address nothing and comes with its row.
func TestAuthenticateExpired(t *testing.T) {
	f := newFixture(t)
	k := row
	k.ExpiresAt = 1
	f.store.set(k)
	a := &Authenticator{Resolver: f.a, Guard: NewGuard(GuardOptions{Burst: 1, Now: f.clock})}
	for range 3 { // from the store, then from memory
		got, err := a.Authenticate(context.Background(), declared, "10.0.0.1")
		if diff := cmp.Diff(ErrExpired, err, cmpopts.EquateErrors()); diff != "" || !cmp.Equal(got, k) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if !a.Guard.Allow("10.0.0.1") {
		t.Error("the address pays for an expired key")
	}
}
