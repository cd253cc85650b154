package compile

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// Defaults of a generated key, as the schema has them.
const (
	defaultRotation       = 1
	defaultOverlapSeconds = 3600
)

// KeyGateway says in which namespace the AIGateway of a key is, and which one the key names there (for Attach).
func KeyGateway(a *v1alpha1.APIKey) (namespace string, refs []v1alpha1.LocalRef) {
	ref := a.Spec.GatewayRef
	if ref == nil {
		return a.Namespace, nil
	}
	return cmp.Or(ref.Namespace, a.Namespace), []v1alpha1.LocalRef{{Name: ref.Name}}
}

// apiKeys resolves the keys. Digests and Secret names are claimed in the order of age by every key that belongs to some
// gateway of the namespace, not to this one alone: the ledger and the namespace are shared. A key that the gateway does
// not allow claims only what nobody who is allowed does, or whoever copies a digest could lock its owner out.
func (r *run) apiKeys() {
	owners := map[string]string{}
	var denied []*v1alpha1.APIKey
	for _, a := range sorted(r.in.APIKeys, byAge) {
		k := keyOf(KindAPIKey, a)
		mine, claims := r.keyBelongs(k, a)
		switch {
		case mine && !r.in.Local && !r.keyScope.allows(r.in.Namespaces, a.Namespace):
			denied = append(denied, a)
		case mine:
			r.apiKey(k, a, claimKey(a, owners), nil)
		case claims:
			claimKey(a, owners)
		}
	}
	for _, a := range denied {
		r.apiKey(keyOf(KindAPIKey, a), a, claimKey(a, owners), refused(v1alpha1.ReasonNotAllowed,
			fmt.Sprintf("The AIGateway %s does not allow keys of the namespace %q.", nameOf(r.in.Gateway), a.Namespace)))
	}
	slices.SortFunc(r.out.Keys, func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Object.Namespace, b.Object.Namespace), cmp.Compare(a.Object.Name, b.Object.Name))
	})
}

// keyBelongs says whether the key is this gateway's, and if not, whether its claims count all the same: of another
// gateway those of this namespace do, and every Secret of a key's own namespace.
func (r *run) keyBelongs(k ObjectKey, a *v1alpha1.APIKey) (mine, claims bool) {
	namespace, refs := KeyGateway(a)
	secret := a.Spec.Key.Generate != nil
	if !r.in.Local && namespace != r.in.Gateway.Namespace {
		r.out.Foreign[k] = true
		return false, secret
	}
	r.exists[k] = true
	if r.attached(k, refs, v1alpha1.ConditionResolvedRefs) {
		return true, true
	}
	_, orphan := r.out.Conditions[k]
	return false, !orphan && (secret || a.Namespace == namespace)
}

// apiKey sets the conditions of one APIKey. One with a broken reference, a wrong cap or a gateway that does not allow it
// stays declared but is not honoured until that is repaired: it would otherwise run without the limits or the payment
// that it names.
func (r *run) apiKey(k ObjectKey, a *v1alpha1.APIKey, claim Condition, denied *Condition) {
	out := Key{
		Object: nameOf(a), Account: a.Namespace + "/" + a.Spec.Account, SHA256: a.Spec.Key.SHA256,
		Scopes: sortedStrings(a.Spec.Scopes), Models: sortedStrings(a.Spec.Models),
		Disabled: a.Spec.State == v1alpha1.KeyDisabled,
	}
	if g := a.Spec.Key.Generate; g != nil {
		out.SecretName = g.SecretName
		out.Rotation = cmp.Or(g.Rotation, defaultRotation)
		out.OverlapSeconds = orDefault(g.OverlapSeconds, defaultOverlapSeconds)
	}
	if t := a.Spec.ExpiresAt; t != nil {
		out.ExpiresAt = t.UnixMicro()
	}
	capped := r.spendCap(a, &out)
	refs := r.keyRefs(a, &out)
	if denied != nil {
		refs = Condition{v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, denied.Reason, denied.Message}
	}
	ok := capped == nil && denied == nil && refs.Status == metav1.ConditionTrue
	out.Unresolved = !ok
	out.Disabled = out.Disabled || !ok
	r.set(k, *cmp.Or(denied, bad(claim), capped, &claim))
	r.set(k, refs)
	if claim.Status == metav1.ConditionTrue {
		r.out.Keys = append(r.out.Keys, out)
	}
}

// bad is the condition where it is not True.
func bad(c Condition) *Condition {
	if c.Status == metav1.ConditionTrue {
		return nil
	}
	return &c
}

// spendCap fills the cap in; the condition is nil where it is exact or there is none.
func (r *run) spendCap(a *v1alpha1.APIKey, out *Key) *Condition {
	c := a.Spec.SpendCap
	if c == nil {
		return nil
	}
	nano, err := pricing.ParseCredits(string(c.Amount), r.perDollar())
	if err != nil {
		return refused(v1alpha1.ReasonInvalid, fmt.Sprintf("The spendCap is wrong at %d credits a dollar: %v.", r.perDollar(), err))
	}
	if nano == 0 {
		return refused(v1alpha1.ReasonInvalid, "The spendCap is 0, which nothing could be spent of; set state to Disabled to refuse the key.")
	}
	out.CapNano, out.CapPeriod = nano, string(cmp.Or(c.Period, v1alpha1.PeriodMonth))
	return nil
}

// keyRefs looks up what the key names, or the gateway for it.
func (r *run) keyRefs(a *v1alpha1.APIKey, out *Key) Condition {
	var bad refs
	tier, policy := r.tierDefault, r.policyDefault
	denied := false
	if ref := a.Spec.TierRef; ref != nil {
		tier = r.keyRef(KindTier, a, ref)
		out.Tier = tier.String()
		scope, known := r.tierScopes[tier]
		denied = known && !scope.allows(r.in.Namespaces, a.Namespace)
	}
	if ref := a.Spec.CreditPolicyRef; ref != nil {
		policy = r.keyRef(KindCreditPolicy, a, ref)
		out.Policy = policy.String()
	}
	if tier.Name != "" {
		bad.check(r, ObjectKey{KindTier, tier.Namespace, tier.Name})
	}
	if policy.Name != "" {
		bad.check(r, ObjectKey{KindCreditPolicy, policy.Namespace, policy.Name})
	}
	out.FirstGrant, out.FirstGrantDays = r.grants[policy].nano, r.grants[policy].days
	if denied {
		return Condition{v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, v1alpha1.ReasonNotAllowed,
			fmt.Sprintf("The Tier %s does not allow keys of the namespace %q, and the key is refused until it does.", tier, a.Namespace)}
	}
	return bad.condition("and the key is refused until they are repaired")
}

// keyRef is what a key's reference means: an object in the gateway's namespace. `layers up` has one gateway for all
// namespaces, so that one in the key's own comes first there.
func (r *run) keyRef(kind string, a *v1alpha1.APIKey, ref *v1alpha1.LocalRef) types.NamespacedName {
	if r.in.Local && r.exists[ObjectKey{kind, a.Namespace, ref.Name}] {
		return types.NamespacedName{Namespace: a.Namespace, Name: ref.Name}
	}
	return types.NamespacedName{Namespace: r.in.Gateway.Namespace, Name: ref.Name}
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
