package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ProviderType is the protocol and the defaults of an upstream.
// +kubebuilder:validation:Enum=OpenAI;OpenAICompatible;Anthropic;Gemini;Perplexity;Morph;VercelAIGateway;Demo
type ProviderType string

// Provider types.
const (
	// ProviderOpenAI is api.openai.com, or what baseURL names, by byte pass-through.
	ProviderOpenAI ProviderType = "OpenAI"
	// ProviderOpenAICompatible is any upstream with OpenAI's chat completions; baseURL is required.
	ProviderOpenAICompatible ProviderType = "OpenAICompatible"
	// ProviderAnthropic speaks Anthropic's Messages: api.anthropic.com, or what baseURL names.
	ProviderAnthropic ProviderType = "Anthropic"
	// ProviderGemini speaks Google's generateContent: generativelanguage.googleapis.com, or what baseURL names.
	ProviderGemini ProviderType = "Gemini"
	// ProviderPerplexity speaks Perplexity's Agent API: api.perplexity.ai, or what baseURL names.
	ProviderPerplexity ProviderType = "Perplexity"
	// ProviderMorph speaks OpenAI's chat completions: api.morphllm.com, or what baseURL names.
	ProviderMorph ProviderType = "Morph"
	// ProviderVercelAIGateway speaks OpenAI's protocols: ai-gateway.vercel.sh, or what baseURL names.
	ProviderVercelAIGateway ProviderType = "VercelAIGateway"
	// ProviderDemo answers inside the gateway: no network, no credential, no cost of its own.
	ProviderDemo ProviderType = "Demo"
)

// CancelStopsBilling says what leaving a stream does to a provider's bill.
// +kubebuilder:validation:Enum=Auto;Yes;No
type CancelStopsBilling string

// Values of CancelStopsBilling.
const (
	// CancelAuto goes by the type: Yes for OpenAI, OpenAICompatible, Anthropic, Morph and VercelAIGateway, No for Gemini and Perplexity.
	CancelAuto CancelStopsBilling = "Auto"
	// CancelYes ends the call when the client is gone, and charges what was produced.
	CancelYes CancelStopsBilling = "Yes"
	// CancelNo reads the answer to its end for its usage, and charges that.
	CancelNo CancelStopsBilling = "No"
)

// ProviderAuth says where the credential is.
type ProviderAuth struct {
	// secretRef names the Secret and the key that hold the credential; it is sent in the header that the
	// type uses: Authorization as a bearer token, x-api-key, or x-goog-api-key.
	// +required
	SecretRef SecretKeyRef `json:"secretRef,omitzero"`
}

// HTTPHeader is one extra request header.
type HTTPHeader struct {
	// name of the header, as in RFC 9110. Headers that the gateway sets itself are refused.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[!#$%&'*+\-.^_|~0-9A-Za-z]+$`
	// +kubebuilder:validation:XValidation:rule="!(self.lowerAscii() in ['authorization','content-length','content-type','host','connection','transfer-encoding','accept-encoding'])",message="the gateway sets this header itself"
	Name string `json:"name"`

	// value of the header, sent as it is.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^[\t\x20-\x7e]*$`
	Value string `json:"value"`
}

// ProviderSpec is one account at one upstream.
// +kubebuilder:validation:XValidation:rule="self.type != 'OpenAICompatible' || has(self.baseURL)",message="baseURL is required for type OpenAICompatible"
// +kubebuilder:validation:XValidation:rule="self.type in ['OpenAICompatible', 'Demo'] || has(self.auth)",message="auth is required for every type but OpenAICompatible and Demo"
// +kubebuilder:validation:XValidation:rule="self.type != 'Demo' || (!has(self.baseURL) && !has(self.auth) && !has(self.headers) && !has(self.maxConcurrentRequests))",message="type Demo takes no baseURL, auth, headers or maxConcurrentRequests"
type ProviderSpec struct {
	// type is the upstream's protocol. It cannot change.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="type is immutable"
	Type ProviderType `json:"type,omitempty"`

	// baseURL is what the provider's own SDK takes as its base: for OpenAI, Morph and
	// VercelAIGateway it ends in /v1, for Gemini in /v1beta. The default is the provider's public address.
	// +optional
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#\\\\s@]+(/[^?#\\\\s]*)?$')",message="baseURL must be an absolute http or https URL without credentials, query or fragment"
	BaseURL string `json:"baseURL,omitempty"`

	// auth is the credential. Compatible upstreams may need none.
	// +optional
	Auth *ProviderAuth `json:"auth,omitempty"`

	// headers are added to every request.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Headers []HTTPHeader `json:"headers,omitempty"`

	// cancelStopsBilling says whether the provider bills nothing more of a stream that is cancelled.
	// +optional
	// +default="Auto"
	CancelStopsBilling CancelStopsBilling `json:"cancelStopsBilling,omitempty"`

	// maxConcurrentRequests is how many calls of each replica may run at once; further ones go to another backend, or
	// are answered with 503 and Retry-After. The default is any number.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxConcurrentRequests *int32 `json:"maxConcurrentRequests,omitempty"`
}

// ProviderStatus is what the operator saw.
type ProviderStatus struct {
	// conditions: Accepted, CredentialsResolved, Programmed.
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

// Provider is one account at one upstream.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=layers
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Credentials",type=string,JSONPath=`.status.conditions[?(@.type=="CredentialsResolved")].status`
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Provider struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is what is wanted.
	// +required
	Spec ProviderSpec `json:"spec,omitzero"`
	// status is what was seen.
	// +optional
	Status ProviderStatus `json:"status,omitempty,omitzero"`
}

// ProviderList is a list of Providers.
// +kubebuilder:object:root=true
type ProviderList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Provider `json:"items"`
}
