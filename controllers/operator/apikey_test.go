package operator_test

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
)

func generated(ns, name string) *v1alpha1.APIKey {
	return &v1alpha1.APIKey{ObjectMeta: objectMeta(ns, name), Spec: v1alpha1.APIKeySpec{
		Account: "acme", Key: v1alpha1.KeySource{Generate: &v1alpha1.KeyGenerate{SecretName: name + "-key"}},
	}}
}

func declared(ns, name, digest string) *v1alpha1.APIKey {
	return &v1alpha1.APIKey{ObjectMeta: objectMeta(ns, name), Spec: v1alpha1.APIKeySpec{
		Account: "acme", Key: v1alpha1.KeySource{SHA256: digest},
	}}
}

// admitted asks what a request with the key is told, as a gateway does that knows the row in version 1.
func admitted(ctx context.Context, g Gomega, account, digest, id string) admit.Outcome {
	d, err := redis.Admit(ctx, admit.Request{
		ID: id, Account: account, KeyDigest: digest, KeyVersion: 1, Unmetered: true, HoldFor: time.Minute,
	})
	g.Expect(err).NotTo(HaveOccurred())
	return d.Outcome
}

// rowIs waits until the suite's ledger says so of a key.
func rowIs(ctx context.Context, digest string, want ledger.KeyState) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		row, err := sql.KeyByDigest(ctx, digest)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(row.State).To(Equal(want))
	}).Should(Succeed())
}

