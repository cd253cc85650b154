package apply

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func TestQuietly(t *testing.T) {
	resource := schema.GroupResource{Resource: "secrets"}
	conflict := apierrors.NewConflict(resource, "a", errors.New("changed"))
	exists := apierrors.NewAlreadyExists(resource, "a")
	other := apierrors.NewForbidden(resource, "a", errors.New("no"))
	for name, tc := range map[string]struct {
		err   error
		quiet bool
	}{
		"nothing":                    {nil, false},
		"a conflict":                 {conflict, true},
		"made meanwhile":             {exists, true},
		"wrapped":                    {fmt.Errorf("writing: %w", conflict), true},
		"several conflicts":          {errors.Join(conflict, fmt.Errorf("writing: %w", exists)), true},
		"a conflict and worse":       {errors.Join(conflict, other), false},
		"something else of the API":  {other, false},
		"something else":             {errors.New("boom"), false},
		"something else, in a chain": {fmt.Errorf("a: %w", errors.New("boom")), false},
	} {
		t.Run(name, func(t *testing.T) {
			inner := reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) {
				return reconcile.Result{RequeueAfter: time.Hour}, tc.err
			})
			result, err := Quietly(inner).Reconcile(t.Context(), reconcile.Request{})
			if tc.quiet {
				if err != nil || result.RequeueAfter != conflictWait {
					t.Errorf("got %v, %v; want another try in silence", result, err)
				}
				return
			}
			if !errors.Is(err, tc.err) || result.RequeueAfter != time.Hour {
				t.Errorf("got %v, %v", result, err)
			}
		})
	}
}

func TestGone(t *testing.T) {
	owner := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "owner", UID: "u"}}
	yes := true
	ours := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "ours", UID: "o", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "v1", Kind: "ConfigMap", Name: "owner", UID: "u", Controller: &yes},
	}}}
	theirs := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "theirs", UID: "t"}}
	a := &Applier{Client: fake.NewClientBuilder().WithObjects(ours, theirs).Build()}
	for _, name := range []string{"ours", "theirs", "nobody's"} {
		live := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: name}}
		if err := a.Gone(t.Context(), owner, live); err != nil {
			t.Errorf("Gone(%s) = %v", name, err)
		}
	}
	if err := a.Client.Get(t.Context(), client.ObjectKeyFromObject(ours), ours); !apierrors.IsNotFound(err) {
		t.Errorf("ours is still there: %v", err)
	}
	if err := a.Client.Get(t.Context(), client.ObjectKeyFromObject(theirs), theirs); err != nil {
		t.Errorf("theirs went: %v", err)
	}
}
