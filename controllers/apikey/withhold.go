package apikey

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/stores"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// withhold disables the rows of an object that is not accepted, or whose key is not there, until it is again. Which
// gateway it belonged to may be what is not known, so all of the namespace are looked at. What its status says of the key
// stays: the row stays too.
func (r *Reconciler) withhold(ctx context.Context, s *scope) error {
	was := s.object.Status
	s.digest, s.prefix = cmp.Or(s.digest, was.SHA256), cmp.Or(s.prefix, was.Prefix)
	if s.secretName == "" && was.SecretRef != nil {
		s.secretName = was.SecretRef.Name
	}
	var gateways v1alpha1.AIGatewayList
	if err := r.Client.List(ctx, &gateways, client.InNamespace(s.object.Namespace)); err != nil {
		return fmt.Errorf("listing gateways: %w", err)
	}
	var errs []error
	for i := range gateways.Items {
		errs = append(errs, r.withholdIn(ctx, s, &gateways.Items[i]))
	}
	return errors.Join(errs...)
}

func (r *Reconciler) withholdIn(ctx context.Context, s *scope, gw *v1alpha1.AIGateway) error {
	open, err := r.Stores.Get(ctx, gw)
	if err != nil || open == nil {
		return err
	}
	rows, err := open.Ledger.KeysByObject(ctx, Source, r.ClusterUID, client.ObjectKeyFromObject(s.object).String())
	if err != nil {
		return stores.Unavailable(err)
	}
	var errs []error
	for _, row := range rows {
		errs = append(errs, disable(ctx, open, row))
	}
	return stores.Unavailable(errors.Join(errs...))
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
		return err
	}
	return keys.Publish(ctx, open.Redis, open.Redis, row)
}

// commit writes the row of this object. A ledger.ErrConflict says that the digest is not this object's to have.
func (r *Reconciler) commit(ctx context.Context, s *scope, open *stores.Stores) (ledger.Key, error) {
	row, err := open.Ledger.UpsertKey(ctx, r.upsert(s))
	if !errors.Is(err, ledger.ErrConflict) {
		return row, err
	}
	taken, takeErr := r.takeOver(ctx, s, open)
	if takeErr != nil || !taken {
		return ledger.Key{}, cmp.Or(takeErr, err)
	}
	row, err = open.Ledger.UpsertKey(ctx, r.upsert(s))
	if errors.Is(err, ledger.ErrConflict) {
		// The loser wrote in between; it has lost all the same, so that this is worth another try.
		return ledger.Key{}, fmt.Errorf("taking a row over: %s", err.Error())
	}
	return row, err
}

// takeOver gives this object the row that an APIKey with the same claim made before it lost: of two made within one
// second the first by name wins, whichever was seen first. The row is disabled first, for the account may be another.
func (r *Reconciler) takeOver(ctx context.Context, s *scope, open *stores.Stores) (bool, error) {
	row, err := open.Ledger.KeyByDigest(ctx, s.digest)
	if err != nil {
		return false, err
	}
	if row.State == ledger.KeyRevoked || row.Source != Source || row.ClusterUID != r.ClusterUID || !slices.Contains(s.losers, row.ObjectName) {
		return false, nil
	}
	if err := disable(ctx, open, row); err != nil {
		return false, err
	}
	// A row goes with the UID or the name of its object; first the one changes, then (in commit) the other.
	row.State, row.ObjectName = ledger.KeyDisabled, client.ObjectKeyFromObject(s.object).String()
	if _, err := open.Ledger.UpsertKey(ctx, ledger.KeyUpsert{Key: row}); err != nil && !errors.Is(err, ledger.ErrConflict) {
		return false, err
	}
	return true, nil
}
