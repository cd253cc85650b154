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
	"github.com/layers-dev/layers/controllers/desired"
	"github.com/layers-dev/layers/controllers/index"
	"github.com/layers-dev/layers/dataplane/keys"
)

// resolve compiles this one key with all that decides about it: its gateway, its Tier and CreditPolicy, and the keys that
// claim the same. So a key costs the same however many there are.
func (r *Reconciler) resolve(ctx context.Context, s *scope) error {
	namespace := s.object.Namespace
	var gateways v1alpha1.AIGatewayList
	if err := r.Client.List(ctx, &gateways, client.InNamespace(namespace)); err != nil {
		return fmt.Errorf("listing gateways: %w", err)
	}
	in := compile.Input{Gateway: &v1alpha1.AIGateway{ObjectMeta: metav1.ObjectMeta{Namespace: namespace}}}
	for i := range gateways.Items {
		in.Gateways = append(in.Gateways, gateways.Items[i].Name)
	}
	var refs []v1alpha1.LocalRef
	if s.object.Spec.GatewayRef != nil {
		refs = append(refs, *s.object.Spec.GatewayRef)
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
	s.take(compile.Compile(in))
	for i := range in.APIKeys {
		if peer := &in.APIKeys[i]; peer.Name != s.object.Name && peer.DeletionTimestamp.IsZero() {
			s.losers = append(s.losers, client.ObjectKeyFromObject(peer).String())
		}
	}
	return nil
}

// references reads the objects that the key, or its gateway for it, names.
func (r *Reconciler) references(ctx context.Context, object *v1alpha1.APIKey, in *compile.Input) error {
	for _, ref := range []*v1alpha1.LocalRef{object.Spec.TierRef, in.Gateway.Spec.Defaults.TierRef} {
		tier := v1alpha1.Tier{}
		found, err := r.get(ctx, object.Namespace, ref, &tier)
		if err != nil {
			return err
		}
		if found {
			in.Tiers = append(in.Tiers, tier)
		}
	}
	for _, ref := range []*v1alpha1.LocalRef{object.Spec.CreditPolicyRef, in.Gateway.Spec.Defaults.CreditPolicyRef} {
		policy := v1alpha1.CreditPolicy{}
		found, err := r.get(ctx, object.Namespace, ref, &policy)
		if err != nil {
			return err
		}
		if found {
			in.CreditPolicies = append(in.CreditPolicies, policy)
		}
	}
	var peers v1alpha1.APIKeyList
	err := r.Client.List(ctx, &peers, client.InNamespace(object.Namespace), client.MatchingFields{index.KeyClaim: index.KeyClaimOf(object)})
	if err != nil {
		return fmt.Errorf("listing keys of one claim: %w", err)
	}
	in.APIKeys = peers.Items
	return nil
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

// material finds the digest: the declared one, or that of the key in the Secret, which is made once. What is in the
// Secret already is the key; a Secret that is not ours is never read and never touched.
func (r *Reconciler) material(ctx context.Context, s *scope) error {
	if s.key.SecretName == "" {
		s.digest = s.key.SHA256
		return nil
	}
	name := types.NamespacedName{Namespace: s.object.Namespace, Name: s.key.SecretName}
	secret := &corev1.Secret{}
	err := r.Secrets.Live.Get(ctx, name, secret)
	switch {
	case apierrors.IsNotFound(err):
		if secret, err = r.generate(ctx, s); err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("reading Secret %q: %w", name.Name, err)
	case !metav1.IsControlledBy(secret, s.object):
		s.unresolved(v1alpha1.ReasonNotOwned, fmt.Sprintf("Secret %q exists and is not owned by this object.", name.Name))
		return nil
	}
	plain := string(secret.Data[SecretDataKey])
	if keys.Parse(plain) != nil {
		s.unresolved(v1alpha1.ReasonSecretKeyMissing, fmt.Sprintf("Secret %q holds no key under %q; delete it to have another made.", name.Name, SecretDataKey))
		return nil
	}
	s.digest, s.prefix, s.secretName = keys.Digest(plain), keys.Prefix(plain), name.Name
	return nil
}

// unresolved ends the phases: there is no key to make a row of.
func (s *scope) unresolved(reason, message string) {
	s.resolved = condition(v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, reason, message)
	s.programmed = condition(v1alpha1.ConditionProgrammed, metav1.ConditionFalse, reason, "There is no key to make a row of.")
	s.key = nil
}

// generate makes the key and its Secret. It creates, never applies: of two writers one fails, so that no key is lost
// after its digest is in the ledger.
func (r *Reconciler) generate(ctx context.Context, s *scope) (*corev1.Secret, error) {
	plain, err := keys.Generate(r.Random)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.object.Namespace, Name: s.key.SecretName,
			Labels:          map[string]string{desired.LabelManagedBy: desired.ManagedBy},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(s.object, v1alpha1.GroupVersion.WithKind(compile.KindAPIKey))},
		},
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{SecretDataKey: []byte(plain)},
	}
	if err := r.Client.Create(ctx, secret, client.FieldOwner("layers-operator")); err != nil {
		return nil, fmt.Errorf("creating Secret %q: %w", secret.Name, err)
	}
	return secret, nil
}
