package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// counting is a client that counts what is applied. As with the API server, and other than the fake one by itself, the
// same again is no new version.
func counting(applied *int, objects ...client.Object) client.Client {
	var last []byte
	return fake.NewClientBuilder().WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			*applied++
			raw, err := json.Marshal(obj)
			if err != nil || bytes.Equal(raw, last) {
				return err
			}
			last = raw
			return c.Apply(ctx, obj, opts...)
		},
	}).Build()
}

func TestOwned(t *testing.T) {
	owner := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "owner", UID: "u"}}
	live := func() *corev1.ServiceAccount {
		return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "main"}}
	}
	want := func(label string) *corev1ac.ServiceAccountApplyConfiguration {
		return corev1ac.ServiceAccount("main", "ai").WithLabels(map[string]string{"a": label}).
			WithOwnerReferences(metav1ac.OwnerReference().WithAPIVersion("v1").WithKind("ConfigMap").WithName("owner").WithUID("u").WithController(true))
	}
	applied := 0
	a := &Applier{Client: counting(&applied, owner)}
	for i, step := range []struct {
		label string
		count int
	}{
		{"x", 1}, // made
		{"x", 2}, // it is another version than the one that was applied to: nobody knows who made it
		{"x", 2}, // the same to the same
		{"y", 3},
		{"y", 4},
		{"y", 4},
	} {
		if err := a.Owned(t.Context(), owner, live(), want(step.label)); err != nil {
			t.Fatal(err)
		}
		if applied != step.count {
			t.Errorf("step %d: applied %d times, want %d", i, applied, step.count)
		}
	}
	got := live()
	if err := a.Client.Get(t.Context(), client.ObjectKeyFromObject(got), got); err != nil || got.Labels["a"] != "y" {
		t.Errorf("got labels %v, %v", got.Labels, err)
	}
}

func TestOwnedRefuses(t *testing.T) {
	owner := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "owner", UID: "u"}}
	theirs := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "main"}}
	applied := 0
	a := &Applier{Client: counting(&applied, theirs)}
	err := a.Owned(t.Context(), owner, theirs.DeepCopy(), corev1ac.ServiceAccount("main", "ai"))
	conflict := (*NotOwnedError)(nil)
	if !errors.As(err, &conflict) || applied != 0 {
		t.Fatalf("Owned() = %v after %d applications", err, applied)
	}
	if want := `ServiceAccount "main" exists and is not owned by this object`; conflict.Error() != want {
		t.Errorf("says %q, want %q", conflict.Error(), want)
	}
}
