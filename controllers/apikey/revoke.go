package apikey

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/stores"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// revoked is a row that the ledger has ended, and the gateway whose Redis is to be told. Its stores are asked for at each
// try: they may have been opened anew meanwhile.
type revoked struct {
	gateway types.NamespacedName
	row     ledger.Key
}

// revokeAll ends every row of an object that is gone. Nothing says which gateway it belonged to, so all of the namespace
// are looked at; an error brings it back until it is done.
func (r *Reconciler) revokeAll(ctx context.Context, name types.NamespacedName) error {
	var gateways v1alpha1.AIGatewayList
	if err := r.Client.List(ctx, &gateways, client.InNamespace(name.Namespace)); err != nil {
		return fmt.Errorf("listing gateways: %w", err)
	}
	errs := []error{r.retry(ctx, name)}
	for i := range gateways.Items {
		errs = append(errs, r.revokeIn(ctx, name, &gateways.Items[i]))
	}
	return errors.Join(errs...)
}

func (r *Reconciler) revokeIn(ctx context.Context, name types.NamespacedName, gw *v1alpha1.AIGateway) error {
	open, err := r.Stores.Get(ctx, gw)
	if err != nil || open == nil {
		return err
	}
	rows, err := open.Ledger.KeysByObject(ctx, Source, r.ClusterUID, name.String())
	if err != nil {
		return stores.Unavailable(err)
	}
	return r.revoke(ctx, name, gw, open, rows)
}

// revoke ends rows, deny first: Redis is told before the ledger, so that no request passes after this began, and again
// after it, with the version that the ledger gave. A Redis that cannot be told does not keep the ledger from being.
func (r *Reconciler) revoke(ctx context.Context, name types.NamespacedName, gw *v1alpha1.AIGateway, open *stores.Stores, rows []ledger.Key) error {
	var errs []error
	for _, row := range rows {
		tombstone := row
		tombstone.State, tombstone.Version = ledger.KeyRevoked, row.Version+1
		errs = append(errs, keys.Publish(ctx, open.Redis, open.Redis, tombstone))
		ended, err := open.Ledger.RevokeKey(ctx, row.Digest)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err := keys.Publish(ctx, open.Redis, open.Redis, ended); err != nil {
			errs = append(errs, err)
			r.remember(name, revoked{client.ObjectKeyFromObject(gw), ended})
		}
	}
	return stores.Unavailable(errors.Join(errs...))
}

// retry tells Redis of rows that it could not be told of: they are no longer found by their object.
func (r *Reconciler) retry(ctx context.Context, name types.NamespacedName) error {
	r.mu.Lock()
	pending := r.unpublished[name]
	delete(r.unpublished, name)
	r.mu.Unlock()
	var errs []error
	for _, p := range pending {
		if err := r.publish(ctx, p); err != nil {
			errs = append(errs, err)
			r.remember(name, p)
		}
	}
	return errors.Join(errs...)
}

// publish tells the gateway's Redis as it is now. With the gateway went those who would ask it.
func (r *Reconciler) publish(ctx context.Context, p revoked) error {
	gw := &v1alpha1.AIGateway{}
	if err := r.Client.Get(ctx, p.gateway, gw); err != nil {
		return client.IgnoreNotFound(err)
	}
	open, err := r.Stores.Get(ctx, gw)
	if err != nil || open == nil {
		return err
	}
	return stores.Unavailable(keys.Publish(ctx, open.Redis, open.Redis, p.row))
}

func (r *Reconciler) remember(name types.NamespacedName, p revoked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unpublished == nil {
		r.unpublished = map[types.NamespacedName][]revoked{}
	}
	r.unpublished[name] = append(r.unpublished[name], p)
}
