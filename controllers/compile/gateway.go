package compile

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Defaults as the schema has them, for objects that did not pass through it.
const (
	defaultPerDollar    = 100
	defaultMaxBodyBytes = 32 << 20
)

// gateway resolves the gateway's defaults. A default that is not usable is left out of the snapshot, and the keys that
// would take it are refused (see apiKeys): a broken reference never means "no limits".
func (r *run) gateway() {
	gw, s := r.in.Gateway, r.out.Snapshot
	k := keyOf(KindAIGateway, gw)
	if s.Mode == "" {
		s.Mode = snapshot.Live
	}
	s.CreditsPerDollar = r.perDollar()
	var bad refs
	if ref := gw.Spec.Defaults.TierRef; ref != nil {
		r.tierDefault = types.NamespacedName{Namespace: gw.Namespace, Name: ref.Name}
		if bad.check(r, ObjectKey{KindTier, gw.Namespace, ref.Name}) {
			s.DefaultTier = r.tierDefault.String()
		}
	}
	if ref := gw.Spec.Defaults.CreditPolicyRef; ref != nil {
		r.policyDefault = types.NamespacedName{Namespace: gw.Namespace, Name: ref.Name}
		if bad.check(r, ObjectKey{KindCreditPolicy, gw.Namespace, ref.Name}) {
			s.DefaultPolicy = r.policyDefault.String()
		}
	}
	r.set(k, accepted)
	r.set(k, bad.condition("and keys that take them as their default are refused"))
	r.include(KindAIGateway, gw.ObjectMeta)
}

func (r *run) perDollar() int64 {
	if n := r.in.Gateway.Spec.Credits.PerDollar; n > 0 {
		return n
	}
	return defaultPerDollar
}

func (r *run) tiers() {
	for _, t := range sorted(r.in.Tiers, byName) {
		k := keyOf(KindTier, t)
		if !r.here(k) {
			continue
		}
		r.usable[k] = true
		r.set(k, accepted)
		r.out.Snapshot.Tiers = append(r.out.Snapshot.Tiers, tier(t))
		r.include(KindTier, t.ObjectMeta)
	}
}

func tier(t *v1alpha1.Tier) snapshot.Tier {
	out := snapshot.Tier{Name: nameOf(t).String(), MaxBodyBytes: t.Spec.MaxBodyBytes}
	if out.MaxBodyBytes == 0 {
		out.MaxBodyBytes = defaultMaxBodyBytes
	}
	if t.Spec.Models != nil {
		out.Models = sortedStrings(t.Spec.Models.Names)
	}
	for _, l := range t.Spec.Limits {
		if l.Unit != v1alpha1.LimitRequestsPerMinute {
			continue
		}
		out.RequestsPerMinute, out.Burst = l.Value, l.Value
		if l.Burst != nil {
			out.Burst = *l.Burst
		}
	}
	return out
}

func (r *run) creditPolicies() {
	for _, p := range sorted(r.in.CreditPolicies, byName) {
		k := keyOf(KindCreditPolicy, p)
		if !r.here(k) {
			continue
		}
		out := snapshot.CreditPolicy{Name: nameOf(p).String(), Unmetered: p.Spec.Mode == v1alpha1.CreditUnmetered}
		if g := p.Spec.Grant; g != nil {
			nano, err := pricing.ParseCredits(string(g.Amount), r.perDollar())
			if err != nil {
				r.set(k, Condition{v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonInvalid,
					fmt.Sprintf("The grant is wrong at %d credits a dollar: %v.", r.perDollar(), err)})
				continue
			}
			out.FirstGrant = nano
		}
		r.usable[k] = true
		r.grants[nameOf(p)] = out.FirstGrant
		r.set(k, accepted)
		r.out.Snapshot.Policies = append(r.out.Snapshot.Policies, out)
		r.include(KindCreditPolicy, p.ObjectMeta)
	}
}
