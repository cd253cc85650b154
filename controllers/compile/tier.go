package compile

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// defaultMaxBodyBytes is the schema's, for objects that did not pass through it.
const defaultMaxBodyBytes = 32 << 20

// tiers puts the usable ones into the snapshot; what their selectors take is filled in once the models are known.
func (r *run) tiers() {
	for _, t := range sorted(r.in.Tiers, byName) {
		k := keyOf(KindTier, t)
		if !r.here(k) {
			continue
		}
		allowed, err := newScope(t.Namespace, t.Spec.AllowedNamespaces)
		if err != nil {
			r.set(k, *refused(v1alpha1.ReasonInvalid, fmt.Sprintf("In allowedNamespaces %v.", err)))
			continue
		}
		if t.Spec.Models != nil && t.Spec.Models.Selector != nil {
			selector, err := newSelector(t.Spec.Models.Selector)
			if err != nil {
				r.set(k, *refused(v1alpha1.ReasonInvalid, fmt.Sprintf("In models %v.", err)))
				continue
			}
			r.selectors[nameOf(t).String()] = selector
		}
		out, err := tier(t)
		if err != nil {
			r.set(k, *refused(v1alpha1.ReasonInvalid, "The markup is wrong: "+err.Error()+"."))
			continue
		}
		r.usable[k] = true
		r.tierScopes[nameOf(t)] = allowed
		r.set(k, accepted)
		r.out.Snapshot.Tiers = append(r.out.Snapshot.Tiers, out)
		r.include(KindTier, t.ObjectMeta)
	}
}

func tier(t *v1alpha1.Tier) (snapshot.Tier, error) {
	out := snapshot.Tier{
		Name:          nameOf(t).String(),
		MaxConcurrent: orDefault(t.Spec.MaxConcurrentRequests, 0),
		UpgradeURL:    t.Spec.UpgradeURL,
		MaxBodyBytes:  cmp.Or(t.Spec.MaxBodyBytes, defaultMaxBodyBytes),
	}
	if t.Spec.Models != nil {
		out.Models = sortedStrings(t.Spec.Models.Names)
	}
	for _, l := range t.Spec.Limits {
		limit := snapshot.RateLimit{Unit: snapshot.Unit(l.Unit), Value: l.Value}
		// A calendar day has no bucket.
		if l.Unit != v1alpha1.LimitRequestsPerDay {
			limit.Burst = orDefault(l.Burst, l.Value)
		}
		out.Limits = append(out.Limits, limit)
	}
	slices.SortFunc(out.Limits, func(a, b snapshot.RateLimit) int { return cmp.Compare(a.Unit, b.Unit) })
	if t.Spec.Markup != nil {
		markup, err := pricing.ParseRatio(string(*t.Spec.Markup))
		if err != nil {
			return out, err
		}
		out.Markup = &snapshot.Ratio{Num: markup.Num, Den: markup.Den}
	}
	return out, nil
}

// tierModels fills in what selectors take: the public names of models that are in the snapshot. A Model that lost its
// name to an older one must not open the older one to the tier.
func (r *run) tierModels() {
	for i := range r.out.Snapshot.Tiers {
		t := &r.out.Snapshot.Tiers[i]
		selector := r.selectors[t.Name]
		if selector == nil {
			continue
		}
		for _, m := range r.out.Snapshot.Models {
			if selector.Matches(labels.Set(r.labels[m.PublicName])) {
				t.Models = append(t.Models, m.PublicName)
			}
		}
		t.NoModels = len(t.Models) == 0
	}
}
