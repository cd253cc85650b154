// Package index holds the field indexes of the manager's cache: the one place that says which object is found by what.
package index

import (
	"context"
	"fmt"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// Names of the indexes. A value is looked up within one namespace unless it says otherwise.
const (
	// ProviderSecret finds Providers by the name of their credential's Secret.
	ProviderSecret = "provider.secret"
	// GatewaySecret finds AIGateways by the names of the Secrets that they take stores' URLs and certificates from.
	GatewaySecret = "aigateway.secret"
	// KeyGatewayNamespace finds APIKeys, in any namespace, by the namespace of the gateway that they belong to.
	KeyGatewayNamespace = "apikey.gateway-namespace"
	// KeyClaim finds APIKeys by what two of them cannot share (see KeyClaimOf).
	KeyClaim = "apikey.claim"
)

// Setup registers the indexes.
func Setup(ctx context.Context, indexer client.FieldIndexer) error {
	for _, i := range []struct {
		object  client.Object
		name    string
		extract client.IndexerFunc
	}{
		{&v1alpha1.Provider{}, ProviderSecret, providerSecret},
		{&v1alpha1.AIGateway{}, GatewaySecret, gatewaySecret},
		{&v1alpha1.APIKey{}, KeyGatewayNamespace, keyGatewayNamespace},
		{&v1alpha1.APIKey{}, KeyClaim, keyClaim},
	} {
		if err := indexer.IndexField(ctx, i.object, i.name, i.extract); err != nil {
			return fmt.Errorf("registering index %s: %w", i.name, err)
		}
	}
	return nil
}

func providerSecret(obj client.Object) []string {
	p, ok := obj.(*v1alpha1.Provider)
	if !ok || p.Spec.Auth == nil {
		return nil
	}
	return []string{p.Spec.Auth.SecretRef.Name}
}

func gatewaySecret(obj client.Object) []string {
	gw, ok := obj.(*v1alpha1.AIGateway)
	if !ok {
		return nil
	}
	var names []string
	if gw.Spec.Redis != nil {
		names = append(names, gw.Spec.Redis.URLSecretRef.Name)
	}
	if l := gw.Spec.Ledger; l != nil {
		names = append(names, l.URLSecretRef.Name)
		if l.AdminURLSecretRef != nil {
			names = append(names, l.AdminURLSecretRef.Name)
		}
	}
	if gw.Spec.TLS != nil {
		names = append(names, gw.Spec.TLS.SecretRef.Name)
	}
	return names
}

func keyGatewayNamespace(obj client.Object) []string {
	k, ok := obj.(*v1alpha1.APIKey)
	if !ok {
		return nil
	}
	return []string{GatewayNamespaceOf(k)}
}

// GatewayNamespaceOf is the namespace of the gateway that an APIKey names, or means by naming none.
func GatewayNamespaceOf(k *v1alpha1.APIKey) string {
	if ref := k.Spec.GatewayRef; ref != nil && ref.Namespace != "" {
		return ref.Namespace
	}
	return k.Namespace
}

func keyClaim(obj client.Object) []string {
	k, ok := obj.(*v1alpha1.APIKey)
	if !ok {
		return nil
	}
	return []string{KeyClaimOf(k)}
}

// ClaimsSecret says whether a value of KeyClaim is that of a Secret, which is claimed within its namespace.
func ClaimsSecret(value string) bool { return strings.HasPrefix(value, claimSecret) }

// claimSecret begins the claim of a Secret.
const claimSecret = "secret/"

// KeyClaimOf is what an APIKey claims for itself: its digest, or the Secret that it is generated into. The value carries
// which of both, so that a Secret named like a digest wakes nobody.
func KeyClaimOf(k *v1alpha1.APIKey) string {
	if g := k.Spec.Key.Generate; g != nil {
		return claimSecret + g.SecretName
	}
	return "sha256/" + k.Spec.Key.SHA256
}
