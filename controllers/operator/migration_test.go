package operator_test

import (
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/ledger"
)

var _ = Describe("The migration", func() {
	It("comes before the Deployment, with the administrator's URL of ledger.adminURLSecretRef", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		held.Store(ns, true)
		gw := liveGateway(ns, "main")
		gw.Spec.Ledger.AdminURLSecretRef = &v1alpha1.SecretKeyRef{Name: "admin", Key: "url"}
		create(ctx, gw)
		said(ctx, gw, "StoresReady", "False", "SecretNotFound")
		create(ctx, &corev1.Secret{ObjectMeta: objectMeta(ns, "admin"), StringData: map[string]string{"url": ledgerURL}})
		job := migration(ctx, ns, "")
		said(ctx, gw, "StoresReady", "False", "Pending")
		said(ctx, gw, "Available", "False", "NoReadyReplicas")
		Expect(metav1.IsControlledBy(job, gw)).To(BeTrue())
		pod := job.Spec.Template.Spec
		Expect(pod.Containers[0].Args).To(Equal([]string{"migrate", "--ledger-url-file=/etc/layers/ledger/url"}))
		Expect(pod.Containers[0].Image).To(Equal(image))
		Expect(pod.Volumes[0].Secret.SecretName).To(Equal("admin"))
		deployment := &appsv1.Deployment{}
		key := client.ObjectKey{Namespace: ns, Name: "main-gateway"}
		Expect(apierrors.IsNotFound(c.Get(ctx, key, deployment))).To(BeTrue())

		By("saying that it failed, once, and going on when it is done")
		Expect(end(ctx, job, batchv1.JobFailureTarget, batchv1.JobFailed)).To(Succeed())
		said(ctx, gw, "StoresReady", "False", "MigrationFailed")
		told(ctx, gw, "MigrationFailed", job.Name)
		Expect(c.Delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationBackground))).To(Succeed())
		again := migration(ctx, ns, "")
		Expect(again.Name).To(Equal(job.Name))
		Expect(end(ctx, again, batchv1.JobSuccessCriteriaMet, batchv1.JobComplete)).To(Succeed())
		said(ctx, gw, "StoresReady", "True", "Available")
		Eventually(func(g Gomega) {
			g.Expect(c.Get(ctx, key, deployment)).To(Succeed())
		}).Should(Succeed())
		Expect(deployment.Spec.Template.Spec.Volumes).NotTo(ContainElement(HaveField("VolumeSource.Secret", And(Not(BeNil()), HaveField("SecretName", "admin")))),
			"the data plane does not see the administrator's URL")

		By("not coming again when the Job is cleaned up")
		Expect(c.Delete(ctx, again, client.PropagationPolicy(metav1.DeletePropagationBackground))).To(Succeed())
		Consistently(func(g Gomega) {
			g.Expect(c.Get(ctx, client.ObjectKeyFromObject(again), &batchv1.Job{})).NotTo(Succeed())
		}).WithTimeout(quiet / 2).Should(Succeed())

		By("holding a new image back until it is migrated for")
		said(ctx, gw, "StoresReady", "True", "Available")
		change(ctx, gw, func(s *v1alpha1.AIGatewaySpec) { s.Deployment.Image = "example.test/layers:v2" })
		next := migration(ctx, ns, job.Name)
		Expect(c.Get(ctx, key, deployment)).To(Succeed())
		Expect(deployment.Spec.Template.Spec.Containers[0].Image).To(Equal(image))
		Expect(end(ctx, next, batchv1.JobSuccessCriteriaMet, batchv1.JobComplete)).To(Succeed())
		Eventually(func(g Gomega) {
			g.Expect(c.Get(ctx, key, deployment)).To(Succeed())
			g.Expect(deployment.Spec.Template.Spec.Containers[0].Image).To(Equal("example.test/layers:v2"))
		}).Should(Succeed())
	})

	It("is tried again after a while, and dropped when nobody waits for it", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		held.Store(ns, true)
		gw := liveGateway(ns, "main")
		create(ctx, gw)
		stuck := migration(ctx, ns, "")
		said(ctx, gw, "StoresReady", "False", "Pending")
		change(ctx, gw, func(s *v1alpha1.AIGatewaySpec) { s.Deployment.Image = "example.test/layers:v2" })
		first := migration(ctx, ns, stuck.Name)
		Expect(endAt(ctx, first, time.Now().Add(-time.Hour), batchv1.JobFailureTarget, batchv1.JobFailed)).To(Succeed())
		second := migration(ctx, ns, stuck.Name)
		Expect(second.Name).To(Equal(first.Name))
		Expect(second.UID).NotTo(Equal(first.UID))
		Expect(end(ctx, second, batchv1.JobSuccessCriteriaMet, batchv1.JobComplete)).To(Succeed())
		said(ctx, gw, "StoresReady", "True", "Available")
		Eventually(func(g Gomega) {
			g.Expect(apierrors.IsNotFound(c.Get(ctx, client.ObjectKeyFromObject(stuck), &batchv1.Job{}))).To(BeTrue())
		}).Should(Succeed())
	})

	It("is made anew when what it runs as changes", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		held.Store(ns, true)
		gw, tolerations := liveGateway(ns, "main"), []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
		create(ctx, gw)
		stuck := migration(ctx, ns, "")
		three := int32(3)
		change(ctx, gw, func(s *v1alpha1.AIGatewaySpec) { s.Deployment.Replicas = &three })
		said(ctx, gw, "StoresReady", "False", "Pending")
		Expect(migration(ctx, ns, "").UID).To(Equal(stuck.UID), "the number of replicas is nothing to it")
		change(ctx, gw, func(s *v1alpha1.AIGatewaySpec) {
			s.Deployment.Template = &v1alpha1.GatewayPodTemplate{Tolerations: tolerations}
		})
		Eventually(func(g Gomega) {
			job := &batchv1.Job{}
			g.Expect(c.Get(ctx, client.ObjectKeyFromObject(stuck), job)).To(Succeed())
			g.Expect(job.Spec.Template.Spec.Tolerations).To(Equal(tolerations))
		}).Should(Succeed())
	})

	It("is done for the operator too where the pods' image is older", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		held.Store(ns, true)
		url := "sqlite:" + filepath.Join(GinkgoT().TempDir(), "bare.db")
		create(ctx, &corev1.Secret{ObjectMeta: objectMeta(ns, "bare"), StringData: map[string]string{"url": url}})
		gw := liveGateway(ns, "main")
		gw.Spec.Ledger.URLSecretRef = v1alpha1.SecretKeyRef{Name: "bare", Key: "url"}
		gw.Spec.Deployment.Image = "example.test/layers:v0"
		create(ctx, gw)
		old := migration(ctx, ns, "")
		Expect(old.Spec.Template.Spec.Containers[0].Image).To(Equal("example.test/layers:v0"))
		Expect(end(ctx, old, batchv1.JobSuccessCriteriaMet, batchv1.JobComplete)).To(Succeed())
		own := migration(ctx, ns, old.Name)
		Expect(own.Spec.Template.Spec.Containers[0].Image).To(Equal(image))
		said(ctx, gw, "StoresReady", "False", "Pending")
		Expect(c.Get(ctx, client.ObjectKeyFromObject(old), old)).To(Succeed(), "it is not made again and again")

		By("rolling the pinned image out all the same")
		has(ctx, ns, &appsv1.Deployment{}, true)
		opened, err := ledger.Open(ctx, url, ledger.Options{})
		Expect(err).NotTo(HaveOccurred())
		defer opened.Close()
		Expect(opened.Migrate(ctx)).To(Succeed())
		Expect(end(ctx, own, batchv1.JobSuccessCriteriaMet, batchv1.JobComplete)).To(Succeed())
		said(ctx, gw, "StoresReady", "True", "Available")
	})
})
