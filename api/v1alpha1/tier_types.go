package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// LimitUnit is what a rate limit counts.
// +kubebuilder:validation:Enum=RequestsPerMinute;InputTokensPerMinute;OutputTokensPerMinute;RequestsPerDay
type LimitUnit string

// Limit units.
const (
	// LimitRequestsPerMinute counts requests, by GCRA, for each key.
	LimitRequestsPerMinute LimitUnit = "RequestsPerMinute"
	// LimitInputTokensPerMinute counts input tokens that were not read from a cache, by GCRA, for each key: the estimate
	// at admission, corrected at the end.
	LimitInputTokensPerMinute LimitUnit = "InputTokensPerMinute"
	// LimitOutputTokensPerMinute counts output tokens likewise.
	LimitOutputTokensPerMinute LimitUnit = "OutputTokensPerMinute"
	// LimitRequestsPerDay counts requests in a calendar day, UTC.
	LimitRequestsPerDay LimitUnit = "RequestsPerDay"
)

// RateLimit is one limit for each key of the tier.
// +kubebuilder:validation:XValidation:rule="!has(self.burst) || self.burst >= 1",message="burst must be at least 1"
// +kubebuilder:validation:XValidation:rule="!has(self.burst) || self.unit != 'RequestsPerDay'",message="burst does not apply to RequestsPerDay"
type RateLimit struct {
	// unit is what is counted.
	// +required
	Unit LimitUnit `json:"unit,omitempty"`

	// value is how many of it in the unit's time.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	Value int64 `json:"value,omitempty"`

	// burst is how many may come at once; the default is value.
	// +optional
	// +kubebuilder:validation:Maximum=1000000000
	Burst *int64 `json:"burst,omitempty"`
}

// TierModels says which models a tier allows: exactly one of its fields.
// +kubebuilder:validation:ExactlyOneOf=names;selector
type TierModels struct {
	// names are public names or aliases of Models.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	Names []PublicName `json:"names,omitempty"`

	// selector takes Models of the gateway by their labels; one that takes none allows none.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// TierSpec is what a class of keys may use.
type TierSpec struct {
	// models that the keys may call; without it, all.
	// +optional
	Models *TierModels `json:"models,omitempty"`

	// limits of each key, one a unit.
	// +optional
	// +listType=map
	// +listMapKey=unit
	// +kubebuilder:validation:MaxItems=8
	Limits []RateLimit `json:"limits,omitempty"`

	// maxConcurrentRequests is how many requests of each key may run at once; without it, any number.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxConcurrentRequests *int64 `json:"maxConcurrentRequests,omitempty"`

	// markup multiplies what the keys are charged: "1.2" is a fifth more than the Model's pricing. At most "1000"; the
	// default is "1".
	// +optional
	Markup *Factor `json:"markup,omitempty"`

	// upgradeURL is where a caller who meets a limit can get a larger tier; a 429 names it.
	// +optional
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^ ]+$')",message="upgradeURL must be an absolute http or https URL"
	UpgradeURL string `json:"upgradeURL,omitempty"`

	// allowedNamespaces says whose keys may have this tier; the default is keys of the tier's own namespace.
	// +optional
	// +default={"from":"Same"}
	AllowedNamespaces NamespaceScope `json:"allowedNamespaces,omitempty,omitzero"`

	// maxBodyBytes is the largest request body; a larger one is a 413.
	// +optional
	// +default=33554432
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=268435456
	MaxBodyBytes int64 `json:"maxBodyBytes,omitempty"`
}

// TierStatus is what the operator saw.
type TierStatus struct {
	// conditions: Accepted, Programmed.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation that the conditions speak of.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// Tier is what a class of keys may use.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=layers
// +kubebuilder:printcolumn:name="Requests/min",type=integer,JSONPath=`.spec.limits[?(@.unit=="RequestsPerMinute")].value`
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Tier struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is what is wanted.
	// +optional
	// +default={}
	Spec TierSpec `json:"spec,omitempty,omitzero"`
	// status is what was seen.
	// +optional
	Status TierStatus `json:"status,omitempty,omitzero"`
}

// TierList is a list of Tiers.
// +kubebuilder:object:root=true
type TierList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Tier `json:"items"`
}
