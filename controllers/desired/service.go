package desired

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// Service is the gateway's address inside the cluster: the API alone, neither the admin nor the acknowledgement port.
func Service(gw *v1alpha1.AIGateway) *corev1ac.ServiceApplyConfiguration {
	return corev1ac.Service(Name(gw.Name), gw.Namespace).
		WithLabels(Labels(gw.Name)).WithOwnerReferences(Owner(gw)).
		WithSpec(corev1ac.ServiceSpec().
			WithType(corev1.ServiceTypeClusterIP).
			WithSelector(Selector(gw.Name)).
			WithPorts(corev1ac.ServicePort().
				WithName("http").WithProtocol(corev1.ProtocolTCP).WithAppProtocol("http").
				WithPort(PortService).WithTargetPort(intstr.FromString("http"))))
}
