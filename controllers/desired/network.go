package desired

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// Ports that egress is let to where the stores' URLs say nothing of them.
const (
	portDNS      = 53
	portHTTPS    = 443
	portRedis    = 6379
	portPostgres = 5432
)

// labelNamespace is what Kubernetes puts on every namespace: its name.
const labelNamespace = corev1.LabelMetadataName

// Service is the gateway's address inside the cluster: the API alone, neither the admin nor the acknowledgement port. Its
// target is a port by name, so that a pod that serves plain HTTP is no endpoint of a Service with TLS, and the reverse.
func Service(gw *v1alpha1.AIGateway) *corev1ac.ServiceApplyConfiguration {
	name := apiPort(gw)
	number := int32(PortService)
	if gw.Spec.TLS != nil {
		number = PortServiceTLS
	}
	return corev1ac.Service(Name(gw.Name), gw.Namespace).
		WithLabels(Labels(gw.Name)).WithOwnerReferences(Owner(gw)).
		WithSpec(corev1ac.ServiceSpec().
			WithType(corev1.ServiceTypeClusterIP).
			WithSelector(Selector(gw.Name)).
			WithPorts(corev1ac.ServicePort().
				WithName(name).WithProtocol(corev1.ProtocolTCP).WithAppProtocol(name).
				WithPort(number).WithTargetPort(intstr.FromString(name))))
}

// NetworkPolicy is what the pods may be reached by, and reach; nil: it restricts nothing, and is not to be there.
func NetworkPolicy(gw *v1alpha1.AIGateway, facts Facts) *networkingv1ac.NetworkPolicyApplyConfiguration {
	spec := networkingv1ac.NetworkPolicySpec().
		WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(Selector(gw.Name)))
	if gw.Spec.NetworkPolicy.Ingress != v1alpha1.PolicyDisabled {
		spec.WithPolicyTypes(networkingv1.PolicyTypeIngress).WithIngress(ingress(facts)...)
	}
	if gw.Spec.NetworkPolicy.Egress == v1alpha1.PolicyEnabled {
		spec.WithPolicyTypes(networkingv1.PolicyTypeEgress).WithEgress(egress(gw, facts)...)
	}
	if len(spec.PolicyTypes) == 0 {
		return nil
	}
	return networkingv1ac.NetworkPolicy(Name(gw.Name), gw.Namespace).
		WithLabels(Labels(gw.Name)).WithOwnerReferences(Owner(gw)).WithSpec(spec)
}

// ingress lets anybody call the API and read metrics and probes, and the operator's pods ask which snapshot is served. An
// operator whose namespace is not known runs outside of the cluster, and has no pods to name.
func ingress(facts Facts) []*networkingv1ac.NetworkPolicyIngressRuleApplyConfiguration {
	ack := networkingv1ac.NetworkPolicyIngressRule().WithPorts(tcp(PortAck))
	if facts.OperatorNamespace != "" {
		ack.WithFrom(networkingv1ac.NetworkPolicyPeer().
			WithNamespaceSelector(metav1ac.LabelSelector().WithMatchLabels(map[string]string{labelNamespace: facts.OperatorNamespace})).
			WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(map[string]string{labelComponent: "operator"})))
	}
	return []*networkingv1ac.NetworkPolicyIngressRuleApplyConfiguration{
		networkingv1ac.NetworkPolicyIngressRule().WithPorts(tcp(PortHTTP), tcp(PortAdmin)),
		ack,
	}
}

// egress lets the pods reach DNS, HTTPS, the Providers' and the stores' ports, and the API server's addresses.
func egress(gw *v1alpha1.AIGateway, facts Facts) []*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration {
	rules := []*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration{
		networkingv1ac.NetworkPolicyEgressRule().WithPorts(port53(corev1.ProtocolUDP), port53(corev1.ProtocolTCP)),
		networkingv1ac.NetworkPolicyEgressRule().WithPorts(ports(append([]int32{portHTTPS}, facts.ProviderPorts...))...),
	}
	if stores := storePorts(gw, facts); len(stores) > 0 {
		rules = append(rules, networkingv1ac.NetworkPolicyEgressRule().WithPorts(stores...))
	}
	if cidrs := gw.Spec.NetworkPolicy.APIServerCIDRs; len(cidrs) > 0 {
		rule := networkingv1ac.NetworkPolicyEgressRule().
			WithPorts(networkingv1ac.NetworkPolicyPort().WithProtocol(corev1.ProtocolTCP))
		for _, cidr := range cidrs {
			rule.WithTo(networkingv1ac.NetworkPolicyPeer().WithIPBlock(networkingv1ac.IPBlock().WithCIDR(cidr)))
		}
		rules = append(rules, rule)
	}
	return rules
}

// storePorts are those of the stores' URLs.
func storePorts(gw *v1alpha1.AIGateway, facts Facts) []*networkingv1ac.NetworkPolicyPortApplyConfiguration {
	numbers := slices.Clone(facts.StorePorts)
	if len(numbers) == 0 {
		if gw.Spec.Redis != nil {
			numbers = append(numbers, portRedis)
		}
		if gw.Spec.Ledger != nil {
			numbers = append(numbers, portPostgres)
		}
	}
	return ports(numbers)
}

// ports are TCP ports, sorted, each once.
func ports(numbers []int32) []*networkingv1ac.NetworkPolicyPortApplyConfiguration {
	slices.Sort(numbers)
	var out []*networkingv1ac.NetworkPolicyPortApplyConfiguration
	for _, n := range slices.Compact(numbers) {
		out = append(out, tcp(n))
	}
	return out
}

func tcp(number int32) *networkingv1ac.NetworkPolicyPortApplyConfiguration {
	return networkingv1ac.NetworkPolicyPort().WithProtocol(corev1.ProtocolTCP).WithPort(intstr.FromInt32(number))
}

func port53(protocol corev1.Protocol) *networkingv1ac.NetworkPolicyPortApplyConfiguration {
	return networkingv1ac.NetworkPolicyPort().WithProtocol(protocol).WithPort(intstr.FromInt32(portDNS))
}
