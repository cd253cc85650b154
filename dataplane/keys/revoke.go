package keys

import (
	"context"
	"errors"
	"fmt"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// ErrUntold: the ledger has revoked the key, but Redis could not be told: requests may pass until the outbox is delivered,
// for at most MaxAge.
var ErrUntold = errors.New("the key is revoked, but Redis could not be told yet")

// Revoker is what Revoke needs of the ledger.
type Revoker interface {
	Store
	RevokeKey(ctx context.Context, digest string) (ledger.Key, error)
}

// Revoke ends a key for good, deny-first: a tombstone in Redis, then the ledger, then Redis again. Wherever it stops, doing
// it again is safe. When it returns nil, the next request is refused. When it stops after the first step, the key is refused
// as long as Redis keeps the tombstone, which has no end; after the second it is revoked, and the outbox repeats the third.
//
// Redis that does not answer stops no revocation: the ledger goes ahead, and the error is ErrUntold, with the row.
func Revoke(ctx context.Context, l Revoker, admission Loader, cache Cache, digest string) (ledger.Key, error) {
	row, err := l.KeyByDigest(ctx, digest)
	if err != nil {
		return ledger.Key{}, fmt.Errorf("revoking a key: %w", err)
	}
	if row.State != ledger.KeyRevoked {
		tombstone := row
		tombstone.State, tombstone.Version = ledger.KeyRevoked, row.Version+1
		// Its error is of no interest: the last step says the same, or has made it good.
		_ = Publish(ctx, admission, cache, tombstone)
	}
	if row, err = l.RevokeKey(ctx, digest); err != nil {
		return ledger.Key{}, fmt.Errorf("revoking a key: %w", err)
	}
	if err := Publish(ctx, admission, cache, row); err != nil {
		return row, fmt.Errorf("%w: %w", ErrUntold, err)
	}
	return row, nil
}
