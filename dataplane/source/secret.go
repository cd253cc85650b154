package source

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Secret follows the snapshot Secret through the API server, by name: a change is live in well under a second, where
// the mount takes a minute. A deleted Secret changes nothing, and an API server that is down is only logged.
type Secret struct {
	Client          kubernetes.Interface
	Namespace, Name string
	// Holder takes what is read.
	Holder *Holder
}

// Run follows the Secret until ctx ends. An error means that it could not be set up.
func (s *Secret) Run(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(s.Client, 0,
		informers.WithNamespace(s.Namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, s.Name).String()
		}))
	informer := factory.Core().V1().Secrets().Informer()
	if err := informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		s.Holder.Fail("secret", err)
	}); err != nil {
		return fmt.Errorf("watching snapshot secret: %w", err)
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    s.offer,
		UpdateFunc: func(_, next any) { s.offer(next) },
	}); err != nil {
		return fmt.Errorf("watching snapshot secret: %w", err)
	}
	factory.StartWithContext(ctx)
	<-ctx.Done()
	factory.Shutdown()
	return nil
}

func (s *Secret) offer(obj any) {
	secret, ok := obj.(*corev1.Secret)
	if !ok || secret.Name != s.Name {
		return
	}
	b, ok := secret.Data[snapshot.SecretDataKey]
	if !ok {
		s.Holder.Fail("secret", fmt.Errorf("secret %s/%s has no %s", s.Namespace, s.Name, snapshot.SecretDataKey))
		return
	}
	_ = s.Holder.OfferBytes("secret", b) // the holder logs and counts
}
