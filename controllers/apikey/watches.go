package apikey

import (
	"context"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/index"
)

// peers wakes the key and those that claim the same: when the older of two goes, the younger's turn has come.
func (r *Reconciler) peers(ctx context.Context, obj client.Object) []reconcile.Request {
	self := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)}
	key, ok := obj.(*v1alpha1.APIKey)
	if !ok {
		return nil
	}
	out := r.claimants(ctx, key.Namespace, index.KeyClaimOf(key))
	for _, req := range out {
		if req == self {
			return out
		}
	}
	return append(out, self)
}

// secretUsers wakes the keys that are generated into the Secret, whoever owns it, and those of the gateways that take a
// store's URL from it: another ledger has no rows yet.
func (r *Reconciler) secretUsers(ctx context.Context, secret client.Object) []reconcile.Request {
	value := index.KeyClaimOf(&v1alpha1.APIKey{Spec: v1alpha1.APIKeySpec{
		Key: v1alpha1.KeySource{Generate: &v1alpha1.KeyGenerate{SecretName: secret.GetName()}},
	}})
	out := r.claimants(ctx, secret.GetNamespace(), value)
	var gateways v1alpha1.AIGatewayList
	err := r.Client.List(ctx, &gateways, client.InNamespace(secret.GetNamespace()), client.MatchingFields{index.GatewaySecret: secret.GetName()})
	if err != nil || !slices.ContainsFunc(gateways.Items, func(gw v1alpha1.AIGateway) bool { return opensWith(&gw, secret.GetName()) }) {
		return out
	}
	return append(out, r.gatewayUsers(ctx, secret)...)
}

// opensWith says whether a gateway takes a store's URL from the Secret, and not only its certificate.
func opensWith(gw *v1alpha1.AIGateway, secret string) bool {
	return gw.Spec.Redis != nil && gw.Spec.Redis.URLSecretRef.Name == secret ||
		gw.Spec.Ledger != nil && gw.Spec.Ledger.URLSecretRef.Name == secret
}

func (r *Reconciler) claimants(ctx context.Context, namespace, value string) []reconcile.Request {
	return r.list(ctx, anyKey, claim(namespace, value)...)
}

// tierUsers wakes the keys that name the Tier, and those that name none and may get it from their gateway.
func (r *Reconciler) tierUsers(ctx context.Context, tier client.Object) []reconcile.Request {
	return r.list(ctx, func(k *v1alpha1.APIKey) bool { return mayUse(k.Spec.TierRef, tier.GetName()) }, ofGatewaysIn(tier.GetNamespace()))
}

// policyUsers does the same for a CreditPolicy.
func (r *Reconciler) policyUsers(ctx context.Context, policy client.Object) []reconcile.Request {
	return r.list(ctx, func(k *v1alpha1.APIKey) bool { return mayUse(k.Spec.CreditPolicyRef, policy.GetName()) }, ofGatewaysIn(policy.GetNamespace()))
}

func mayUse(ref *v1alpha1.LocalRef, name string) bool { return ref == nil || ref.Name == name }

// gatewayUsers wakes every key of the namespace's gateways: which gateway is the only one may have changed.
func (r *Reconciler) gatewayUsers(ctx context.Context, gw client.Object) []reconcile.Request {
	return r.list(ctx, anyKey, ofGatewaysIn(gw.GetNamespace()))
}

// namespaceKeys wakes the keys of a namespace whose labels changed that belong to a gateway of another: only they depend
// on what its labels say.
func (r *Reconciler) namespaceKeys(ctx context.Context, namespace client.Object) []reconcile.Request {
	abroad := func(k *v1alpha1.APIKey) bool { return index.GatewayNamespaceOf(k) != k.Namespace }
	return r.list(ctx, abroad, client.InNamespace(namespace.GetName()))
}

func anyKey(*v1alpha1.APIKey) bool { return true }

func ofGatewaysIn(namespace string) client.ListOption {
	return client.MatchingFields{index.KeyGatewayNamespace: namespace}
}

func (r *Reconciler) list(ctx context.Context, want func(*v1alpha1.APIKey) bool, opts ...client.ListOption) []reconcile.Request {
	var keys v1alpha1.APIKeyList
	if err := r.Client.List(ctx, &keys, opts...); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range keys.Items {
		if want(&keys.Items[i]) {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&keys.Items[i])})
		}
	}
	return out
}
