package e2e

import (
	"context"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/ledger/cli"
)

const (
	release           = "layers"
	operatorNamespace = "layers-e2e-system"
	grantNano         = 500 * 10_000_000 // the sample policy's 500 credits at 100 a dollar, in nano-USD
)

// namespace is where the objects are; BeforeSuite makes its name.
var namespace string

var _ = Describe("The main job", Ordered, func() {
	var (
		gateway *v1alpha1.AIGateway
		model   *v1alpha1.Model
		apiKey  *v1alpha1.APIKey
		key     string
	)
	account := func() string { return namespace + "/" + apiKey.Spec.Account }

	BeforeAll(func(ctx context.Context) {
		gateway = sampleGateway()
		model = sample("model.yaml", &v1alpha1.Model{})
		apiKey = sample("apikey.yaml", &v1alpha1.APIKey{})
		DeferCleanup(func(ctx context.Context) {
			_, _ = command(ctx, "go", "tool", "-modfile=hack/tools/go.mod", "helm", "uninstall", release, "-n", operatorNamespace, "--ignore-not-found", "--wait")
			_, _ = command(ctx, "kubectl", "delete", "namespace", namespace, operatorNamespace, "--ignore-not-found", "--wait=false")
			_, _ = command(ctx, "kubectl", "delete", "crd", "--ignore-not-found", "-l", "app.kubernetes.io/instance="+release)
		})
	})

	AfterEach(func(ctx context.Context) {
		if CurrentSpecReport().Failed() {
			dump(ctx)
		}
	})

	It("installs with helm", func(ctx context.Context) {
		repository, tag, ok := strings.Cut(given.image, ":")
		Expect(ok).To(BeTrue(), "E2E_IMAGE is REPOSITORY:TAG")
		helm(ctx, "install", release, "charts/layers", "--namespace", operatorNamespace, "--create-namespace",
			"--set", "image.repository="+repository, "--set", "image.tag="+tag, "--wait", "--timeout", "3m")
		kubectl(ctx, "wait", "--for=condition=Established", "crd", "-l", "app.kubernetes.io/instance="+release, "--timeout=60s")
	})

	It("programs the samples", func(ctx context.Context) {
		create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
		for _, s := range sampleSecrets() {
			create(ctx, s)
		}
		for _, o := range mockProvider() {
			create(ctx, o)
		}
		create(ctx, sample("tier.yaml", &v1alpha1.Tier{}))
		create(ctx, sample("creditpolicy.yaml", &v1alpha1.CreditPolicy{}))
		create(ctx, gateway)
		create(ctx, sample("provider.yaml", &v1alpha1.Provider{}))
		create(ctx, model)
		create(ctx, apiKey)
		kubectl(ctx, "-n", namespace, "rollout", "status", "deployment/"+mockName, "--timeout=60s")
		kubectl(ctx, "-n", namespace, "wait", "--for=condition=Programmed", "model/"+model.Name, "apikey/"+apiKey.Name, "--timeout=180s")
		kubectl(ctx, "-n", namespace, "wait", "--for=condition=Available", "aigateway/"+gateway.Name, "--timeout=60s")
		Expect(cluster.Get(ctx, client.ObjectKeyFromObject(gateway), gateway)).To(Succeed())
		key = keyOf(ctx, apiKey)
	})

	It("answers and charges", func(ctx context.Context) {
		base := reach(ctx, gateway)
		unary, err := call(ctx, base, key, string(model.Spec.PublicName), "mock:text=Hello there,usage=1000/100", false)
		Expect(err).NotTo(HaveOccurred())
		Expect(unary.status).To(Equal(http.StatusOK), unary.body)
		Expect(unary.text).To(Equal("Hello there"))
		stream, err := call(ctx, base, key, string(model.Spec.PublicName), "mock:text=One two three,usage=2000/200", true)
		Expect(err).NotTo(HaveOccurred())
		Expect(stream.status).To(Equal(http.StatusOK), stream.body)
		Expect(stream.text).To(Equal("One two three"))

		By("finding the rows")
		first, second := settled(ctx, unary.requestID), settled(ctx, stream.requestID)
		// 1,000 input tokens at 0.25 and 100 output tokens at 2 US dollars a million, in nano-USD.
		Expect(first).To(Equal(usageRow{
			Account: account(), Model: string(model.Spec.PublicName), Evidence: "reported", Status: 200, Cost: 450_000, Charged: 450_000,
		}))
		Expect(second).To(Equal(usageRow{
			Account: account(), Model: string(model.Spec.PublicName), Evidence: "reported", Status: 200, Stream: true, Cost: 900_000, Charged: 900_000,
		}))
		Expect(unary.cost).To(BeEquivalentTo("0.00045"))
		Expect(stream.cost).To(BeEquivalentTo("0.0009"))
		Expect(booksOf(ctx, account())).To(Equal(books{Balance: grantNano - 1_350_000, Granted: grantNano, Charged: 1_350_000}))
	})

	It("serves a changed backend", func(ctx context.Context) {
		base := reach(ctx, gateway)
		other := sample("provider.yaml", &v1alpha1.Provider{})
		other.Name = "other"
		create(ctx, other)
		changed := model.DeepCopy()
		Expect(cluster.Get(ctx, client.ObjectKeyFromObject(model), changed)).To(Succeed())
		patch := client.MergeFrom(changed.DeepCopy())
		changed.Spec.Backends[0].ProviderRef.Name, changed.Spec.Backends[0].Model = other.Name, "small-2"
		Expect(cluster.Patch(ctx, changed, patch)).To(Succeed())
		Eventually(ctx, func(g Gomega) {
			a, err := call(ctx, base, key, string(model.Spec.PublicName), "mock:text=changed", false)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(a.status).To(Equal(http.StatusOK), a.body)
			g.Expect(a.model).To(Equal("small-2"), "the upstream's own name of the model")
		}).Should(Succeed())
		Eventually(ctx, func(g Gomega) {
			var now v1alpha1.Model
			g.Expect(cluster.Get(ctx, client.ObjectKeyFromObject(model), &now)).To(Succeed())
			programmed := meta.FindStatusCondition(now.Status.Conditions, v1alpha1.ConditionProgrammed)
			g.Expect(programmed).NotTo(BeNil())
			g.Expect(programmed.Status).To(Equal(metav1.ConditionTrue))
			g.Expect(programmed.ObservedGeneration).To(Equal(changed.Generation))
		}).Should(Succeed())
	})

	It("refuses a deleted key and takes a new one", func(ctx context.Context) {
		second := sample("apikey.yaml", &v1alpha1.APIKey{})
		second.Name, second.Spec.Key.Generate.SecretName = "second", "second-key"
		create(ctx, second)
		kubectl(ctx, "-n", namespace, "wait", "--for=condition=Programmed", "apikey/"+second.Name, "--timeout=60s")
		base := reach(ctx, gateway)
		Expect(cluster.Delete(ctx, apiKey)).To(Succeed())
		Eventually(ctx, func(g Gomega) {
			a, err := call(ctx, base, key, string(model.Spec.PublicName), "mock:text=late", false)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(a.status).To(Equal(http.StatusUnauthorized), a.body)
		}).WithTimeout(30 * time.Second).Should(Succeed())
		key = keyOf(ctx, second)
	})

	It("scales to three", func(ctx context.Context) {
		Expect(cluster.Get(ctx, client.ObjectKeyFromObject(gateway), gateway)).To(Succeed())
		patch := client.MergeFrom(gateway.DeepCopy())
		three := int32(3)
		gateway.Spec.Deployment.Replicas = &three
		Expect(cluster.Patch(ctx, gateway, patch)).To(Succeed())
		Eventually(ctx, func(g Gomega) {
			g.Expect(cluster.Get(ctx, client.ObjectKeyFromObject(gateway), gateway)).To(Succeed())
			g.Expect(gateway.Status.Replicas).To(Equal(v1alpha1.GatewayReplicas{Desired: 3, Ready: 3, Current: 3}))
		}).Should(Succeed())
		base := reach(ctx, gateway)
		for range 9 {
			a, err := call(ctx, base, key, string(model.Spec.PublicName), "mock:text=scaled", false)
			Expect(err).NotTo(HaveOccurred())
			Expect(a.status).To(Equal(http.StatusOK), a.body)
		}
	})

	It("loses no money with a pod", func(ctx context.Context) {
		name := string(model.Spec.PublicName)
		base, killed := reach(ctx, gateway), onePod(ctx, gateway)
		done := load(ctx, base, key, name, 6)
		By("killing a replica under load, and in the middle of a request")
		broken := make(chan error, 1)
		go func() {
			_, err := call(ctx, killed.base, key, name, "mock:text=never,delay=20s", false)
			broken <- err
		}()
		Eventually(ctx, func(g Gomega) {
			d, err := copied(ctx, account())
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(d.Reserved).To(BeNumerically(">", 0))
		}).Should(Succeed())
		kubectl(ctx, "-n", namespace, "delete", "pod", killed.name, "--force", "--grace-period=0")
		Eventually(ctx, broken).Should(Receive(HaveOccurred()))
		kubectl(ctx, "-n", namespace, "wait", "--for=condition=Available", "aigateway/"+gateway.Name, "--timeout=60s")
		answered := done()
		Expect(answered).NotTo(BeEmpty())

		By("finding every answer once, the rest at the declared floor, and nothing held")
		for _, id := range answered {
			Expect(settled(ctx, id)).To(Equal(usageRow{Account: account(), Model: name, Evidence: "reported", Status: 200, Cost: 450_000, Charged: 450_000}))
		}
		By("waiting until the others have settled what was left behind")
		Eventually(ctx, func(g Gomega) {
			count, wrong := orphans(ctx, account())
			g.Expect(count).To(BeNumerically(">=", 1))
			g.Expect(wrong).To(BeZero())
			b := booksOf(ctx, account())
			g.Expect(b.Balance).To(Equal(b.Granted - b.Charged))
			g.Expect(b.Unbalanced).To(BeZero())
			d, err := copied(ctx, account())
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(d.Reserved).To(BeZero())
			g.Expect(d.Spendable).To(Equal(b.Balance))
		}).Should(Succeed())
		By("checking the ledger")
		check := cli.NewLedgerCommand()
		check.SetOut(GinkgoWriter)
		check.SetArgs([]string{"check", "--ledger", given.ledgerURL})
		Expect(check.ExecuteContext(ctx)).To(Succeed())
	})

	It("uninstalls, and keeps the objects", func(ctx context.Context) {
		helm(ctx, "uninstall", release, "--namespace", operatorNamespace, "--wait", "--timeout", "2m")
		Expect(cluster.Get(ctx, client.ObjectKeyFromObject(model), model)).To(Succeed())
		Eventually(ctx, func(g Gomega) {
			var pods corev1.PodList
			g.Expect(cluster.List(ctx, &pods, client.InNamespace(operatorNamespace))).To(Succeed())
			g.Expect(pods.Items).To(HaveLen(0))
		}).Should(Succeed())

		By("serving without the operator")
		a, err := call(ctx, reach(ctx, gateway), key, string(model.Spec.PublicName), "mock:text=still", false)
		Expect(err).NotTo(HaveOccurred())
		Expect(a.status).To(Equal(http.StatusOK), a.body)
	})
})
