package index

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// SecretUsers wakes the gateways that take a URL or a certificate from a Secret.
func SecretUsers(reader client.Reader) handler.MapFunc {
	return func(ctx context.Context, secret client.Object) []reconcile.Request {
		var users v1alpha1.AIGatewayList
		err := reader.List(ctx, &users, client.InNamespace(secret.GetNamespace()),
			client.MatchingFields{GatewaySecret: secret.GetName()})
		if err != nil {
			return nil
		}
		var out []reconcile.Request
		for i := range users.Items {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&users.Items[i])})
		}
		return out
	}
}
