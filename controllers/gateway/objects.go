package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/apply"
	"github.com/layers-dev/layers/controllers/desired"
	"github.com/layers-dev/layers/controllers/stores"
)

// step is one object: as it is to be, or nil where it is not to be there.
type step struct {
	live client.Object
	want runtime.ApplyConfiguration
}

// applyAll applies the objects in the order in which they need each other.
func (r *Reconciler) applyAll(ctx context.Context, s *scope) error {
	gw := s.gateway
	facts, err := r.facts(ctx, gw)
	if err != nil {
		return err
	}
	meta := metav1.ObjectMeta{Namespace: gw.Namespace, Name: desired.Name(gw.Name)}
	s.deployment.ObjectMeta = meta
	var errs []error
	for _, one := range []step{
		{&corev1.ServiceAccount{ObjectMeta: meta}, desired.ServiceAccount(gw)},
		{&rbacv1.Role{ObjectMeta: meta}, desired.Role(gw)},
		{&rbacv1.RoleBinding{ObjectMeta: meta}, desired.RoleBinding(gw)},
		{&corev1.Service{ObjectMeta: meta}, desired.Service(gw)},
		{&networkingv1.NetworkPolicy{ObjectMeta: meta}, desired.NetworkPolicy(gw, facts)},
		{&policyv1.PodDisruptionBudget{ObjectMeta: meta}, desired.PodDisruptionBudget(gw)},
	} {
		errs = append(errs, r.step(ctx, s, one))
	}
	errs = append(errs, r.deploy(ctx, s, facts))
	hpa := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: meta}
	errs = append(errs, r.step(ctx, s, step{hpa, desired.HorizontalPodAutoscaler(gw)}))
	return errors.Join(errs...)
}

// step applies or deletes one object, and notes what is in the way of it.
func (r *Reconciler) step(ctx context.Context, s *scope, one step) error {
	if reflect.ValueOf(one.want).IsNil() {
		return r.Applier.Gone(ctx, s.gateway, one.live)
	}
	err := r.Applier.Owned(ctx, s.gateway, one.live, one.want)
	if conflict := (*apply.NotOwnedError)(nil); errors.As(err, &conflict) {
		s.inTheWay = cmp.Or(s.inTheWay, conflict)
		return nil
	}
	if refusal := apierrors.APIStatus(nil); apierrors.IsInvalid(err) && errors.As(err, &refusal) {
		s.invalid = cmp.Or(s.invalid, refusal.Status().Message)
		return nil
	}
	return err
}

// deploy applies the Deployment once the ledger has the schema that its image needs; until then what runs goes on. An
// autoscaler owns the number of replicas: it is named when the Deployment is made, handed over, and named no more.
func (r *Reconciler) deploy(ctx context.Context, s *scope, facts desired.Facts) error {
	err := r.Client.Get(ctx, client.ObjectKeyFromObject(&s.deployment), &s.deployment)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading the Deployment: %w", err)
	}
	exists := err == nil
	if exists && !metav1.IsControlledBy(&s.deployment, s.gateway) {
		s.inTheWay = cmp.Or(s.inTheWay, &apply.NotOwnedError{Kind: "Deployment", Name: s.deployment.Name})
		s.deployment = appsv1.Deployment{}
		return nil
	}
	if s.waits, err = r.waits(ctx, s, &facts); err != nil || s.waits != "" {
		return err
	}
	facts.Unscaled = !exists
	if exists {
		if err := r.handover(ctx, s); err != nil {
			return err
		}
	}
	if err := r.step(ctx, s, step{s.deployment.DeepCopy(), desired.Deployment(s.gateway, facts)}); err != nil {
		return err
	}
	s.waits, err = r.lacks(ctx, s.gateway)
	return err
}

// waits says for which migration the Deployment waits; empty: for none, and facts name the one that is done.
func (r *Reconciler) waits(ctx context.Context, s *scope, facts *desired.Facts) (string, error) {
	name, err := r.Stores.Migration(ctx, s.gateway, *facts)
	if problem := (*stores.Problem)(nil); errors.As(err, &problem) {
		return problem.Message, nil
	}
	if err != nil || name == "" {
		return "", err
	}
	job, err := r.migration(ctx, s.gateway, name)
	if err != nil {
		return "", err
	}
	if !stores.Migrated(job, &s.deployment, name) {
		return fmt.Sprintf("Job %q has not migrated the ledger yet.", name), nil
	}
	facts.Migrated = name
	return "", nil
}

// lacks says what keeps the pods from starting, as far as it is seen here.
func (r *Reconciler) lacks(ctx context.Context, gw *v1alpha1.AIGateway) (string, error) {
	if gw.Spec.TLS == nil {
		return "", nil
	}
	name := client.ObjectKey{Namespace: gw.Namespace, Name: gw.Spec.TLS.SecretRef.Name}
	secret, err := r.Secrets.Get(ctx, name)
	switch {
	case err != nil:
		return "", err
	case secret == nil:
		return fmt.Sprintf("Secret %q does not exist.", name.Name), nil
	case len(secret.Data[corev1.TLSCertKey]) == 0 || len(secret.Data[corev1.TLSPrivateKeyKey]) == 0:
		return fmt.Sprintf("Secret %q has no certificate under %q and %q.", name.Name, corev1.TLSCertKey, corev1.TLSPrivateKeyKey), nil
	}
	return "", nil
}