var _ = Describe("An APIKey", func() {
	It("is made once, disabled, enabled and ended", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		policy := &v1alpha1.CreditPolicy{ObjectMeta: objectMeta(ns, "prepaid"), Spec: v1alpha1.CreditPolicySpec{
			Grant: &v1alpha1.CreditGrant{Amount: "500"}}}
		gw, key := liveGateway(ns, "main"), generated(ns, "acme")
		gw.Spec.Defaults.CreditPolicyRef = &v1alpha1.LocalRef{Name: "prepaid"}
		create(ctx, gw, key)
		said(ctx, key, "ResolvedRefs", "False", "RefNotFound")
		said(ctx, key, "Programmed", "False", "Pending")
		create(ctx, policy)
		said(ctx, key, "Programmed", "True", "Programmed")
		said(ctx, key, "Accepted", "True", "Accepted")
		said(ctx, key, "ResolvedRefs", "True", "Resolved")

		secret := &corev1.Secret{}
		Expect(c.Get(ctx, client.ObjectKey{Namespace: ns, Name: "acme-key"}, secret)).To(Succeed())
		Expect(metav1.IsControlledBy(secret, key)).To(BeTrue())
		plain := string(secret.Data["api-key"])
		Expect(keys.Parse(plain)).To(Succeed())
		Expect(key.Status.SHA256).To(Equal(keys.Digest(plain)))
		Expect(key.Status.Prefix).To(Equal(keys.Prefix(plain)))
		Expect(key.Status.SecretRef.Name).To(Equal("acme-key"))

		row, err := sql.KeyByDigest(ctx, keys.Digest(plain))
		Expect(err).NotTo(HaveOccurred())
		Expect(row.Account).To(Equal(ns + "/acme"))
		Expect(row.State).To(Equal(ledger.KeyActive))
		Expect(row.GatewayUID).To(Equal(string(gw.UID)))
		account, err := sql.Account(ctx, row.Account)
		Expect(err).NotTo(HaveOccurred())
		Expect(account.Balance).To(BeEquivalentTo(5_000_000_000), "500 credits are 5 dollars")

		By("disabling it")
		update(ctx, key, func() { key.Spec.State = v1alpha1.KeyDisabled })
		said(ctx, key, "Programmed", "True", "Programmed")
		Expect(admitted(ctx, Default, row.Account, row.Digest, "disabled")).To(Equal(admit.KeyRefused))
		update(ctx, key, func() { key.Spec.State = v1alpha1.KeyActive })
		said(ctx, key, "Programmed", "True", "Programmed")
		again, err := sql.KeyByDigest(ctx, row.Digest)
		Expect(err).NotTo(HaveOccurred())
		Expect(again.State).To(Equal(ledger.KeyActive))
		Expect(again.Version).To(BeNumerically(">=", row.Version+2), "each state has a version above the one before")

		By("keeping the key that is there")
		Expect(c.Get(ctx, client.ObjectKeyFromObject(secret), secret)).To(Succeed())
		Expect(string(secret.Data["api-key"])).To(Equal(plain))

		By("ending it")
		Expect(c.Delete(ctx, key)).To(Succeed())
		Eventually(func(g Gomega) {
			ended, err := sql.KeyByDigest(ctx, row.Digest)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(ended.State).To(Equal(ledger.KeyRevoked))
			g.Expect(admitted(ctx, g, row.Account, row.Digest, "revoked")).To(Equal(admit.KeyRefused))
		}).Should(Succeed())
	})

	It("is made anew when its Secret is deleted, and the old one ends", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		key := generated(ns, "acme")
		create(ctx, liveGateway(ns, "main"), key)
		said(ctx, key, "Programmed", "True", "Programmed")
		old := key.Status.SHA256
		Expect(c.Delete(ctx, &corev1.Secret{ObjectMeta: objectMeta(ns, "acme-key")})).To(Succeed())
		Eventually(func(g Gomega) {
			g.Expect(c.Get(ctx, client.ObjectKeyFromObject(key), key)).To(Succeed())
			g.Expect(key.Status.SHA256).NotTo(Equal(old))
			row, err := sql.KeyByDigest(ctx, old)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(row.State).To(Equal(ledger.KeyRevoked))
			row, err = sql.KeyByDigest(ctx, key.Status.SHA256)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(row.State).To(Equal(ledger.KeyActive))
		}).Should(Succeed())
	})

	It("reads no Secret that it does not own", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		theirs := &corev1.Secret{ObjectMeta: objectMeta(ns, "acme-key"), StringData: map[string]string{"api-key": "lyr_live_0123456789abcdef"}}
		key := generated(ns, "acme")
		create(ctx, theirs, liveGateway(ns, "main"), key)
		said(ctx, key, "ResolvedRefs", "False", "NotOwned")
		said(ctx, key, "Programmed", "False", "NotOwned")
		Expect(key.Status.SHA256).To(BeEmpty())
		Expect(c.Delete(ctx, theirs)).To(Succeed())
		said(ctx, key, "Programmed", "True", "Programmed")
	})

	It("belongs to the older of two with one digest", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		digest := strings.Repeat("ab", 32)
		older, younger := declared(ns, "a-older", digest), declared(ns, "b-younger", digest)
		create(ctx, liveGateway(ns, "main"), older, younger)
		said(ctx, older, "Programmed", "True", "Programmed")
		said(ctx, younger, "Accepted", "False", "Conflicted")
		Expect(older.Status.SecretRef).To(BeNil())

		By("never coming back once it was revoked")
		Expect(c.Delete(ctx, older)).To(Succeed())
		said(ctx, younger, "Accepted", "False", "Conflicted")
		Eventually(func(g Gomega) {
			row, err := sql.KeyByDigest(ctx, digest)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(row.State).To(Equal(ledger.KeyRevoked))
		}).Should(Succeed())
	})

	It("is withheld while it is not accepted, and honoured again after it", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		key, second := generated(ns, "acme"), demoGateway(ns, "second")
		create(ctx, liveGateway(ns, "main"), key)
		said(ctx, key, "Programmed", "True", "Programmed")
		digest := key.Status.SHA256
		create(ctx, second)
		said(ctx, key, "Accepted", "False", "AmbiguousGateway")
		Expect(key.Status.SHA256).To(Equal(digest))
		Expect(key.Status.Prefix).NotTo(BeEmpty())
		Expect(key.Status.SecretRef).NotTo(BeNil())
		rowIs(ctx, digest, ledger.KeyDisabled)
		Expect(admitted(ctx, Default, ns+"/acme", digest, "ambiguous")).To(Equal(admit.KeyRefused))

		By("staying so when the spec says it too")
		update(ctx, key, func() { key.Spec.State = v1alpha1.KeyDisabled })
		said(ctx, key, "Accepted", "False", "AmbiguousGateway")
		rowIs(ctx, digest, ledger.KeyDisabled)
		update(ctx, key, func() { key.Spec.State = v1alpha1.KeyActive })
		Expect(c.Delete(ctx, second)).To(Succeed())
		said(ctx, key, "Programmed", "True", "Programmed")
		rowIs(ctx, digest, ledger.KeyActive)
	})

	It("is withheld while its Secret is empty", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		key := generated(ns, "acme")
		create(ctx, liveGateway(ns, "main"), key)
		said(ctx, key, "Programmed", "True", "Programmed")
		digest, secret := key.Status.SHA256, &corev1.Secret{}
		Expect(c.Get(ctx, client.ObjectKey{Namespace: ns, Name: "acme-key"}, secret)).To(Succeed())
		data := secret.Data
		secret.Data = nil
		Expect(c.Update(ctx, secret)).To(Succeed())
		said(ctx, key, "ResolvedRefs", "False", "SecretKeyMissing")
		Expect(key.Status.SHA256).To(Equal(digest))
		rowIs(ctx, digest, ledger.KeyDisabled)
		secret.Data = data
		Expect(c.Update(ctx, secret)).To(Succeed())
		said(ctx, key, "Programmed", "True", "Programmed")
		rowIs(ctx, digest, ledger.KeyActive)
	})

	It("waits for the stores and goes on when they are there", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		gw, key := liveGateway(ns, "main"), generated(ns, "acme")
		gw.Spec.Redis.URLSecretRef.Name = "later"
		create(ctx, gw, key)
		said(ctx, key, "Programmed", "Unknown", "SecretNotFound")
		create(ctx, &corev1.Secret{ObjectMeta: objectMeta(ns, "later"), StringData: map[string]string{"redis": redisURL}})
		said(ctx, key, "Programmed", "True", "Programmed")
	})

	It("gets its row in another ledger when the URL in the Secret changes, and rows of keys that are gone end there", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		gw, key := liveGateway(ns, "main"), generated(ns, "acme")
		create(ctx, gw, key)
		said(ctx, key, "Programmed", "True", "Programmed")
		url := "sqlite:" + GinkgoT().TempDir() + "/another.db"
		another, err := ledger.Open(ctx, url, ledger.Options{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(another.Close)
		Expect(another.Migrate(ctx)).To(Succeed())
		gone, err := another.UpsertKey(ctx, ledger.KeyUpsert{Key: ledger.Key{
			Digest: keys.Digest(ns), Account: ns + "/acme", State: ledger.KeyActive,
			Source: "kubernetes", ClusterUID: thisCluster(ctx), GatewayUID: string(gw.UID), ObjectUID: "gone", ObjectName: ns + "/gone",
		}})
		Expect(err).NotTo(HaveOccurred())
		Expect(c.Patch(ctx, &corev1.Secret{ObjectMeta: objectMeta(ns, "stores")},
			client.RawPatch(types.MergePatchType, []byte(`{"stringData":{"ledger":"`+url+`"}}`)))).To(Succeed())
		Eventually(func(g Gomega) {
			row, err := another.KeyByDigest(ctx, key.Status.SHA256)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(row.State).To(Equal(ledger.KeyActive))
			row, err = another.KeyByDigest(ctx, gone.Digest)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(row.State).To(Equal(ledger.KeyRevoked), "it was left there when the gateway had this ledger before")
		}).Should(Succeed())
	})
})
