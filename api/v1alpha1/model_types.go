package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Capability is something that a model can do.
// +kubebuilder:validation:Enum=Text;Streaming;Vision;Tools;JSON;Thinking;WebSearch;PromptCache
type Capability string

// Capabilities.
const (
	CapabilityText        Capability = "Text"
	CapabilityStreaming   Capability = "Streaming"
	CapabilityVision      Capability = "Vision"
	CapabilityTools       Capability = "Tools"
	CapabilityJSON        Capability = "JSON"
	CapabilityThinking    Capability = "Thinking"
	CapabilityWebSearch   Capability = "WebSearch"
	CapabilityPromptCache Capability = "PromptCache"
)

// PublicName is a model's name as clients send it.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:Pattern=`^[A-Za-z0-9][A-Za-z0-9._:@/-]*$`
type PublicName string

// ModelBackend is one place where the model is served.
type ModelBackend struct {
	// name of the backend, unique in the Model.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// providerRef names the Provider.
	// +required
	ProviderRef LocalRef `json:"providerRef,omitzero"`

	// model is the upstream's own id of the model.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Model string `json:"model,omitempty"`

	// priority orders the backends: 0 is tried first.
	// +optional
	// +default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Priority *int32 `json:"priority,omitempty"`

	// weight shares the requests among backends of one priority; 0 takes none.
	// +optional
	// +default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	Weight *int32 `json:"weight,omitempty"`

	// pricing is what the provider asks for an answer of this backend; the default is the Model's pricing. It is kept
	// beside the charge, which is always of the Model's pricing.
	// +optional
	Pricing *ModelPricing `json:"pricing,omitempty"`
}

// PricingStep is what the tokens of a large request cost.
type PricingStep struct {
	// aboveInputTokens is the number of input tokens, cached ones included, above which the whole request is at these prices.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000000
	AboveInputTokens int64 `json:"aboveInputTokens,omitempty"`

	// inputPerMillion is as in the pricing above, as are the others.
	// +required
	InputPerMillion Decimal `json:"inputPerMillion,omitempty"`

	// outputPerMillion is the price of a million output tokens, reasoning included.
	// +required
	OutputPerMillion Decimal `json:"outputPerMillion,omitempty"`

	// cacheReadPerMillion is the price of a million input tokens read from a prompt cache; required where the pricing has one.
	// +optional
	CacheReadPerMillion *Decimal `json:"cacheReadPerMillion,omitempty"`

	// cacheWritePerMillion is the price of a million input tokens written to a prompt cache; required where the pricing has
	// one.
	// +optional
	CacheWritePerMillion *Decimal `json:"cacheWritePerMillion,omitempty"`

	// cacheWrite1hPerMillion is the price of a million input tokens written to a prompt cache that is kept for an hour;
	// required where the pricing has one.
	// +optional
	CacheWrite1hPerMillion *Decimal `json:"cacheWrite1hPerMillion,omitempty"`
}

// ModelPricing is a price list in USD.
// +kubebuilder:validation:XValidation:rule="!has(self.steps) || !has(self.cacheReadPerMillion) || self.steps.all(s, has(s.cacheReadPerMillion))",message="each of steps needs cacheReadPerMillion where the pricing has it"
// +kubebuilder:validation:XValidation:rule="!has(self.steps) || !has(self.cacheWritePerMillion) || self.steps.all(s, has(s.cacheWritePerMillion))",message="each of steps needs cacheWritePerMillion where the pricing has it"
// +kubebuilder:validation:XValidation:rule="!has(self.steps) || !has(self.cacheWrite1hPerMillion) || self.steps.all(s, has(s.cacheWrite1hPerMillion))",message="each of steps needs cacheWrite1hPerMillion where the pricing has it"
type ModelPricing struct {
	// inputPerMillion is the price of a million input tokens that were neither read from nor written to a cache.
	// +required
	InputPerMillion Decimal `json:"inputPerMillion,omitempty"`

	// outputPerMillion is the price of a million output tokens, reasoning included.
	// +required
	OutputPerMillion Decimal `json:"outputPerMillion,omitempty"`

	// cacheReadPerMillion is the price of a million input tokens read from a prompt cache. Required where
	// capabilities has PromptCache; elsewhere such tokens are charged as input.
	// +optional
	CacheReadPerMillion *Decimal `json:"cacheReadPerMillion,omitempty"`

	// cacheWritePerMillion is the price of a million input tokens written to a prompt cache; without it such tokens
	// are charged as input.
	// +optional
	CacheWritePerMillion *Decimal `json:"cacheWritePerMillion,omitempty"`

	// cacheWrite1hPerMillion is the price of a million input tokens written to a prompt cache that is kept for an hour;
	// without it requests that ask for one are refused.
	// +optional
	CacheWrite1hPerMillion *Decimal `json:"cacheWrite1hPerMillion,omitempty"`

	// searchPerThousand is the price of a thousand uses of the provider's web search. Required where capabilities has
	// WebSearch.
	// +optional
	SearchPerThousand *Decimal `json:"searchPerThousand,omitempty"`

	// steps are dearer or cheaper prices for requests with much input: the whole request is at the prices of the step with
	// the largest aboveInputTokens that its input exceeds. Searches have one price.
	// +optional
	// +listType=map
	// +listMapKey=aboveInputTokens
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Steps []PricingStep `json:"steps,omitempty"`
}

