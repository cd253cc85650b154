package apikey

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/controllers/stores"
	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
)

var (
	name   = types.NamespacedName{Namespace: "ai", Name: "acme"}
	digest = strings.Repeat("ab", 32)
)

// openStores are SQLite and a Redis that the test can take away.
func openStores(t *testing.T) (*stores.Stores, *miniredis.Miniredis) {
	t.Helper()
	server := miniredis.RunT(t)
	redis, err := admit.NewRedis(admit.Options{URL: "redis://" + server.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Close)
	sql, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sql.Close)
	if err := sql.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &stores.Stores{Ledger: sql, Redis: redis}, server
}

// A revocation that Redis could not be told of is the ledger's; the outbox tells Redis.
func TestRevokeWhileRedisIsAway(t *testing.T) {
	open, server := openStores(t)
	row, err := open.Ledger.UpsertKey(t.Context(), ledger.KeyUpsert{Key: ledger.Key{
		Digest: digest, Account: "ai/acme", State: ledger.KeyActive, Source: Source, ObjectName: name.String(), ObjectUID: "u",
		GatewayUID: "g", Scopes: []string{"Inference"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	if err := revoke(t.Context(), open, row); err != nil {
		t.Fatalf("revoke() = %v", err)
	}
	got, err := open.Ledger.KeyByDigest(t.Context(), digest)
	if err != nil || got.State != ledger.KeyRevoked {
		t.Fatalf("the ledger says %v, %v; a Redis that is away must not keep it from being told", got.State, err)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Deliver(t.Context(), open.Ledger, open.Redis, open.Redis, "g"); err != nil {
		t.Fatal(err)
	}
	d, err := open.Redis.Admit(t.Context(), admit.Request{ID: "r", Account: "ai/acme", KeyDigest: digest, KeyVersion: row.Version, Unmetered: true, HoldFor: time.Minute})
	if err != nil || d.Outcome != admit.KeyRefused {
		t.Errorf("Admit() = %v, %v; want a refusal", d.Outcome, err)
	}
}

func TestUpsert(t *testing.T) {
	r := &Reconciler{ClusterUID: "c"}
	s := &scope{
		object:  &v1alpha1.APIKey{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "acme", UID: "o"}},
		gateway: &v1alpha1.AIGateway{ObjectMeta: metav1.ObjectMeta{UID: "g"}},
		key: &compile.Key{
			Account: "ai/a", Tier: "ai/t", Policy: "ai/p", FirstGrant: 7, Disabled: true,
			Scopes: []string{"Usage"}, Models: []string{"m"}, CapNano: 5, CapPeriod: "Day", ExpiresAt: 99,
		},
		digest: digest, prefix: "lyr_live_abc", rotation: 3,
	}
	want := ledger.KeyUpsert{FirstGrant: 7, Key: ledger.Key{
		Digest: digest, Prefix: "lyr_live_abc", Name: "ai/acme", Account: "ai/a", Tier: "ai/t", Policy: "ai/p",
		Scopes: []string{"Usage"}, Models: []string{"m"}, CapAmount: 5, CapPeriod: "Day", ExpiresAt: 99, Rotation: 3,
		State: ledger.KeyDisabled, Source: "kubernetes", ClusterUID: "c", GatewayUID: "g", ObjectUID: "o", ObjectName: "ai/acme",
	}}
	if diff := cmp.Diff(want, r.upsert(s)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	s.key.Disabled = false
	if got := r.upsert(s).State; got != ledger.KeyActive {
		t.Errorf("state %q, want active", got)
	}
}

func TestTakeOfAnotherObject(t *testing.T) {
	s := &scope{object: &v1alpha1.APIKey{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "acme"}}}
	s.take(compile.Output{
		Keys: []compile.Key{{Object: types.NamespacedName{Namespace: "ai", Name: "other"}}},
		Conditions: map[compile.ObjectKey][]compile.Condition{
			{Kind: "APIKey", Namespace: "ai", Name: "acme"}: {{Type: "Accepted", Status: "False", Reason: "Conflicted"}},
		},
	})
	if s.key != nil || s.accepted.Reason != "Conflicted" || s.resolved.Status != "Unknown" || s.programmed.Status != "False" {
		t.Errorf("took %+v", s)
	}
}

func TestReportNamesWhatIsAbsent(t *testing.T) {
	s := &scope{object: &v1alpha1.APIKey{}}
	want := map[string]any{"prefix": nil, "sha256": nil, "secretRef": nil, "observedRotation": nil}
	if diff := cmp.Diff(want, s.report().Fields); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	s.digest, s.prefix, s.secretName, s.rotation = "d", "p", "s", 2
	want = map[string]any{"prefix": "p", "sha256": "d", "secretRef": map[string]any{"name": "s"}, "observedRotation": int64(2)}
	if diff := cmp.Diff(want, s.report().Fields); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What the status says of a key stays while nobody could look, and what was committed is committed.
func TestStoresAway(t *testing.T) {
	object := &v1alpha1.APIKey{ObjectMeta: metav1.ObjectMeta{Generation: 2}}
	object.Status.SHA256, object.Status.Prefix, object.Status.ObservedRotation = "d", "p", 3
	object.Status.SecretRef = &v1alpha1.LocalRef{Name: "s"}
	s := newScope(object)
	if s.digest != "d" || s.prefix != "p" || s.rotation != 3 || s.secretName != "s" {
		t.Errorf("newScope() = %+v", s)
	}
	problem := &stores.Problem{Reason: v1alpha1.ReasonStoreUnavailable, Message: "away"}
	if c := unknown(object, problem); c.Status != metav1.ConditionUnknown || c.Reason != v1alpha1.ReasonStoreUnavailable {
		t.Errorf("unknown() = %+v before anything was committed", c)
	}
	object.Status.Conditions = []metav1.Condition{{Type: "Programmed", Status: "True", Reason: "Programmed", ObservedGeneration: 2}}
	if c := unknown(object, problem); c.Status != metav1.ConditionTrue {
		t.Errorf("unknown() = %+v after this generation was committed", c)
	}
	object.Generation = 3
	if c := unknown(object, problem); c.Status != metav1.ConditionUnknown {
		t.Errorf("unknown() = %+v of another generation", c)
	}
}

func TestOverlapEnd(t *testing.T) {
	now := time.Unix(1000, 0)
	at := func(seconds int64) int64 { return (1000 + seconds) * 1e6 }
	for name, tc := range map[string]struct {
		row, object, overlap, want int64
	}{
		"first seen":              {0, 0, 60, at(60)},
		"seen before":             {at(20), 0, 60, at(20)},
		"a shorter overlap":       {at(50), 0, 10, at(10)},
		"no overlap":              {0, 0, 0, at(0)},
		"the object ends earlier": {0, at(5), 60, at(5)},
		"the object ends later":   {0, at(500), 60, at(60)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := overlapEnd(ledger.Key{ExpiresAt: tc.row}, tc.overlap, tc.object, now); got != tc.want {
				t.Errorf("overlapEnd() = %d, want %d", got, tc.want)
			}
		})
	}
}

func TestWakeAt(t *testing.T) {
	s := &scope{}
	for _, d := range []time.Duration{time.Hour, time.Minute, 2 * time.Minute} {
		s.wakeAt(d)
	}
	if s.again != time.Minute {
		t.Errorf("wakes after %v, want the first of all", s.again)
	}
	if s.wakeAt(-time.Second); s.again <= 0 {
		t.Errorf("wakes after %v: never", s.again)
	}
}

func TestRotationOf(t *testing.T) {
	for text, want := range map[string]int64{"": 1, "x": 1, "7": 7} {
		secret := &corev1.Secret{}
		secret.Annotations = map[string]string{AnnotationRotation: text}
		if got := rotationOf(secret); got != want {
			t.Errorf("rotationOf(%q) = %d, want %d", text, got, want)
		}
	}
}

func TestHolds(t *testing.T) {
	rows := []ledger.Key{{Digest: "a"}, {Digest: "b"}}
	if !holds(rows, "a") || holds(rows, "c") {
		t.Error("holds() is wrong")
	}
}
