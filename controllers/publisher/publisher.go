// Package publisher compiles the objects of a namespace into one snapshot Secret for each of its AIGateways, and says of
// Providers, Models, Tiers, CreditPolicies and AIGateways what is wrong with them. One bad object blocks no other.
package publisher

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/apply"
	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/controllers/index"
	"github.com/layers-dev/layers/controllers/secrets"
	"github.com/layers-dev/layers/controllers/status"
)

// +kubebuilder:rbac:groups=layers.dev,resources=aigateways;providers;models;tiers;creditpolicies;apikeys,verbs=get;list;watch
// +kubebuilder:rbac:groups=layers.dev,resources=aigateways/status;providers/status;models/status;tiers/status;creditpolicies/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch;create;patch

// minInterval is the least time between two publications of one namespace.
const minInterval = 200 * time.Millisecond

// Reconciler publishes. A request names a namespace: its objects share their conditions and their claims.
type Reconciler struct {
	Client  client.Client
	Secrets *secrets.Reader
	Status  *status.Writer
	// Now is the clock.
	Now func() time.Time
	// Token makes the bearer token of a gateway's acknowledgement port.
	Token func() (string, error)
	// MaxBytes bounds an encoded snapshot; 0: what a Secret may hold.
	MaxBytes int

	mu   sync.Mutex
	last map[string]time.Time
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, opts controller.Options) error {
	if r.Client == nil || r.Secrets == nil || r.Status == nil || r.Now == nil || r.Token == nil {
		return errors.New("publisher: client, secrets, status writer, clock and token are required")
	}
	b := ctrl.NewControllerManagedBy(mgr).Named("publisher").WithOptions(opts).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.secretUsers))
	for _, kind := range []client.Object{
		&v1alpha1.AIGateway{}, &v1alpha1.Provider{}, &v1alpha1.Model{},
		&v1alpha1.Tier{}, &v1alpha1.CreditPolicy{},
	} {
		b = b.Watches(kind, handler.EnqueueRequestsFromMapFunc(namespaceOf),
			builder.WithPredicates(predicate.GenerationChangedPredicate{}))
	}
	b = b.Watches(&v1alpha1.APIKey{}, handler.EnqueueRequestsFromMapFunc(gatewayNamespaceOf),
		builder.WithPredicates(predicate.GenerationChangedPredicate{}))
	if err := b.Complete(apply.Quietly(r)); err != nil {
		return fmt.Errorf("setting up the publisher: %w", err)
	}
	return nil
}

func namespaceOf(_ context.Context, obj client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: obj.GetNamespace()}}}
}

// gatewayNamespaceOf wakes the namespace of a key's gateway, which counts its keys.
func gatewayNamespaceOf(_ context.Context, obj client.Object) []reconcile.Request {
	key, ok := obj.(*v1alpha1.APIKey)
	if !ok {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: index.GatewayNamespaceOf(key)}}}
}

// secretUsers wakes the namespace of a Secret that a Provider names or that holds a snapshot. A Secret's generation does
// not move, so that every change of a Secret comes here.
func (r *Reconciler) secretUsers(ctx context.Context, secret client.Object) []reconcile.Request {
	if owner := metav1.GetControllerOf(secret); owner != nil && owner.Kind == compile.KindAIGateway {
		return namespaceOf(ctx, secret)
	}
	var users v1alpha1.ProviderList
	err := r.Client.List(ctx, &users, client.InNamespace(secret.GetNamespace()),
		client.MatchingFields{index.ProviderSecret: secret.GetName()}, client.Limit(1))
	if err != nil || len(users.Items) == 0 {
		return nil
	}
	return namespaceOf(ctx, secret)
}

// Reconcile compiles one namespace, publishes what changed and writes the conditions.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if wait := r.wait(req.Name); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	w, err := r.load(ctx, req.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	said := verdicts{}
	var errs []error
	for i := range w.gateways.Items {
		errs = append(errs, r.gateway(ctx, w, &w.gateways.Items[i], said))
	}
	if len(w.gateways.Items) == 0 {
		// Compiled for no gateway, the objects are still told what they lack.
		out := compile.Compile(w.input(&v1alpha1.AIGateway{ObjectMeta: metav1.ObjectMeta{Namespace: req.Name}}))
		said.add(out)
	}
	for key, obj := range w.objects() {
		errs = append(errs, r.Status.Write(ctx, status.Change{Object: obj, Conditions: said.of(key), Observed: true}))
	}
	return ctrl.Result{}, errors.Join(errs...)
}

// wait answers how long this namespace has to wait for its turn; 0 takes the turn.
func (r *Reconciler) wait(namespace string) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last = map[string]time.Time{}
	}
	now := r.Now()
	if wait := minInterval - now.Sub(r.last[namespace]); wait > 0 {
		return wait
	}
	r.last[namespace] = now
	return 0
}

// gateway publishes for one gateway and writes its status, whatever happened.
func (r *Reconciler) gateway(ctx context.Context, w *world, gw *v1alpha1.AIGateway, said verdicts) error {
	out := compile.Compile(w.input(gw))
	said.add(out)
	self := compile.ObjectKey{Kind: compile.KindAIGateway, Namespace: gw.Namespace, Name: gw.Name}
	hash, left, err := r.publish(ctx, gw, out.Snapshot)
	conflict := (*apply.NotOwnedError)(nil)
	switch {
	case errors.As(err, &conflict):
		said.refuse(self, v1alpha1.ReasonNotOwned, conflict.Error()+".")
		err = nil
	case errors.Is(err, errTooLarge):
		said.refuse(self, v1alpha1.ReasonSnapshotTooLarge, "The snapshot would exceed 1 MiB even without models; nothing is published.")
		err = nil
	case err == nil && len(left) > 0:
		said.refuse(self, v1alpha1.ReasonSnapshotTooLarge, "The snapshot would exceed 1 MiB; the youngest models are left out.")
	}
	for _, m := range left {
		said.refuse(modelKey(m), v1alpha1.ReasonSnapshotTooLarge, fmt.Sprintf("The snapshot of AIGateway %q would exceed 1 MiB with this model.", gw.Name))
	}
	models := int64(len(out.Snapshot.Models))
	if hash == "" { // nothing was published now: what was before still is
		hash, models = gw.Status.SnapshotHash, int64(gw.Status.Attached.Models)
	}
	fields := map[string]any{"attached": map[string]any{
		"models":  models,
		"apiKeys": int64(w.attachedKeys(gw.Name)),
	}}
	if hash != "" {
		fields["snapshotHash"] = hash
	}
	return errors.Join(err, r.Status.Write(ctx, status.Change{
		Object: gw, Conditions: said.of(self), Fields: fields, Observed: true,
	}))
}
