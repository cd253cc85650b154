package operator_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/programmed"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

var _ = Describe("The snapshot", func() {
	It("follows the objects and their Secrets", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		gw, m, secret := liveGateway(ns, "main"), model(ns, "small", "example/small"), credential(ns, "one\n")
		create(ctx, gw, m, provider(ns, "upstream"))
		said(ctx, m, "ResolvedRefs", "False", "RefNotUsable")
		create(ctx, secret)
		said(ctx, m, "ResolvedRefs", "True", "Resolved")
		var first *snapshot.Snapshot
		Eventually(func(g Gomega) {
			first = published(ctx, g, gw)
			g.Expect(first.Models).To(HaveLen(1))
			g.Expect(first.Providers[0].Credential).To(Equal("one"))
			g.Expect(first.AckToken).To(HaveLen(64))
			g.Expect(c.Get(ctx, client.ObjectKeyFromObject(gw), gw)).To(Succeed())
			g.Expect(gw.Status.SnapshotHash).To(Equal(first.Hash))
			g.Expect(gw.Status.Attached.Models).To(Equal(int32(1)))
		}).Should(Succeed())

		secret.StringData = map[string]string{"api-key": "two"}
		Expect(c.Update(ctx, secret)).To(Succeed())
		Eventually(func(g Gomega) {
			s := published(ctx, g, gw)
			g.Expect(s.Providers[0].Credential).To(Equal("two"))
			g.Expect(s.Sequence).To(Equal(first.Sequence + 1))
			g.Expect(s.AckToken).To(Equal(first.AckToken))
		}).Should(Succeed())

		By("being written again, above every number before, when somebody deletes it")
		Expect(c.Delete(ctx, &corev1.Secret{ObjectMeta: objectMeta(ns, "main-snapshot")})).To(Succeed())
		Eventually(func(g Gomega) {
			g.Expect(published(ctx, g, gw).Sequence).To(BeNumerically(">", first.Sequence+1))
		}).Should(Succeed())

		By("being empty only when it is meant")
		Expect(published(ctx, Default, gw).AllowEmpty).To(BeFalse())
		Expect(c.Delete(ctx, m)).To(Succeed())
		Eventually(func(g Gomega) {
			s := published(ctx, g, gw)
			g.Expect(s.Models).To(BeEmpty())
			g.Expect(s.AllowEmpty).To(BeTrue())
		}).Should(Succeed())
	})

	It("is not blocked by one bad object", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		gw, good := liveGateway(ns, "main"), model(ns, "a-good", "example/good")
		unpriced, twin := model(ns, "unpriced", "example/unpriced"), model(ns, "b-twin", "example/good")
		unpriced.Spec.Pricing = nil
		create(ctx, gw, credential(ns, "x"), provider(ns, "upstream"), good, unpriced, twin)
		said(ctx, good, "Accepted", "True", "Accepted")
		said(ctx, twin, "Accepted", "False", "Conflicted")
		said(ctx, unpriced, "Priced", "False", "Unpriced")
		said(ctx, unpriced, "Programmed", "False", "Pending")
		Eventually(func(g Gomega) {
			g.Expect(published(ctx, g, gw).Models).To(HaveLen(1))
		}).Should(Succeed())

		By("giving the name to the younger when the older goes")
		Expect(c.Delete(ctx, good)).To(Succeed())
		said(ctx, twin, "Accepted", "True", "Accepted")
	})

	It("tells objects that no gateway has", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		m, tier := model(ns, "small", "example/small"), &v1alpha1.Tier{ObjectMeta: objectMeta(ns, "standard")}
		create(ctx, m, tier)
		said(ctx, m, "Accepted", "False", "NoGateway")
		said(ctx, m, "Programmed", "Unknown", "Pending")
		said(ctx, tier, "Accepted", "True", "Accepted")
		create(ctx, demoGateway(ns, "one"), demoGateway(ns, "two"))
		said(ctx, m, "Accepted", "False", "AmbiguousGateway")
	})
})

