package compile

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// apiKeys resolves the keys. Digests and Secret names are claimed in the order of age by every key that belongs to some
// gateway, not to this one alone: the ledger and the namespace are shared.
func (r *run) apiKeys() {
	owners := map[string]string{}
	for _, a := range sorted(r.in.APIKeys, byAge) {
		k := keyOf(KindAPIKey, a)
		if !r.here(k) {
			continue
		}
		var gateways []v1alpha1.LocalRef
		if a.Spec.GatewayRef != nil {
			gateways = append(gateways, *a.Spec.GatewayRef)
		}
		mine := r.attached(k, gateways, v1alpha1.ConditionResolvedRefs)
		if _, orphan := r.out.Conditions[k]; orphan {
			continue
		}
		claim := claimKey(a, owners)
		if mine {
			r.apiKey(k, a, claim)
		}
	}
	slices.SortFunc(r.out.Keys, func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Object.Namespace, b.Object.Namespace), cmp.Compare(a.Object.Name, b.Object.Name))
	})
}

// apiKey sets the conditions of one APIKey. One with a broken reference stays declared but is not honoured until the
// reference is there again: it would otherwise run without the limits or the payment that it names.
func (r *run) apiKey(k ObjectKey, a *v1alpha1.APIKey, claim Condition) {
	var bad refs
	out := Key{Object: nameOf(a), Account: a.Namespace + "/" + a.Spec.Account, SHA256: a.Spec.Key.SHA256}
	if g := a.Spec.Key.Generate; g != nil {
		out.SecretName = g.SecretName
	}
	tier, policy := r.tierDefault, r.policyDefault
	if ref := a.Spec.TierRef; ref != nil {
		tier = types.NamespacedName{Namespace: a.Namespace, Name: ref.Name}
		out.Tier = tier.String()
	}
	if ref := a.Spec.CreditPolicyRef; ref != nil {
		policy = types.NamespacedName{Namespace: a.Namespace, Name: ref.Name}
		out.Policy = policy.String()
	}
	ok := true
	if tier.Name != "" {
		ok = bad.check(r, ObjectKey{KindTier, tier.Namespace, tier.Name})
	}
	if policy.Name != "" {
		ok = bad.check(r, ObjectKey{KindCreditPolicy, policy.Namespace, policy.Name}) && ok
	}
	out.FirstGrant = r.grants[policy]
	out.Unresolved = !ok
	out.Disabled = !ok || a.Spec.State == v1alpha1.KeyDisabled
	r.set(k, claim)
	r.set(k, bad.condition("and the key is refused until they are repaired"))
	if claim.Status == metav1.ConditionTrue {
		r.out.Keys = append(r.out.Keys, out)
	}
}

// claimKey takes the digest or the Secret's name.
func claimKey(a *v1alpha1.APIKey, owners map[string]string) Condition {
	what, id := "digest", "sha256 "+a.Spec.Key.SHA256
	if g := a.Spec.Key.Generate; g != nil {
		what, id = fmt.Sprintf("Secret %q", g.SecretName), "secret "+a.Namespace+"/"+g.SecretName
	}
	if owner, taken := owners[id]; taken {
		return *refused(v1alpha1.ReasonConflicted, fmt.Sprintf("The older APIKey %s has the same %s.", owner, what))
	}
	owners[id] = nameOf(a).String()
	return accepted
}
