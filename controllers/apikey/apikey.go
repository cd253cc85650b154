// Package apikey keeps one row in the gateway's ledger for each APIKey object: made, disabled, revoked. It makes the key
// where the object asks for one, in a Secret that the object owns. The plain key is nowhere else.
package apikey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/controllers/secrets"
	"github.com/layers-dev/layers/controllers/status"
	"github.com/layers-dev/layers/controllers/stores"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// +kubebuilder:rbac:groups=layers.dev,resources=apikeys;aigateways;tiers;creditpolicies,verbs=get;list;watch
// +kubebuilder:rbac:groups=layers.dev,resources=apikeys/status,verbs=patch
// +kubebuilder:rbac:groups=layers.dev,resources=apikeys/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch;create
// +kubebuilder:rbac:groups="",resources=namespaces,resourceNames=kube-system,verbs=get

// Source is what the rows of this controller say they come from.
const Source = "kubernetes"

// SecretDataKey is the key of a generated Secret's data that holds the plain key.
const SecretDataKey = "api-key"

// Reconciler reconciles APIKeys.
type Reconciler struct {
	Client  client.Client
	Secrets *secrets.Reader
	Stores  *stores.Cache
	Status  *status.Writer
	// ClusterUID tells this cluster's rows from another's in one ledger: the UID of namespace kube-system.
	ClusterUID string
	// Random makes keys; crypto/rand outside tests.
	Random io.Reader

	mu sync.Mutex
	// unpublished are rows that are revoked in the ledger while Redis could not be told.
	unpublished map[types.NamespacedName][]revoked
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, opts controller.Options) error {
	if r.Client == nil || r.Secrets == nil || r.Stores == nil || r.Status == nil || r.ClusterUID == "" || r.Random == nil {
		return errors.New("apikey controller: client, secrets, stores, status writer, cluster UID and randomness are required")
	}
	changed := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	err := ctrl.NewControllerManagedBy(mgr).Named("apikey").WithOptions(opts).
		Watches(&v1alpha1.APIKey{}, handler.EnqueueRequestsFromMapFunc(r.peers), changed).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.secretUsers)).
		Watches(&v1alpha1.Tier{}, handler.EnqueueRequestsFromMapFunc(r.tierUsers), changed).
		Watches(&v1alpha1.CreditPolicy{}, handler.EnqueueRequestsFromMapFunc(r.policyUsers), changed).
		Watches(&v1alpha1.AIGateway{}, handler.EnqueueRequestsFromMapFunc(r.gatewayUsers), builder.WithPredicates(gatewayChanged())).
		Complete(r)
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
	// digest and prefix of the key, once they are known.
	digest, prefix string
	// secretName is set once the generated Secret is there and owned.
	secretName string
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
	s := &scope{object: object}
	s.programmed = condition(v1alpha1.ConditionProgrammed, metav1.ConditionUnknown, v1alpha1.ReasonPending, "The key's row is not committed yet.")
	err = errors.Join(r.retry(ctx, req.NamespacedName), r.phases(ctx, s))
	problem := (*stores.Problem)(nil)
	if errors.As(err, &problem) {
		s.programmed = condition(v1alpha1.ConditionProgrammed, metav1.ConditionUnknown, problem.Reason, problem.Message)
	}
	return ctrl.Result{}, errors.Join(err, r.Status.Write(ctx, s.report()))
}

// phases run until one of them has no key to go on with: then the rows that are there are withheld.
func (r *Reconciler) phases(ctx context.Context, s *scope) error {
	for _, phase := range []func(context.Context, *scope) error{r.resolve, r.material, r.row} {
		if err := phase(ctx, s); err != nil {
			return err
		}
		if s.key == nil {
			return r.withhold(ctx, s)
		}
	}
	return nil
}

// row commits the row, tells Redis, and ends rows that the object had under another key.
func (r *Reconciler) row(ctx context.Context, s *scope) error {
	if s.gateway.Spec.Mode == v1alpha1.ModeDemo {
		s.programmed = condition(v1alpha1.ConditionProgrammed, metav1.ConditionTrue, v1alpha1.ReasonProgrammed, "The AIGateway is in mode Demo, which takes any key.")
		return nil
	}
	open, err := r.Stores.Get(ctx, s.gateway)
	if err != nil {
		return err
	}
	name := client.ObjectKeyFromObject(s.object)
	rows, err := open.Ledger.KeysByObject(ctx, Source, r.ClusterUID, name.String())
	if err != nil {
		return stores.Unavailable(err)
	}
	if s.key.Unresolved && !holds(rows, s.digest) {
		s.programmed = condition(v1alpha1.ConditionProgrammed, metav1.ConditionFalse, v1alpha1.ReasonPending, "No row is made before the references are resolved.")
		return r.revoke(ctx, name, s.gateway, open, others(rows, s.digest))
	}
	row, err := r.commit(ctx, s, open)
	if errors.Is(err, ledger.ErrConflict) {
		s.accepted = condition(v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonConflicted, "The digest belongs to another key of the ledger, or to one that was revoked.")
		s.programmed = condition(v1alpha1.ConditionProgrammed, metav1.ConditionFalse, v1alpha1.ReasonConflicted, "No row can be made.")
		s.key = nil
		return nil
	}
	if err != nil {
		return stores.Unavailable(err)
	}
	if err := keys.Publish(ctx, open.Redis, open.Redis, row); err != nil {
		return stores.Unavailable(err)
	}
	if err := r.revoke(ctx, name, s.gateway, open, others(rows, s.digest)); err != nil {
		return err
	}
	s.programmed = condition(v1alpha1.ConditionProgrammed, metav1.ConditionTrue, v1alpha1.ReasonProgrammed, "The key's row is committed.")
	return nil
}

// upsert is what the row must be.
func (r *Reconciler) upsert(s *scope) ledger.KeyUpsert {
	state := ledger.KeyActive
	if s.key.Disabled {
		state = ledger.KeyDisabled
	}
	name := client.ObjectKeyFromObject(s.object).String()
	return ledger.KeyUpsert{FirstGrant: s.key.FirstGrant, Key: ledger.Key{
		Digest: s.digest, Prefix: s.prefix, Name: name,
		Account: s.key.Account, Tier: s.key.Tier, Policy: s.key.Policy, State: state,
		Source: Source, ClusterUID: r.ClusterUID, GatewayUID: string(s.gateway.UID),
		ObjectUID: string(s.object.UID), ObjectName: name,
	}}
}

func (s *scope) report() status.Change {
	fields := map[string]any{"prefix": nil, "sha256": nil, "secretRef": nil}
	if s.prefix != "" {
		fields["prefix"] = s.prefix
	}
	if s.digest != "" {
		fields["sha256"] = s.digest
	}
	if s.secretName != "" {
		fields["secretRef"] = map[string]any{"name": s.secretName}
	}
	return status.Change{
		Object: s.object, Fields: fields, Observed: true,
		Conditions: []metav1.Condition{s.accepted, s.resolved, s.programmed},
	}
}

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

func holds(rows []ledger.Key, digest string) bool {
	for _, row := range rows {
		if row.Digest == digest {
			return true
		}
	}
	return false
}

// others are the rows with another digest.
func others(rows []ledger.Key, digest string) []ledger.Key {
	var out []ledger.Key
	for _, row := range rows {
		if row.Digest != digest {
			out = append(out, row)
		}
	}
	return out
}
