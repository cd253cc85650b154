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
// +kubebuilder:validation:XValidation:rule="!has(self.maxReplicas) || self.maxReplicas >= self.replicas",message="maxReplicas must be at least replicas"
type GatewayDeployment struct {
	// replicas of the data plane.
	// +optional
	// +default=2
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Replicas *int32 `json:"replicas,omitempty"`

	// maxReplicas lets a HorizontalPodAutoscaler grow the data plane from replicas to it, by CPU; without it replicas is
	// the number.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxReplicas *int32 `json:"maxReplicas,omitempty"`

	// template is what is to be said about the pods.
	// +optional
	Template *GatewayPodTemplate `json:"template,omitempty"`

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

// RedisUnavailable says what becomes of requests while Redis is away.
// +kubebuilder:validation:Enum=LocalLimits;Reject
type RedisUnavailable string

// What becomes of requests while Redis is away.
const (
	// RedisLocalLimits goes on: each replica allows its share of the limits, and credits are held in the ledger.
	RedisLocalLimits RedisUnavailable = "LocalLimits"
	// RedisReject refuses them with 503 and Retry-After.
	RedisReject RedisUnavailable = "Reject"
)

// GatewayRedis says where Redis is.
type GatewayRedis struct {
	// urlSecretRef names the Secret and the key that hold the redis:// or rediss:// URL.
	// +required
	URLSecretRef SecretKeyRef `json:"urlSecretRef,omitzero"`

	// onUnavailable says what becomes of requests while Redis is away: LocalLimits goes on with each replica's share of the
	// limits and with credits held in the ledger, Reject answers 503.
	// +optional
	// +default="LocalLimits"
	OnUnavailable RedisUnavailable `json:"onUnavailable,omitempty"`
}

// GatewayLedger says where the ledger is.
type GatewayLedger struct {
	// urlSecretRef names the Secret and the key that hold the postgres:// URL that gateways use.
	// +required
	URLSecretRef SecretKeyRef `json:"urlSecretRef,omitzero"`

	// adminURLSecretRef names the Secret and the key of the URL that may change the schema: the operator migrates with it in
	// a Job before a rollout. The default is urlSecretRef.
	// +optional
	AdminURLSecretRef *SecretKeyRef `json:"adminURLSecretRef,omitempty"`
}

// GatewayClientIP says how a caller's address is known.
type GatewayClientIP struct {
	// trustedProxies are the networks whose forwarding header is believed.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self)",message="trustedProxies must be CIDRs"
	TrustedProxies []string `json:"trustedProxies,omitempty"`

	// header that the proxies append to: the last address in it that is no trusted proxy is the caller.
	// +optional
	// +default="X-Forwarded-For"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[!#$%&'*+\-.^_|~0-9A-Za-z]+$`
	Header string `json:"header,omitempty"`
}

// GatewayTLS says where the certificate is.
type GatewayTLS struct {
	// secretRef names a Secret of type kubernetes.io/tls; it is mounted and followed.
	// +required
	SecretRef LocalRef `json:"secretRef,omitzero"`
}

// PolicySwitch turns a NetworkPolicy on or off.
// +kubebuilder:validation:Enum=Enabled;Disabled
type PolicySwitch string

// Policy switches.
const (
	PolicyEnabled  PolicySwitch = "Enabled"
	PolicyDisabled PolicySwitch = "Disabled"
)

// GatewayNetworkPolicy says what the data plane's NetworkPolicy restricts.
type GatewayNetworkPolicy struct {
	// ingress lets callers reach the API port only, the operator the acknowledgement port, and all the metrics.
	// +optional
	// +default="Enabled"
	Ingress PolicySwitch `json:"ingress,omitempty"`

	// egress lets the pods reach DNS, HTTPS, the ports of Redis' and the ledger's URLs and of the Providers' base URLs, and
	// the API server (apiServerCIDRs) only. Where a URL names a Service that has another port than its pods, most networks
	// want the pods' port: let it through with a NetworkPolicy of your own.
	// +optional
	// +default="Disabled"
	Egress PolicySwitch `json:"egress,omitempty"`

	// apiServerCIDRs are the API server's addresses for egress.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self)",message="apiServerCIDRs must be CIDRs"
	APIServerCIDRs []string `json:"apiServerCIDRs,omitempty"`
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

	// redis holds rate limits and credit holds: Redis 6.2 to 8.2 or Valkey 9.1.
	// +optional
	Redis *GatewayRedis `json:"redis,omitempty"`

	// ledger is the database that holds keys, accounts and every charge: PostgreSQL 14 to 18.
	// +optional
	Ledger *GatewayLedger `json:"ledger,omitempty"`

	// credits says what a credit is.
	// +optional
	// +default={}
	Credits GatewayCredits `json:"credits,omitempty,omitzero"`

	// defaults are used by keys that name no object of their own.
	// +optional
	Defaults GatewayDefaults `json:"defaults,omitempty,omitzero"`

	// apiKeys says whose APIKeys may name this gateway; the default is those of its own namespace.
	// +optional
	// +default={"from":"Same"}
	APIKeys NamespaceScope `json:"apiKeys,omitempty,omitzero"`

	// clientIP says how a caller's address is known; without it, it is the connection's.
	// +optional
	ClientIP *GatewayClientIP `json:"clientIP,omitempty"`

	// tls serves the API with a certificate; without it, over HTTP/1.1 and cleartext HTTP/2.
	// +optional
	TLS *GatewayTLS `json:"tls,omitempty"`

	// networkPolicy says what the data plane's NetworkPolicy restricts.
	// +optional
	// +default={}
	NetworkPolicy GatewayNetworkPolicy `json:"networkPolicy,omitempty,omitzero"`

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

// GatewayDrift counts what of one kind does not agree.
type GatewayDrift struct {
	// kind is what does not agree, as layers ledger check names it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Kind string `json:"kind"`

	// count is how many were found; a check stops to look for more of a kind at a hundred.
	// +required
	// +kubebuilder:validation:Minimum=1
	Count int32 `json:"count"`
}

// GatewayAudit is what the last check of the ledger found.
type GatewayAudit struct {
	// day is the last day, UTC, whose entries were checked, as YYYY-MM-DD.
	// +required
	// +kubebuilder:validation:MinLength=10
	// +kubebuilder:validation:MaxLength=10
	Day string `json:"day"`

	// checkedAt is when that was.
	// +required
	CheckedAt metav1.Time `json:"checkedAt"`

	// drift is what did not agree, by kind; nothing: the ledger was sound.
	// +optional
	// +listType=map
	// +listMapKey=kind
	// +kubebuilder:validation:MaxItems=32
	Drift []GatewayDrift `json:"drift,omitempty"`
}

// AIGatewayStatus is what the operator saw.
type AIGatewayStatus struct {
	// conditions: Accepted, ResolvedRefs, StoresReady, StoresReachable, Programmed, Available, LedgerSound, KeysShrinkHeld.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
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

	// audit is what the last check of the ledger found.
	// +optional
	Audit *GatewayAudit `json:"audit,omitempty"`

	// selector takes the data plane's pods, for the scale subresource.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Selector string `json:"selector,omitempty"`

	// address is the base URL inside the cluster.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Address string `json:"address,omitempty"`
}

// AIGateway is one data plane: its Deployment, Service, ServiceAccount, Role and snapshot.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.deployment.replicas,statuspath=.status.replicas.ready,selectorpath=.status.selector
// +kubebuilder:resource:shortName=aigw,categories=layers
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Ready",type=integer,JSONPath=`.status.replicas.ready`
// +kubebuilder:printcolumn:name="Current",type=integer,JSONPath=`.status.replicas.current`
// +kubebuilder:printcolumn:name="Models",type=integer,JSONPath=`.status.attached.models`
// +kubebuilder:printcolumn:name="Available",type=string,JSONPath=`.status.conditions[?(@.type=="Available")].status`
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name="Stores",type=string,JSONPath=`.status.conditions[?(@.type=="StoresReachable")].reason`
// +kubebuilder:printcolumn:name="Ledger",type=string,JSONPath=`.status.conditions[?(@.type=="LedgerSound")].reason`,priority=1
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
