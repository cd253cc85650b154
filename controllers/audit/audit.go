// Package audit checks once a day, soon after midnight UTC, that the ledger of each AIGateway agrees with itself over the day
// before: double entries, grants, settlements, roll-ups, and each charge with what its usage costs. It says LedgerSound, tells
// what it found in metrics, and in an event where something drifts. It repairs nothing.
//
// Checks are long reads. They have a queue of their own, of which few run at a time, so that nothing else waits for them.
package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/apply"
	"github.com/layers-dev/layers/controllers/status"
	"github.com/layers-dev/layers/controllers/stores"
)

// +kubebuilder:rbac:groups=layers.dev,resources=aigateways,verbs=get;list;watch
// +kubebuilder:rbac:groups=layers.dev,resources=aigateways/status,verbs=patch

const (
	// timeout bounds one check, againIll is how soon after one that failed it is tried again.
	timeout  = 10 * time.Minute
	againIll = 5 * time.Minute
	// atMost bounds how long the clock is not looked at: it may be set while nobody looks.
	atMost = time.Hour
	// maxLogged bounds the problems that one check writes into the log; layers ledger check tells all.
	maxLogged = 20
)

// Reconciler checks the ledgers of AIGateways.
type Reconciler struct {
	Client  client.Client
	Stores  *stores.Cache
	Status  *status.Writer
	Events  events.EventRecorder
	Metrics *Metrics
	// Now is the clock.
	Now func() time.Time
}

// SetupWithManager registers the controller.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, opts controller.Options) error {
	if r.Client == nil || r.Stores == nil || r.Status == nil || r.Events == nil || r.Metrics == nil || r.Now == nil {
		return errors.New("audit: client, stores, status writer, events, metrics and clock are required")
	}
	err := ctrl.NewControllerManagedBy(mgr).Named("audit").WithOptions(opts).
		For(&v1alpha1.AIGateway{}, builder.WithPredicates(stores.Changed())).
		Complete(apply.Quietly(r))
	if err != nil {
		return fmt.Errorf("setting up the audit: %w", err)
	}
	return nil
}

// Reconcile checks the ledger of one gateway if a day is due, and says what the last check found.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	gw := &v1alpha1.AIGateway{}
	if err := r.Client.Get(ctx, req.NamespacedName, gw); err != nil {
		if client.IgnoreNotFound(err) == nil {
			r.Metrics.forget(req.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if gw.Spec.Ledger == nil || !gw.DeletionTimestamp.IsZero() {
		r.Metrics.forget(req.NamespacedName)
		return ctrl.Result{}, r.say(ctx, gw, nil)
	}
	found, again := gw.Status.Audit, next(r.Now())
	if found == nil || found.Day < Due(r.Now()) {
		checked, err := r.check(ctx, gw)
		if err != nil {
			log.FromContext(ctx).Info("The ledger is not checked yet; it is tried again", "error", err.Error())
			again = againIll
		} else {
			found = checked
		}
	}
	if found != nil {
		r.Metrics.set(req.NamespacedName, *found)
	}
	err := r.say(ctx, gw, found)
	if err == nil && found != gw.Status.Audit && len(found.Drift) > 0 {
		r.Events.Eventf(gw, nil, corev1.EventTypeWarning, "LedgerDrift", "Check", "%s", drifts(found))
	}
	return ctrl.Result{RequeueAfter: again}, err
}

// next is how long until another day is due, or until the clock is looked at again.
func next(now time.Time) time.Duration {
	return min(max(Next(now).Sub(now), time.Second), atMost)
}

// check checks what is due.
func (r *Reconciler) check(ctx context.Context, gw *v1alpha1.AIGateway) (*v1alpha1.GatewayAudit, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	open, err := r.Stores.Get(ctx, gw)
	if err != nil {
		return nil, err
	}
	if open == nil {
		return nil, errors.New("the gateway has no ledger")
	}
	last := ""
	if gw.Status.Audit != nil {
		last = gw.Status.Audit.Day
	}
	report, err := Days(ctx, open.Ledger, last, r.Now())
	if err != nil {
		return nil, err
	}
	for i, p := range report.Problems {
		if i == maxLogged {
			break
		}
		log.FromContext(ctx).Info("The ledger does not agree with itself", "problem", p)
	}
	out := report.status()
	return &out, nil
}

// say writes the condition, and what was found.
func (r *Reconciler) say(ctx context.Context, gw *v1alpha1.AIGateway, found *v1alpha1.GatewayAudit) error {
	return r.Status.Write(ctx, status.Change{
		Object: gw, Conditions: []metav1.Condition{sound(gw, found, r.Now())}, Fields: map[string]any{"audit": fields(found)},
	})
}

// sound is LedgerSound. What was found counts until the day after it should have been checked.
func sound(gw *v1alpha1.AIGateway, found *v1alpha1.GatewayAudit, now time.Time) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionLedgerSound, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonPending}
	switch {
	case gw.Spec.Ledger == nil:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonSound, "Mode Demo keeps no ledger."
	case found == nil:
		c.Message = "The ledger is not checked yet."
	case found.Day < Due(now.Add(-day)):
		c.Reason, c.Message = v1alpha1.ReasonStoreUnavailable, "The ledger could not be checked for more than a day."
	case len(found.Drift) > 0:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonDrift, drifts(found)
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonSound, "Entries, grants, settlements and charges of the last day agree."
	}
	return c
}

// drifts is a sentence of what does not agree.
func drifts(found *v1alpha1.GatewayAudit) string {
	parts := make([]string, len(found.Drift))
	for i, d := range found.Drift {
		parts[i] = fmt.Sprintf("%s %d", d.Kind, d.Count)
	}
	return fmt.Sprintf("The ledger does not agree with itself on %s (%s); layers ledger check tells what it is.", found.Day, strings.Join(parts, ", "))
}

// fields are what stands in the status; nil: nothing.
func fields(found *v1alpha1.GatewayAudit) any {
	if found == nil {
		return nil
	}
	out := map[string]any{"day": found.Day, "checkedAt": found.CheckedAt.UTC().Format(time.RFC3339)}
	if len(found.Drift) > 0 {
		list := make([]any, len(found.Drift))
		for i, d := range found.Drift {
			list[i] = map[string]any{"kind": d.Kind, "count": int64(d.Count)}
		}
		out["drift"] = list
	}
	return out
}
