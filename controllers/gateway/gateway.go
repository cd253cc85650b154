// Package gateway makes the cluster objects of each AIGateway: ServiceAccount, Role, RoleBinding, Service, NetworkPolicy,
// Deployment, HorizontalPodAutoscaler, PodDisruptionBudget; and takes away those that are no longer wanted. It says
// Available, the replicas wanted and ready, and the address; what they serve is for other controllers.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/apply"
	"github.com/layers-dev/layers/controllers/desired"
	"github.com/layers-dev/layers/controllers/index"
	"github.com/layers-dev/layers/controllers/secrets"
	"github.com/layers-dev/layers/controllers/status"
	"github.com/layers-dev/layers/controllers/stores"
)

// +kubebuilder:rbac:groups=layers.dev,resources=aigateways;providers,verbs=get;list;watch
// +kubebuilder:rbac:groups=layers.dev,resources=aigateways/status,verbs=patch
// +kubebuilder:rbac:groups=layers.dev,resources=aigateways/finalizers,verbs=update
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=autoscaling,resources=horizontalpodautoscalers,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=services;serviceaccounts,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=roles;rolebindings,verbs=get;list;watch;create;patch

// Reconciler reconciles AIGateways.
type Reconciler struct {
	Client  client.Client
	Applier *apply.Applier
	Secrets *secrets.Reader
	// Stores says which migration a Deployment waits for, and which ports the stores have.
	Stores *stores.Cache
	Status *status.Writer
	Facts  desired.Facts

	mu sync.Mutex
	// handedOver are the Deployments whose number of replicas this process knows to be the autoscaler's.
	handedOver map[types.UID]bool
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, opts controller.Options) error {
	if r.Client == nil || r.Applier == nil || r.Secrets == nil || r.Stores == nil || r.Status == nil || r.Facts.Image == "" {
		return errors.New("gateway controller: client, applier, secrets, stores, status writer and image are required")
	}
	err := ctrl.NewControllerManagedBy(mgr).Named("gateway").WithOptions(opts).
		For(&v1alpha1.AIGateway{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&appsv1.Deployment{}).
		Owns(&corev1.Service{}).
		Owns(&corev1.ServiceAccount{}).
		Owns(&rbacv1.Role{}).
		Owns(&rbacv1.RoleBinding{}).
		Owns(&autoscalingv2.HorizontalPodAutoscaler{}).
		Owns(&policyv1.PodDisruptionBudget{}).
		Owns(&networkingv1.NetworkPolicy{}).
		Owns(&batchv1.Job{}).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(index.SecretUsers(r.Client))).
		Watches(&v1alpha1.Provider{}, handler.EnqueueRequestsFromMapFunc(r.neighbours), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Complete(apply.Quietly(r))
	if err != nil {
		return fmt.Errorf("setting up the gateway controller: %w", err)
	}
	return nil
}

// scope is one reconcile: the gateway, and what its phases saw.
type scope struct {
	gateway *v1alpha1.AIGateway
	// deployment as it was last seen; empty if there is none or it is not ours.
	deployment appsv1.Deployment
	// inTheWay is the first object that is not ours.
	inTheWay *apply.NotOwnedError
	// invalid is what the API server says of the first object that it refuses; trying again would not help.
	invalid string
	// waits says why there is no new Deployment yet.
	waits string
}

// Reconcile applies everything that the gateway needs and says how far it is. One object that cannot be applied does not
// stop the others.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	s := &scope{gateway: &v1alpha1.AIGateway{}}
	if err := r.Client.Get(ctx, req.NamespacedName, s.gateway); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !s.gateway.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	err := r.applyAll(ctx, s)
	return ctrl.Result{}, errors.Join(err, r.Status.Write(ctx, report(s)))
}

// report is the status of what the phases saw.
func report(s *scope) status.Change {
	return status.Change{
		Object:     s.gateway,
		Conditions: []metav1.Condition{available(s)},
		Fields: map[string]any{
			"address":  desired.Address(s.gateway),
			"selector": desired.SelectorText(s.gateway.Name),
			"replicas": map[string]any{
				"desired": int64(wanted(s)),
				"ready":   int64(s.deployment.Status.ReadyReplicas),
			},
		},
	}
}

// wanted is the number of replicas that the autoscaler has set, where there is one; else the spec's.
func wanted(s *scope) int32 {
	if n := s.deployment.Spec.Replicas; n != nil && desired.Autoscaled(s.gateway) {
		return *n
	}
	return desired.Replicas(s.gateway)
}

func available(s *scope) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionFalse}
	switch {
	case s.inTheWay != nil:
		c.Reason, c.Message = v1alpha1.ReasonNotOwned, s.inTheWay.Error()+"."
	case s.invalid != "":
		c.Reason, c.Message = v1alpha1.ReasonInvalid, s.invalid+"."
	case s.deployment.Status.ReadyReplicas > 0:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonAvailable, "At least one replica is ready."
	case s.waits != "":
		c.Reason, c.Message = v1alpha1.ReasonNoReadyReplicas, "No replica is ready: "+s.waits
	default:
		c.Reason, c.Message = v1alpha1.ReasonNoReadyReplicas, "No replica is ready."
	}
	return c
}
