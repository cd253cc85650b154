package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// LocalRef names an object in the same namespace.
type LocalRef struct {
	// name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// SecretKeyRef names one key of a Secret in the same namespace.
type SecretKeyRef struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// key inside the Secret's data.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key"`
}

// NamespacesFrom says which namespaces are meant.
// +kubebuilder:validation:Enum=Same;All;Selector
type NamespacesFrom string

// Namespace scopes.
const (
	// NamespacesSame is the object's own namespace.
	NamespacesSame NamespacesFrom = "Same"
	// NamespacesAll is every namespace.
	NamespacesAll NamespacesFrom = "All"
	// NamespacesSelector is the object's own namespace and those whose labels the selector takes.
	NamespacesSelector NamespacesFrom = "Selector"
)

// NamespaceScope says which namespaces are meant.
// +kubebuilder:validation:XValidation:rule="has(self.selector) == (self.from == 'Selector')",message="selector is required with from: Selector and refused otherwise"
type NamespaceScope struct {
	// from says which namespaces are meant.
	// +optional
	// +default="Same"
	From NamespacesFrom `json:"from,omitempty"`

	// selector takes namespaces by their labels.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// Decimal is an amount of money as a decimal string: USD where the field is a price, credits where it is an amount
// of credits. At most nine digits before the point and nine after it, so that it is exact in nano-USD.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=19
// +kubebuilder:validation:Pattern=`^(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?$`
type Decimal string

// Factor is a decimal string from 0 to 1000 with at most nine digits after the point.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=14
// +kubebuilder:validation:Pattern=`^(1000(\.0{1,9})?|(0|[1-9][0-9]{0,2})(\.[0-9]{1,9})?)$`
type Factor string

// Conditions that more than one kind carries. Each kind lists the ones it has.
const (
	// ConditionAccepted says whether the spec makes sense by itself and against its peers (duplicates, conflicts).
	ConditionAccepted = "Accepted"
	// ConditionResolvedRefs says whether every object that the spec refers to exists and has what is needed.
	ConditionResolvedRefs = "ResolvedRefs"
	// ConditionProgrammed is True when at least one replica of each gateway is ready and all ready ones run a snapshot
	// that has this generation (on an APIKey: when the row of this generation is committed). Once true for a
	// generation it stays.
	ConditionProgrammed = "Programmed"
	// ConditionPriced says whether a Model has a price for everything that its backends report.
	ConditionPriced = "Priced"
	// ConditionCredentialsResolved says whether a Provider's Secret holds its credential.
	ConditionCredentialsResolved = "CredentialsResolved"
	// ConditionAvailable says whether an AIGateway has at least one ready replica.
	ConditionAvailable = "Available"
	// ConditionStoresReady says whether the operator reaches an AIGateway's Redis and ledger, has migrated the ledger, and
	// found in it the credits.perDollar of the spec.
	ConditionStoresReady = "StoresReady"
	// ConditionStoresReachable says whether the ready replicas of an AIGateway reach its Redis and ledger, as they say
	// themselves. One that does not is enough for False; what it then does is AIGateway.spec.redis.onUnavailable's to say.
	ConditionStoresReachable = "StoresReachable"
	// ConditionLedgerSound says whether yesterday's (UTC) entries, grants, settlements and charges of an AIGateway's ledger
	// agree with one another. The operator checks them once a day.
	ConditionLedgerSound = "LedgerSound"
	// ConditionKeysShrinkHeld is True while so many keys of an AIGateway have no object any more that the operator revokes
	// none of them before AnnotationConfirmShrink says how many they are.
	ConditionKeysShrinkHeld = "KeysShrinkHeld"
)

// AnnotationConfirmShrink on an AIGateway confirms that this many keys without an object are to be revoked.
const AnnotationConfirmShrink = "layers.dev/confirm-shrink"

// Reasons of conditions.
const (
	ReasonAccepted            = "Accepted"
	ReasonResolved            = "Resolved"
	ReasonPriced              = "Priced"
	ReasonProgrammed          = "Programmed"
	ReasonAvailable           = "Available"
	ReasonPending             = "Pending"
	ReasonInvalid             = "Invalid"
	ReasonConflicted          = "Conflicted"
	ReasonNoGateway           = "NoGateway"
	ReasonAmbiguousGateway    = "AmbiguousGateway"
	ReasonRefNotFound         = "RefNotFound"
	ReasonRefNotUsable        = "RefNotUsable"
	ReasonNotAllowed          = "NotAllowed"
	ReasonSecretNotFound      = "SecretNotFound"
	ReasonSecretKeyMissing    = "SecretKeyMissing"
	ReasonUnpriced            = "Unpriced"
	ReasonSnapshotTooLarge    = "SnapshotTooLarge"
	ReasonNoReadyReplicas     = "NoReadyReplicas"
	ReasonReplicasBehind      = "ReplicasBehind"
	ReasonReplicasUnreachable = "ReplicasUnreachable"
	ReasonStoreUnavailable    = "StoreUnavailable"
	ReasonNotOwned            = "NotOwned"
	ReasonMigrationFailed     = "MigrationFailed"
	ReasonConfirmationNeeded  = "ConfirmationNeeded"
	ReasonNothingHeld         = "NothingHeld"
	ReasonAllReachable        = "AllReachable"
	ReasonRedisUnavailable    = "RedisUnavailable"
	ReasonLedgerUnavailable   = "LedgerUnavailable"
	ReasonBothUnavailable     = "BothUnavailable"
	ReasonSound               = "Sound"
	ReasonDrift               = "Drift"
)
