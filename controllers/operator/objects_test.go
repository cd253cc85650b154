package operator_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/desired"
	"github.com/layers-dev/layers/controllers/programmed"
	"github.com/layers-dev/layers/controllers/status"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

func objectMeta(ns, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: ns, Name: name}
}

func liveGateway(ns, name string) *v1alpha1.AIGateway {
	store := func(key string) v1alpha1.SecretKeyRef { return v1alpha1.SecretKeyRef{Name: "stores", Key: key} }
	return &v1alpha1.AIGateway{
		ObjectMeta: objectMeta(ns, name),
		Spec: v1alpha1.AIGatewaySpec{
			Redis: &v1alpha1.GatewayRedis{URLSecretRef: store("redis")}, Ledger: &v1alpha1.GatewayLedger{URLSecretRef: store("ledger")},
		},
	}
}

func demoGateway(ns, name string) *v1alpha1.AIGateway {
	return &v1alpha1.AIGateway{ObjectMeta: objectMeta(ns, name), Spec: v1alpha1.AIGatewaySpec{Mode: v1alpha1.ModeDemo}}
}

func provider(ns, name string) *v1alpha1.Provider {
	return &v1alpha1.Provider{
		ObjectMeta: objectMeta(ns, name),
		Spec: v1alpha1.ProviderSpec{
			Type: v1alpha1.ProviderOpenAICompatible, BaseURL: "http://upstream.test/v1",
			Auth: &v1alpha1.ProviderAuth{SecretRef: v1alpha1.SecretKeyRef{Name: "upstream", Key: "api-key"}},
		},
	}
}

func credential(ns, value string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: objectMeta(ns, "upstream"), StringData: map[string]string{"api-key": value}}
}

func model(ns, name, publicName string) *v1alpha1.Model {
	return &v1alpha1.Model{
		ObjectMeta: objectMeta(ns, name),
		Spec: v1alpha1.ModelSpec{
			PublicName: v1alpha1.PublicName(publicName),
			Backends:   []v1alpha1.ModelBackend{{Name: "b", ProviderRef: v1alpha1.LocalRef{Name: "upstream"}, Model: "small-1"}},
			Pricing:    &v1alpha1.ModelPricing{InputPerMillion: "1", OutputPerMillion: "2"},
			Limits:     v1alpha1.ModelLimits{ContextTokens: 1000, MaxOutputTokens: 100},
		},
	}
}

func create(ctx context.Context, objects ...client.Object) {
	GinkgoHelper()
	for _, o := range objects {
		Expect(c.Create(ctx, o)).To(Succeed())
	}
}

// update changes an object as it is now: the operator may write its status at any time.
func update(ctx context.Context, obj client.Object, change func()) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		g.Expect(c.Get(ctx, client.ObjectKeyFromObject(obj), obj)).To(Succeed())
		change()
		g.Expect(c.Update(ctx, obj)).To(Succeed())
	}).Should(Succeed())
}

// said waits until a condition of an object speaks of its present generation and answers true for want.
func said(ctx context.Context, obj client.Object, kind string, want metav1.ConditionStatus, reason string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		found := read(ctx, g, obj, kind)
		g.Expect(found).NotTo(BeNil(), "%s of %s", kind, obj.GetName())
		g.Expect(string(found.Status)+" "+found.Reason).To(Equal(string(want)+" "+reason), "%s: %s", kind, found.Message)
		g.Expect(found.ObservedGeneration).To(Equal(obj.GetGeneration()))
	}).Should(Succeed())
}

func read(ctx context.Context, g Gomega, obj client.Object, kind string) *metav1.Condition {
	g.Expect(c.Get(ctx, client.ObjectKeyFromObject(obj), obj)).To(Succeed())
	return meta.FindStatusCondition(status.Conditions(obj), kind)
}

// published reads the snapshot of a gateway; nil if there is none yet.
func published(ctx context.Context, g Gomega, gw *v1alpha1.AIGateway) *snapshot.Snapshot {
	secret := &corev1.Secret{}
	g.Expect(c.Get(ctx, client.ObjectKey{Namespace: gw.Namespace, Name: gw.Name + "-snapshot"}, secret)).To(Succeed())
	s, err := snapshot.Decode(secret.Data[snapshot.SecretDataKey])
	g.Expect(err).NotTo(HaveOccurred())
	return s
}

// replica is a ready pod whose acknowledgement port the test serves.
type replica struct {
	snapshot client.ObjectKey
	server   *httptest.Server
	pod      *corev1.Pod

	mu sync.Mutex
	// stuck is what it answers; nil: it follows what is published.
	stuck *programmed.Ack
	// lacking are the stores that it says it does not reach.
	lacking []string
}

// newReplica makes a ready pod of a gateway.
func newReplica(ctx context.Context, gw *v1alpha1.AIGateway, name string) *replica {
	GinkgoHelper()
	r := &replica{snapshot: client.ObjectKey{Namespace: gw.Namespace, Name: gw.Name + "-snapshot"}}
	r.server = httptest.NewServer(http.HandlerFunc(r.serve))
	DeferCleanup(r.server.Close)
	r.pod = &corev1.Pod{
		ObjectMeta: objectMeta(gw.Namespace, name),
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "gateway", Image: image}}},
	}
	r.pod.Labels = desired.Labels(gw.Name)
	r.pod.Annotations = map[string]string{ackURL: r.server.URL}
	create(ctx, r.pod)
	r.pod.Status.PodIP = "10.1.2.3"
	r.pod.Status.PodIPs = []corev1.PodIP{{IP: "10.1.2.3"}}
	r.pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	Expect(c.Status().Update(ctx, r.pod)).To(Succeed())
	return r
}

// stick holds the replica at an answer; nil lets it follow again.
func (r *replica) stick(ack *programmed.Ack) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stuck = ack
}

// lack says which stores the replica does not reach from now on.
func (r *replica) lack(stores ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lacking = stores
}

// touch changes something of a pod that nobody minds.
func touch(ctx context.Context, pod *corev1.Pod) {
	GinkgoHelper()
	update(ctx, pod, func() { pod.Annotations["test.layers.dev/touched"] += "x" })
}

func (r *replica) serve(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	ack, lacking := r.stuck, r.lacking
	r.mu.Unlock()
	secret := &corev1.Secret{}
	if err := c.Get(req.Context(), r.snapshot, secret); err != nil {
		http.Error(w, "no snapshot", http.StatusServiceUnavailable)
		return
	}
	s, err := snapshot.Decode(secret.Data[snapshot.SecretDataKey])
	if err != nil || req.Header.Get("Authorization") != "Bearer "+s.AckToken {
		http.Error(w, "unauthorized", http.StatusUnauthorized)
		return
	}
	if ack == nil {
		ack = &programmed.Ack{Hash: s.Hash, Sequence: s.Sequence, Degraded: lacking}
	}
	_ = json.NewEncoder(w).Encode(ack)
}
