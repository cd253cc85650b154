// Package apply writes what the operator wants by server-side apply: one field owner, forced, only the fields that are
// ours. It refuses to adopt an object that something else made.
package apply

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
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
	exists, err := a.read(ctx, owner, live)
	if err != nil {
		return err
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

// Gone deletes the object of live's kind, namespace and name, and what it owns, if owner controls it. One that belongs to
// something else is none of ours and stays.
func (a *Applier) Gone(ctx context.Context, owner, live client.Object) error {
	exists, err := a.read(ctx, owner, live)
	if notOwned := (*NotOwnedError)(nil); errors.As(err, &notOwned) {
		return nil
	}
	if err != nil || !exists || !live.GetDeletionTimestamp().IsZero() {
		return err
	}
	uid := live.GetUID()
	err = a.Client.Delete(ctx, live, client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting %s %q: %w", kindOf(a.Client, live), live.GetName(), err)
	}
	return nil
}

// read fills live in, if there is one; the error is a *NotOwnedError if owner does not control it.
func (a *Applier) read(ctx context.Context, owner, live client.Object) (exists bool, err error) {
	err = a.Client.Get(ctx, client.ObjectKeyFromObject(live), live)
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("reading %s %q: %w", kindOf(a.Client, live), live.GetName(), err)
	case !metav1.IsControlledBy(live, owner):
		return true, &NotOwnedError{Kind: kindOf(a.Client, live), Name: live.GetName()}
	}
	return true, nil
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
