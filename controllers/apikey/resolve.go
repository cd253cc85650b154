package apikey

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/controllers/index"
)

// resolve compiles this one key with all that decides about it: its gateway, its Tier and CreditPolicy, and the keys that
// claim the same. So a key costs the same however many there are.
func (r *Reconciler) resolve(ctx context.Context, s *scope) error {
	namespace, refs := compile.KeyGateway(s.object)
	var gateways v1alpha1.AIGatewayList
	if err := r.Client.List(ctx, &gateways, client.InNamespace(namespace)); err != nil {
		return fmt.Errorf("listing gateways: %w", err)
	}
	in := compile.Input{Gateway: &v1alpha1.AIGateway{ObjectMeta: metav1.ObjectMeta{Namespace: namespace}}}
	for i := range gateways.Items {
		in.Gateways = append(in.Gateways, gateways.Items[i].Name)
	}
	names, _ := compile.Attach(refs, in.Gateways)
	for i := range gateways.Items {
		if slices.Contains(names, gateways.Items[i].Name) {
			s.gateway = &gateways.Items[i]
			in.Gateway = s.gateway
		}
	}
	if err := r.references(ctx, s.object, &in); err != nil {
		return err
	}
	if err := r.peersOf(ctx, s.object, &in); err != nil {
		return err
	}
	s.take(compile.Compile(in))
	s.losers = losers(s.object, &in)
	return nil
}

// losers are the other objects that claim what the key has, of its gateway or of that one's namespace: over them an
// accepted key has won. A digest that a gateway elsewhere knows is that one's.
func losers(object *v1alpha1.APIKey, in *compile.Input) []string {
	var out []string
	for i := range in.APIKeys {
		peer := client.ObjectKeyFromObject(&in.APIKeys[i])
		if peer == client.ObjectKeyFromObject(object) || !in.APIKeys[i].DeletionTimestamp.IsZero() {
			continue
		}
		namespace, refs := compile.KeyGateway(&in.APIKeys[i])
		names, _ := compile.Attach(refs, in.Gateways)
		if namespace == in.Gateway.Namespace && (peer.Namespace == namespace || slices.Contains(names, in.Gateway.Name)) {
			out = append(out, peer.String())
		}
	}
	return out
}

// references reads the objects that the key, or its gateway for it, names: all in the gateway's namespace.
func (r *Reconciler) references(ctx context.Context, object *v1alpha1.APIKey, in *compile.Input) error {
	for _, ref := range []*v1alpha1.LocalRef{object.Spec.TierRef, in.Gateway.Spec.Defaults.TierRef} {
		tier := v1alpha1.Tier{}
		found, err := r.get(ctx, in.Gateway.Namespace, ref, &tier)
		if err != nil {
			return err
		}
		if found {
			in.Tiers = append(in.Tiers, tier)
		}
	}
	for _, ref := range []*v1alpha1.LocalRef{object.Spec.CreditPolicyRef, in.Gateway.Spec.Defaults.CreditPolicyRef} {
		policy := v1alpha1.CreditPolicy{}
		found, err := r.get(ctx, in.Gateway.Namespace, ref, &policy)
		if err != nil {
			return err
		}
		if found {
			in.CreditPolicies = append(in.CreditPolicies, policy)
		}
	}
	return nil
}

// peersOf reads the keys that claim the same, the key itself among them, and the labels of their namespaces. A Secret is
// claimed within its namespace, a digest wherever it stands.
func (r *Reconciler) peersOf(ctx context.Context, object *v1alpha1.APIKey, in *compile.Input) error {
	var peers v1alpha1.APIKeyList
	if err := r.Client.List(ctx, &peers, claim(object.Namespace, index.KeyClaimOf(object))...); err != nil {
		return fmt.Errorf("listing keys of one claim: %w", err)
	}
	in.APIKeys = peers.Items
	in.Namespaces = map[string]map[string]string{}
	for i := range peers.Items {
		name := peers.Items[i].Namespace
		if _, have := in.Namespaces[name]; have {
			continue
		}
		namespace := &metav1.PartialObjectMetadata{}
		namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
		err := r.Client.Get(ctx, types.NamespacedName{Name: name}, namespace)
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("reading Namespace %q: %w", name, err)
		}
		if err == nil {
			in.Namespaces[name] = namespace.Labels
		}
	}
	return nil
}

// claim lists the keys of one claim: a Secret's in its namespace, a digest's in all.
func claim(namespace, value string) []client.ListOption {
	opts := []client.ListOption{client.MatchingFields{index.KeyClaim: value}}
	if index.ClaimsSecret(value) {
		opts = append(opts, client.InNamespace(namespace))
	}
	return opts
}

func (r *Reconciler) get(ctx context.Context, namespace string, ref *v1alpha1.LocalRef, into client.Object) (bool, error) {
	if ref == nil {
		return false, nil
	}
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: ref.Name}, into)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading %q: %w", ref.Name, err)
	}
	return true, nil
}

// take keeps what was compiled for this object.
func (s *scope) take(out compile.Output) {
	name := client.ObjectKeyFromObject(s.object)
	pending := "The object is not compiled yet."
	s.accepted = condition(v1alpha1.ConditionAccepted, metav1.ConditionUnknown, v1alpha1.ReasonPending, pending)
	s.resolved = condition(v1alpha1.ConditionResolvedRefs, metav1.ConditionUnknown, v1alpha1.ReasonPending, pending)
	for _, c := range out.Conditions[compile.ObjectKey{Kind: compile.KindAPIKey, Namespace: name.Namespace, Name: name.Name}] {
		switch c.Type {
		case v1alpha1.ConditionAccepted:
			s.accepted = condition(c.Type, c.Status, c.Reason, c.Message)
		case v1alpha1.ConditionResolvedRefs:
			s.resolved = condition(c.Type, c.Status, c.Reason, c.Message)
		}
	}
	for i := range out.Keys {
		if out.Keys[i].Object == name {
			s.key = &out.Keys[i]
		}
	}
	if s.key == nil {
		s.programmed = condition(v1alpha1.ConditionProgrammed, metav1.ConditionFalse, v1alpha1.ReasonPending, "The object is not accepted.")
	}
}
