package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// KeyState says whether a key is honoured.
// +kubebuilder:validation:Enum=Active;Disabled
type KeyState string

// Key states.
const (
	KeyActive   KeyState = "Active"
	KeyDisabled KeyState = "Disabled"
)

// KeyScope is something that a key may do.
// +kubebuilder:validation:Enum=Inference;Usage
type KeyScope string

// Key scopes.
const (
	// ScopeInference may call models and estimate.
	ScopeInference KeyScope = "Inference"
	// ScopeUsage may read receipts of the key's account.
	ScopeUsage KeyScope = "Usage"
)

// CapPeriod is a calendar window, UTC.
// +kubebuilder:validation:Enum=Day;Month
type CapPeriod string

// Cap periods.
const (
	PeriodDay   CapPeriod = "Day"
	PeriodMonth CapPeriod = "Month"
)

// SpendCap bounds what one key may spend in a calendar window.
type SpendCap struct {
	// amount in credits.
	// +required
	Amount Decimal `json:"amount,omitempty"`

	// period is the window, UTC.
	// +optional
	// +default="Month"
	Period CapPeriod `json:"period,omitempty"`
}

// GatewayRef names an AIGateway, in another namespace where that gateway's apiKeys.from allows it.
type GatewayRef struct {
	// name of the AIGateway.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// namespace of the AIGateway; the default is the key's own.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
}

// KeyGenerate asks the operator to make the key.
type KeyGenerate struct {
	// secretName is the Secret that the operator makes and owns; the plain key stands in it under "api-key".
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="secretName is immutable"
	SecretName string `json:"secretName,omitempty"`

	// rotation asks for a new key by being raised; the old one goes on for overlapSeconds. It cannot be lowered.
	// +optional
	// +default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	// +kubebuilder:validation:XValidation:rule="self >= oldSelf",message="rotation cannot be lowered"
	Rotation int64 `json:"rotation,omitempty"`

	// overlapSeconds is how long the key before a rotation is still honoured.
	// +optional
	// +default=3600
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2592000
	OverlapSeconds *int64 `json:"overlapSeconds,omitempty"`
}

// KeySource is where the key comes from: exactly one of its fields.
// +kubebuilder:validation:ExactlyOneOf=sha256;generate
type KeySource struct {
	// sha256 is the digest of a key that was made elsewhere, in lower-case hex; the key is lyr_live_ and 16 to 128 of
	// A-Z a-z 0-9 _ -.
	// +optional
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	SHA256 string `json:"sha256,omitempty"`

	// generate asks the operator to make the key and keep it in a Secret.
	// +optional
	Generate *KeyGenerate `json:"generate,omitempty"`
}

// APIKeySpec is one key.
// +kubebuilder:validation:XValidation:rule="has(self.gatewayRef) == has(oldSelf.gatewayRef)",message="gatewayRef is immutable"
type APIKeySpec struct {
	// gatewayRef names the AIGateway that honours the key. The default is the namespace's only AIGateway. It cannot change.
	// `layers up` ignores it.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="gatewayRef is immutable"
	GatewayRef *GatewayRef `json:"gatewayRef,omitempty"`

	// account pays for the key's requests and may be shared by many keys. In the ledger it is NAMESPACE/account. It
	// cannot change.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9_.]*[a-z0-9])?$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="account is immutable"
	Account string `json:"account,omitempty"`

	// tierRef names the Tier, in the gateway's namespace; the default is the gateway's.
	// +optional
	TierRef *LocalRef `json:"tierRef,omitempty"`

	// creditPolicyRef names the CreditPolicy, in the gateway's namespace; the default is the gateway's. Without either, the account is prepaid and
	// starts empty.
	// +optional
	CreditPolicyRef *LocalRef `json:"creditPolicyRef,omitempty"`

	// key is where the key comes from. Only a rotation and its overlap can change.
	// +required
	// +kubebuilder:validation:XValidation:rule="has(self.generate) == has(oldSelf.generate)",message="key cannot change between sha256 and generate"
	// +kubebuilder:validation:XValidation:rule="!has(self.sha256) || !has(oldSelf.sha256) || self.sha256 == oldSelf.sha256",message="sha256 is immutable"
	Key KeySource `json:"key,omitzero"`

	// scopes are what the key may do.
	// +optional
	// +listType=set
	// +default=["Inference","Usage"]
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Scopes []KeyScope `json:"scopes,omitempty"`

	// models narrows the tier's models to these public names or aliases; it never widens them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Models []PublicName `json:"models,omitempty"`

	// spendCap bounds what this key may spend, whatever its account holds.
	// +optional
	SpendCap *SpendCap `json:"spendCap,omitempty"`

	// expiresAt is when the key ends by itself.
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`

	// state says whether the key is honoured.
	// +optional
	// +default="Active"
	State KeyState `json:"state,omitempty"`
}

// APIKeyStatus is what the operator saw. It holds no balance, no usage and never the key.
type APIKeyStatus struct {
	// conditions: Accepted, ResolvedRefs, Programmed.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation that the conditions speak of.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// prefix is the beginning of a generated key, to tell keys apart.
	// +optional
	// +kubebuilder:validation:MaxLength=24
	Prefix string `json:"prefix,omitempty"`

	// sha256 is the key's digest.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	SHA256 string `json:"sha256,omitempty"`

	// observedRotation is the rotation of the key in the Secret.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedRotation int64 `json:"observedRotation,omitempty"`

	// secretRef names the Secret that holds the generated key.
	// +optional
	SecretRef *LocalRef `json:"secretRef,omitempty"`
}

// APIKey is one key: who pays, what it may use, and whether it is honoured.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=layers
// +kubebuilder:selectablefield:JSONPath=`.spec.account`
// +kubebuilder:selectablefield:JSONPath=`.spec.tierRef.name`
// +kubebuilder:printcolumn:name="Account",type=string,JSONPath=`.spec.account`
// +kubebuilder:printcolumn:name="Prefix",type=string,JSONPath=`.status.prefix`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.spec.state`
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type APIKey struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is what is wanted.
	// +required
	Spec APIKeySpec `json:"spec,omitzero"`
	// status is what was seen.
	// +optional
	Status APIKeyStatus `json:"status,omitempty,omitzero"`
}

// APIKeyList is a list of APIKeys.
// +kubebuilder:object:root=true
type APIKeyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []APIKey `json:"items"`
}
