// Package programmed asks the ready replicas of each gateway which snapshot they run, and says Programmed: of Providers,
// Models, Tiers and CreditPolicies once for each generation, of AIGateways always as it is now. The replicas' answers also
// say which stores they reach: StoresReachable.
package programmed

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/apply"
	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/controllers/desired"
	"github.com/layers-dev/layers/controllers/secrets"
	"github.com/layers-dev/layers/controllers/status"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// +kubebuilder:rbac:groups=layers.dev,resources=aigateways;providers;models;tiers;creditpolicies,verbs=get;list;watch
// +kubebuilder:rbac:groups=layers.dev,resources=aigateways/status;providers/status;models/status;tiers/status;creditpolicies/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=list;watch

const (
	// pollMin is how often the replicas are asked while someone waits, pollMax how seldom after a long wait, and while one of
	// them does not reach a store.
	pollMin = 200 * time.Millisecond
	pollMax = 5 * time.Second
	// pollIdle is how often they are asked when all is well: pods and snapshots wake the controller before that.
	pollIdle = 30 * time.Second
)

// Reconciler says Programmed. A request names a namespace.
type Reconciler struct {
	Client  client.Client
	Secrets *secrets.Reader
	Status  *status.Writer
	Prober  Prober
	// Now is the clock.
	Now func() time.Time

	mu sync.Mutex
	// histories by namespace and the gateway's UID.
	histories map[string]map[types.UID]*history
	waiting   map[string]waiting
}

// waiting is since when a namespace has waited, and for what.
type waiting struct {
	since time.Time
	what  string
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, opts controller.Options) error {
	if r.Client == nil || r.Secrets == nil || r.Status == nil || r.Prober == nil || r.Now == nil {
		return errors.New("programmed controller: client, secrets, status writer, prober and clock are required")
	}
	b := ctrl.NewControllerManagedBy(mgr).Named("programmed").WithOptions(opts).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(snapshotNamespace)).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(namespaceOf)).
		Watches(&appsv1.Deployment{}, handler.EnqueueRequestsFromMapFunc(namespaceOf),
			builder.WithPredicates(predicate.AnnotationChangedPredicate{})).
		Watches(&v1alpha1.AIGateway{}, handler.EnqueueRequestsFromMapFunc(namespaceOf),
			builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.Predicate(storesLookedAt()))))
	for _, kind := range []client.Object{
		&v1alpha1.Provider{}, &v1alpha1.Model{}, &v1alpha1.Tier{}, &v1alpha1.CreditPolicy{},
	} {
		b = b.Watches(kind, handler.EnqueueRequestsFromMapFunc(namespaceOf),
			builder.WithPredicates(predicate.GenerationChangedPredicate{}))
	}
	if err := b.Complete(apply.Quietly(r)); err != nil {
		return fmt.Errorf("setting up the programmed controller: %w", err)
	}
	return nil
}

// storesLookedAt passes a change of what StoresReady says, or of the generation that it says it of.
func storesLookedAt() predicate.Funcs {
	said := func(obj client.Object) metav1.Condition {
		gw, ok := obj.(*v1alpha1.AIGateway)
		if !ok {
			return metav1.Condition{}
		}
		c := meta.FindStatusCondition(gw.Status.Conditions, v1alpha1.ConditionStoresReady)
		if c == nil {
			return metav1.Condition{}
		}
		return metav1.Condition{Status: c.Status, Reason: c.Reason, Message: c.Message, ObservedGeneration: c.ObservedGeneration}
	}
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool { return said(e.ObjectOld) != said(e.ObjectNew) }}
}

func namespaceOf(_ context.Context, obj client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: obj.GetNamespace()}}}
}

func snapshotNamespace(ctx context.Context, secret client.Object) []reconcile.Request {
	if owner := metav1.GetControllerOf(secret); owner != nil && owner.Kind == compile.KindAIGateway {
		return namespaceOf(ctx, secret)
	}
	return nil
}

// Reconcile asks the replicas of one namespace and writes what follows.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	w, err := r.load(ctx, req.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	states, err := r.states(ctx, w, r.keep(req.Name, w.gateways.Items))
	if err != nil {
		return ctrl.Result{}, err
	}
	var errs []error
	saw := looked{gateways: len(states)}
	for _, s := range states {
		saw.add(s)
		errs = append(errs, r.Status.Write(ctx, status.Change{
			Object: s.gateway, Conditions: []metav1.Condition{s.programmed(compile.KindAIGateway, w.defaults(s.gateway)), s.reachable()},
			Fields: map[string]any{"replicas": map[string]any{"current": int64(s.current())}},
		}))
	}
	for _, obj := range w.objects() {
		c := w.programmed(obj, states)
		errs = append(errs, r.Status.Write(ctx, status.Change{Object: obj.object, Conditions: []metav1.Condition{c}}))
	}
	return ctrl.Result{RequeueAfter: r.next(req.Name, saw)}, errors.Join(errs...)
}

