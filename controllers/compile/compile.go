// Package compile turns objects into a snapshot, and says what is wrong with each object. It is pure: no client, no
// clock, no context, the same answer for the same input. The operator and `layers up` use the same function.
package compile

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// ObjectKey names one object.
type ObjectKey struct {
	Kind, Namespace, Name string
}

// Input is the world as one AIGateway sees it.
type Input struct {
	// Gateway is the AIGateway to compile for; never nil (`layers up` makes one where the folder has none).
	Gateway *v1alpha1.AIGateway
	// Gateways are the names of all AIGateways in the gateway's namespace: a Model or APIKey without a reference belongs to the only one.
	Gateways []string
	// Local is `layers up`: references to gateways are ignored, every namespace is served, and what a key names is looked
	// up in the key's own namespace before the gateway's.
	Local bool
	// Namespaces holds the labels of namespaces by their name: of those that have keys which name this gateway. One that
	// is not there is taken by no selector.
	Namespaces map[string]map[string]string

	Providers      []v1alpha1.Provider
	Models         []v1alpha1.Model
	Tiers          []v1alpha1.Tier
	CreditPolicies []v1alpha1.CreditPolicy
	// APIKeys may be of any namespace; KeyGateway says which gateway a key belongs to.
	APIKeys []v1alpha1.APIKey
	// Secrets holds the data of those Secrets that Providers refer to and that exist.
	Secrets map[types.NamespacedName]map[string][]byte
}

// Condition is one condition without times and generations.
type Condition struct {
	Type    string
	Status  metav1.ConditionStatus
	Reason  string
	Message string
}

// Key is what an APIKey that has its digest or Secret to itself resolves to.
type Key struct {
	// Object names the APIKey.
	Object types.NamespacedName
	// Account is "namespace/account"; Tier and Policy are "namespace/name" and may be empty (the gateway's default).
	Account, Tier, Policy string
	// FirstGrant is what the account is given when it is made, in nano-USD; it lasts FirstGrantDays, 0: for ever.
	FirstGrant     int64
	FirstGrantDays int32
	// SHA256 is the declared digest; empty where the key is to be generated into SecretName.
	SHA256, SecretName string
	// Scopes are what the key may do, Models what it narrows its tier's models to; both sorted, empty: all.
	Scopes, Models []string
	// CapNano bounds what the key spends in CapPeriod ("Day" or "Month", UTC), in nano-USD; 0: nothing does.
	CapNano   int64
	CapPeriod string
	// ExpiresAt is in microseconds since the Unix epoch; 0: never.
	ExpiresAt int64
	// Rotation and OverlapSeconds are those of a generated key; Rotation 0: a declared digest.
	Rotation, OverlapSeconds int64
	// Disabled says that the key is declared but not honoured.
	Disabled bool
	// Unresolved says that a Tier or CreditPolicy of the key is broken, that its cap is wrong or that the gateway does not
	// allow it: Disabled is then true, and a row that does not exist yet must not be made, because its account would be
	// made without the first grant.
	Unresolved bool
}

// Output is the snapshot and what is to be said about each object.
type Output struct {
	// Snapshot has everything but Sequence, Hash and AckToken. Its lists are sorted, so that equal input gives equal bytes.
	Snapshot *snapshot.Snapshot
	// Keys are the APIKeys of this gateway, but those that an older one took the digest or Secret from; sorted by Object.
	Keys []Key
	// Conditions holds, for the gateway and for every object of Input that belongs to it, all its conditions but
	// Programmed and Available. One bad object never blocks the rest.
	Conditions map[ObjectKey][]Condition
	// Foreign holds the objects of Input that belong to another gateway or to none; those with none have a condition.
	Foreign map[ObjectKey]bool
}

// Compile makes the snapshot of one AIGateway and the conditions of every object that belongs to it. Objects of other
// namespaces than the gateway's are foreign and without conditions, except APIKeys that name a gateway of its namespace,
// and where Input.Local serves every namespace.
func Compile(in Input) Output {
	r := newRun(in)
	// What others refer to comes first.
	r.creditPolicies()
	r.tiers()
	r.gateway()
	r.providers()
	r.models()
	r.tierModels()
	r.apiKeys()
	r.sortObjects()
	return r.out
}
