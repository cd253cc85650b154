package gateway

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/apply"
	"github.com/layers-dev/layers/controllers/desired"
)

// scaleOwner holds the number of replicas between this controller and an autoscaler.
const scaleOwner = client.FieldOwner("layers-operator-scale")

// migration reads a Job of the gateway; an empty one if there is none, or it is another's.
func (r *Reconciler) migration(ctx context.Context, gw *v1alpha1.AIGateway, name string) (*batchv1.Job, error) {
	job := &batchv1.Job{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: gw.Namespace, Name: name}, job)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("reading Job %q: %w", name, err)
	}
	if !metav1.IsControlledBy(job, gw) {
		return &batchv1.Job{}, nil
	}
	return job, nil
}

// handover gives the number of replicas as it is now to a second field owner, once, before the Deployment is applied
// without it: a field that its last owner drops falls back to its default, which is one replica. What the autoscaler
// writes later takes it from there.
func (r *Reconciler) handover(ctx context.Context, s *scope) error {
	uid := s.deployment.UID
	if !desired.Autoscaled(s.gateway) {
		r.handed(uid, false)
		return nil
	}
	if r.isHanded(uid) {
		return nil
	}
	// The informers strip managed fields.
	live := &appsv1.Deployment{}
	if err := r.Secrets.Live.Get(ctx, client.ObjectKeyFromObject(&s.deployment), live); err != nil {
		return fmt.Errorf("reading who owns the number of replicas: %w", err)
	}
	if n := live.Spec.Replicas; n != nil && ownsReplicas(live.ManagedFields) {
		if err := r.Client.Apply(ctx, desired.Handover(s.gateway, *n), scaleOwner, client.ForceOwnership); err != nil {
			return fmt.Errorf("handing the number of replicas over: %w", err)
		}
	}
	r.handed(uid, true)
	return nil
}

// ownsReplicas says whether the operator's own field owner is the last one known to hold spec.replicas.
func ownsReplicas(entries []metav1.ManagedFieldsEntry) bool {
	for _, e := range entries {
		if e.Manager != string(apply.FieldOwner) || e.Subresource != "" || e.FieldsV1 == nil {
			continue
		}
		var fields struct {
			Spec map[string]json.RawMessage `json:"f:spec"`
		}
		if json.Unmarshal(e.FieldsV1.GetRawBytes(), &fields) == nil && fields.Spec["f:replicas"] != nil {
			return true
		}
	}
	return false
}

func (r *Reconciler) isHanded(uid types.UID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.handedOver[uid]
}

func (r *Reconciler) handed(uid types.UID, yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !yes {
		delete(r.handedOver, uid)
		return
	}
	if r.handedOver == nil {
		r.handedOver = map[types.UID]bool{}
	}
	r.handedOver[uid] = true
}
