package programmed

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/compile"
)

// world is one namespace, as the informers have it.
type world struct {
	gateways  v1alpha1.AIGatewayList
	providers v1alpha1.ProviderList
	models    v1alpha1.ModelList
	tiers     v1alpha1.TierList
	policies  v1alpha1.CreditPolicyList
}

func (r *Reconciler) load(ctx context.Context, namespace string) (*world, error) {
	w := &world{}
	for _, list := range []client.ObjectList{&w.gateways, &w.providers, &w.models, &w.tiers, &w.policies} {
		if err := r.Client.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return nil, fmt.Errorf("listing namespace %q: %w", namespace, err)
		}
	}
	return w, nil
}

// objects are those whose Programmed condition stays.
func (w *world) objects() []reference {
	var out []reference
	for i := range w.providers.Items {
		out = append(out, reference{compile.KindProvider, w.providers.Items[i].Name, &w.providers.Items[i]})
	}
	for i := range w.models.Items {
		out = append(out, reference{compile.KindModel, w.models.Items[i].Name, &w.models.Items[i]})
	}
	for i := range w.tiers.Items {
		out = append(out, reference{compile.KindTier, w.tiers.Items[i].Name, &w.tiers.Items[i]})
	}
	for i := range w.policies.Items {
		out = append(out, reference{compile.KindCreditPolicy, w.policies.Items[i].Name, &w.policies.Items[i]})
	}
	return out
}

// programmed is the condition of one object over all gateways that it belongs to.
func (w *world) programmed(obj reference, states []*state) metav1.Condition {
	if c := stays(obj.object); c != nil {
		return *c
	}
	var said []metav1.Condition
	for _, s := range states {
		if w.belongs(obj, s.gateway.Name) {
			said = append(said, s.serves(obj, w.refersTo(obj)))
		}
	}
	return worst(said)
}

// belongs says whether a gateway of the namespace has the object: a Model may name its gateways, the rest belongs to all.
func (w *world) belongs(obj reference, gateway string) bool {
	m, isModel := obj.object.(*v1alpha1.Model)
	if !isModel {
		return true
	}
	var all []string
	for i := range w.gateways.Items {
		all = append(all, w.gateways.Items[i].Name)
	}
	names, _ := compile.Attach(m.Spec.GatewayRefs, all)
	return slices.Contains(names, gateway)
}

// refersTo are the Providers of a Model; the other kinds refer to nothing that travels in a snapshot.
func (w *world) refersTo(obj reference) []reference {
	m, isModel := obj.object.(*v1alpha1.Model)
	if !isModel {
		return nil
	}
	var out []reference
	for _, b := range m.Spec.Backends {
		ref := reference{kind: compile.KindProvider, name: b.ProviderRef.Name}
		if !slices.ContainsFunc(out, func(o reference) bool { return o.name == ref.name }) {
			out = append(out, find(ref, w.providers.Items))
		}
	}
	return out
}

// defaults are the Tier and the CreditPolicy that a gateway names.
func (w *world) defaults(gw *v1alpha1.AIGateway) []reference {
	var out []reference
	if ref := gw.Spec.Defaults.TierRef; ref != nil {
		out = append(out, find(reference{kind: compile.KindTier, name: ref.Name}, w.tiers.Items))
	}
	if ref := gw.Spec.Defaults.CreditPolicyRef; ref != nil {
		out = append(out, find(reference{kind: compile.KindCreditPolicy, name: ref.Name}, w.policies.Items))
	}
	return out
}

// find fills in the object that a reference names, if there is one.
func find[T any, P interface {
	*T
	client.Object
}](ref reference, items []T) reference {
	for i := range items {
		if o := P(&items[i]); o.GetName() == ref.name {
			ref.object = o
		}
	}
	return ref
}
