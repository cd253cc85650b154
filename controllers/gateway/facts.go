package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/desired"
	"github.com/layers-dev/layers/controllers/stores"
)

// facts are what the objects need to know beside the gateway: where egress is restricted, the ports that it is let to.
func (r *Reconciler) facts(ctx context.Context, gw *v1alpha1.AIGateway) (desired.Facts, error) {
	facts := r.Facts
	if gw.Spec.NetworkPolicy.Egress != v1alpha1.PolicyEnabled {
		return facts, nil
	}
	var providers v1alpha1.ProviderList
	if err := r.Client.List(ctx, &providers, client.InNamespace(gw.Namespace)); err != nil {
		return facts, fmt.Errorf("listing Providers: %w", err)
	}
	for i := range providers.Items {
		facts.ProviderPorts = append(facts.ProviderPorts, portOf(providers.Items[i].Spec.BaseURL)...)
	}
	var err error
	facts.StorePorts, err = r.Stores.Ports(ctx, gw)
	if problem := (*stores.Problem)(nil); errors.As(err, &problem) {
		return facts, nil // the usual ports until the Secret is there
	}
	return facts, err
}

// portOf is the port of a base URL; none where there is no URL, for that is HTTPS.
func portOf(base string) []int32 {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return nil
	}
	switch text := u.Port(); {
	case text != "":
		if n, err := strconv.ParseUint(text, 10, 16); err == nil && n > 0 {
			return []int32{int32(n)}
		}
	case u.Scheme == "http":
		return []int32{80}
	}
	return nil
}

// neighbours wakes the gateways of a Provider's namespace.
func (r *Reconciler) neighbours(ctx context.Context, provider client.Object) []reconcile.Request {
	var gateways v1alpha1.AIGatewayList
	if err := r.Client.List(ctx, &gateways, client.InNamespace(provider.GetNamespace())); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range gateways.Items {
		if gateways.Items[i].Spec.NetworkPolicy.Egress == v1alpha1.PolicyEnabled {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&gateways.Items[i])})
		}
	}
	return out
}
