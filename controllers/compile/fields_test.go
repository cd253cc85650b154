package compile_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/compile"
)

// TestGatewayRefsAct: a Model is served by the gateways that gatewayRefs name, and by no other.
func TestGatewayRefsAct(t *testing.T) {
	in := read(t, "testdata/membership.in.yaml")
	i := slices.IndexFunc(in.Models, func(m v1alpha1.Model) bool { return m.Name == "mine" })
	for _, c := range []struct {
		refs     []string
		gateways []string
		want     bool
	}{
		{[]string{"main"}, []string{"main", "other"}, true},
		{[]string{"other"}, []string{"main", "other"}, false},
		{[]string{"other", "main"}, []string{"main", "other"}, true},
		{nil, []string{"main", "other"}, false}, // which one is not said
		{nil, []string{"main"}, true},
	} {
		in.Gateways, in.Models[i].Spec.GatewayRefs = c.gateways, nil
		for _, name := range c.refs {
			in.Models[i].Spec.GatewayRefs = append(in.Models[i].Spec.GatewayRefs, v1alpha1.LocalRef{Name: name})
		}
		served := false
		for _, m := range compile.Compile(in).Snapshot.Models {
			served = served || m.PublicName == "acme/mine"
		}
		if served != c.want {
			t.Errorf("gatewayRefs %v of %v: served %v", c.refs, c.gateways, served)
		}
	}
}

// yes is a selector of namespaces by a label, expression one by anything else.
func yes() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"ai": "yes"}}
}

func expression(op metav1.LabelSelectorOperator, values ...string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "ai", Operator: op, Values: values}}}
}

// honoured are the keys that a gateway takes and does not disable, by their names.
func honoured(in compile.Input, names ...string) map[string]bool {
	out := map[string]bool{}
	for _, name := range names {
		out[name] = slices.ContainsFunc(compile.Compile(in).Keys, func(k compile.Key) bool { return k.Object.Name == name && !k.Disabled })
	}
	return out
}

// TestNamespaceSelectorsAct changes nothing but who apiKeys of a gateway, or allowedNamespaces of a Tier, takes, and asks
// whose keys are honoured: tier-everybody and tier-friends are of a namespace with ai=yes, own is of one with ai=no.
func TestNamespaceSelectorsAct(t *testing.T) {
	const from = v1alpha1.NamespacesSelector
	for name, c := range map[string]struct {
		scope                  v1alpha1.NamespaceScope
		friend, stranger, tier bool
	}{
		"Same":                      {v1alpha1.NamespaceScope{From: v1alpha1.NamespacesSame}, false, false, false},
		"All":                       {v1alpha1.NamespaceScope{From: v1alpha1.NamespacesAll}, true, true, true},
		"matchLabels":               {v1alpha1.NamespaceScope{From: from, Selector: yes()}, true, false, true},
		"matchExpressions In":       {v1alpha1.NamespaceScope{From: from, Selector: expression(metav1.LabelSelectorOpIn, "no", "maybe")}, false, true, false},
		"matchExpressions NotIn":    {v1alpha1.NamespaceScope{From: from, Selector: expression(metav1.LabelSelectorOpNotIn, "no")}, true, false, true},
		"matchExpressions Exists":   {v1alpha1.NamespaceScope{From: from, Selector: expression(metav1.LabelSelectorOpExists)}, true, true, true},
		"matchExpressions mistaken": {v1alpha1.NamespaceScope{From: from, Selector: expression("Like", "no")}, false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			in := read(t, "testdata/namespaces.in.yaml")
			in.Gateway.Spec.APIKeys = c.scope
			want := map[string]bool{"tier-everybody": c.friend, "own": c.stranger}
			if diff := cmp.Diff(want, honoured(in, "tier-everybody", "own")); diff != "" {
				t.Errorf("apiKeys (-want +got):\n%s", diff)
			}
			in = read(t, "testdata/namespaces.in.yaml")
			for i := range in.Tiers {
				if in.Tiers[i].Name == "friends" {
					in.Tiers[i].Spec.AllowedNamespaces = c.scope
				}
			}
			if diff := cmp.Diff(map[string]bool{"tier-friends": c.tier, "plain": true}, honoured(in, "tier-friends", "plain")); diff != "" {
				t.Errorf("allowedNamespaces (-want +got):\n%s", diff)
			}
		})
	}
}

// TestGatewayRefActs: a key is of the gateway that its gatewayRef names, name and namespace.
func TestGatewayRefActs(t *testing.T) {
	for _, c := range []struct {
		name, namespace string
		want            bool
	}{{"main", "team", true}, {"other", "team", false}, {"main", "friends", false}, {"main", "", false}} {
		in := read(t, "testdata/namespaces.in.yaml")
		for i := range in.APIKeys {
			if in.APIKeys[i].Name == "plain" {
				in.APIKeys[i].Spec.GatewayRef = &v1alpha1.GatewayRef{Name: c.name, Namespace: c.namespace}
			}
		}
		if got := honoured(in, "plain")["plain"]; got != c.want {
			t.Errorf("gatewayRef %s/%s: honoured %v", c.namespace, c.name, got)
		}
	}
}
