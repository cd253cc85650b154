package apikey

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/stores"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// known opens the stores and reads the object's rows, before anything is made: a key in a Secret that no ledger can take
// would be of no use to whoever reads it.
func (r *Reconciler) known(ctx context.Context, s *scope) error {
	open, rows, err := r.rowsIn(ctx, client.ObjectKeyFromObject(s.object), s.gateway)
	if err == nil {
		s.stores, s.rows = open, rows
	}
	return err
}

// commit writes the row, tells Redis, and sees to the rows that the object had under other keys.
func (r *Reconciler) commit(ctx context.Context, s *scope) error {
	if s.stores == nil {
		s.programmed = condition(v1alpha1.ConditionProgrammed, metav1.ConditionTrue, v1alpha1.ReasonProgrammed, "The AIGateway is in mode Demo, which takes any key.")
		return nil
	}
	if s.key.Unresolved && !holds(s.rows, s.digest) {
		s.programmed = condition(v1alpha1.ConditionProgrammed, metav1.ConditionFalse, v1alpha1.ReasonPending, "No row is made before the references are resolved.")
		return r.before(ctx, s)
	}
	err := r.writeOwn(ctx, s)
	if errors.Is(err, ledger.ErrConflict) {
		s.accepted = condition(v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonConflicted, "The digest belongs to another key of the ledger, or to one that was revoked.")
		s.programmed = condition(v1alpha1.ConditionProgrammed, metav1.ConditionFalse, v1alpha1.ReasonConflicted, "No row can be made.")
		s.key = nil
		return nil
	}
	if err != nil {
		return stores.Unavailable(err)
	}
	if err := r.before(ctx, s); err != nil {
		return err
	}
	s.programmed = condition(v1alpha1.ConditionProgrammed, metav1.ConditionTrue, v1alpha1.ReasonProgrammed, "The key's row is committed.")
	return nil
}

// write makes one row so and tells Redis of it. The row comes with an outbox item, so that Redis hears of it even if this
// process dies in between.
func (r *Reconciler) write(ctx context.Context, s *scope, want ledger.KeyUpsert) error {
	row, err := s.stores.Ledger.UpsertKey(ctx, want)
	if err != nil {
		return fmt.Errorf("writing the key's row: %w", err)
	}
	return keys.Publish(ctx, s.stores.Redis, s.stores.Redis, row)
}

// before sees to the keys that the object had before its present one. One that a rotation replaced goes on until its
// overlap ends, under all else that the object says now; any other was lost or taken away, or is of an object of the same
// name that is gone, and ends at once.
func (r *Reconciler) before(ctx context.Context, s *scope) error {
	now := r.Now()
	var errs []error
	for _, row := range s.rows {
		if row.Digest == s.digest {
			continue
		}
		until := overlapEnd(row, s.key.OverlapSeconds, s.key.ExpiresAt, now)
		if row.ObjectUID != string(s.object.UID) || max(row.Rotation, 1) >= s.rotation || until <= now.UnixMicro() {
			errs = append(errs, revoke(ctx, s.stores, row))
			continue
		}
		want := r.upsert(s)
		want.FirstGrant, want.FirstGrantDays = 0, 0
		want.Digest, want.Prefix, want.Rotation, want.ExpiresAt = row.Digest, row.Prefix, row.Rotation, until
		errs = append(errs, stores.Unavailable(r.write(ctx, s, want)))
		s.wakeAt(time.UnixMicro(until).Sub(now))
	}
	return errors.Join(errs...)
}

// overlapEnd is until when a key that was replaced is honoured, in microseconds: what its row says since the first time
// that this was asked, unless a shorter overlap or the object itself ends sooner.
func overlapEnd(row ledger.Key, overlapSeconds, expiresAt int64, now time.Time) int64 {
	end := now.Add(time.Duration(overlapSeconds) * time.Second).UnixMicro()
	for _, earlier := range []int64{row.ExpiresAt, expiresAt} {
		if earlier != 0 {
			end = min(end, earlier)
		}
	}
	return end
}

// wakeAt asks for another reconcile after d, or earlier if one was asked for.
func (s *scope) wakeAt(d time.Duration) {
	if d = max(d, time.Millisecond); s.again == 0 || d < s.again {
		s.again = d
	}
}

// upsert is what the row must be.
func (r *Reconciler) upsert(s *scope) ledger.KeyUpsert {
	state := ledger.KeyActive
	if s.key.Disabled {
		state = ledger.KeyDisabled
	}
	return ledger.KeyUpsert{FirstGrant: s.key.FirstGrant, FirstGrantDays: s.key.FirstGrantDays, Key: ledger.Key{
		Digest: s.digest, Prefix: s.prefix, Name: s.name(),
		Account: s.key.Account, Tier: s.key.Tier, Policy: s.key.Policy,
		Scopes: s.key.Scopes, Models: s.key.Models,
		CapAmount: s.key.CapNano, CapPeriod: s.key.CapPeriod,
		ExpiresAt: s.key.ExpiresAt, Rotation: s.rotation, State: state,
		Source: Source, ClusterUID: r.ClusterUID, GatewayUID: string(s.gateway.UID),
		ObjectUID: string(s.object.UID), ObjectName: s.name(),
	}}
}

func (s *scope) name() string { return client.ObjectKeyFromObject(s.object).String() }

func holds(rows []ledger.Key, digest string) bool {
	for _, row := range rows {
		if row.Digest == digest {
			return true
		}
	}
	return false
}
