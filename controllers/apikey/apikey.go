// Package apikey keeps one row in the gateway's ledger for each APIKey object: made, rotated, disabled, revoked. It makes
// the key where the object asks for one, in a Secret that the object owns. The plain key is nowhere else.
package apikey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/apply"
	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/controllers/secrets"
	"github.com/layers-dev/layers/controllers/status"
	"github.com/layers-dev/layers/controllers/stores"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// +kubebuilder:rbac:groups=layers.dev,resources=apikeys;aigateways;tiers;creditpolicies,verbs=get;list;watch
// +kubebuilder:rbac:groups=layers.dev,resources=apikeys/status,verbs=patch
// +kubebuilder:rbac:groups=layers.dev,resources=apikeys/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch

// Source is what the rows of this controller say they come from.
const Source = "kubernetes"

// SecretDataKey is the key of a generated Secret's data that holds the plain key.
const SecretDataKey = "api-key"

// AnnotationRotation on a generated Secret says for which rotation its key was made.
const AnnotationRotation = "layers.dev/rotation"

// Reconciler reconciles APIKeys.
type Reconciler struct {
	Client  client.Client
	Secrets *secrets.Reader
	Stores  *stores.Cache
	Status  *status.Writer
	Events  events.EventRecorder
	// ClusterUID tells this cluster's rows from another's in one ledger: the UID of namespace kube-system.
	ClusterUID string
	// Random makes keys; crypto/rand outside tests.
	Random io.Reader
	// Now is the clock.
	Now func() time.Time
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, opts controller.Options) error {
	if r.Client == nil || r.Secrets == nil || r.Stores == nil || r.Status == nil || r.Events == nil ||
		r.ClusterUID == "" || r.Random == nil || r.Now == nil {
		return errors.New("apikey controller: client, secrets, stores, status writer, events, cluster UID, randomness and clock are required")
	}
	changed := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	err := ctrl.NewControllerManagedBy(mgr).Named("apikey").WithOptions(opts).
		Watches(&v1alpha1.APIKey{}, handler.EnqueueRequestsFromMapFunc(r.peers), changed).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.secretUsers)).
		Watches(&v1alpha1.Tier{}, handler.EnqueueRequestsFromMapFunc(r.tierUsers), changed).
		Watches(&v1alpha1.CreditPolicy{}, handler.EnqueueRequestsFromMapFunc(r.policyUsers), changed).
		Watches(&v1alpha1.AIGateway{}, handler.EnqueueRequestsFromMapFunc(r.gatewayUsers), builder.WithPredicates(stores.Changed())).
		WatchesMetadata(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.namespaceKeys), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		Complete(apply.Quietly(r))
	if err != nil {
		return fmt.Errorf("setting up the apikey controller: %w", err)
	}
	return nil
}

// scope is one reconcile of an object that exists.
type scope struct {
	object *v1alpha1.APIKey
	// gateway that the key belongs to; nil: none.
	gateway *v1alpha1.AIGateway
	// conditions by compile, then changed by the phases.
	accepted, resolved metav1.Condition
	programmed         metav1.Condition
	// key as compiled; nil: not accepted.
	key *compile.Key
	// losers are the names of the other objects that claim what an accepted key has.
	losers []string
	// stores of the gateway, and the object's rows in them; nil in mode Demo.
	stores *stores.Stores
	rows   []ledger.Key
	// digest and prefix of the key, and the rotation that it was made for: those of the status until they are looked at.
	digest, prefix string
	rotation       int64
	// secretName is set once the generated Secret is there and owned.
	secretName string
	// again is when there is something to do that nothing will wake us for; 0: never.
	again time.Duration
}

// Reconcile makes the row of one object so, or ends the rows of an object that is gone.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	object := &v1alpha1.APIKey{}
	err := r.Client.Get(ctx, req.NamespacedName, object)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, err
	}
	if err != nil || !object.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.revokeAll(ctx, req.NamespacedName)
	}
	s := newScope(object)
	s.programmed = condition(v1alpha1.ConditionProgrammed, metav1.ConditionUnknown, v1alpha1.ReasonPending, "The key's row is not committed yet.")
	err = r.phases(ctx, s)
	problem := (*stores.Problem)(nil)
	if errors.As(err, &problem) {
		s.programmed = s.unknown(problem)
	}
	return ctrl.Result{RequeueAfter: s.again}, errors.Join(err, r.Status.Write(ctx, s.report()))
}

func newScope(object *v1alpha1.APIKey) *scope {
	s := &scope{object: object, digest: object.Status.SHA256, prefix: object.Status.Prefix, rotation: object.Status.ObservedRotation}
	if ref := object.Status.SecretRef; ref != nil {
		s.secretName = ref.Name
	}
	return s
}

// unknown is Programmed while the stores do not answer: a row of this generation that was committed is so still, unless it
// is to be withheld.
func (s *scope) unknown(problem *stores.Problem) metav1.Condition {
	old := meta.FindStatusCondition(s.object.Status.Conditions, v1alpha1.ConditionProgrammed)
	if s.key != nil && old != nil && old.Status == metav1.ConditionTrue && old.ObservedGeneration == s.object.Generation {
		return *old
	}
	return condition(v1alpha1.ConditionProgrammed, metav1.ConditionUnknown, problem.Reason, problem.Message)
}

// phases run until one of them has no key to go on with: then the rows that are there are withheld.
func (r *Reconciler) phases(ctx context.Context, s *scope) error {
	for _, phase := range []func(context.Context, *scope) error{r.resolve, r.known, r.material, r.commit} {
		if err := phase(ctx, s); err != nil {
			return err
		}
		if s.key == nil {
			return r.withhold(ctx, s)
		}
	}
	return nil
}

func (s *scope) report() status.Change {
	fields := map[string]any{"prefix": nil, "sha256": nil, "secretRef": nil, "observedRotation": nil}
	if s.prefix != "" {
		fields["prefix"] = s.prefix
	}
	if s.digest != "" {
		fields["sha256"] = s.digest
	}
	if s.secretName != "" {
		fields["secretRef"] = map[string]any{"name": s.secretName}
	}
	if s.rotation != 0 {
		fields["observedRotation"] = s.rotation
	}
	return status.Change{
		Object: s.object, Fields: fields, Observed: true,
		Conditions: []metav1.Condition{s.accepted, s.resolved, s.programmed},
	}
}

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}
