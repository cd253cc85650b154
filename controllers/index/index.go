// Package index holds the field indexes of the manager's cache: the one place that says which object is found by what.
package index

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// Names of the indexes. A value is looked up within one namespace.
const (
	// ProviderSecret finds Providers by the name of their credential's Secret.
	ProviderSecret = "provider.secret"
	// GatewaySecret finds AIGateways by the names of their stores' Secrets.
	GatewaySecret = "aigateway.secret"
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
	for _, store := range []*v1alpha1.GatewayStore{gw.Spec.Redis, gw.Spec.Ledger} {
		if store != nil {
			names = append(names, store.URLSecretRef.Name)
		}
	}
	return names
}

func keyClaim(obj client.Object) []string {
	k, ok := obj.(*v1alpha1.APIKey)
	if !ok {
		return nil
	}
	return []string{KeyClaimOf(k)}
}

// KeyClaimOf is what an APIKey claims for itself: its digest, or the Secret that it is generated into. The value carries
// which of both, so that a Secret named like a digest wakes nobody.
func KeyClaimOf(k *v1alpha1.APIKey) string {
	if g := k.Spec.Key.Generate; g != nil {
		return "secret/" + g.SecretName
	}
	return "sha256/" + k.Spec.Key.SHA256
}
