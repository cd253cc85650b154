package operator_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// change updates a gateway whose status the operator writes meanwhile.
func change(ctx context.Context, gw *v1alpha1.AIGateway, f func(*v1alpha1.AIGatewaySpec)) {
	GinkgoHelper()
	Expect(retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if err := c.Get(ctx, client.ObjectKeyFromObject(gw), gw); err != nil {
			return err
		}
		f(&gw.Spec)
		return c.Update(ctx, gw)
	})).To(Succeed())
}

// setScale writes the number of replicas as an autoscaler and kubectl scale do.
func setScale(ctx context.Context, obj client.Object, replicas int32) {
	GinkgoHelper()
	Expect(retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		scale := &autoscalingv1.Scale{}
		if err := c.SubResource("scale").Get(ctx, obj, scale); err != nil {
			return err
		}
		scale.Spec.Replicas = replicas
		return c.SubResource("scale").Update(ctx, obj, client.WithSubResourceBody(scale))
	})).To(Succeed())
}

// has waits until an object is there, or not.
func has(ctx context.Context, ns string, obj client.Object, want bool) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		err := c.Get(ctx, client.ObjectKey{Namespace: ns, Name: "main-gateway"}, obj)
		g.Expect(client.IgnoreNotFound(err)).To(Succeed())
		g.Expect(!apierrors.IsNotFound(err)).To(Equal(want))
	}).Should(Succeed())
}

func replicas(ctx context.Context, ns string, want int32) *appsv1.Deployment {
	GinkgoHelper()
	deployment := &appsv1.Deployment{}
	Eventually(func(g Gomega) {
		g.Expect(c.Get(ctx, client.ObjectKey{Namespace: ns, Name: "main-gateway"}, deployment)).To(Succeed())
		g.Expect(*deployment.Spec.Replicas).To(Equal(want))
	}).Should(Succeed())
	return deployment
}

