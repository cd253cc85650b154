package index

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
)

func TestExtractors(t *testing.T) {
	ref := v1alpha1.SecretKeyRef{Name: "stores", Key: "url"}
	for name, tc := range map[string]struct {
		extract client.IndexerFunc
		object  client.Object
		want    []string
	}{
		"provider without auth": {providerSecret, &v1alpha1.Provider{}, nil},
		"provider": {providerSecret, &v1alpha1.Provider{Spec: v1alpha1.ProviderSpec{
			Auth: &v1alpha1.ProviderAuth{SecretRef: v1alpha1.SecretKeyRef{Name: "openai"}}}}, []string{"openai"}},
		"demo gateway": {gatewaySecret, &v1alpha1.AIGateway{}, nil},
		"live gateway": {gatewaySecret, &v1alpha1.AIGateway{Spec: v1alpha1.AIGatewaySpec{
			Redis: &v1alpha1.GatewayRedis{URLSecretRef: ref}, Ledger: &v1alpha1.GatewayLedger{URLSecretRef: ref}}}, []string{"stores", "stores"}},
		"gateway with an administrator and a certificate": {gatewaySecret, &v1alpha1.AIGateway{Spec: v1alpha1.AIGatewaySpec{
			Ledger: &v1alpha1.GatewayLedger{URLSecretRef: ref, AdminURLSecretRef: &v1alpha1.SecretKeyRef{Name: "admin"}},
			TLS:    &v1alpha1.GatewayTLS{SecretRef: v1alpha1.LocalRef{Name: "cert"}}}}, []string{"stores", "admin", "cert"}},
		"key of its own namespace": {keyGatewayNamespace, &v1alpha1.APIKey{ObjectMeta: metav1.ObjectMeta{Namespace: "team"}}, []string{"team"}},
		"key of another": {keyGatewayNamespace, &v1alpha1.APIKey{ObjectMeta: metav1.ObjectMeta{Namespace: "team"},
			Spec: v1alpha1.APIKeySpec{GatewayRef: &v1alpha1.GatewayRef{Name: "main", Namespace: "ai"}}}, []string{"ai"}},
		"digest": {keyClaim, &v1alpha1.APIKey{Spec: v1alpha1.APIKeySpec{
			Key: v1alpha1.KeySource{SHA256: "ab"}}}, []string{"sha256/ab"}},
		"generated": {keyClaim, &v1alpha1.APIKey{Spec: v1alpha1.APIKeySpec{
			Key: v1alpha1.KeySource{Generate: &v1alpha1.KeyGenerate{SecretName: "ab"}}}}, []string{"secret/ab"}},
		"another kind": {keyClaim, &v1alpha1.Tier{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.extract(tc.object)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
