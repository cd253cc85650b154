package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GatewayMode says whether requests are real.
// +kubebuilder:validation:Enum=Live;Demo
type GatewayMode string

// Gateway modes.
const (
	// ModeLive honours the declared keys, holds and charges credits.
	ModeLive GatewayMode = "Live"
	// ModeDemo takes any lyr_live_ key, charges nothing and keeps no usage log.
	ModeDemo GatewayMode = "Demo"
)

// GatewayDeployment shapes the data plane's Deployment.
type GatewayDeployment struct {
	// replicas of the data plane.
	// +optional
	// +default=2
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Replicas *int32 `json:"replicas,omitempty"`

	// image of the data plane; the default is the operator's own.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`

	// resources of the gateway's container.
	// +optional
	// +default={"requests":{"cpu":"250m","memory":"128Mi"}}
	Resources GatewayResources `json:"resources,omitempty,omitzero"`
}

// GatewayResources are what one replica gets of its node, as quantities by name: cpu, memory, ephemeral-storage.
type GatewayResources struct {
	// requests are what the scheduler sets aside for a replica.
	// +optional
	Requests corev1.ResourceList `json:"requests,omitempty"`

	// limits are what a replica never gets more than.
	// +optional
	Limits corev1.ResourceList `json:"limits,omitempty"`
}

// GatewayStore says where a store's URL is.
type GatewayStore struct {
	// urlSecretRef names the Secret and the key that hold the URL: redis:// or rediss:// for Redis, postgres:// for the
	// ledger.
	// +required
	URLSecretRef SecretKeyRef `json:"urlSecretRef,omitzero"`
}

// GatewayCredits says what a credit is.
type GatewayCredits struct {
	// perDollar is how many credits a US dollar buys. It cannot change.
	// +optional
	// +default=100
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="credits.perDollar is immutable"
	PerDollar int64 `json:"perDollar,omitempty"`
}

// GatewayDefaults are used by keys that name no object of their own.
type GatewayDefaults struct {
	// tierRef names the default Tier.
	// +optional
	TierRef *LocalRef `json:"tierRef,omitempty"`

	// creditPolicyRef names the default CreditPolicy.
	// +optional
	CreditPolicyRef *LocalRef `json:"creditPolicyRef,omitempty"`
}

// GatewayDrain says how a replica ends. Its grace period is delaySeconds + timeoutSeconds + 15.
type GatewayDrain struct {
	// delaySeconds is how long a terminating replica still accepts requests, so that endpoints can follow.
	// +optional
	// +default=10
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=300
	DelaySeconds *int32 `json:"delaySeconds,omitempty"`

	// timeoutSeconds is how long open requests may then go on.
	// +optional
	// +default=900
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=7200
	TimeoutSeconds *int32 `json:"timeoutSeconds,omitempty"`
}

// AIGatewaySpec is one data plane.
// +kubebuilder:validation:XValidation:rule="self.mode == 'Demo' || (has(self.redis) && has(self.ledger))",message="redis and ledger are required in mode Live"
// +kubebuilder:validation:XValidation:rule="self.mode == 'Live' || (!has(self.redis) && !has(self.ledger))",message="mode Demo takes no redis and no ledger"
type AIGatewaySpec struct {
	// mode says whether requests are real; demo mode is only ever explicit.
	// +optional
	// +default="Live"
	Mode GatewayMode `json:"mode,omitempty"`

	// deployment shapes the data plane.
	// +optional
	// +default={}
	Deployment GatewayDeployment `json:"deployment,omitempty,omitzero"`

	// redis holds rate limits and credit holds: Redis 6.2 or later.
	// +optional
	Redis *GatewayStore `json:"redis,omitempty"`

	// ledger is the PostgreSQL database that holds keys, accounts and every charge.
	// +optional
	Ledger *GatewayStore `json:"ledger,omitempty"`

	// credits says what a credit is.
	// +optional
	// +default={}
	Credits GatewayCredits `json:"credits,omitempty,omitzero"`

	// defaults are used by keys that name no object of their own.
	// +optional
	Defaults GatewayDefaults `json:"defaults,omitempty,omitzero"`

	// drain says how a replica ends.
	// +optional
	// +default={}
	Drain GatewayDrain `json:"drain,omitempty,omitzero"`
}

// GatewayReplicas counts the replicas.
type GatewayReplicas struct {
	// desired by the spec.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Desired int32 `json:"desired"`
	// ready by their readiness probe.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Ready int32 `json:"ready"`
	// current are the ready ones that run the newest snapshot.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Current int32 `json:"current"`
}

// GatewayAttached counts what the gateway serves.
type GatewayAttached struct {
	// models in the snapshot.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Models int32 `json:"models"`
	// apiKeys that name this gateway.
	// +optional
	// +kubebuilder:validation:Minimum=0
	APIKeys int32 `json:"apiKeys"`
}

// AIGatewayStatus is what the operator saw.
type AIGatewayStatus struct {
	// conditions: Accepted, ResolvedRefs, StoresReady, Programmed, Available.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation that the conditions speak of.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// snapshotHash is the content hash of the newest snapshot.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	SnapshotHash string `json:"snapshotHash,omitempty"`

	// replicas counts the replicas.
	// +optional
	Replicas GatewayReplicas `json:"replicas,omitempty,omitzero"`

	// attached counts what the gateway serves.
	// +optional
	Attached GatewayAttached `json:"attached,omitempty,omitzero"`

	// address is the base URL inside the cluster.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Address string `json:"address,omitempty"`
}

// AIGateway is one data plane: its Deployment, Service, ServiceAccount, Role and snapshot.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=aigw,categories=layers
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Ready",type=integer,JSONPath=`.status.replicas.ready`
// +kubebuilder:printcolumn:name="Current",type=integer,JSONPath=`.status.replicas.current`
// +kubebuilder:printcolumn:name="Models",type=integer,JSONPath=`.status.attached.models`
// +kubebuilder:printcolumn:name="Available",type=string,JSONPath=`.status.conditions[?(@.type=="Available")].status`
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AIGateway struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is what is wanted.
	// +required
	Spec AIGatewaySpec `json:"spec,omitzero"`
	// status is what was seen.
	// +optional
	Status AIGatewayStatus `json:"status,omitempty,omitzero"`
}

// AIGatewayList is a list of AIGateways.
// +kubebuilder:object:root=true
type AIGatewayList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AIGateway `json:"items"`
}
