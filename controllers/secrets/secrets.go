// Package secrets reads Secrets for the reconcilers. Informers hold the metadata of Secrets alone; their content is read
// from the API server when it is needed and kept while the resource version stays, so that the operator's memory holds
// only the Secrets that some object names.
package secrets

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Reader reads Secrets. It is safe for concurrent use.
type Reader struct {
	// Metadata reads PartialObjectMetadata, from the informer.
	Metadata client.Reader
	// Live reads whole Secrets, from the API server.
	Live client.Reader

	mu   sync.Mutex
	kept map[types.NamespacedName]*corev1.Secret
}

// Metadata is an empty Secret's metadata, for watches and reads.
func Metadata() *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	return m
}

// Get answers a Secret that callers must not change; nil if there is none.
func (r *Reader) Get(ctx context.Context, name types.NamespacedName) (*corev1.Secret, error) {
	m := Metadata()
	err := r.Metadata.Get(ctx, name, m)
	if apierrors.IsNotFound(err) {
		r.keep(name, nil)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading metadata of Secret %q: %w", name.Name, err)
	}
	if s := r.find(name); s != nil && s.ResourceVersion == m.ResourceVersion {
		return s, nil
	}
	s := &corev1.Secret{}
	err = r.Live.Get(ctx, name, s)
	if apierrors.IsNotFound(err) {
		r.keep(name, nil)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading Secret %q: %w", name.Name, err)
	}
	r.keep(name, s)
	return s, nil
}

func (r *Reader) find(name types.NamespacedName) *corev1.Secret {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.kept[name]
}

func (r *Reader) keep(name types.NamespacedName, s *corev1.Secret) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s == nil {
		delete(r.kept, name)
		return
	}
	if r.kept == nil {
		r.kept = map[types.NamespacedName]*corev1.Secret{}
	}
	r.kept[name] = s
}
