package outbox

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/secrets"
	"github.com/layers-dev/layers/controllers/stores"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// opened is a cache with the open stores of one gateway.
func opened(t *testing.T) (*stores.Cache, *stores.Stores) {
	t.Helper()
	url := "sqlite:" + filepath.Join(t.TempDir(), "ledger.db")
	sql, err := ledger.Open(t.Context(), url, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer sql.Close()
	if err := sql.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithObjects(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "stores"},
		Data:       map[string][]byte{"redis": []byte("redis://" + miniredis.RunT(t).Addr()), "ledger": []byte(url)},
	}).Build()
	cache := &stores.Cache{Secrets: &secrets.Reader{Metadata: c, Live: c}}
	t.Cleanup(cache.Close)
	ref := func(key string) v1alpha1.SecretKeyRef { return v1alpha1.SecretKeyRef{Name: "stores", Key: key} }
	open, err := cache.Get(t.Context(), &v1alpha1.AIGateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "main", UID: "g"},
		Spec: v1alpha1.AIGatewaySpec{
			Redis: &v1alpha1.GatewayRedis{URLSecretRef: ref("redis")}, Ledger: &v1alpha1.GatewayLedger{URLSecretRef: ref("ledger")},
			Credits: v1alpha1.GatewayCredits{PerDollar: 100},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return cache, open
}

// A row that changed while nobody told Redis is told within a pass.
func TestRunnerDelivers(t *testing.T) {
	cache, open := opened(t)
	digest := "ab00000000000000000000000000000000000000000000000000000000000000"
	_, err := open.Ledger.UpsertKey(t.Context(), ledger.KeyUpsert{Key: ledger.Key{
		Digest: digest, Account: "ai/acme", State: ledger.KeyActive, Source: "kubernetes", GatewayUID: "g", ObjectName: "ai/acme", ObjectUID: "u",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open.Ledger.RevokeKey(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	pending := func() int {
		items, err := open.Ledger.PendingOutbox(t.Context(), "g", 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(items)
	}
	if pending() == 0 {
		t.Fatal("a revocation leaves nothing to tell")
	}
	r := &Runner{Stores: cache, Every: time.Millisecond, Log: logr.Discard()}
	if !r.NeedLeaderElection() {
		t.Error("every operator delivers")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Start(ctx) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); pending() > 0; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it is never told")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Start() = %v", err)
	}
}
