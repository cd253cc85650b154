package desired

import (
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// ServiceAccount is who the gateway's pods are.
func ServiceAccount(gw *v1alpha1.AIGateway) *corev1ac.ServiceAccountApplyConfiguration {
	return corev1ac.ServiceAccount(Name(gw.Name), gw.Namespace).
		WithLabels(Labels(gw.Name)).WithOwnerReferences(Owner(gw))
}

// Role lets the pods read and watch exactly their own snapshot Secret. A watch with a field selector on that name is
// allowed by it; anything else is 403.
func Role(gw *v1alpha1.AIGateway) *rbacv1ac.RoleApplyConfiguration {
	return rbacv1ac.Role(Name(gw.Name), gw.Namespace).
		WithLabels(Labels(gw.Name)).WithOwnerReferences(Owner(gw)).
		WithRules(rbacv1ac.PolicyRule().
			WithAPIGroups("").WithResources("secrets").
			WithResourceNames(SnapshotName(gw.Name)).
			WithVerbs("get", "list", "watch"))
}

// RoleBinding gives the Role to the ServiceAccount.
func RoleBinding(gw *v1alpha1.AIGateway) *rbacv1ac.RoleBindingApplyConfiguration {
	name := Name(gw.Name)
	return rbacv1ac.RoleBinding(name, gw.Namespace).
		WithLabels(Labels(gw.Name)).WithOwnerReferences(Owner(gw)).
		WithRoleRef(rbacv1ac.RoleRef().WithAPIGroup("rbac.authorization.k8s.io").WithKind("Role").WithName(name)).
		WithSubjects(rbacv1ac.Subject().WithKind("ServiceAccount").WithName(name).WithNamespace(gw.Namespace))
}
