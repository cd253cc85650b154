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

// OrphanCharge says what a request is charged that nobody finished, because its replica is gone.
// +kubebuilder:validation:Enum=None;Input;Hold
type OrphanCharge string

// Charges of orphans.
const (
	// OrphanNone charges nothing.
	OrphanNone OrphanCharge = "None"
	// OrphanInput charges what the input costs, at most what was held.
	OrphanInput OrphanCharge = "Input"
	// OrphanHold charges all that was held.
	OrphanHold OrphanCharge = "Hold"
)

// CreditEnforcement says whether refusals count.
// +kubebuilder:validation:Enum=Enforce;Shadow
type CreditEnforcement string

// Enforcements.
const (
	// CreditEnforce refuses what limits and credits refuse.
	CreditEnforce CreditEnforcement = "Enforce"
	// CreditShadow counts what would be refused, and refuses nothing for limits or credits.
	CreditShadow CreditEnforcement = "Shadow"
)

// CreditGrant is given once, when an account is made.
type CreditGrant struct {
	// amount in credits.
	// +required
	Amount Decimal `json:"amount,omitempty"`

	// expireDays is how many days after it is given what remains of the grant goes; without it, it stays.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3650
	ExpireDays *int32 `json:"expireDays,omitempty"`
}

// CreditHold says how much is held before a request.
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="!has(self.minOutputTokens) || !has(self.defaultOutputTokens) || self.defaultOutputTokens >= self.minOutputTokens",message="defaultOutputTokens must be at least minOutputTokens"
type CreditHold struct {
	// minOutputTokens is the shortest answer that is worth admitting where credits do not cover the longest one: the answer
	// is then cut at what they cover. The default is 256, and 4096 for models that think.
	// +optional
	// +kubebuilder:validation:Minimum=16
	// +kubebuilder:validation:Maximum=10000000
	MinOutputTokens *int64 `json:"minOutputTokens,omitempty"`

	// defaultOutputTokens is how long a streamed answer is thought to be, where the account has plenty and too few answers of
	// the key and the model are known to tell: so much is held at first, and more as it goes on. The default is 1024, and
	// 8192 for models that think.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000000
	DefaultOutputTokens *int64 `json:"defaultOutputTokens,omitempty"`
}

// CreditPolicySpec says how accounts pay.
// +kubebuilder:validation:XValidation:rule="self.mode == 'Prepaid' || !has(self.topUpURL)",message="topUpURL needs mode Prepaid"
// +kubebuilder:validation:XValidation:rule="self.mode == 'Prepaid' || !has(self.grant)",message="grant needs mode Prepaid"
// +kubebuilder:validation:XValidation:rule="self.mode == 'Prepaid' || !has(self.hold)",message="hold needs mode Prepaid"
// +kubebuilder:validation:XValidation:rule="self.mode == 'Prepaid' || !has(self.overdraft)",message="overdraft needs mode Prepaid"
type CreditPolicySpec struct {
	// mode says whether requests are paid for. It cannot change.
	// +optional
	// +default="Prepaid"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="mode is immutable"
	Mode CreditMode `json:"mode,omitempty"`

	// grant is given once, when an account is made under this policy.
	// +optional
	Grant *CreditGrant `json:"grant,omitempty"`

	// hold says how much is held before a request.
	// +optional
	Hold *CreditHold `json:"hold,omitempty"`

	// orphanCharge says what a request is charged whose replica went before the answer ended: nothing, its input, or all
	// that was held. If the answer's cost becomes known later, it takes the place of this.
	// +optional
	// +default="Input"
	OrphanCharge OrphanCharge `json:"orphanCharge,omitempty"`

	// overdraft is how many credits below zero requests may take an account, beside what the account itself may; the default
	// is none.
	// +optional
	Overdraft *Decimal `json:"overdraft,omitempty"`

	// topUpURL is where a caller whose credits are short can get more; a 402 names it.
	// +optional
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^ ]+$')",message="topUpURL must be an absolute http or https URL"
	TopUpURL string `json:"topUpURL,omitempty"`

	// enforcement says whether limits and credits refuse requests (Enforce), or are only counted and reported (Shadow).
	// Requests are charged either way.
	// +optional
	// +default="Enforce"
	Enforcement CreditEnforcement `json:"enforcement,omitempty"`
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
// +kubebuilder:printcolumn:name="Enforcement",type=string,JSONPath=`.spec.enforcement`
// +kubebuilder:printcolumn:name="Overdraft",type=string,JSONPath=`.spec.overdraft`,priority=1
// +kubebuilder:printcolumn:name="Orphans",type=string,JSONPath=`.spec.orphanCharge`,priority=1
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
