package operator_test

import (
	"context"
	"crypto/rand"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// changeKey updates a key whose status the operator writes meanwhile.
func changeKey(ctx context.Context, key *v1alpha1.APIKey, f func(*v1alpha1.APIKeySpec)) {
	GinkgoHelper()
	Expect(retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if err := c.Get(ctx, client.ObjectKeyFromObject(key), key); err != nil {
			return err
		}
		f(&key.Spec)
		return c.Update(ctx, key)
	})).To(Succeed())
}

// row waits until a row of the ledger is as it is to be.
func row(ctx context.Context, digest string, check func(Gomega, ledger.Key)) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		found, err := sql.KeyByDigest(ctx, digest)
		g.Expect(err).NotTo(HaveOccurred())
		check(g, found)
	}).Should(Succeed())
}

var _ = Describe("An APIKey's life", func() {
	It("goes on under generate.rotation, with the old key for generate.overlapSeconds", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		key, overlap := generated(ns, "acme"), int64(3600)
		key.Spec.Key.Generate.OverlapSeconds = &overlap
		create(ctx, liveGateway(ns, "main"), key)
		said(ctx, key, "Programmed", "True", "Programmed")
		Expect(key.Status.ObservedRotation).To(Equal(int64(1)))
		told(ctx, key, "KeyGenerated", "acme-key")
		first := key.Status.SHA256

		rotated := time.Now()
		changeKey(ctx, key, func(s *v1alpha1.APIKeySpec) { s.Key.Generate.Rotation = 2 })
		said(ctx, key, "Programmed", "True", "Programmed")
		Expect(key.Status.ObservedRotation).To(Equal(int64(2)))
		second := key.Status.SHA256
		Expect(second).NotTo(Equal(first))
		told(ctx, key, "KeyRotated", "acme-key")
		secret := &corev1.Secret{}
		Expect(c.Get(ctx, client.ObjectKey{Namespace: ns, Name: "acme-key"}, secret)).To(Succeed())
		Expect(keys.Digest(string(secret.Data["api-key"]))).To(Equal(second))
		Expect(secret.Annotations).To(HaveKeyWithValue("layers.dev/rotation", "2"))
		row(ctx, second, func(g Gomega, k ledger.Key) {
			g.Expect(k.State).To(Equal(ledger.KeyActive))
			g.Expect(k.ExpiresAt).To(BeZero())
			g.Expect(k.Rotation).To(Equal(int64(2)))
		})
		var ends int64
		row(ctx, first, func(g Gomega, k ledger.Key) {
			g.Expect(k.State).To(Equal(ledger.KeyActive))
			g.Expect(time.UnixMicro(k.ExpiresAt)).To(BeTemporally("~", rotated.Add(time.Hour), time.Minute))
			ends = k.ExpiresAt
		})

		By("disabling both with the object, and moving no end")
		changeKey(ctx, key, func(s *v1alpha1.APIKeySpec) { s.State = v1alpha1.KeyDisabled })
		for _, digest := range []string{first, second} {
			row(ctx, digest, func(g Gomega, k ledger.Key) { g.Expect(k.State).To(Equal(ledger.KeyDisabled)) })
		}
		row(ctx, first, func(g Gomega, k ledger.Key) { g.Expect(k.ExpiresAt).To(Equal(ends)) })

		By("ending the old one when the overlap is over")
		none := int64(0)
		changeKey(ctx, key, func(s *v1alpha1.APIKeySpec) {
			s.State, s.Key.Generate.OverlapSeconds = v1alpha1.KeyActive, &none
		})
		row(ctx, first, func(g Gomega, k ledger.Key) { g.Expect(k.State).To(Equal(ledger.KeyRevoked)) })
		row(ctx, second, func(g Gomega, k ledger.Key) { g.Expect(k.State).To(Equal(ledger.KeyActive)) })
	})

	It("ends an old key by itself", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		key, overlap := generated(ns, "acme"), int64(1)
		key.Spec.Key.Generate.OverlapSeconds = &overlap
		create(ctx, liveGateway(ns, "main"), key)
		said(ctx, key, "Programmed", "True", "Programmed")
		first := key.Status.SHA256
		changeKey(ctx, key, func(s *v1alpha1.APIKeySpec) { s.Key.Generate.Rotation = 2 })
		row(ctx, first, func(g Gomega, k ledger.Key) { g.Expect(k.State).To(Equal(ledger.KeyRevoked)) })
	})

	It("survives a crash between the Secret and the row", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		key := generated(ns, "acme")
		create(ctx, liveGateway(ns, "main"), key)
		said(ctx, key, "Programmed", "True", "Programmed")
		first := key.Status.SHA256
		// What an operator leaves that died right after it wrote the Secret of rotation 2.
		secret := &corev1.Secret{}
		Expect(c.Get(ctx, client.ObjectKey{Namespace: ns, Name: "acme-key"}, secret)).To(Succeed())
		plain, err := keys.Generate(rand.Reader)
		Expect(err).NotTo(HaveOccurred())
		secret.Data["api-key"] = []byte(plain)
		secret.Annotations["layers.dev/rotation"] = "2"
		Expect(c.Update(ctx, secret)).To(Succeed())
		changeKey(ctx, key, func(s *v1alpha1.APIKeySpec) { s.Key.Generate.Rotation = 2 })
		row(ctx, keys.Digest(plain), func(g Gomega, k ledger.Key) { g.Expect(k.Rotation).To(Equal(int64(2))) })
		row(ctx, first, func(g Gomega, k ledger.Key) {
			g.Expect(k.State).To(Equal(ledger.KeyActive))
			g.Expect(k.ExpiresAt).NotTo(BeZero())
		})
		said(ctx, key, "Programmed", "True", "Programmed")
		Expect(key.Status.SHA256).To(Equal(keys.Digest(plain)), "no third key is made")
	})

	It("is under expiresAt, scopes, models and spendCap, and its account", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		key := generated(ns, "acme")
		at := metav1.NewTime(time.Now().Add(time.Hour).Truncate(time.Second))
		key.Spec.ExpiresAt, key.Spec.Scopes = &at, []v1alpha1.KeyScope{v1alpha1.ScopeInference}
		key.Spec.Models = []v1alpha1.PublicName{"example/small"}
		key.Spec.SpendCap = &v1alpha1.SpendCap{Amount: "100", Period: v1alpha1.PeriodDay}
		create(ctx, liveGateway(ns, "main"), key)
		said(ctx, key, "Programmed", "True", "Programmed")
		row(ctx, key.Status.SHA256, func(g Gomega, k ledger.Key) {
			g.Expect(k.ExpiresAt).To(Equal(at.UnixMicro()))
			g.Expect(k.Scopes).To(Equal([]string{"Inference"}))
			g.Expect(k.Models).To(Equal([]string{"example/small"}))
			g.Expect(k.CapAmount).To(BeEquivalentTo(1_000_000_000), "100 credits are a dollar")
			g.Expect(k.CapPeriod).To(Equal("Day"))
			g.Expect(k.Account).To(Equal(ns + "/acme"))
		})
		changeKey(ctx, key, func(s *v1alpha1.APIKeySpec) { s.ExpiresAt, s.SpendCap, s.Models = nil, nil, nil })
		row(ctx, key.Status.SHA256, func(g Gomega, k ledger.Key) {
			g.Expect(k.ExpiresAt).To(BeZero())
			g.Expect(k.CapAmount).To(BeZero())
			g.Expect(k.Models).To(BeEmpty())
		})
	})

	It("may be of another namespace than gatewayRef.namespace, as apiKeys.from says", func(ctx SpecContext) {
		platform, team := newNamespace(ctx), newNamespace(ctx)
		gw, key := liveGateway(platform, "main"), generated(team, "acme")
		tier := &v1alpha1.Tier{ObjectMeta: objectMeta(platform, "standard"), Spec: v1alpha1.TierSpec{
			AllowedNamespaces: v1alpha1.NamespaceScope{From: v1alpha1.NamespacesAll}}}
		key.Spec.GatewayRef = &v1alpha1.GatewayRef{Name: "main", Namespace: platform}
		key.Spec.TierRef = &v1alpha1.LocalRef{Name: "standard"}
		create(ctx, gw, tier, key)
		said(ctx, key, "Accepted", "False", "NotAllowed")

		By("letting the namespaces of a selector in")
		change(ctx, gw, func(s *v1alpha1.AIGatewaySpec) {
			s.APIKeys = v1alpha1.NamespaceScope{From: v1alpha1.NamespacesSelector, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"ai": "yes"}}}
		})
		label := func(value string) {
			GinkgoHelper()
			ns := &corev1.Namespace{}
			Expect(c.Get(ctx, client.ObjectKey{Name: team}, ns)).To(Succeed())
			patch := client.MergeFrom(ns.DeepCopy())
			ns.Labels["ai"] = value
			Expect(c.Patch(ctx, ns, patch)).To(Succeed())
		}
		label("yes")
		said(ctx, key, "Accepted", "True", "Accepted")
		said(ctx, key, "Programmed", "True", "Programmed")
		row(ctx, key.Status.SHA256, func(g Gomega, k ledger.Key) {
			g.Expect(k.Account).To(Equal(team+"/acme"), "a key spends its own namespace's accounts")
			g.Expect(k.Tier).To(Equal(platform + "/standard"))
			g.Expect(k.GatewayUID).To(Equal(string(gw.UID)))
			g.Expect(k.State).To(Equal(ledger.KeyActive))
		})
		Eventually(func(g Gomega) {
			g.Expect(c.Get(ctx, client.ObjectKeyFromObject(gw), gw)).To(Succeed())
			g.Expect(gw.Status.Attached.APIKeys).To(Equal(int32(1)))
		}).Should(Succeed())

		By("refusing the key once its namespace is let in no more")
		label("no")
		row(ctx, key.Status.SHA256, func(g Gomega, k ledger.Key) { g.Expect(k.State).To(Equal(ledger.KeyDisabled)) })
		said(ctx, key, "Accepted", "False", "NotAllowed")

		By("ending with its object")
		label("yes")
		said(ctx, key, "Programmed", "True", "Programmed")
		Expect(c.Delete(ctx, key)).To(Succeed())
		row(ctx, key.Status.SHA256, func(g Gomega, k ledger.Key) { g.Expect(k.State).To(Equal(ledger.KeyRevoked)) })
	})

	It("has a tier of another namespace as its allowedNamespaces say", func(ctx SpecContext) {
		platform, team := newNamespace(ctx), newNamespace(ctx)
		gw, key := liveGateway(platform, "main"), generated(team, "acme")
		gw.Spec.APIKeys.From = v1alpha1.NamespacesAll
		tier := &v1alpha1.Tier{ObjectMeta: objectMeta(platform, "gold")}
		key.Spec.GatewayRef = &v1alpha1.GatewayRef{Name: "main", Namespace: platform}
		key.Spec.TierRef = &v1alpha1.LocalRef{Name: "gold"}
		create(ctx, gw, tier, key)
		said(ctx, key, "ResolvedRefs", "False", "NotAllowed")
		said(ctx, key, "Programmed", "False", "Pending")
		allow := func(from v1alpha1.NamespacesFrom) {
			GinkgoHelper()
			update(ctx, tier, func() { tier.Spec.AllowedNamespaces.From = from })
		}
		allow(v1alpha1.NamespacesAll)
		said(ctx, key, "Programmed", "True", "Programmed")
		row(ctx, key.Status.SHA256, func(g Gomega, k ledger.Key) {
			g.Expect(k.State).To(Equal(ledger.KeyActive))
			g.Expect(k.Tier).To(Equal(platform + "/gold"))
		})
		allow(v1alpha1.NamespacesSame)
		said(ctx, key, "ResolvedRefs", "False", "NotAllowed")
		row(ctx, key.Status.SHA256, func(g Gomega, k ledger.Key) { g.Expect(k.State).To(Equal(ledger.KeyDisabled)) })
	})
})
