package apikey

import (
	"context"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/controllers/desired"
	"github.com/layers-dev/layers/dataplane/keys"
)

// material finds the digest: the declared one, or that of the key in the Secret, which is made once for each rotation.
// What is in the Secret already is the key; a Secret that is not ours is never read and never touched.
func (r *Reconciler) material(ctx context.Context, s *scope) error {
	if s.key.SecretName == "" {
		s.digest, s.prefix, s.secretName, s.rotation = s.key.SHA256, "", "", 0
		return nil
	}
	name := types.NamespacedName{Namespace: s.object.Namespace, Name: s.key.SecretName}
	secret := &corev1.Secret{}
	err := r.Secrets.Live.Get(ctx, name, secret)
	switch {
	case apierrors.IsNotFound(err):
		secret, err = r.generate(ctx, s)
	case err != nil:
		err = fmt.Errorf("reading Secret %q: %w", name.Name, err)
	case !metav1.IsControlledBy(secret, s.object):
		s.unresolved(v1alpha1.ReasonNotOwned, fmt.Sprintf("Secret %q exists and is not owned by this object.", name.Name))
		return nil
	case rotationOf(secret) < s.key.Rotation:
		secret, err = r.rotate(ctx, s, secret)
	}
	if err != nil {
		return err
	}
	plain := string(secret.Data[SecretDataKey])
	if keys.Parse(plain) != nil {
		s.unresolved(v1alpha1.ReasonSecretKeyMissing, fmt.Sprintf("Secret %q holds no key under %q; delete it to have another made.", name.Name, SecretDataKey))
		return nil
	}
	s.digest, s.prefix, s.secretName, s.rotation = keys.Digest(plain), keys.Prefix(plain), name.Name, rotationOf(secret)
	return nil
}

// rotationOf is the rotation that the Secret's key was made for; the first where it does not say.
func rotationOf(secret *corev1.Secret) int64 {
	n, err := strconv.ParseInt(secret.Annotations[AnnotationRotation], 10, 64)
	if err != nil {
		return 1
	}
	return n
}

// unresolved ends the phases: there is no key to make a row of.
func (s *scope) unresolved(reason, message string) {
	s.resolved = condition(v1alpha1.ConditionResolvedRefs, metav1.ConditionFalse, reason, message)
	s.programmed = condition(v1alpha1.ConditionProgrammed, metav1.ConditionFalse, reason, "There is no key to make a row of.")
	s.key = nil
}

// generate makes the key and its Secret. It creates, never applies: of two writers one fails, so that no key is lost
// after its digest is in the ledger.
func (r *Reconciler) generate(ctx context.Context, s *scope) (*corev1.Secret, error) {
	plain, err := keys.Generate(r.Random)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.object.Namespace, Name: s.key.SecretName,
			Labels:          map[string]string{desired.LabelManagedBy: desired.ManagedBy},
			Annotations:     map[string]string{AnnotationRotation: strconv.FormatInt(s.key.Rotation, 10)},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(s.object, v1alpha1.GroupVersion.WithKind(compile.KindAPIKey))},
		},
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{SecretDataKey: []byte(plain)},
	}
	if err := r.Client.Create(ctx, secret, client.FieldOwner("layers-operator")); err != nil {
		return nil, fmt.Errorf("creating Secret %q: %w", secret.Name, err)
	}
	r.Events.Eventf(s.object, secret, corev1.EventTypeNormal, "KeyGenerated", "Generate",
		"The key %s... was made in Secret %q.", keys.Prefix(plain), secret.Name)
	return secret, nil
}

// rotate puts a new key in the place of the one before, with the rotation that it is for, in one write: whoever comes
// after a crash sees both or neither. The key before stays in its row, whose end commit sets.
func (r *Reconciler) rotate(ctx context.Context, s *scope, secret *corev1.Secret) (*corev1.Secret, error) {
	plain, err := keys.Generate(r.Random)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	next := secret.DeepCopy()
	if next.Annotations == nil {
		next.Annotations = map[string]string{}
	}
	if next.Data == nil {
		next.Data = map[string][]byte{}
	}
	next.Annotations[AnnotationRotation] = strconv.FormatInt(s.key.Rotation, 10)
	next.Data[SecretDataKey] = []byte(plain)
	patch := client.MergeFromWithOptions(secret, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, next, patch, client.FieldOwner("layers-operator")); err != nil {
		return nil, fmt.Errorf("rotating the key in Secret %q: %w", secret.Name, err)
	}
	r.Events.Eventf(s.object, next, corev1.EventTypeNormal, "KeyRotated", "Rotate",
		"Secret %q has the key %s... of rotation %d; the one before is honoured for another %d seconds.",
		next.Name, keys.Prefix(plain), s.key.Rotation, s.key.OverlapSeconds)
	return next, nil
}
