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

// GatewayVolume is a Secret or a ConfigMap whose keys the gateway's container, and the migration's, find as files: the
// certificates of an authority of one's own, for instance. It is read-only, and must exist for the pods to start.
// +kubebuilder:validation:ExactlyOneOf=secretName;configMapName
type GatewayVolume struct {
	// name of the volume.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=50
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// mountPath is the folder where the files appear; those of the gateway itself are below /etc/layers and /var/lib/layers.
	// +required
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^/[^: ]+$`
	// +kubebuilder:validation:XValidation:rule="!(self + '/').startsWith('/etc/layers/') && !(self + '/').startsWith('/var/lib/layers/')",message="mountPath must not be below /etc/layers or /var/lib/layers"
	MountPath string `json:"mountPath"`

	// secretName names a Secret of the gateway's namespace.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`

	// configMapName names a ConfigMap of the gateway's namespace.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ConfigMapName string `json:"configMapName,omitempty"`
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

	// affinity of the pods.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// topologySpreadConstraints of the pods, in the place of the operator's own, which spread them over zones and nodes as
	// well as it goes. One without a labelSelector counts the gateway's pods.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`

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

	// extraVolumes are mounted into the gateway's container.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	ExtraVolumes []GatewayVolume `json:"extraVolumes,omitempty"`
}
