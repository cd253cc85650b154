package compile

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// models decides names in the order of age, so that every run finds the same winner.
func (r *run) models() {
	owners := map[string]string{}
	mine := 0
	for _, m := range sorted(r.in.Models, byAge) {
		k := keyOf(KindModel, m)
		if !r.here(k) || !r.attached(k, m.Spec.GatewayRefs, v1alpha1.ConditionResolvedRefs, v1alpha1.ConditionPriced) {
			continue
		}
		mine++
		r.model(k, m, owners)
	}
	s := r.out.Snapshot
	// Nobody declares a model: that is meant. Models that are declared and broken are not.
	s.AllowEmpty = mine == 0
	slices.SortFunc(s.Models, func(a, b snapshot.Model) int { return cmp.Compare(a.PublicName, b.PublicName) })
}

// model sets the conditions of one Model and puts it into the snapshot if it can be served.
func (r *run) model(k ObjectKey, m *v1alpha1.Model, owners map[string]string) {
	claim := claimNames(m, owners)
	backends, refsCond := r.backends(m)
	price, priced := r.price(m)
	r.set(k, claim)
	r.set(k, refsCond)
	r.set(k, priced)
	demo := r.out.Snapshot.Mode == snapshot.Demo && priced.Reason == v1alpha1.ReasonUnpriced
	if claim.Status != metav1.ConditionTrue || len(backends) == 0 || (price == nil && !demo) {
		return
	}
	r.out.Snapshot.Models = append(r.out.Snapshot.Models, snapshot.Model{
		Object:       nameOf(m).String(),
		PublicName:   string(m.Spec.PublicName),
		Aliases:      sortedStrings(m.Spec.Aliases),
		Capabilities: sortedStrings(m.Spec.Capabilities),
		Created:      m.CreationTimestamp.Unix(),
		Backends:     backends,
		Price:        price,
		Limits:       snapshot.Limits{ContextTokens: m.Spec.Limits.ContextTokens, MaxOutputTokens: m.Spec.Limits.MaxOutputTokens},
		Strict:       m.Spec.OnUnsupportedParameter == v1alpha1.RejectUnsupported,
		Times:        timeouts(m.Spec.Timeouts),
	})
	r.labels[string(m.Spec.PublicName)] = m.Labels
	r.include(KindModel, m.ObjectMeta)
}

// claimNames takes the public name and the aliases, all or none.
func claimNames(m *v1alpha1.Model, owners map[string]string) Condition {
	names := append([]v1alpha1.PublicName{m.Spec.PublicName}, m.Spec.Aliases...)
	var taken []string
	for _, n := range names {
		if owner, ok := owners[string(n)]; ok {
			taken = append(taken, fmt.Sprintf("%s of Model %s", n, owner))
		}
	}
	if len(taken) > 0 {
		return *refused(v1alpha1.ReasonConflicted, "Older Models have these names already: "+list(taken)+".")
	}
	for _, n := range names {
		owners[string(n)] = nameOf(m).String()
	}
	return accepted
}

// backends are the usable ones; the condition names the providers and gateways that are not.
func (r *run) backends(m *v1alpha1.Model) ([]snapshot.Backend, Condition) {
	var bad refs
	if !r.in.Local {
		for _, ref := range m.Spec.GatewayRefs {
			if !slices.Contains(r.in.Gateways, ref.Name) {
				bad.missing = append(bad.missing, KindAIGateway+" "+ref.Name)
			}
		}
	}
	var out []snapshot.Backend
	for _, b := range m.Spec.Backends {
		if !bad.check(r, ObjectKey{KindProvider, m.Namespace, b.ProviderRef.Name}) {
			continue
		}
		out = append(out, snapshot.Backend{
			Name:     b.Name,
			Provider: types.NamespacedName{Namespace: m.Namespace, Name: b.ProviderRef.Name}.String(),
			Model:    b.Model,
			Priority: orDefault(b.Priority, 0),
			Weight:   orDefault(b.Weight, 1),
			Price:    asked(b.Pricing),
		})
	}
	slices.SortFunc(out, func(a, b snapshot.Backend) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Name, b.Name))
	})
	if len(out) == 0 {
		return nil, bad.condition("and the Model is not served")
	}
	return out, bad.condition("and the Model is served without them")
}

// price is nil where the Model has none or a wrong one.
func (r *run) price(m *v1alpha1.Model) (*snapshot.Price, Condition) {
	cond := Condition{v1alpha1.ConditionPriced, metav1.ConditionTrue, v1alpha1.ReasonPriced, "The Model has a price."}
	p := m.Spec.Pricing
	if p == nil {
		cond.Status, cond.Reason = metav1.ConditionFalse, v1alpha1.ReasonUnpriced
		cond.Message = "The Model has no pricing and is not served."
		if r.out.Snapshot.Mode == snapshot.Demo {
			cond.Message = "The Model has no pricing and is served only because the AIGateway is in mode Demo."
		}
		return nil, cond
	}
	out, err := parsePrice(p, "pricing")
	for _, b := range m.Spec.Backends {
		if b.Pricing != nil && err == nil {
			_, err = parsePrice(b.Pricing, "backends["+b.Name+"].pricing")
		}
	}
	if err != nil {
		cond.Status, cond.Reason, cond.Message = metav1.ConditionFalse, v1alpha1.ReasonInvalid, "The price is wrong: "+err.Error()+"."
		return nil, cond
	}
	return out, cond
}

func timeouts(t v1alpha1.ModelTimeouts) snapshot.Timeout {
	return snapshot.Timeout{
		ConnectSeconds:    cmp.Or(t.ConnectSeconds, 10),
		FirstEventSeconds: cmp.Or(t.FirstEventSeconds, 300),
		IdleSeconds:       cmp.Or(t.IdleSeconds, 120),
		TotalSeconds:      cmp.Or(t.TotalSeconds, 900),
	}
}

func orDefault[T any](p *T, d T) T {
	if p == nil {
		return d
	}
	return *p
}

func sortedStrings[T ~string](in []T) []string {
	if len(in) == 0 {
		return nil
	}
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = string(s)
	}
	slices.Sort(out)
	return out
}
