package publisher

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/index"
	"github.com/layers-dev/layers/controllers/secrets"
	"github.com/layers-dev/layers/controllers/status"
)

func TestTooLargeIsSaidOfTheYoungest(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	gw := &v1alpha1.AIGateway{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "main", UID: "g"}, Spec: v1alpha1.AIGatewaySpec{Mode: v1alpha1.ModeDemo}}
	provider := &v1alpha1.Provider{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "demo"}, Spec: v1alpha1.ProviderSpec{Type: v1alpha1.ProviderDemo}}
	objects := []client.Object{gw, provider}
	for i := range 10 {
		objects = append(objects, &v1alpha1.Model{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: fmt.Sprintf("m%d", i), CreationTimestamp: metav1.Unix(int64(1000+i), 0)},
			Spec: v1alpha1.ModelSpec{
				PublicName: v1alpha1.PublicName(noise(t, 128)), Limits: v1alpha1.ModelLimits{ContextTokens: 10, MaxOutputTokens: 10},
				Backends: []v1alpha1.ModelBackend{{Name: "b", ProviderRef: v1alpha1.LocalRef{Name: "demo"}, Model: noise(t, 256)}},
			},
		})
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(objects...).
		WithIndex(&v1alpha1.APIKey{}, index.KeyGatewayNamespace, func(client.Object) []string { return nil }).Build()
	r := &Reconciler{
		Client: c, Secrets: &secrets.Reader{Metadata: c, Live: c}, Now: time.Now, MaxBytes: 2000,
		Status: &status.Writer{Client: c, Owner: "test", Now: metav1.Now},
		Token:  func() (string, error) { return "token", nil },
	}
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Name: "ai"}}); err != nil {
		t.Fatal(err)
	}
	reason := func(obj client.Object) string {
		t.Helper()
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
			t.Fatal(err)
		}
		if accepted := meta.FindStatusCondition(status.Conditions(obj), "Accepted"); accepted != nil {
			return accepted.Reason
		}
		return ""
	}
	for i, want := range map[int]string{0: "SnapshotTooLarge", 1: "Accepted", 2: "Accepted", 11: "SnapshotTooLarge"} {
		if got := reason(objects[i]); got != want {
			t.Errorf("%s: %q, want %q", objects[i].GetName(), got, want)
		}
	}
	served := int(gw.Status.Attached.Models)
	for i, m := range objects[2:] {
		if left := reason(m) == "SnapshotTooLarge"; left != (i >= served) {
			t.Errorf("%s of %d served: left out %v", m.GetName(), served, left)
		}
	}
}
