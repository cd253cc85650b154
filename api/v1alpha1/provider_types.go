package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ProviderType is the protocol and the defaults of an upstream.
// +kubebuilder:validation:Enum=OpenAI;OpenAICompatible;Demo
type ProviderType string

// Provider types.
const (
	// ProviderOpenAI is api.openai.com, or what baseURL names, by byte pass-through.
	ProviderOpenAI ProviderType = "OpenAI"
	// ProviderOpenAICompatible is any upstream with OpenAI's chat completions; baseURL is required.
	ProviderOpenAICompatible ProviderType = "OpenAICompatible"
	// ProviderDemo answers inside the gateway: no network, no credential, no cost of its own.
	ProviderDemo ProviderType = "Demo"
)

// ProviderAuth says where the credential is.
type ProviderAuth struct {
	// secretRef names the Secret and the key that hold the credential; it is sent as a bearer token.
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
// +kubebuilder:validation:XValidation:rule="self.type != 'OpenAI' || has(self.auth)",message="auth is required for type OpenAI"
// +kubebuilder:validation:XValidation:rule="self.type != 'Demo' || (!has(self.baseURL) && !has(self.auth) && !has(self.headers))",message="type Demo takes no baseURL, auth or headers"
type ProviderSpec struct {
	// type is the upstream's protocol. It cannot change.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="type is immutable"
	Type ProviderType `json:"type,omitempty"`

	// baseURL is what the provider's own SDK takes as its base: for OpenAI it ends in /v1. The default is the
	// provider's public address.
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