// looked is what one look at the gateways of a namespace saw.
type looked struct {
	// wait says that a replica does not run what is published, degraded that one does not reach a store.
	wait, degraded bool
	published      string
	gateways       int
}

func (l *looked) add(s *state) {
	l.wait = l.wait || s.current() < len(s.acks) // what is not published yet wakes us when it is
	redis, ledger := s.degraded()
	l.degraded = l.degraded || redis || ledger
	l.published += s.hash + " "
}

// next is when to ask again: soon after a publication, ever more slowly when replicas stay behind.
func (r *Reconciler) next(namespace string, saw looked) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !saw.wait {
		delete(r.waiting, namespace)
		switch {
		case saw.gateways == 0:
			return 0
		case saw.degraded:
			return pollMax
		}
		return pollIdle
	}
	if r.waiting == nil {
		r.waiting = map[string]waiting{}
	}
	now := r.Now()
	if w, found := r.waiting[namespace]; !found || w.what != saw.published {
		r.waiting[namespace] = waiting{since: now, what: saw.published}
	}
	return min(max(now.Sub(r.waiting[namespace].since)/10, pollMin), pollMax)
}

// states reads what is published and asks the ready replicas, for each gateway of the namespace.
func (r *Reconciler) states(ctx context.Context, w *world, histories map[types.UID]*history) ([]*state, error) {
	var states []*state
	for i := range w.gateways.Items {
		gw := &w.gateways.Items[i]
		s, err := r.state(ctx, gw, histories[gw.UID])
		if err != nil {
			return nil, err
		}
		states = append(states, s)
	}
	return states, nil
}

func (r *Reconciler) state(ctx context.Context, gw *v1alpha1.AIGateway, h *history) (*state, error) {
	s := &state{gateway: gw, history: h}
	secret, err := r.Secrets.Get(ctx, types.NamespacedName{Namespace: gw.Namespace, Name: desired.SnapshotName(gw.Name)})
	if err != nil {
		return nil, err
	}
	if secret == nil || !metav1.IsControlledBy(secret, gw) {
		return s, nil
	}
	published, err := snapshot.Decode(secret.Data[snapshot.SecretDataKey])
	if err != nil {
		return s, nil // the publisher writes it anew
	}
	s.hash = published.Hash
	s.history.add(published)
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, client.InNamespace(gw.Namespace), client.MatchingLabels(desired.Selector(gw.Name))); err != nil {
		return nil, fmt.Errorf("listing the replicas of AIGateway %q: %w", gw.Name, err)
	}
	s.acks = askAll(ctx, r.Prober, ready(pods.Items), published.AckToken)
	s.applied, err = r.applied(ctx, gw)
	return s, err
}

// applied says whether the gateway's Deployment was applied for the present generation.
func (r *Reconciler) applied(ctx context.Context, gw *v1alpha1.AIGateway) (bool, error) {
	d := &appsv1.Deployment{}
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: gw.Namespace, Name: desired.Name(gw.Name)}, d)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("reading the Deployment of AIGateway %q: %w", gw.Name, err)
	}
	return metav1.IsControlledBy(d, gw) && d.Annotations[desired.AnnotationGeneration] == strconv.FormatInt(gw.Generation, 10), nil
}

// keep answers the histories of the namespace's gateways, and forgets those of gateways that are gone.
func (r *Reconciler) keep(namespace string, gateways []v1alpha1.AIGateway) map[types.UID]*history {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := map[types.UID]*history{}
	for i := range gateways {
		uid := gateways[i].UID
		if kept[uid] = r.histories[namespace][uid]; kept[uid] == nil {
			kept[uid] = &history{}
		}
	}
	if r.histories == nil {
		r.histories = map[string]map[types.UID]*history{}
	}
	if r.histories[namespace] = kept; len(kept) == 0 {
		delete(r.histories, namespace)
	}
	return kept
}

// stays says whether an object is programmed already in this generation.
func stays(obj client.Object) *metav1.Condition {
	c := meta.FindStatusCondition(status.Conditions(obj), v1alpha1.ConditionProgrammed)
	if c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == obj.GetGeneration() {
		return c
	}
	return nil
}
