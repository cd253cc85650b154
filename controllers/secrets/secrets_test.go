package secrets

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

// counted counts the reads that go through it.
type counted struct {
	client.Reader
	reads int
}

func (c *counted) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	c.reads++
	return c.Reader.Get(ctx, key, obj, opts...)
}

func TestReader(t *testing.T) {
	name := types.NamespacedName{Namespace: "ai", Name: "upstream"}
	c := fake.NewClientBuilder().Build()
	live := &counted{Reader: c}
	r := &Reader{Metadata: c, Live: live}
	expect := func(value string, reads int) {
		t.Helper()
		s, err := r.Get(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if s != nil {
			got = string(s.Data["key"])
		}
		if got != value || live.reads != reads {
			t.Errorf("got %q after %d reads, want %q after %d", got, live.reads, value, reads)
		}
	}
	expect("", 0)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name},
		Data:       map[string][]byte{"key": []byte("one")},
	}
	if err := c.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	expect("one", 1)
	expect("one", 1)
	secret.Data["key"] = []byte("two")
	if err := c.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	expect("two", 2)
	if err := c.Delete(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	expect("", 2)
	if len(r.kept) != 0 {
		t.Error("a deleted Secret is kept")
	}
}
