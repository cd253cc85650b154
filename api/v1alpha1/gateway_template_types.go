package v1alpha1

import corev1 "k8s.io/api/core/v1"

// GatewayEnv is one environment variable with a plain value; secrets are mounted, never given this way.
type GatewayEnv struct {
	// name of the variable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_]*$`
	Name string `json:"name"`

	// value of the variable.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Value string `json:"value,omitempty"`
}

// GatewayKeyValue is one label or annotation.
type GatewayKeyValue struct {
	// name of it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	Name string `json:"name"`

	// value of it.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Value string `json:"value,omitempty"`
}

// GatewayPodTemplate is what people want to say about the data plane's pods. It is small because a whole PodTemplateSpec
// would make the definition too large for kubectl apply.
type GatewayPodTemplate struct {
	// labels are added to the pods; those of the operator win.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Labels []GatewayKeyValue `json:"labels,omitempty"`

	// annotations are added to the pods.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Annotations []GatewayKeyValue `json:"annotations,omitempty"`

	// nodeSelector of the pods.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	NodeSelector []GatewayKeyValue `json:"nodeSelector,omitempty"`

	// tolerations of the pods.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// priorityClassName of the pods.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// extraEnv is added to the gateway's container.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	ExtraEnv []GatewayEnv `json:"extraEnv,omitempty"`
}
