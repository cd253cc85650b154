package operator_test

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// orphans are rows of a gateway whose objects are gone: what is left of keys that were deleted while no operator ran.
func orphans(ctx context.Context, gw *v1alpha1.AIGateway, cluster string, n int) []string {
	GinkgoHelper()
	var digests []string
	for i := range n {
		name := fmt.Sprintf("%s/gone-%d", gw.Namespace, i)
		row, err := sql.UpsertKey(ctx, ledger.KeyUpsert{Key: ledger.Key{
			Digest: keys.Digest(cluster + name), Account: gw.Namespace + "/acme", State: ledger.KeyActive,
			Source: "kubernetes", ClusterUID: cluster, GatewayUID: string(gw.UID), ObjectUID: name, ObjectName: name,
		}})
		Expect(err).NotTo(HaveOccurred())
		digests = append(digests, row.Digest)
	}
	return digests
}

func states(ctx context.Context, g Gomega, digests []string) map[ledger.KeyState]int {
	out := map[ledger.KeyState]int{}
	for _, d := range digests {
		row, err := sql.KeyByDigest(ctx, d)
		g.Expect(err).NotTo(HaveOccurred())
		out[row.State]++
	}
	return out
}

func thisCluster(ctx context.Context) string {
	GinkgoHelper()
	ns := &corev1.Namespace{}
	Expect(c.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, ns)).To(Succeed())
	return string(ns.UID)
}

// annotate wakes the sweep.
func annotate(ctx context.Context, gw *v1alpha1.AIGateway, name, value string) {
	GinkgoHelper()
	Expect(c.Get(ctx, client.ObjectKeyFromObject(gw), gw)).To(Succeed())
	patch := client.MergeFrom(gw.DeepCopy())
	if gw.Annotations == nil {
		gw.Annotations = map[string]string{}
	}
	gw.Annotations[name] = value
	Expect(c.Patch(ctx, gw, patch)).To(Succeed())
}

var _ = Describe("The sweep", func() {
	It("revokes keys whose objects are gone, and no others", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		gw, key := liveGateway(ns, "main"), generated(ns, "acme")
		create(ctx, gw, key)
		said(ctx, key, "Programmed", "True", "Programmed")
		said(ctx, gw, "KeysShrinkHeld", "False", "NothingHeld")
		gone, foreign := orphans(ctx, gw, thisCluster(ctx), 10), orphans(ctx, gw, "another-cluster", 1)
		annotate(ctx, gw, "wake", "1")
		Eventually(func(g Gomega) {
			g.Expect(states(ctx, g, gone)).To(Equal(map[ledger.KeyState]int{ledger.KeyRevoked: 10}))
		}).Should(Succeed())
		Expect(states(ctx, Default, append(foreign, key.Status.SHA256))).To(Equal(map[ledger.KeyState]int{ledger.KeyActive: 2}))
		heard(ctx, gw, "KeysRevoked", "were revoked") // a sweep may run while the rows are made, and another after it
	})

	It("revokes what is left with a gateway by an object that was made again for another", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		gw, other, key := liveGateway(ns, "main"), liveGateway(ns, "other"), generated(ns, "gone-0")
		key.Spec.GatewayRef = &v1alpha1.GatewayRef{Name: "other"}
		create(ctx, gw, other, key)
		said(ctx, key, "Programmed", "True", "Programmed")
		left := orphans(ctx, gw, thisCluster(ctx), 1)
		annotate(ctx, gw, "wake", "1")
		rowIs(ctx, left[0], ledger.KeyRevoked)
		rowIs(ctx, key.Status.SHA256, ledger.KeyActive)
	})

	It("stops above a threshold until somebody confirms the number", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		gw, key := liveGateway(ns, "main"), generated(ns, "acme")
		gw.Spec.Redis.URLSecretRef.Name = "later" // a sweep that saw the first ten alone would end them
		create(ctx, gw, key)
		gone := orphans(ctx, gw, thisCluster(ctx), 12)
		annotate(ctx, gw, "layers.dev/confirm-shrink", "11")
		create(ctx, &corev1.Secret{ObjectMeta: objectMeta(ns, "later"), StringData: map[string]string{"redis": redisURL}})
		said(ctx, gw, "KeysShrinkHeld", "True", "ConfirmationNeeded")
		Expect(read(ctx, Default, gw, "KeysShrinkHeld").Message).To(ContainSubstring("12 keys"))
		heard(ctx, gw, "KeysShrinkHeld", "12 keys")
		said(ctx, key, "Programmed", "True", "Programmed")
		Expect(states(ctx, Default, gone)).To(Equal(map[ledger.KeyState]int{ledger.KeyActive: 12}))
		annotate(ctx, gw, "layers.dev/confirm-shrink", "12")
		said(ctx, gw, "KeysShrinkHeld", "False", "NothingHeld")
		Expect(states(ctx, Default, append(gone, key.Status.SHA256))).To(Equal(map[ledger.KeyState]int{ledger.KeyRevoked: 12, ledger.KeyActive: 1}))
	})
})
