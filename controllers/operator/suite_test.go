package operator_test

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/operator"
	"github.com/layers-dev/layers/controllers/programmed"
	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/hack/envtest"
)

const (
	timeout = 20 * time.Second
	poll    = 50 * time.Millisecond
	// quiet is how long nothing may change for it to count as steady: longer than the operator's shortest waits.
	quiet = 1500 * time.Millisecond
	image = "example.test/layers:v1"
	// ackURL is the annotation of a fake pod that says where its acknowledgement port is.
	ackURL = "test.layers.dev/ack-url"
)

// The API server, and the stores that the suite's gateways share: each namespace has accounts and keys of its own.
var (
	config    *rest.Config
	c         client.WithWatch
	redisURL  string
	ledgerURL string
	sql       ledger.Ledger
	redis     *admit.Redis
	// metricsAddress is where the first operator serves its metrics.
	metricsAddress string
)

func TestOperator(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(timeout)
	SetDefaultEventuallyPollingInterval(poll)
	SetDefaultConsistentlyDuration(quiet)
	SetDefaultConsistentlyPollingInterval(poll)
	RunSpecs(t, "Operator")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	// A machine without the binaries builds them here.
	var stop func() error
	var err error
	ctrl.SetLogger(logr.Discard())
	config, stop, err = envtest.Start(ctx, GinkgoWriter)
	DeferCleanup(func() { Expect(stop()).To(Succeed()) })
	Expect(err).NotTo(HaveOccurred())
	scheme := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	c, err = client.NewWithWatch(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	openStores(ctx)
	installRoles(ctx)
	runJobs()
	metricsAddress = freeAddress()
	runOperator(true, func(o *operator.Options) { o.MetricsAddress = metricsAddress })
}, NodeTimeout(20*time.Minute))

func openStores(ctx context.Context) {
	redisURL = "redis://" + miniredis.RunT(GinkgoT()).Addr()
	ledgerURL = "sqlite:" + filepath.Join(GinkgoT().TempDir(), "ledger.db")
	var err error
	sql, err = ledger.Open(context.Background(), ledgerURL, ledger.Options{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(sql.Close)
	Expect(sql.Migrate(ctx)).To(Succeed()) // what the Jobs of a cluster do
	redis, err = admit.NewRedis(admit.Options{URL: redisURL})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(redis.Close)
}

// installRoles applies config/rbac, which the operators of this suite have no more rights than.
func installRoles(ctx context.Context) {
	create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "layers-system"}})
	for _, obj := range objectsIn("../../config/rbac") {
		Expect(c.Create(ctx, obj)).To(Succeed())
	}
}

// operatorConfig is the API server as the operator's ServiceAccount sees it.
func operatorConfig() *rest.Config {
	asOperator := rest.CopyConfig(config)
	asOperator.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:layers-system:layers-operator",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:layers-system", "system:authenticated"},
	}
	return asOperator
}

// freeAddress is one that nobody listened at a moment ago.
func freeAddress() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	defer l.Close()
	return l.Addr().String()
}

// runOperator runs one until the node that called it ends.
func runOperator(elect bool, change ...func(*operator.Options)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	prober := programmed.NewHTTPProber()
	prober.URL = func(pod *corev1.Pod) string { return pod.Annotations[ackURL] }
	go func() {
		o := operator.Options{
			Config: operatorConfig(), GatewayImage: image, MetricsAddress: "0", ProbeAddress: "0", Namespace: "layers-system",
			LeaderElect: elect, LeaderElectionNamespace: "layers-system",
			Prober: prober, Logger: logr.Discard(), SkipNameValidation: true,
		}
		for _, f := range change {
			f(&o)
		}
		done <- operator.Run(ctx, o)
	}()
	DeferCleanup(func() {
		cancel()
		Eventually(done).Should(Receive(Succeed()))
	})
}

// newNamespace makes one with the Secret "stores", which gateways in mode Live name.
func newNamespace(ctx context.Context) string {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "t-"}}
	Expect(c.Create(ctx, ns)).To(Succeed())
	Expect(c.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: "stores"},
		StringData: map[string]string{"redis": redisURL + "\n", "ledger": ledgerURL},
	})).To(Succeed())
	return ns.Name
}
