package e2e

import (
	"bytes"
	"context"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// mockName is the Service that the sample Provider's baseURL names, mockPort its port.
const (
	mockName = "mockprovider"
	mockPort = 8000
)

// sample reads one object of config/samples into the suite's namespace.
func sample[T client.Object](file string, into T) T {
	GinkgoHelper()
	b, err := os.ReadFile(filepath.Join(root, "config", "samples", file))
	Expect(err).NotTo(HaveOccurred())
	Expect(yaml.UnmarshalStrict(b, into)).To(Succeed(), file)
	into.SetNamespace(namespace)
	return into
}

// sampleSecrets reads the sample Secrets, with the stores' real URLs in them.
func sampleSecrets() []*corev1.Secret {
	GinkgoHelper()
	b, err := os.ReadFile(filepath.Join(root, "config", "samples", "secrets.yaml"))
	Expect(err).NotTo(HaveOccurred())
	var secrets []*corev1.Secret
	for _, doc := range bytes.Split(b, []byte("\n---\n")) {
		secret := &corev1.Secret{}
		Expect(yaml.UnmarshalStrict(doc, secret)).To(Succeed())
		secret.Namespace = namespace
		if secret.Name == "stores" {
			Expect(secret.StringData).To(And(HaveKey("redis"), HaveKey("ledger")))
			secret.StringData = map[string]string{"redis": given.redisURL, "ledger": given.ledgerURL}
		}
		secrets = append(secrets, secret)
	}
	return secrets
}

// keyOf reads the plain key that the operator made.
func keyOf(ctx context.Context, key *v1alpha1.APIKey) string {
	GinkgoHelper()
	var secret corev1.Secret
	Expect(cluster.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: key.Spec.Key.Generate.SecretName}, &secret)).To(Succeed())
	plain := string(secret.Data["api-key"])
	Expect(plain).To(HavePrefix("lyr_live_"))
	return plain
}

// sampleGateway is the sample AIGateway, smaller and quicker to end.
func sampleGateway() *v1alpha1.AIGateway {
	GinkgoHelper()
	gateway := sample("aigateway.yaml", &v1alpha1.AIGateway{})
	one, second, minute := int32(1), int32(1), int32(60)
	gateway.Spec.Deployment.Replicas = &one
	gateway.Spec.Drain = v1alpha1.GatewayDrain{DelaySeconds: &second, TimeoutSeconds: &minute}
	return gateway
}

// mockProvider is the provider that the samples speak to.
func mockProvider() []client.Object {
	labels := map[string]string{"app": mockName}
	at := metav1.ObjectMeta{Namespace: namespace, Name: mockName, Labels: labels}
	return []client.Object{
		&appsv1.Deployment{ObjectMeta: at, Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					Containers: []corev1.Container{{
						Name: mockName, Image: given.mockImage, ImagePullPolicy: corev1.PullIfNotPresent,
						Args: []string{"--listen=:8080"},
						ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
							HTTPGet: &corev1.HTTPGetAction{Path: "/v1/models", Port: intstr.FromInt32(8080)},
						}},
					}},
				},
			},
		}},
		&corev1.Service{ObjectMeta: at, Spec: corev1.ServiceSpec{
			Selector: labels,
			Ports:    []corev1.ServicePort{{Port: mockPort, TargetPort: intstr.FromInt32(8080)}},
		}},
	}
}
