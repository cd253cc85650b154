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
		out = append(out, reference{compile.KindProvider, &w.providers.Items[i]})
	}
	for i := range w.models.Items {
		out = append(out, reference{compile.KindModel, &w.models.Items[i]})
	}
	for i := range w.tiers.Items {
		out = append(out, reference{compile.KindTier, &w.tiers.Items[i]})
	}
	for i := range w.policies.Items {
		out = append(out, reference{compile.KindCreditPolicy, &w.policies.Items[i]})
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
	for i := range w.providers.Items {
		p := client.Object(&w.providers.Items[i])
		if slices.ContainsFunc(m.Spec.Backends, func(b v1alpha1.ModelBackend) bool { return b.ProviderRef.Name == p.GetName() }) {
			out = append(out, reference{compile.KindProvider, p})
		}
	}
	return out
}