var _ = Describe("Programmed", func() {
	It("is what the ready replicas run", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		gw, m, p := liveGateway(ns, "main"), model(ns, "small", "example/small"), provider(ns, "upstream")
		create(ctx, gw, credential(ns, "x"), p, m)
		said(ctx, m, "Programmed", "False", "NoReadyReplicas")

		r := newReplica(ctx, gw, "one")
		for _, obj := range []client.Object{m, p, gw} {
			said(ctx, obj, "Programmed", "True", "Programmed")
		}
		Eventually(func(g Gomega) {
			g.Expect(c.Get(ctx, client.ObjectKeyFromObject(gw), gw)).To(Succeed())
			g.Expect(gw.Status.Replicas.Current).To(Equal(int32(1)))
		}).Should(Succeed())

		By("waiting for a replica that is behind")
		old := published(ctx, Default, gw)
		r.stick(&programmed.Ack{Hash: old.Hash, Sequence: old.Sequence})
		m.Spec.Backends[0].Model = "small-2"
		Expect(c.Update(ctx, m)).To(Succeed())
		said(ctx, m, "Programmed", "False", "Pending")
		said(ctx, gw, "Programmed", "False", "ReplicasBehind")
		said(ctx, p, "Programmed", "True", "Programmed")
		r.stick(nil)
		said(ctx, m, "Programmed", "True", "Programmed")
		said(ctx, gw, "Programmed", "True", "Programmed")

		By("staying while a second replica is behind; the gateway tells of it")
		second := newReplica(ctx, gw, "two")
		second.stick(&programmed.Ack{Hash: old.Hash, Sequence: old.Sequence})
		said(ctx, gw, "Programmed", "False", "ReplicasBehind")
		said(ctx, m, "Programmed", "True", "Programmed")

		By("not knowing of a replica that does not answer")
		second.server.Close()
		said(ctx, gw, "Programmed", "Unknown", "ReplicasUnreachable")
		tier := &v1alpha1.Tier{ObjectMeta: objectMeta(ns, "late")}
		create(ctx, tier)
		said(ctx, tier, "Programmed", "Unknown", "ReplicasUnreachable")
		Expect(c.Delete(ctx, second.pod, client.GracePeriodSeconds(0))).To(Succeed())
		said(ctx, tier, "Programmed", "True", "Programmed")
		said(ctx, gw, "Programmed", "True", "Programmed")
	})

	It("comes with what the replicas say of their stores", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		gw := liveGateway(ns, "main")
		create(ctx, gw)
		said(ctx, gw, "StoresReachable", "Unknown", "NoReadyReplicas")
		one, two := newReplica(ctx, gw, "one"), newReplica(ctx, gw, "two")
		said(ctx, gw, "StoresReachable", "True", "AllReachable")
		said(ctx, gw, "Programmed", "True", "Programmed")
		for _, step := range []struct {
			one, two []string
			want     string
		}{
			{[]string{"redis"}, nil, "RedisUnavailable"}, {[]string{"redis"}, []string{"ledger"}, "BothUnavailable"}, {nil, []string{"ledger"}, "LedgerUnavailable"},
		} {
			one.lack(step.one...)
			two.lack(step.two...)
			touch(ctx, one.pod) // a pod that changes has its gateway asked at once
			said(ctx, gw, "StoresReachable", "False", step.want)
		}
		said(ctx, gw, "Programmed", "True", "Programmed")
		said(ctx, gw, "StoresReady", "True", "Available")
		two.lack()
		said(ctx, gw, "StoresReachable", "True", "AllReachable")

		By("not knowing when none answers")
		one.server.Close()
		two.server.Close()
		touch(ctx, one.pod)
		said(ctx, gw, "StoresReachable", "Unknown", "ReplicasUnreachable")
	})

	It("needs every gateway of a Model", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		one, two, m := liveGateway(ns, "one"), liveGateway(ns, "two"), model(ns, "small", "example/small")
		m.Spec.GatewayRefs = []v1alpha1.LocalRef{{Name: "one"}, {Name: "two"}}
		create(ctx, one, two, credential(ns, "x"), provider(ns, "upstream"), m)
		newReplica(ctx, one, "of-one")
		said(ctx, one, "Programmed", "True", "Programmed")
		said(ctx, m, "Programmed", "False", "NoReadyReplicas")
		newReplica(ctx, two, "of-two")
		said(ctx, m, "Programmed", "True", "Programmed")
	})
})
