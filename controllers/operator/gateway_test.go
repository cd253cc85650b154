package operator_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
)

var _ = Describe("An AIGateway", func() {
	It("gets its objects, and keeps them as they are to be", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		gw := liveGateway(ns, "main")
		create(ctx, gw)
		said(ctx, gw, "Available", "False", "NoReadyReplicas")
		said(ctx, gw, "StoresReady", "True", "Available")
		said(ctx, gw, "Accepted", "True", "Accepted")
		said(ctx, gw, "ResolvedRefs", "True", "Resolved")
		said(ctx, gw, "Programmed", "False", "NoReadyReplicas")
		Expect(gw.Status.Address).To(Equal("http://main-gateway." + ns + ".svc"))

		key := client.ObjectKey{Namespace: ns, Name: "main-gateway"}
		deployment := &appsv1.Deployment{}
		for _, obj := range []client.Object{deployment, &corev1.Service{}, &corev1.ServiceAccount{}, &rbacv1.Role{}, &rbacv1.RoleBinding{}} {
			Expect(c.Get(ctx, key, obj)).To(Succeed())
			Expect(metav1.IsControlledBy(obj, gw)).To(BeTrue())
		}
		Expect(deployment.Spec.Template.Spec.Containers[0].Image).To(Equal(image))
		Expect(*deployment.Spec.Replicas).To(Equal(int32(2)))

		By("undoing a change that somebody made")
		deployment.Spec.Template.Spec.Containers[0].Image = "example.test/another:v2"
		Expect(c.Update(ctx, deployment)).To(Succeed())
		Eventually(func(g Gomega) {
			g.Expect(c.Get(ctx, key, deployment)).To(Succeed())
			g.Expect(deployment.Spec.Template.Spec.Containers[0].Image).To(Equal(image))
		}).Should(Succeed())

		By("following its own spec")
		three := int32(3)
		change(ctx, gw, func(s *v1alpha1.AIGatewaySpec) { s.Deployment.Replicas = &three })
		Eventually(func(g Gomega) {
			g.Expect(c.Get(ctx, key, deployment)).To(Succeed())
			g.Expect(*deployment.Spec.Replicas).To(Equal(three))
		}).Should(Succeed())

		By("saying when a replica is ready")
		deployment.Status.Replicas, deployment.Status.ReadyReplicas, deployment.Status.AvailableReplicas = 1, 1, 1
		Expect(c.Status().Update(ctx, deployment)).To(Succeed())
		said(ctx, gw, "Available", "True", "Available")
		Expect(gw.Status.Replicas.Desired).To(Equal(three))
		Expect(gw.Status.Replicas.Ready).To(Equal(int32(1)))
	})

	It("takes over nothing that it did not make", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		theirs := &corev1.Service{ObjectMeta: objectMeta(ns, "main-gateway"), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1234}}}}
		secret := &corev1.Secret{ObjectMeta: objectMeta(ns, "main-snapshot"), StringData: map[string]string{"a": "b"}}
		gw := liveGateway(ns, "main")
		create(ctx, theirs, secret, gw)
		said(ctx, gw, "Available", "False", "NotOwned")
		said(ctx, gw, "Accepted", "False", "NotOwned")
		Expect(c.Get(ctx, client.ObjectKeyFromObject(theirs), theirs)).To(Succeed())
		Expect(theirs.Spec.Ports[0].Port).To(Equal(int32(1234)))
		Expect(theirs.OwnerReferences).To(BeEmpty())
		Expect(c.Get(ctx, client.ObjectKeyFromObject(secret), secret)).To(Succeed())
		Expect(secret.Data).To(HaveLen(1))
		Expect(c.Get(ctx, client.ObjectKey{Namespace: ns, Name: "main-gateway"}, &appsv1.Deployment{})).To(Succeed(), "the rest goes on")
	})

	It("says what is wrong with its stores", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		gw := liveGateway(ns, "main")
		gw.Spec.Ledger.URLSecretRef = v1alpha1.SecretKeyRef{Name: "later", Key: "url"}
		create(ctx, gw)
		said(ctx, gw, "StoresReady", "False", "SecretNotFound")
		later := &corev1.Secret{ObjectMeta: objectMeta(ns, "later"), StringData: map[string]string{"url": newLedger(ctx)}}
		create(ctx, later)
		said(ctx, gw, "StoresReady", "True", "Available")

		By("counting credits otherwise than the ledger does")
		other := liveGateway(ns, "other")
		other.Spec.Ledger.URLSecretRef = gw.Spec.Ledger.URLSecretRef
		other.Spec.Credits.PerDollar = 1000
		create(ctx, other)
		said(ctx, other, "StoresReady", "False", "Invalid")
	})

	It("needs no stores in mode Demo", func(ctx SpecContext) {
		gw := demoGateway(newNamespace(ctx), "demo")
		create(ctx, gw)
		said(ctx, gw, "StoresReady", "True", "Available")
		deployment := &appsv1.Deployment{}
		Eventually(func(g Gomega) {
			g.Expect(c.Get(ctx, client.ObjectKey{Namespace: gw.Namespace, Name: "demo-gateway"}, deployment)).To(Succeed())
			g.Expect(deployment.Spec.Template.Spec.Volumes).To(HaveLen(1))
		}).Should(Succeed())
	})
})
