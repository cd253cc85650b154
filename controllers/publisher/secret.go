package publisher

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/apply"
	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/controllers/desired"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// publish writes the snapshot if its content changed and answers the hash that is now published, and the models that
// did not fit. The Secret is read from the API server, never from a cache: the next sequence depends on it.
func (r *Reconciler) publish(ctx context.Context, gw *v1alpha1.AIGateway, s *snapshot.Snapshot) (hash string, left []snapshot.Model, err error) {
	name := types.NamespacedName{Namespace: gw.Namespace, Name: desired.SnapshotName(gw.Name)}
	secret := &corev1.Secret{}
	if err := r.Secrets.Live.Get(ctx, name, secret); client.IgnoreNotFound(err) != nil {
		return "", nil, fmt.Errorf("reading the snapshot: %w", err)
	}
	if secret.UID != "" && !metav1.IsControlledBy(secret, gw) {
		return "", nil, &apply.NotOwnedError{Kind: "Secret", Name: name.Name}
	}
	old, err := snapshot.Decode(secret.Data[snapshot.SecretDataKey])
	if err != nil {
		old = nil
	}
	if err := r.header(s, gw, old); err != nil {
		return "", nil, err
	}
	encoded, left, err := fit(s, cmp.Or(r.MaxBytes, maxSnapshotBytes))
	if err != nil {
		return "", nil, err
	}
	if old != nil && old.Hash == s.Hash {
		return s.Hash, left, nil
	}
	if err := r.write(ctx, gw, secret, encoded); err != nil {
		return "", nil, err
	}
	return s.Hash, left, nil
}

// header numbers the snapshot and gives it the token that the replicas know already.
func (r *Reconciler) header(s *snapshot.Snapshot, gw *v1alpha1.AIGateway, old *snapshot.Snapshot) error {
	if old != nil {
		s.AckToken, s.Sequence = old.AckToken, old.Sequence+1
		return nil
	}
	token, err := r.Token()
	if err != nil {
		return fmt.Errorf("making the acknowledgement token: %w", err)
	}
	s.AckToken, s.Sequence = token, 1
	if gw.Status.SnapshotHash != "" {
		// The Secret was lost. Replicas may run any earlier number; at most one is published each 200 ms, so that a
		// count of milliseconds is above all of them.
		s.Sequence = r.Now().UnixMilli()
	}
	return nil
}

// write applies the Secret. An existing one must still be the one that was read, so that no two writers give one number
// to two contents; a conflict is tried again by the queue.
func (r *Reconciler) write(ctx context.Context, gw *v1alpha1.AIGateway, old *corev1.Secret, encoded []byte) error {
	want := corev1ac.Secret(desired.SnapshotName(gw.Name), gw.Namespace).
		WithLabels(desired.Labels(gw.Name)).WithOwnerReferences(desired.Owner(gw)).
		WithType(corev1.SecretTypeOpaque).
		WithData(map[string][]byte{snapshot.SecretDataKey: encoded})
	if old.ResourceVersion != "" {
		want.WithResourceVersion(old.ResourceVersion)
	}
	err := r.Client.Apply(ctx, want, apply.FieldOwner, client.ForceOwnership)
	if err != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("writing the snapshot: %w", err)
	}
	return err
}

func modelKey(m snapshot.Model) compile.ObjectKey {
	namespace, name, _ := strings.Cut(m.Object, "/")
	return compile.ObjectKey{Kind: compile.KindModel, Namespace: namespace, Name: name}
}
