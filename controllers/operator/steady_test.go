package operator_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
)

var _ = Describe("A second operator", func() {
	It("changes nothing in a world that is as it is to be", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		gw, m, key := liveGateway(ns, "main"), model(ns, "small", "example/small"), generated(ns, "acme")
		ten := int32(10)
		gw.Spec.Deployment.MaxReplicas = &ten
		tier := &v1alpha1.Tier{ObjectMeta: objectMeta(ns, "standard")}
		policy := &v1alpha1.CreditPolicy{ObjectMeta: objectMeta(ns, "prepaid"), Spec: v1alpha1.CreditPolicySpec{Mode: v1alpha1.CreditPrepaid}}
		create(ctx, gw, credential(ns, "x"), provider(ns, "upstream"), m, tier, policy, key)
		newReplica(ctx, gw, "one")
		for _, obj := range []client.Object{gw, m, tier, policy, key} {
			said(ctx, obj, "Programmed", "True", "Programmed")
		}
		said(ctx, gw, "LedgerSound", "True", "Sound")
		said(ctx, gw, "StoresReachable", "True", "AllReachable")
		before := versions(ctx, Default, ns)
		Eventually(func(g Gomega) { // what is still on its way arrives
			last := before
			before = versions(ctx, g, ns)
			g.Expect(before).To(Equal(last))
			g.Expect(len(before)).To(BeNumerically(">", 16))
		}).WithPolling(quiet / 2).Should(Succeed())

		runOperator(false) // it has seen nothing yet and reconciles everything
		Consistently(func(g Gomega) {
			g.Expect(versions(ctx, g, ns)).To(Equal(before))
		}).WithTimeout(2 * quiet).Should(Succeed())
	})
})

// versions are the resource versions of everything in a namespace.
func versions(ctx context.Context, g Gomega, ns string) map[string]string {
	out := map[string]string{}
	for name, list := range map[string]client.ObjectList{
		"gateway": &v1alpha1.AIGatewayList{}, "provider": &v1alpha1.ProviderList{}, "model": &v1alpha1.ModelList{},
		"tier": &v1alpha1.TierList{}, "policy": &v1alpha1.CreditPolicyList{}, "key": &v1alpha1.APIKeyList{},
		"deployment": &appsv1.DeploymentList{}, "service": &corev1.ServiceList{}, "account": &corev1.ServiceAccountList{},
		"scaler": &autoscalingv2.HorizontalPodAutoscalerList{}, "budget": &policyv1.PodDisruptionBudgetList{},
		"network": &networkingv1.NetworkPolicyList{}, "job": &batchv1.JobList{},
		"role": &rbacv1.RoleList{}, "binding": &rbacv1.RoleBindingList{}, "secret": &corev1.SecretList{},
	} {
		g.Expect(c.List(ctx, list, client.InNamespace(ns))).To(Succeed())
		g.Expect(meta.EachListItem(list, func(o runtime.Object) error {
			obj, err := meta.Accessor(o)
			if err == nil {
				out[name+"/"+obj.GetName()] = obj.GetResourceVersion()
			}
			return err
		})).To(Succeed())
	}
	return out
}
