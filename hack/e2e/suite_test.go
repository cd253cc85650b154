package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// root is the repository, seen from this package.
const root = "../.."

// settings are what the suite is told by the environment.
type settings struct {
	redisURL, ledgerURL, image, mockImage string
}

var (
	given   settings
	config  *rest.Config
	cluster client.Client
)

// fromEnvironment reads the settings and names what is missing.
func fromEnvironment() (settings, []string) {
	var missing []string
	get := func(name string) string {
		if os.Getenv(name) == "" {
			missing = append(missing, name)
		}
		return os.Getenv(name)
	}
	get("KUBECONFIG")
	return settings{
		redisURL:  get("E2E_REDIS_URL"),
		ledgerURL: get("E2E_LEDGER_URL"),
		image:     get("E2E_IMAGE"),
		mockImage: get("E2E_MOCK_IMAGE"),
	}, missing
}

func TestE2E(t *testing.T) {
	var missing []string
	if given, missing = fromEnvironment(); len(missing) > 0 {
		t.Skipf("the end-to-end suite needs %s; see hack/e2e/on-cluster", strings.Join(missing, ", "))
	}
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(2 * time.Minute)
	EnforceDefaultTimeoutsWhenUsingContexts()
	SetDefaultEventuallyPollingInterval(250 * time.Millisecond)
	RunSpecs(t, "Layers on a cluster")
}

var _ = BeforeSuite(func() {
	var err error
	config, err = clientcmd.BuildConfigFromFlags("", filepath.SplitList(os.Getenv("KUBECONFIG"))[0])
	Expect(err).NotTo(HaveOccurred())
	scheme := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	cluster, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	// Two runs against one ledger never share an account.
	namespace = fmt.Sprintf("layers-e2e-%d", time.Now().Unix())
})
