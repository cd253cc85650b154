package publisher

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/controllers/index"
)

// world is one namespace: everything that its gateways are compiled from, as the informers have it.
type world struct {
	gateways  v1alpha1.AIGatewayList
	providers v1alpha1.ProviderList
	models    v1alpha1.ModelList
	tiers     v1alpha1.TierList
	policies  v1alpha1.CreditPolicyList
	keys      v1alpha1.APIKeyList
	secrets   map[types.NamespacedName]map[string][]byte
}

// load reads the namespace.
func (r *Reconciler) load(ctx context.Context, namespace string) (*world, error) {
	w := &world{secrets: map[types.NamespacedName]map[string][]byte{}}
	for _, list := range []client.ObjectList{&w.gateways, &w.providers, &w.models, &w.tiers, &w.policies} {
		if err := r.Client.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return nil, fmt.Errorf("listing namespace %q: %w", namespace, err)
		}
	}
	// Keys may be of other namespaces than their gateway.
	if err := r.Client.List(ctx, &w.keys, client.MatchingFields{index.KeyGatewayNamespace: namespace}); err != nil {
		return nil, fmt.Errorf("listing the keys of namespace %q: %w", namespace, err)
	}
	for i := range w.providers.Items {
		auth := w.providers.Items[i].Spec.Auth
		if auth == nil {
			continue
		}
		name := types.NamespacedName{Namespace: namespace, Name: auth.SecretRef.Name}
		if _, have := w.secrets[name]; have {
			continue
		}
		secret, err := r.Secrets.Get(ctx, name)
		if err != nil {
			return nil, err
		}
		if secret != nil {
			w.secrets[name] = secret.Data
		}
	}
	return w, nil
}

// names are the gateways that objects may belong to.
func (w *world) names() []string {
	var names []string
	for i := range w.gateways.Items {
		names = append(names, w.gateways.Items[i].Name)
	}
	return names
}

// input is what one gateway is compiled from. APIKeys do not travel in a snapshot; they have a controller of their own.
func (w *world) input(gw *v1alpha1.AIGateway) compile.Input {
	return compile.Input{
		Gateway: gw, Gateways: w.names(),
		Providers: w.providers.Items, Models: w.models.Items, Tiers: w.tiers.Items, CreditPolicies: w.policies.Items,
		Secrets: w.secrets,
	}
}

// objects are the Providers, Models, Tiers and CreditPolicies, whose conditions this controller writes.
func (w *world) objects() map[compile.ObjectKey]client.Object {
	out := map[compile.ObjectKey]client.Object{}
	add := func(kind string, o client.Object) {
		out[compile.ObjectKey{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName()}] = o
	}
	for i := range w.providers.Items {
		add(compile.KindProvider, &w.providers.Items[i])
	}
	for i := range w.models.Items {
		add(compile.KindModel, &w.models.Items[i])
	}
	for i := range w.tiers.Items {
		add(compile.KindTier, &w.tiers.Items[i])
	}
	for i := range w.policies.Items {
		add(compile.KindCreditPolicy, &w.policies.Items[i])
	}
	return out
}

// attachedKeys counts the APIKeys that name the gateway, or mean it by naming none.
func (w *world) attachedKeys(gateway string) int {
	n := 0
	for i := range w.keys.Items {
		_, refs := compile.KeyGateway(&w.keys.Items[i])
		n += attachedTo(gateway, refs, w.names())
	}
	return n
}

func attachedTo(gateway string, refs []v1alpha1.LocalRef, gateways []string) int {
	names, _ := compile.Attach(refs, gateways)
	for _, name := range names {
		if name == gateway {
			return 1
		}
	}
	return 0
}