// UnsupportedParameter says what becomes of a parameter that the upstream has nothing for.
// +kubebuilder:validation:Enum=Drop;Reject
type UnsupportedParameter string

// Values of UnsupportedParameter.
const (
	// DropUnsupported leaves it out and names it in the header X-Layers-Dropped-Params.
	DropUnsupported UnsupportedParameter = "Drop"
	// RejectUnsupported refuses the request with 400 and names it.
	RejectUnsupported UnsupportedParameter = "Reject"
)

// ModelLimits bound a request; the credit hold is computed from them.
type ModelLimits struct {
	// contextTokens is the most input and output tokens together.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000000
	ContextTokens int64 `json:"contextTokens,omitempty"`

	// maxOutputTokens is the most output tokens of one answer.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000000
	MaxOutputTokens int64 `json:"maxOutputTokens,omitempty"`
}

// ModelTimeouts are the phases of an upstream call, in seconds.
type ModelTimeouts struct {
	// connectSeconds bounds dialling and the TLS handshake.
	// +optional
	// +default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=300
	ConnectSeconds int32 `json:"connectSeconds,omitempty"`

	// firstEventSeconds bounds the wait for a stream's first event. Streams only.
	// +optional
	// +default=300
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	FirstEventSeconds int32 `json:"firstEventSeconds,omitempty"`

	// idleSeconds bounds the silence between two events. Streams only.
	// +optional
	// +default=120
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	IdleSeconds int32 `json:"idleSeconds,omitempty"`

	// totalSeconds bounds the whole call.
	// +optional
	// +default=900
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=7200
	TotalSeconds int32 `json:"totalSeconds,omitempty"`
}

// ModelSpec is one public name and where it is served.
// +kubebuilder:validation:XValidation:rule="!has(self.aliases) || !(self.publicName in self.aliases)",message="aliases must not repeat publicName"
// +kubebuilder:validation:XValidation:rule="!has(self.pricing) || !('PromptCache' in self.capabilities) || has(self.pricing.cacheReadPerMillion)",message="pricing.cacheReadPerMillion is required with capability PromptCache"
// +kubebuilder:validation:XValidation:rule="!has(self.pricing) || !('WebSearch' in self.capabilities) || has(self.pricing.searchPerThousand)",message="pricing.searchPerThousand is required with capability WebSearch"
// +kubebuilder:validation:XValidation:rule="self.limits.maxOutputTokens <= self.limits.contextTokens",message="limits.maxOutputTokens must not exceed limits.contextTokens"
type ModelSpec struct {
	// gatewayRefs names the AIGateways of this namespace that serve the Model. The default is the namespace's only
	// AIGateway. `layers up` ignores it.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	GatewayRefs []LocalRef `json:"gatewayRefs,omitempty"`

	// publicName is what clients send as "model". Object names cannot hold a slash, this can.
	// +required
	PublicName PublicName `json:"publicName,omitempty"`

	// aliases are further names that clients may send.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Aliases []PublicName `json:"aliases,omitempty"`

	// capabilities are what the model can do; a request that needs another one is refused by name.
	// +optional
	// +listType=set
	// +default=["Text","Streaming"]
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Capabilities []Capability `json:"capabilities,omitempty"`

	// backends are where the model is served, tried by priority and, within one, by weight.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Backends []ModelBackend `json:"backends,omitempty"`

	// pricing is what a request is charged. A Model without it is not routable outside demo mode, never free.
	// +optional
	Pricing *ModelPricing `json:"pricing,omitempty"`

	// limits bound a request.
	// +required
	Limits ModelLimits `json:"limits,omitzero"`

	// timeouts bound the phases of an upstream call.
	// +optional
	// +default={}
	Timeouts ModelTimeouts `json:"timeouts,omitempty,omitzero"`

	// onUnsupportedParameter says what becomes of a parameter that the upstream has nothing for.
	// +optional
	// +default="Drop"
	OnUnsupportedParameter UnsupportedParameter `json:"onUnsupportedParameter,omitempty"`
}

// ModelStatus is what the operator saw.
type ModelStatus struct {
	// conditions: Accepted, ResolvedRefs, Priced, Programmed.
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

// Model is one public name, its price, its limits and where it is served.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=layers
// +kubebuilder:printcolumn:name="Public Name",type=string,JSONPath=`.spec.publicName`
// +kubebuilder:printcolumn:name="Priced",type=string,JSONPath=`.status.conditions[?(@.type=="Priced")].status`
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Model struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is what is wanted.
	// +required
	Spec ModelSpec `json:"spec,omitzero"`
	// status is what was seen.
	// +optional
	Status ModelStatus `json:"status,omitempty,omitzero"`
}

// ModelList is a list of Models.
// +kubebuilder:object:root=true
type ModelList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Model `json:"items"`
}
