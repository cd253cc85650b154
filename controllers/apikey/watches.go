package apikey

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
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
	claim := index.KeyClaimOf(&v1alpha1.APIKey{Spec: v1alpha1.APIKeySpec{
		Key: v1alpha1.KeySource{Generate: &v1alpha1.KeyGenerate{SecretName: secret.GetName()}},
	}})
	out := r.claimants(ctx, secret.GetNamespace(), claim)
	var gateways v1alpha1.AIGatewayList
	err := r.Client.List(ctx, &gateways, client.InNamespace(secret.GetNamespace()),
		client.MatchingFields{index.GatewaySecret: secret.GetName()}, client.Limit(1))
	if err != nil || len(gateways.Items) == 0 {
		return out
	}
	return append(out, r.gatewayUsers(ctx, secret)...)
}

func (r *Reconciler) claimants(ctx context.Context, namespace, claim string) []reconcile.Request {
	return r.list(ctx, namespace, func(*v1alpha1.APIKey) bool { return true }, client.MatchingFields{index.KeyClaim: claim})
}

// tierUsers wakes the keys that name the Tier, and those that name none and may get it from their gateway.
func (r *Reconciler) tierUsers(ctx context.Context, tier client.Object) []reconcile.Request {
	return r.list(ctx, tier.GetNamespace(), func(k *v1alpha1.APIKey) bool { return mayUse(k.Spec.TierRef, tier.GetName()) })
}

// policyUsers does the same for a CreditPolicy.
func (r *Reconciler) policyUsers(ctx context.Context, policy client.Object) []reconcile.Request {
	return r.list(ctx, policy.GetNamespace(), func(k *v1alpha1.APIKey) bool { return mayUse(k.Spec.CreditPolicyRef, policy.GetName()) })
}

func mayUse(ref *v1alpha1.LocalRef, name string) bool { return ref == nil || ref.Name == name }

// gatewayUsers wakes every key of the namespace: which gateway is the only one may have changed.
func (r *Reconciler) gatewayUsers(ctx context.Context, gw client.Object) []reconcile.Request {
	return r.list(ctx, gw.GetNamespace(), func(*v1alpha1.APIKey) bool { return true })
}

func (r *Reconciler) list(ctx context.Context, namespace string, want func(*v1alpha1.APIKey) bool, opts ...client.ListOption) []reconcile.Request {
	var keys v1alpha1.APIKeyList
	if err := r.Client.List(ctx, &keys, append(opts, client.InNamespace(namespace))...); err != nil {
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

// gatewayChanged passes a change of the spec, and of what StoresReady says: keys that waited for the stores go on.
func gatewayChanged() predicate.Predicate {
	stores := predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return storesReady(e.ObjectOld) != storesReady(e.ObjectNew)
	}}
	return predicate.Or(predicate.GenerationChangedPredicate{}, predicate.Predicate(stores))
}

func storesReady(obj client.Object) metav1.ConditionStatus {
	gw, ok := obj.(*v1alpha1.AIGateway)
	if !ok {
		return ""
	}
	if c := meta.FindStatusCondition(gw.Status.Conditions, v1alpha1.ConditionStoresReady); c != nil {
		return c.Status
	}
	return ""
}
