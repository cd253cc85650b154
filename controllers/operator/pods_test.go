package operator_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
)

var _ = Describe("An AIGateway's pods", func() {
	It("are what deployment.template says, where that is not the operator's", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		gw := demoGateway(ns, "main")
		gw.Spec.Deployment.Template = &v1alpha1.GatewayPodTemplate{
			Labels:            []v1alpha1.GatewayKeyValue{{Name: "team", Value: "platform"}, {Name: "app.kubernetes.io/name", Value: "theirs"}},
			Annotations:       []v1alpha1.GatewayKeyValue{{Name: "example.com/note", Value: "yes"}},
			NodeSelector:      []v1alpha1.GatewayKeyValue{{Name: "kubernetes.io/arch", Value: "amd64"}},
			Tolerations:       []corev1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpExists}},
			PriorityClassName: "high",
			ExtraEnv:          []v1alpha1.GatewayEnv{{Name: "HTTPS_PROXY", Value: "http://proxy:3128"}},
			Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
				{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "platform"}}},
			}}},
			TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{MaxSkew: 2, TopologyKey: "rack", WhenUnsatisfiable: corev1.DoNotSchedule}},
			ExtraVolumes: []v1alpha1.GatewayVolume{
				{Name: "authority", MountPath: "/etc/ssl/certs", ConfigMapName: "ca"}, {Name: "snapshot", MountPath: "/client", SecretName: "client"},
			},
		}
		create(ctx, gw)
		deployment := &appsv1.Deployment{}
		has(ctx, ns, deployment, true)
		pods := deployment.Spec.Template
		Expect(pods.Labels).To(HaveKeyWithValue("team", "platform"))
		Expect(pods.Labels).To(HaveKeyWithValue("app.kubernetes.io/name", "layers"))
		Expect(pods.Annotations).To(HaveKeyWithValue("example.com/note", "yes"))
		Expect(pods.Spec.NodeSelector).To(HaveKeyWithValue("kubernetes.io/arch", "amd64"))
		Expect(pods.Spec.Tolerations).To(ConsistOf(gw.Spec.Deployment.Template.Tolerations))
		Expect(pods.Spec.PriorityClassName).To(Equal("high"))
		Expect(pods.Spec.Containers[0].Env).To(ConsistOf(corev1.EnvVar{Name: "HTTPS_PROXY", Value: "http://proxy:3128"}))
		Expect(pods.Spec.Affinity).To(Equal(gw.Spec.Deployment.Template.Affinity))
		Expect(pods.Spec.TopologySpreadConstraints).To(HaveLen(1))
		Expect(pods.Spec.TopologySpreadConstraints[0].TopologyKey).To(Equal("rack"))
		Expect(pods.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels).To(HaveKeyWithValue("app.kubernetes.io/instance", "main"))
		Expect(pods.Spec.Volumes).To(HaveLen(3), "none of theirs takes the place of ours")
		Expect(pods.Spec.Containers[0].VolumeMounts).To(ContainElement(corev1.VolumeMount{Name: "extra-authority", MountPath: "/etc/ssl/certs", ReadOnly: true}))

		By("following it as it changes")
		change(ctx, gw, func(s *v1alpha1.AIGatewaySpec) { s.Deployment.Template = nil })
		Eventually(func(g Gomega) {
			g.Expect(c.Get(ctx, client.ObjectKeyFromObject(deployment), deployment)).To(Succeed())
			g.Expect(deployment.Spec.Template.Labels).NotTo(HaveKey("team"))
			g.Expect(deployment.Spec.Template.Spec.Containers[0].Env).To(BeEmpty())
			g.Expect(deployment.Spec.Template.Spec.PriorityClassName).To(BeEmpty())
			g.Expect(deployment.Spec.Template.Spec.Affinity).To(BeNil())
			g.Expect(deployment.Spec.Template.Spec.TopologySpreadConstraints).To(HaveLen(2), "the operator's own")
			g.Expect(deployment.Spec.Template.Spec.Volumes).To(HaveLen(1))
		}).Should(Succeed())

		By("saying what the API server does not take")
		change(ctx, gw, func(s *v1alpha1.AIGatewaySpec) {
			s.Deployment.Template = &v1alpha1.GatewayPodTemplate{Labels: []v1alpha1.GatewayKeyValue{{Name: "team", Value: "two words"}}}
		})
		said(ctx, gw, "Available", "False", "Invalid")
	})

	It("serve with the certificate of tls.secretRef", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		gw := demoGateway(ns, "main")
		gw.Spec.TLS = &v1alpha1.GatewayTLS{SecretRef: v1alpha1.LocalRef{Name: "certificate"}}
		create(ctx, gw)
		said(ctx, gw, "Available", "False", "NoReadyReplicas")
		message := func(want string) {
			GinkgoHelper()
			Eventually(func(g Gomega) {
				found := read(ctx, g, gw, "Available")
				g.Expect(found).NotTo(BeNil())
				g.Expect(found.Message).To(Equal(want))
			}).Should(Succeed())
		}
		message(`No replica is ready: Secret "certificate" does not exist.`)
		Expect(gw.Status.Address).To(Equal("https://main-gateway." + ns + ".svc"))
		service, deployment := &corev1.Service{}, &appsv1.Deployment{}
		has(ctx, ns, service, true)
		Expect(service.Spec.Ports).To(HaveLen(1))
		Expect(service.Spec.Ports[0].Port).To(Equal(int32(443)))
		has(ctx, ns, deployment, true)
		Expect(deployment.Spec.Template.Spec.Containers[0].Args).To(ContainElement("--tls-dir=/etc/layers/tls"))
		Expect(deployment.Spec.Template.Spec.Volumes).To(ContainElement(HaveField("VolumeSource.Secret.SecretName", "certificate")))
		create(ctx, &corev1.Secret{
			ObjectMeta: objectMeta(ns, "certificate"), Type: corev1.SecretTypeTLS,
			StringData: map[string]string{"tls.crt": "c", "tls.key": "k"},
		})
		message("No replica is ready.")

		By("going back to plain HTTP")
		change(ctx, gw, func(s *v1alpha1.AIGatewaySpec) { s.TLS = nil })
		Eventually(func(g Gomega) {
			g.Expect(c.Get(ctx, client.ObjectKeyFromObject(service), service)).To(Succeed())
			g.Expect(service.Spec.Ports).To(HaveLen(1))
			g.Expect(service.Spec.Ports[0].Port).To(Equal(int32(80)))
		}).Should(Succeed())
	})
})
