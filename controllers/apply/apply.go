// Package apply writes what the operator wants by server-side apply: one field owner, forced, only the fields that are
// ours. It refuses to adopt an object that something else made.
package apply

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// FieldOwner is the field manager of every object that the operator writes.
const FieldOwner = client.FieldOwner("layers-operator")

// NotOwnedError says that an object with the wanted name exists and belongs to something else.
type NotOwnedError struct {
	// Kind and Name of the object that is in the way.
	Kind, Name string
}

// Error is a plain sentence that may stand in a condition.
func (e *NotOwnedError) Error() string {
	return fmt.Sprintf("%s %q exists and is not owned by this object", e.Kind, e.Name)
}

// Applier writes objects. The zero value with a Client is ready; it is safe for concurrent use.
type Applier struct {
	// Client reads the live objects and writes them.
	Client client.Client

	mu   sync.Mutex
	done map[string]mark
}

// mark remembers what was applied to which version of an object: the same to the same is a call saved.
type mark struct {
	content [sha256.Size]byte
	version string
}

// Owned applies want to the object of live's kind, namespace and name, if it does not exist yet or owner controls it;
// otherwise the error is a *NotOwnedError. On return live is the object as it was before.
func (a *Applier) Owned(ctx context.Context, owner, live client.Object, want runtime.ApplyConfiguration) error {
	kind, name := kindOf(a.Client, live), live.GetName()
	key := kind + "/" + live.GetNamespace() + "/" + name
	err := a.Client.Get(ctx, client.ObjectKeyFromObject(live), live)
	exists := err == nil
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return fmt.Errorf("reading %s %q: %w", kind, name, err)
	case !metav1.IsControlledBy(live, owner):
		return &NotOwnedError{Kind: kind, Name: name}
	}
	raw, err := json.Marshal(want)
	if err != nil {
		return fmt.Errorf("encoding %s %q: %w", kind, name, err)
	}
	m := mark{sha256.Sum256(raw), live.GetResourceVersion()}
	if exists && a.same(key, m) {
		return nil
	}
	if err := a.Client.Apply(ctx, want, FieldOwner, client.ForceOwnership); err != nil {
		return fmt.Errorf("applying %s %q: %w", kind, name, err)
	}
	a.remember(key, m)
	return nil
}

func (a *Applier) same(key string, m mark) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.done[key] == m
}

func (a *Applier) remember(key string, m mark) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done == nil {
		a.done = map[string]mark{}
	}
	a.done[key] = m
}

// kindOf is the object's kind by the client's scheme; a typed object does not carry its own.
func kindOf(c client.Client, obj client.Object) string {
	gvk, err := c.GroupVersionKindFor(obj)
	if err != nil {
		return "object"
	}
	return gvk.Kind
}
