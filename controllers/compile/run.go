package compile

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Kinds as they stand in ObjectKey and snapshot.Object.
const (
	KindAIGateway    = "AIGateway"
	KindProvider     = "Provider"
	KindModel        = "Model"
	KindTier         = "Tier"
	KindCreditPolicy = "CreditPolicy"
	KindAPIKey       = "APIKey"
)

// localName is the gateway's name and UID in `layers up`.
const localName = "up"

// run is one Compile: its input, what is decided so far, and the output as it grows.
type run struct {
	in  Input
	out Output
	// exists holds the objects of the input by kind and name; usable those of them that others may refer to.
	exists, usable map[ObjectKey]bool
	// grants holds the first grant of each usable CreditPolicy.
	grants map[types.NamespacedName]firstGrant
	// tierDefault and policyDefault are what the gateway names for keys that name none; empty: nothing.
	tierDefault, policyDefault types.NamespacedName
	// keyScope says whose keys may name the gateway, tierScopes whose may name a usable Tier.
	keyScope   scope
	tierScopes map[types.NamespacedName]scope
	// selectors are those of Tiers ("namespace/name") that take models by labels; labels are those of the models in the
	// snapshot by public name.
	selectors map[string]labels.Selector
	labels    map[string]map[string]string
}

func newRun(in Input) *run {
	r := &run{
		in:     in,
		exists: map[ObjectKey]bool{},
		usable: map[ObjectKey]bool{},
		grants: map[types.NamespacedName]firstGrant{},

		tierScopes: map[types.NamespacedName]scope{},
		selectors:  map[string]labels.Selector{},
		labels:     map[string]map[string]string{},
		out: Output{
			Snapshot: &snapshot.Snapshot{
				Schema:     snapshot.SchemaVersion,
				Gateway:    in.Gateway.Namespace + "/" + in.Gateway.Name,
				GatewayUID: string(in.Gateway.UID),
				Mode:       snapshot.Mode(in.Gateway.Spec.Mode),
			},
			Conditions: map[ObjectKey][]Condition{},
			Foreign:    map[ObjectKey]bool{},
		},
	}
	if in.Local {
		r.out.Snapshot.Gateway, r.out.Snapshot.GatewayUID = localName, localName
	}
	return r
}

// here says whether an object's namespace is one that this gateway serves; elsewhere it is marked as foreign.
func (r *run) here(k ObjectKey) bool {
	if r.in.Local || k.Namespace == r.in.Gateway.Namespace {
		r.exists[k] = true
		return true
	}
	r.out.Foreign[k] = true
	return false
}

// attached says whether an object that may name gateways belongs to this one. One that belongs to none at all is told so.
func (r *run) attached(k ObjectKey, refs []v1alpha1.LocalRef, unknown ...string) bool {
	if r.in.Local {
		return true
	}
	names, problem := Attach(refs, r.in.Gateways)
	if slices.Contains(names, r.in.Gateway.Name) {
		return true
	}
	r.out.Foreign[k] = true
	if problem != nil {
		r.set(k, *problem)
		for _, t := range unknown {
			r.set(k, Condition{t, metav1.ConditionUnknown, v1alpha1.ReasonPending, "The object belongs to no AIGateway."})
		}
	}
	return false
}

// Attach says which of a namespace's gateways an object with these references belongs to. With none of them, the
// condition says why.
func Attach(refs []v1alpha1.LocalRef, gateways []string) ([]string, *Condition) {
	if len(refs) == 0 {
		switch len(gateways) {
		case 0:
			return nil, refused(v1alpha1.ReasonNoGateway, "The namespace has no AIGateway.")
		case 1:
			return gateways, nil
		}
		return nil, refused(v1alpha1.ReasonAmbiguousGateway,
			"The object must name its AIGateway because the namespace has several: "+list(gateways)+".")
	}
	var names, missing []string
	for _, ref := range refs {
		if slices.Contains(gateways, ref.Name) {
			names = append(names, ref.Name)
		} else {
			missing = append(missing, ref.Name)
		}
	}
	if len(names) == 0 {
		return nil, refused(v1alpha1.ReasonNoGateway, "The namespace has no AIGateway named "+list(missing)+".")
	}
	return names, nil
}

// set adds a condition of one object.
func (r *run) set(k ObjectKey, c Condition) {
	r.out.Conditions[k] = append(r.out.Conditions[k], c)
}

// include notes that an object is in the snapshot at its generation.
func (r *run) include(kind string, m metav1.ObjectMeta) {
	r.out.Snapshot.Objects = append(r.out.Snapshot.Objects, snapshot.Object{
		Kind: kind, Namespace: m.Namespace, Name: m.Name, UID: string(m.UID), Generation: m.Generation,
	})
}

func (r *run) sortObjects() {
	slices.SortFunc(r.out.Snapshot.Objects, func(a, b snapshot.Object) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// meta is what the order of age looks at.
type meta interface {
	GetNamespace() string
	GetName() string
	GetCreationTimestamp() metav1.Time
}

// byAge orders objects so that of two with one claim the first wins: creation, then namespace, then name.
func byAge(a, b meta) int {
	return cmp.Or(
		cmp.Compare(a.GetCreationTimestamp().Unix(), b.GetCreationTimestamp().Unix()),
		cmp.Compare(a.GetNamespace(), b.GetNamespace()),
		cmp.Compare(a.GetName(), b.GetName()),
	)
}

// byName orders objects by namespace and name.
func byName(a, b meta) int {
	return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
}

// sorted copies a list in an order: the input belongs to the caller.
func sorted[T any, P interface {
	*T
	meta
}](in []T, order func(a, b meta) int) []P {
	out := make([]P, len(in))
	for i := range in {
		out[i] = &in[i]
	}
	slices.SortFunc(out, func(a, b P) int { return order(a, b) })
	return out
}

func keyOf(kind string, m meta) ObjectKey {
	return ObjectKey{kind, m.GetNamespace(), m.GetName()}
}

func nameOf(m meta) types.NamespacedName {
	return types.NamespacedName{Namespace: m.GetNamespace(), Name: m.GetName()}
}
