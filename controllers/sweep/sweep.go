// Package sweep revokes the keys whose objects went while nobody watched: the rows of one gateway of this cluster are
// compared with the APIKeys that there are. A sweep that would end most of the keys is more likely a mistake (a restored
// backup, a wrong cluster, a folder of manifests that was empty) and waits for somebody to confirm it.
package sweep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/apikey"
	"github.com/layers-dev/layers/controllers/apply"
	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/controllers/status"
	"github.com/layers-dev/layers/controllers/stores"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// +kubebuilder:rbac:groups=layers.dev,resources=aigateways;apikeys,verbs=get;list;watch
// +kubebuilder:rbac:groups=layers.dev,resources=aigateways/status,verbs=patch

const (
	// again is how often a gateway's rows are looked at, and againIll how soon after its stores did not answer.
	again    = 10 * time.Minute
	againIll = 5 * time.Second
	// holdAbove is the number of keys up to which a sweep needs nobody.
	holdAbove = 10
)

// Reconciler sweeps the keys of AIGateways.
type Reconciler struct {
	Client client.Client
	// Live asks the API server itself, before a key is ended because a cache does not have its object.
	Live   client.Reader
	Stores *stores.Cache
	Status *status.Writer
	Events events.EventRecorder
	// ClusterUID tells this cluster's rows from another's.
	ClusterUID string
	// Namespaces are those that this operator watches; none: all. Keys of others have objects that it does not see.
	Namespaces []string
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, opts controller.Options) error {
	if r.Client == nil || r.Live == nil || r.Stores == nil || r.Status == nil || r.Events == nil || r.ClusterUID == "" {
		return errors.New("sweep: clients, stores, status writer, events and cluster UID are required")
	}
	err := ctrl.NewControllerManagedBy(mgr).Named("sweep").WithOptions(opts).
		For(&v1alpha1.AIGateway{}, builder.WithPredicates(predicate.Or(stores.Changed(), predicate.AnnotationChangedPredicate{}))).
		Complete(apply.Quietly(r))
	if err != nil {
		return fmt.Errorf("setting up the sweep: %w", err)
	}
	return nil
}

// Reconcile sweeps the keys of one gateway.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	gw := &v1alpha1.AIGateway{}
	if err := r.Client.Get(ctx, req.NamespacedName, gw); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	open, err := r.Stores.Get(ctx, gw)
	if err == nil && open == nil {
		return ctrl.Result{}, r.say(ctx, gw, 0)
	}
	var held int
	if err == nil {
		held, err = r.sweep(ctx, gw, open)
	}
	if problem := (*stores.Problem)(nil); errors.As(err, &problem) {
		return ctrl.Result{RequeueAfter: againIll}, nil // StoresReady tells of it
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: again}, r.say(ctx, gw, held)
}

// sweep ends the keys without an object and answers how many it leaves because nobody has confirmed that many.
func (r *Reconciler) sweep(ctx context.Context, gw *v1alpha1.AIGateway, open *stores.Stores) (held int, err error) {
	rows, err := open.Ledger.SweepRows(ctx, apikey.Source, r.ClusterUID, string(gw.UID))
	if err != nil {
		return 0, stores.Unavailable(err)
	}
	rows = slices.DeleteFunc(rows, func(row ledger.Key) bool { return !r.watches(row) })
	// The list is complete: controllers start when the informers have everything.
	var objects v1alpha1.APIKeyList
	if err := r.Client.List(ctx, &objects); err != nil {
		return 0, fmt.Errorf("listing keys: %w", err)
	}
	gone := without(rows, objects.Items, gw)
	if tooMany(len(gone), len(rows)) && gw.Annotations[v1alpha1.AnnotationConfirmShrink] != strconv.Itoa(len(gone)) {
		return len(gone), nil
	}
	return 0, r.end(ctx, gw, open, gone)
}

// watches says whether the row's object would be seen if it was there.
func (r *Reconciler) watches(row ledger.Key) bool {
	namespace, _, _ := strings.Cut(row.ObjectName, "/")
	return len(r.Namespaces) == 0 || slices.Contains(r.Namespaces, namespace)
}

// without are the gateway's rows whose object is not among objects. One of the same name is, if it may be this gateway's:
// its own controller sees to the rest.
func without(rows []ledger.Key, objects []v1alpha1.APIKey, gw *v1alpha1.AIGateway) []ledger.Key {
	there := make(map[string]bool, len(objects))
	for i := range objects {
		if mayBeOf(&objects[i], gw) {
			there[client.ObjectKeyFromObject(&objects[i]).String()] = true
		}
	}
	var gone []ledger.Key
	for _, row := range rows {
		if !there[row.ObjectName] {
			gone = append(gone, row)
		}
	}
	return gone
}

// mayBeOf says whether the key can be the gateway's: it names it, or none of its namespace. What a key names never changes,
// so that one which names another gateway was made in the place of the row's object.
func mayBeOf(object *v1alpha1.APIKey, gw *v1alpha1.AIGateway) bool {
	namespace, refs := compile.KeyGateway(object)
	return namespace == gw.Namespace && (len(refs) == 0 || slices.Contains(refs, v1alpha1.LocalRef{Name: gw.Name}))
}

// tooMany says whether so many of the keys are gone that somebody has to confirm it: more than half, and more than ten.
func tooMany(gone, all int) bool { return gone > holdAbove && 2*gone > all }

// end revokes rows whose object the API server does not have either: a cache may be behind what another operator, who was
// the leader before, has made a row of.
func (r *Reconciler) end(ctx context.Context, gw *v1alpha1.AIGateway, open *stores.Stores, gone []ledger.Key) error {
	ended := 0
	var errs []error
	for _, row := range gone {
		namespace, name, _ := strings.Cut(row.ObjectName, "/")
		object := &v1alpha1.APIKey{}
		err := r.Live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, object)
		if err == nil && mayBeOf(object, gw) {
			continue
		}
		if client.IgnoreNotFound(err) != nil {
			return errors.Join(append(errs, fmt.Errorf("reading APIKey %q: %w", row.ObjectName, err))...)
		}
		_, err = keys.Revoke(ctx, open.Ledger, open.Redis, open.Redis, row.Digest)
		if err != nil && !errors.Is(err, keys.ErrUntold) { // the outbox tells Redis
			errs = append(errs, stores.Unavailable(err))
			continue
		}
		ended++
	}
	if ended > 0 {
		r.Events.Eventf(gw, nil, corev1.EventTypeNormal, "KeysRevoked", "Sweep", "%d keys whose APIKeys are gone were revoked.", ended)
	}
	return errors.Join(errs...)
}

// say writes the condition, and an event when the hold begins.
func (r *Reconciler) say(ctx context.Context, gw *v1alpha1.AIGateway, held int) error {
	c := metav1.Condition{
		Type: v1alpha1.ConditionKeysShrinkHeld, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonNothingHeld,
		Message: "No key waits to be revoked.",
	}
	if held > 0 {
		c.Status, c.Reason = metav1.ConditionTrue, v1alpha1.ReasonConfirmationNeeded
		c.Message = fmt.Sprintf("%d keys have no APIKey any more, more than half of all; none of them is revoked before the annotation %s=%d.",
			held, v1alpha1.AnnotationConfirmShrink, held)
		if old := meta.FindStatusCondition(gw.Status.Conditions, c.Type); old == nil || old.Message != c.Message {
			r.Events.Eventf(gw, nil, corev1.EventTypeWarning, c.Type, "Sweep", "%s", c.Message)
		}
	}
	return r.Status.Write(ctx, status.Change{Object: gw, Conditions: []metav1.Condition{c}})
}
