package stores

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/secrets"
	"github.com/layers-dev/layers/dataplane/ledger"
)

func gateway(perDollar int64) *v1alpha1.AIGateway {
	ref := func(key string) v1alpha1.SecretKeyRef { return v1alpha1.SecretKeyRef{Name: "stores", Key: key} }
	return &v1alpha1.AIGateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "main", UID: "u"},
		Spec: v1alpha1.AIGatewaySpec{
			Redis: &v1alpha1.GatewayRedis{URLSecretRef: ref("redis")}, Ledger: &v1alpha1.GatewayLedger{URLSecretRef: ref("ledger")},
			Credits: v1alpha1.GatewayCredits{PerDollar: perDollar},
		},
	}
}

// newCache has the Secret "stores" with these URLs.
func newCache(t *testing.T, redis, ledger string) (*Cache, client.Client) {
	t.Helper()
	c := fake.NewClientBuilder().WithObjects(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "stores"},
		Data:       map[string][]byte{"redis": []byte(redis), "ledger": []byte(ledger + "\n")},
	}).Build()
	cache := &Cache{Secrets: &secrets.Reader{Metadata: c, Live: c}}
	t.Cleanup(cache.Close)
	return cache, c
}

// migrated is the URL of a ledger as the migration leaves it.
func migrated(t *testing.T) string {
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
	return url
}

func TestCacheKeepsAndReopens(t *testing.T) {
	redis := "redis://" + miniredis.RunT(t).Addr()
	file := func() string { return migrated(t) }
	cache, c := newCache(t, redis, file())
	get := func(gw *v1alpha1.AIGateway) *Stores {
		t.Helper()
		s, err := cache.Get(t.Context(), gw)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := get(gateway(100))
	if err := first.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := cache.All(); len(all) != 1 || all["u"] != first {
		t.Errorf("All() = %v", all)
	}
	if get(gateway(100)) != first {
		t.Error("opened twice")
	}
	secret := &corev1.Secret{}
	if err := c.Get(t.Context(), types.NamespacedName{Namespace: "ai", Name: "stores"}, secret); err != nil {
		t.Fatal(err)
	}
	secret.Data["ledger"] = []byte(file())
	if err := c.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	second := get(gateway(100))
	if second == first {
		t.Error("not opened again after the URL changed")
	}
	if err := first.Check(t.Context()); err == nil {
		t.Error("the old ones are still open")
	}
	cache.Forget(types.NamespacedName{Namespace: "ai", Name: "main"})
	if len(cache.All()) != 0 {
		t.Error("All() has stores of a gateway that went")
	}
	if err := second.Check(t.Context()); err == nil {
		t.Error("still open after the gateway went")
	}
	if get(&v1alpha1.AIGateway{Spec: v1alpha1.AIGatewaySpec{Mode: v1alpha1.ModeDemo}}) != nil {
		t.Error("mode Demo has stores")
	}
}

func TestCacheProblems(t *testing.T) {
	redis := "redis://" + miniredis.RunT(t).Addr()
	good := migrated(t)
	bare := "sqlite:" + filepath.Join(t.TempDir(), "bare.db")
	for name, tc := range map[string]struct {
		redis, ledger string
		change        func(*v1alpha1.AIGateway)
		reason        string
	}{
		"no Secret":      {redis, good, func(gw *v1alpha1.AIGateway) { gw.Spec.Redis.URLSecretRef.Name = "gone" }, "SecretNotFound"},
		"no key":         {redis, good, func(gw *v1alpha1.AIGateway) { gw.Spec.Ledger.URLSecretRef.Key = "gone" }, "SecretKeyMissing"},
		"empty":          {redis, "", nil, "SecretKeyMissing"},
		"no Redis URL":   {"hunter2", good, nil, "Invalid"},
		"no ledger URL":  {redis, "hunter2://x", nil, "Invalid"},
		"not migrated":   {redis, bare, nil, "Pending"},
		"nobody answers": {redis, "postgres://u:hunter2@127.0.0.1:1/x?connect_timeout=1", nil, "StoreUnavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			cache, _ := newCache(t, tc.redis, tc.ledger)
			gw := gateway(100)
			if tc.change != nil {
				tc.change(gw)
			}
			_, err := cache.Get(t.Context(), gw)
			problem := (*Problem)(nil)
			if !errors.As(err, &problem) || problem.Reason != tc.reason {
				t.Fatalf("Get() = %v, want %s", err, tc.reason)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the URL: %v", err)
			}
		})
	}
}

func TestCreditsPerDollarIsPinned(t *testing.T) {
	cache, _ := newCache(t, "redis://"+miniredis.RunT(t).Addr(), migrated(t))
	if _, err := cache.Get(t.Context(), gateway(100)); err != nil {
		t.Fatal(err)
	}
	other := gateway(1000)
	other.Name, other.UID = "other", "v"
	_, err := cache.Get(t.Context(), other)
	if want := "The ledger counts 100 credits a dollar, the spec says 1000."; err == nil || err.Error() != want {
		t.Errorf("Get() = %v, want %q", err, want)
	}
}

func TestRedisAway(t *testing.T) {
	redis := miniredis.RunT(t)
	cache, _ := newCache(t, "redis://"+redis.Addr(), migrated(t))
	s, err := cache.Get(t.Context(), gateway(100))
	if err != nil {
		t.Fatal(err)
	}
	redis.Close()
	problem := (*Problem)(nil)
	if err := s.Check(t.Context()); !errors.As(err, &problem) || problem.Reason != v1alpha1.ReasonStoreUnavailable {
		t.Errorf("Check() = %v", err)
	}
	if c := ready(s, problem); c.Status != "False" || c.Message != "Redis cannot be reached." {
		t.Errorf("ready() = %v", c)
	}
}
