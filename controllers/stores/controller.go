package stores

import (
	"context"
	"errors"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/apply"
	"github.com/layers-dev/layers/controllers/desired"
	"github.com/layers-dev/layers/controllers/index"
	"github.com/layers-dev/layers/controllers/status"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// +kubebuilder:rbac:groups=layers.dev,resources=aigateways,verbs=get;list;watch
// +kubebuilder:rbac:groups=layers.dev,resources=aigateways/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch;create;patch;delete

// How soon the stores are looked at again.
const (
	againWell = 30 * time.Second
	againIll  = 3 * time.Second
)

// Reconciler opens each gateway's stores and says StoresReady.
type Reconciler struct {
	Client  client.Client
	Cache   *Cache
	Applier *apply.Applier
	Status  *status.Writer
	Events  events.EventRecorder
	// Facts has the image that a ledger is migrated for where the gateway names none.
	Facts desired.Facts
	// Now is the clock.
	Now func() time.Time
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, opts controller.Options) error {
	if r.Client == nil || r.Cache == nil || r.Applier == nil || r.Status == nil || r.Events == nil || r.Facts.Image == "" || r.Now == nil {
		return errors.New("stores controller: client, cache, applier, status writer, events, image and clock are required")
	}
	err := ctrl.NewControllerManagedBy(mgr).Named("stores").WithOptions(opts).
		For(&v1alpha1.AIGateway{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(index.SecretUsers(r.Client))).
		Owns(&batchv1.Job{}).
		Complete(apply.Quietly(r))
	if err != nil {
		return fmt.Errorf("setting up the stores controller: %w", err)
	}
	return nil
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
	stores, err := r.open(ctx, gw)
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
	said := ready(stores, problem)
	r.tell(gw, said)
	return result, r.Status.Write(ctx, status.Change{Object: gw, Conditions: []metav1.Condition{said}})
}

// open sees to the migration, then to the stores. The image of the pods may be older than this operator, which then has the
// ledger migrated for itself too: a build knows the schema of the next one.
func (r *Reconciler) open(ctx context.Context, gw *v1alpha1.AIGateway) (*Stores, error) {
	if !gw.DeletionTimestamp.IsZero() {
		return r.Cache.Get(ctx, gw)
	}
	if err := r.migrate(ctx, gw); err != nil {
		return nil, err
	}
	stores, err := r.Cache.Get(ctx, gw)
	if err == nil && stores != nil {
		err = stores.Check(ctx)
	}
	switch {
	case err == nil:
		err = r.others(ctx, gw)
	case errors.Is(err, ledger.ErrSchema) && gw.Spec.Deployment.Image != "":
		if notYet := r.migrate(ctx, unpinned(gw)); notYet != nil {
			err = notYet
		}
	}
	return stores, err
}

// tell says in an event that a migration failed, once.
func (r *Reconciler) tell(gw *v1alpha1.AIGateway, said metav1.Condition) {
	old := meta.FindStatusCondition(gw.Status.Conditions, said.Type)
	if said.Reason == v1alpha1.ReasonMigrationFailed && (old == nil || old.Reason != said.Reason) {
		r.Events.Eventf(gw, nil, corev1.EventTypeWarning, said.Reason, "Migrate", "%s", said.Message)
	}
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
