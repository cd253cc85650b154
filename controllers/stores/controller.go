package stores

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/index"
	"github.com/layers-dev/layers/controllers/status"
)

// +kubebuilder:rbac:groups=layers.dev,resources=aigateways,verbs=get;list;watch
// +kubebuilder:rbac:groups=layers.dev,resources=aigateways/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch

// How soon the stores are looked at again.
const (
	againWell = 30 * time.Second
	againIll  = 3 * time.Second
)

// Reconciler opens each gateway's stores and says StoresReady.
type Reconciler struct {
	Client client.Client
	Cache  *Cache
	Status *status.Writer
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, opts controller.Options) error {
	if r.Client == nil || r.Cache == nil || r.Status == nil {
		return errors.New("stores controller: client, cache and status writer are required")
	}
	err := ctrl.NewControllerManagedBy(mgr).Named("stores").WithOptions(opts).
		For(&v1alpha1.AIGateway{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.secretUsers)).
		Complete(r)
	if err != nil {
		return fmt.Errorf("setting up the stores controller: %w", err)
	}
	return nil
}

// secretUsers wakes the gateways that take a URL from the Secret.
func (r *Reconciler) secretUsers(ctx context.Context, secret client.Object) []reconcile.Request {
	var users v1alpha1.AIGatewayList
	err := r.Client.List(ctx, &users, client.InNamespace(secret.GetNamespace()),
		client.MatchingFields{index.GatewaySecret: secret.GetName()})
	if err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range users.Items {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&users.Items[i])})
	}
	return out
}

// Reconcile opens or checks the stores of one gateway.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	gw := &v1alpha1.AIGateway{}
	if err := r.Client.Get(ctx, req.NamespacedName, gw); err != nil {
		if client.IgnoreNotFound(err) == nil {
			r.Cache.Forget(req.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	stores, err := r.Cache.Get(ctx, gw)
	if err == nil && stores != nil {
		err = stores.Check(ctx)
	}
	problem := (*Problem)(nil)
	if err != nil && !errors.As(err, &problem) {
		return ctrl.Result{}, err
	}
	result := ctrl.Result{RequeueAfter: againWell}
	switch {
	case problem != nil:
		log.FromContext(ctx).Info("Stores are not ready", "reason", problem.Reason, "error", problem.Error())
		result.RequeueAfter = againIll
	case stores == nil:
		result.RequeueAfter = 0
	}
	return result, r.Status.Write(ctx, status.Change{Object: gw, Conditions: []metav1.Condition{ready(stores, problem)}})
}

func ready(stores *Stores, problem *Problem) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionStoresReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAvailable}
	switch {
	case problem != nil:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, problem.Reason, problem.Message
	case stores == nil:
		c.Message = "Mode Demo needs no stores."
	default:
		c.Message = "Redis and the ledger answer."
	}
	return c
}
