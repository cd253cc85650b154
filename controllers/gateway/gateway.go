// Package gateway makes the cluster objects of each AIGateway: ServiceAccount, Role, RoleBinding, Service, Deployment. It
// says Available, the replicas wanted and ready, and the address; what they serve is for other controllers.
package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/apply"
	"github.com/layers-dev/layers/controllers/desired"
	"github.com/layers-dev/layers/controllers/status"
)

// +kubebuilder:rbac:groups=layers.dev,resources=aigateways,verbs=get;list;watch
// +kubebuilder:rbac:groups=layers.dev,resources=aigateways/status,verbs=patch
// +kubebuilder:rbac:groups=layers.dev,resources=aigateways/finalizers,verbs=update
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=services;serviceaccounts,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=roles;rolebindings,verbs=get;list;watch;create;patch

// Reconciler reconciles AIGateways.
type Reconciler struct {
	Client  client.Client
	Applier *apply.Applier
	Status  *status.Writer
	Facts   desired.Facts
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, opts controller.Options) error {
	if r.Client == nil || r.Applier == nil || r.Status == nil || r.Facts.Image == "" {
		return errors.New("gateway controller: client, applier, status writer and image are required")
	}
	err := ctrl.NewControllerManagedBy(mgr).Named("gateway").WithOptions(opts).
		For(&v1alpha1.AIGateway{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&appsv1.Deployment{}).
		Owns(&corev1.Service{}).
		Owns(&corev1.ServiceAccount{}).
		Owns(&rbacv1.Role{}).
		Owns(&rbacv1.RoleBinding{}).
		Complete(r)
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

// applyAll applies the objects in the order in which they need each other.
func (r *Reconciler) applyAll(ctx context.Context, s *scope) error {
	gw := s.gateway
	meta := metav1.ObjectMeta{Namespace: gw.Namespace, Name: desired.Name(gw.Name)}
	s.deployment.ObjectMeta = meta
	steps := []struct {
		live client.Object
		want runtime.ApplyConfiguration
	}{
		{&corev1.ServiceAccount{ObjectMeta: meta}, desired.ServiceAccount(gw)},
		{&rbacv1.Role{ObjectMeta: meta}, desired.Role(gw)},
		{&rbacv1.RoleBinding{ObjectMeta: meta}, desired.RoleBinding(gw)},
		{&corev1.Service{ObjectMeta: meta}, desired.Service(gw)},
		{&s.deployment, desired.Deployment(gw, r.Facts)},
	}
	var errs []error
	for _, step := range steps {
		err := r.Applier.Owned(ctx, gw, step.live, step.want)
		if conflict := (*apply.NotOwnedError)(nil); errors.As(err, &conflict) {
			s.inTheWay = cmp.Or(s.inTheWay, conflict)
			continue
		}
		if refusal := apierrors.APIStatus(nil); apierrors.IsInvalid(err) && errors.As(err, &refusal) {
			s.invalid = cmp.Or(s.invalid, refusal.Status().Message)
			continue
		}
		errs = append(errs, err)
	}
	if !metav1.IsControlledBy(&s.deployment, gw) {
		s.deployment = appsv1.Deployment{}
	}
	return errors.Join(errs...)
}

// report is the status of what the phases saw.
func report(s *scope) status.Change {
	return status.Change{
		Object:     s.gateway,
		Conditions: []metav1.Condition{available(s)},
		Fields: map[string]any{
			"address": desired.Address(s.gateway),
			"replicas": map[string]any{
				"desired": int64(desired.Replicas(s.gateway)),
				"ready":   int64(s.deployment.Status.ReadyReplicas),
			},
		},
	}
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
	default:
		c.Reason, c.Message = v1alpha1.ReasonNoReadyReplicas, "No replica is ready."
	}
	return c
}
