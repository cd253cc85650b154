package apikey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/controllers/stores"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// withhold disables the rows of an object that is not accepted, or whose key is not there, until it is again. What its
// status says of the key stays: the row stays too.
func (r *Reconciler) withhold(ctx context.Context, s *scope) error {
	home, _ := compile.KeyGateway(s.object)
	return r.everywhere(ctx, client.ObjectKeyFromObject(s.object), home, func(ctx context.Context, open *stores.Stores, row ledger.Key) error {
		s.remember(row)
		return disable(ctx, open, row)
	})
}

// remember takes from a row what the status says of a key: the status as it was read may be older than the row.
func (s *scope) remember(row ledger.Key) {
	if s.digest != "" && row.Rotation <= s.rotation {
		return
	}
	s.digest, s.prefix, s.rotation = row.Digest, row.Prefix, row.Rotation
	if generate := s.object.Spec.Key.Generate; generate != nil {
		s.secretName = generate.SecretName
	}
}

// disable makes a row disabled and tells Redis, also if it was already: Redis may have been away then. A row that has
// become another object's meanwhile is left to that one.
func disable(ctx context.Context, open *stores.Stores, row ledger.Key) error {
	row.State = ledger.KeyDisabled
	row, err := open.Ledger.UpsertKey(ctx, ledger.KeyUpsert{Key: row})
	if errors.Is(err, ledger.ErrConflict) {
		return nil
	}
	if err != nil {
		return stores.Unavailable(err)
	}
	return stores.Unavailable(keys.Publish(ctx, open.Redis, open.Redis, row))
}

// writeOwn writes the row of the object's present key. A ledger.ErrConflict says that the digest is not this object's to
// have.
func (r *Reconciler) writeOwn(ctx context.Context, s *scope) error {
	err := r.write(ctx, s, r.upsert(s))
	if !errors.Is(err, ledger.ErrConflict) {
		return err
	}
	taken, takeErr := r.takeOver(ctx, s)
	if takeErr != nil || !taken {
		return cmp.Or(takeErr, err)
	}
	err = r.write(ctx, s, r.upsert(s))
	if errors.Is(err, ledger.ErrConflict) {
		// The loser wrote in between; it has lost all the same, so that this is worth another try.
		return fmt.Errorf("taking a row over: %s", err.Error())
	}
	return err
}

// takeOver gives this object the row that an APIKey with the same claim made before it lost: of two made within one
// second the first by name wins, whichever was seen first. The row is disabled first, for the account may be another.
func (r *Reconciler) takeOver(ctx context.Context, s *scope) (bool, error) {
	row, err := s.stores.Ledger.KeyByDigest(ctx, s.digest)
	if err != nil {
		return false, err
	}
	if row.State == ledger.KeyRevoked || row.Source != Source || row.ClusterUID != r.ClusterUID || !slices.Contains(s.losers, row.ObjectName) {
		return false, nil
	}
	if err := disable(ctx, s.stores, row); err != nil {
		return false, err
	}
	// A row goes with the UID or the name of its object; first the one changes, then (in write) the other.
	row.State, row.ObjectName = ledger.KeyDisabled, s.name()
	if _, err := s.stores.Ledger.UpsertKey(ctx, ledger.KeyUpsert{Key: row}); err != nil && !errors.Is(err, ledger.ErrConflict) {
		return false, err
	}
	return true, nil
}
