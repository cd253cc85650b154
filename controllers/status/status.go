// Package status writes conditions and status fields: once at the end of a reconcile, always, and only when something
// differs. Each controller has a field owner of its own, so that two controllers that write one object's status never
// overwrite each other; each condition type of a kind has one controller.
package status

import (
	"context"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// Writer writes the status of one controller.
type Writer struct {
	// Client writes the status subresource.
	Client client.Client
	// Owner is the field manager: one for each controller.
	Owner client.FieldOwner
	// Now is the clock of lastTransitionTime.
	Now func() metav1.Time
}

// Change is what a controller has to say of an object.
type Change struct {
	// Object as it was read; its status is compared with what follows.
	Object client.Object
	// Conditions of this controller, without times and generations. Those that it leaves out are removed.
	Conditions []metav1.Condition
	// Fields are further status fields by JSON name, nested as in JSON; nil: the field is to be absent.
	Fields map[string]any
	// Observed says that this controller owns status.observedGeneration of the kind.
	Observed bool
}

// Write applies the change if the object's status differs. An object that is gone, or was replaced by another of the
// same name, is no error: its own event follows.
func (w *Writer) Write(ctx context.Context, change Change) error {
	have := Conditions(change.Object)
	conditions, same := w.merge(have, change)
	if same {
		var err error
		if same, err = fieldsEqual(change); err != nil {
			return err
		}
	}
	if same {
		return nil
	}
	u, err := w.document(change, conditions)
	if err != nil {
		return err
	}
	err = w.Client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), w.Owner, client.ForceOwnership)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing status of %s %q: %w", u.GetKind(), u.GetName(), err)
	}
	return nil
}

// merge fills in generations and times; a condition whose status did not change keeps its time.
func (w *Writer) merge(have []metav1.Condition, change Change) (out []metav1.Condition, same bool) {
	same = true
	for _, c := range change.Conditions {
		c.ObservedGeneration = change.Object.GetGeneration()
		old := meta.FindStatusCondition(have, c.Type)
		if old != nil && old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		} else {
			c.LastTransitionTime = w.Now()
		}
		same = same && old != nil && *old == c
		out = append(out, c)
	}
	return out, same
}

func fieldsEqual(change Change) (bool, error) {
	if !change.Observed && len(change.Fields) == 0 {
		return true, nil
	}
	live, err := runtime.DefaultUnstructuredConverter.ToUnstructured(change.Object)
	if err != nil {
		return false, fmt.Errorf("reading status: %w", err)
	}
	status, _, _ := unstructured.NestedMap(live, "status")
	if change.Observed && observed(status) != change.Object.GetGeneration() {
		return false, nil
	}
	return contains(status, change.Fields), nil
}

func observed(status map[string]any) int64 {
	n, _, _ := unstructured.NestedInt64(status, "observedGeneration")
	return n
}

// contains says whether live has every field of want, at any depth, and none that want says is absent.
func contains(live, want map[string]any) bool {
	for name, w := range want {
		l, found := live[name]
		switch w := w.(type) {
		case nil:
			if found {
				return false
			}
		case map[string]any:
			nested, ok := l.(map[string]any)
			if !ok || !contains(nested, w) {
				return false
			}
		default:
			if !found || !reflect.DeepEqual(l, w) {
				return false
			}
		}
	}
	return true
}

// document is the apply configuration: identity, the UID as a guard against an object of the same name, and our status.
func (w *Writer) document(change Change, conditions []metav1.Condition) (*unstructured.Unstructured, error) {
	gvk, err := w.Client.GroupVersionKindFor(change.Object)
	if err != nil {
		return nil, fmt.Errorf("writing status: %w", err)
	}
	status := map[string]any{}
	for name, value := range change.Fields {
		if value != nil {
			status[name] = value
		}
	}
	if change.Observed {
		status["observedGeneration"] = change.Object.GetGeneration()
	}
	list := make([]any, len(conditions))
	for i := range conditions {
		if list[i], err = runtime.DefaultUnstructuredConverter.ToUnstructured(&conditions[i]); err != nil {
			return nil, fmt.Errorf("encoding conditions: %w", err)
		}
	}
	status["conditions"] = list
	u := &unstructured.Unstructured{Object: map[string]any{"status": status}}
	u.SetGroupVersionKind(gvk)
	u.SetNamespace(change.Object.GetNamespace())
	u.SetName(change.Object.GetName())
	u.SetUID(change.Object.GetUID())
	return u, nil
}

// Conditions answers the conditions of any of the six kinds; nil for another.
func Conditions(obj client.Object) []metav1.Condition {
	switch o := obj.(type) {
	case *v1alpha1.AIGateway:
		return o.Status.Conditions
	case *v1alpha1.Provider:
		return o.Status.Conditions
	case *v1alpha1.Model:
		return o.Status.Conditions
	case *v1alpha1.Tier:
		return o.Status.Conditions
	case *v1alpha1.CreditPolicy:
		return o.Status.Conditions
	case *v1alpha1.APIKey:
		return o.Status.Conditions
	}
	return nil
}