var _ = Describe("An AIGateway's replicas", func() {
	It("are deployment.replicas, by kubectl scale too", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		gw := demoGateway(ns, "main")
		create(ctx, gw)
		replicas(ctx, ns, 2)
		setScale(ctx, gw, 4)
		replicas(ctx, ns, 4)
		said(ctx, gw, "Available", "False", "NoReadyReplicas")
		scale := &autoscalingv1.Scale{}
		Expect(c.SubResource("scale").Get(ctx, gw, scale)).To(Succeed())
		Expect(scale.Status.Selector).To(Equal("app.kubernetes.io/component=gateway,app.kubernetes.io/instance=main,app.kubernetes.io/name=layers"))
	})

	It("are an autoscaler's with deployment.maxReplicas", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		gw, three, ten := demoGateway(ns, "main"), int32(3), int32(10)
		gw.Spec.Deployment.Replicas = &three
		create(ctx, gw)
		replicas(ctx, ns, 3)
		has(ctx, ns, &autoscalingv2.HorizontalPodAutoscaler{}, false)

		By("handing the number over as it is")
		change(ctx, gw, func(s *v1alpha1.AIGatewaySpec) { s.Deployment.MaxReplicas = &ten })
		hpa := &autoscalingv2.HorizontalPodAutoscaler{}
		has(ctx, ns, hpa, true)
		Expect(*hpa.Spec.MinReplicas).To(Equal(three))
		Expect(hpa.Spec.MaxReplicas).To(Equal(ten))
		Expect(hpa.Spec.ScaleTargetRef.Name).To(Equal("main-gateway"))
		deployment := replicas(ctx, ns, 3)

		By("leaving what the autoscaler sets")
		setScale(ctx, deployment, 7)
		delay := int32(3)
		change(ctx, gw, func(s *v1alpha1.AIGatewaySpec) { s.Drain.DelaySeconds = &delay })
		Eventually(func(g Gomega) {
			d := replicas(ctx, ns, 7)
			g.Expect(d.Spec.Template.Spec.Containers[0].Args).To(ContainElement("--drain-delay=3s"))
			g.Expect(c.Get(ctx, client.ObjectKeyFromObject(gw), gw)).To(Succeed())
			g.Expect(gw.Status.Replicas.Desired).To(Equal(int32(7)))
		}).Should(Succeed())

		By("taking the number back")
		change(ctx, gw, func(s *v1alpha1.AIGatewaySpec) { s.Deployment.MaxReplicas = nil })
		has(ctx, ns, hpa, false)
		replicas(ctx, ns, 3)
	})

	It("begin where an autoscaler is to begin", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		gw, three, ten := demoGateway(ns, "main"), int32(3), int32(10)
		gw.Spec.Deployment.Replicas, gw.Spec.Deployment.MaxReplicas = &three, &ten
		create(ctx, gw)
		replicas(ctx, ns, 3)
		has(ctx, ns, &autoscalingv2.HorizontalPodAutoscaler{}, true)
		Consistently(func(g Gomega) {
			d := &appsv1.Deployment{}
			g.Expect(c.Get(ctx, client.ObjectKey{Namespace: ns, Name: "main-gateway"}, d)).To(Succeed())
			g.Expect(*d.Spec.Replicas).To(Equal(three))
		}).WithTimeout(quiet / 2).Should(Succeed())
	})

	It("have a budget while there are two, and a networkPolicy while it restricts something", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		gw, one := demoGateway(ns, "main"), int32(1)
		create(ctx, gw)
		has(ctx, ns, &policyv1.PodDisruptionBudget{}, true)
		policy := &networkingv1.NetworkPolicy{}
		has(ctx, ns, policy, true)
		Expect(policy.Spec.PolicyTypes).To(ConsistOf(networkingv1.PolicyTypeIngress))
		Expect(policy.Spec.Ingress[1].From[0].NamespaceSelector.MatchLabels).To(HaveKeyWithValue("kubernetes.io/metadata.name", "layers-system"))
		change(ctx, gw, func(s *v1alpha1.AIGatewaySpec) {
			s.Deployment.Replicas = &one
			s.NetworkPolicy.Ingress = v1alpha1.PolicyDisabled
		})
		has(ctx, ns, &policyv1.PodDisruptionBudget{}, false)
		has(ctx, ns, policy, false)

		By("restricting egress to networkPolicy.apiServerCIDRs and what the stores' URLs say")
		change(ctx, gw, func(s *v1alpha1.AIGatewaySpec) {
			s.NetworkPolicy.Egress = v1alpha1.PolicyEnabled
			s.NetworkPolicy.APIServerCIDRs = []string{"10.0.0.1/32"}
		})
		has(ctx, ns, policy, true)
		Expect(policy.Spec.PolicyTypes).To(ConsistOf(networkingv1.PolicyTypeEgress))
		Expect(policy.Spec.Egress[2].To[0].IPBlock.CIDR).To(Equal("10.0.0.1/32"))
	})

	It("reach the ports that the stores' Secrets and the Providers name", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		gw := liveGateway(ns, "main")
		gw.Spec.NetworkPolicy.Egress = v1alpha1.PolicyEnabled
		create(ctx, gw)
		ports := func(rule int, want ...int) {
			GinkgoHelper()
			Eventually(func(g Gomega) {
				policy := &networkingv1.NetworkPolicy{}
				g.Expect(c.Get(ctx, client.ObjectKey{Namespace: ns, Name: "main-gateway"}, policy)).To(Succeed())
				var got []int
				for _, p := range policy.Spec.Egress[rule].Ports {
					got = append(got, p.Port.IntValue())
				}
				g.Expect(got).To(Equal(want))
			}).Should(Succeed())
		}
		secret := &corev1.Secret{}
		Expect(c.Get(ctx, client.ObjectKey{Namespace: ns, Name: "stores"}, secret)).To(Succeed())
		secret.StringData = map[string]string{"redis": "rediss://u:p@redis.test:6380/0", "ledger": "postgres://u:p@db.test:6543/x"}
		Expect(c.Update(ctx, secret)).To(Succeed())
		ports(2, 6380, 6543)

		By("reaching the ports of the Providers' base URLs")
		upstream := provider(ns, "upstream")
		upstream.Spec.BaseURL = "http://models.internal:8000/v1"
		create(ctx, upstream)
		ports(1, 443, 8000)
		Expect(c.Delete(ctx, upstream)).To(Succeed())
		ports(1, 443)
	})
})
