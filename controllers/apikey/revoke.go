package apikey

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/stores"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// revokeAll ends every row of an object that is gone.
func (r *Reconciler) revokeAll(ctx context.Context, name types.NamespacedName) error {
	return r.everywhere(ctx, name, "", revoke)
}

// revoke ends a row, deny first. Redis that could not be told hears of it from the outbox.
func revoke(ctx context.Context, open *stores.Stores, row ledger.Key) error {
	_, err := keys.Revoke(ctx, open.Ledger, open.Redis, open.Redis, row.Digest)
	if errors.Is(err, keys.ErrUntold) {
		log.FromContext(ctx).Info("A key is revoked, and Redis will be told when it answers", "key", row.ID)
		return nil
	}
	return stores.Unavailable(err)
}

// everywhere does something to each live row of an object. Nothing says for sure which gateway it belonged to, so all that
// it may have belonged to are looked at; an error brings it back until it is done. What is wrong with the stores of a
// gateway of another namespace than home is a *stores.Problem no more: it is nothing that the object's owner can mend.
func (r *Reconciler) everywhere(ctx context.Context, name types.NamespacedName, home string, do func(context.Context, *stores.Stores, ledger.Key) error) error {
	var gateways v1alpha1.AIGatewayList
	if err := r.Client.List(ctx, &gateways); err != nil {
		return fmt.Errorf("listing gateways: %w", err)
	}
	there := map[string]bool{}
	for i := range gateways.Items {
		there[string(gateways.Items[i].UID)] = true
	}
	var errs []error
	for i := range gateways.Items {
		gw := &gateways.Items[i]
		// A gateway that takes no keys from there now may have taken them before: its own keys are looked at whatever it says.
		if gw.Namespace != name.Namespace && gw.Namespace != home && gw.Spec.APIKeys.From == v1alpha1.NamespacesSame {
			continue
		}
		open, rows, err := r.rowsIn(ctx, name, gw)
		if err != nil && gw.Namespace != home {
			err = fmt.Errorf("looking for rows of AIGateway %s/%s: %s", gw.Namespace, gw.Name, err.Error())
		}
		errs = append(errs, err)
		for _, row := range rows {
			// Another gateway's Redis is not this one's: that one's turn comes, unless it is gone too.
			if row.GatewayUID == string(gw.UID) || !there[row.GatewayUID] {
				errs = append(errs, do(ctx, open, row))
			}
		}
	}
	return errors.Join(errs...)
}

// rowsIn opens the stores of a gateway and reads the object's live rows in its ledger; none in mode Demo.
func (r *Reconciler) rowsIn(ctx context.Context, name types.NamespacedName, gw *v1alpha1.AIGateway) (*stores.Stores, []ledger.Key, error) {
	open, err := r.Stores.Get(ctx, gw)
	if err != nil || open == nil {
		return nil, nil, err
	}
	rows, err := open.Ledger.KeysByObject(ctx, Source, r.ClusterUID, name.String())
	return open, rows, stores.Unavailable(err)
}
