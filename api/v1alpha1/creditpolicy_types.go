package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// CreditMode says whether requests are paid for.
// +kubebuilder:validation:Enum=Prepaid;Unmetered
type CreditMode string

// Credit modes.
const (
	// CreditPrepaid holds credits before a request and charges them after it.
	CreditPrepaid CreditMode = "Prepaid"
	// CreditUnmetered checks and charges nothing; usage is still recorded.
	CreditUnmetered CreditMode = "Unmetered"
)

// CreditGrant is given once, when an account is made.
type CreditGrant struct {
	// amount in credits.
	// +required
	Amount Decimal `json:"amount,omitempty"`
}

// CreditPolicySpec says how accounts pay.
// +kubebuilder:validation:XValidation:rule="self.mode == 'Prepaid' || !has(self.grant)",message="grant needs mode Prepaid"
type CreditPolicySpec struct {
	// mode says whether requests are paid for. It cannot change.
	// +optional
	// +default="Prepaid"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="mode is immutable"
	Mode CreditMode `json:"mode,omitempty"`

	// grant is given once, when an account is made under this policy.
	// +optional
	Grant *CreditGrant `json:"grant,omitempty"`
}

// CreditPolicyStatus is what the operator saw.
type CreditPolicyStatus struct {
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

// CreditPolicy says how accounts pay.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=creditpolicies,categories=layers
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Grant",type=string,JSONPath=`.spec.grant.amount`
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type CreditPolicy struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is what is wanted.
	// +required
	Spec CreditPolicySpec `json:"spec,omitzero"`
	// status is what was seen.
	// +optional
	Status CreditPolicyStatus `json:"status,omitempty,omitzero"`
}

// CreditPolicyList is a list of CreditPolicies.
// +kubebuilder:object:root=true
type CreditPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []CreditPolicy `json:"items"`
}
