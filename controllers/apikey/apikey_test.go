package apikey

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/controllers/stores"
	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
)

var digest = strings.Repeat("ab", 32)

// A revocation that Redis could not be told of is the ledger's; the outbox tells Redis, with the stores as they are then.
func TestRevokeWhileRedisIsAway(t *testing.T) {
	key := declared("acme")
	r, server := cluster(t, key)
	reconcile := func() {
		t.Helper()
		if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(key)}); err != nil {
			t.Fatal(err)
		}
	}
	reconcile()
	server.Close()
	if err := r.Client.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	reconcile()
	row, err := open(t, r).Ledger.KeyByDigest(t.Context(), digest)
	if err != nil || row.State != ledger.KeyRevoked {
		t.Fatalf("the ledger says %v, %v; a Redis that is away must not keep it from being told", row.State, err)
	}
	r.Stores.Close() // as when a URL changes: what was open then is no use any more
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	s := open(t, r)
	if _, err := keys.Deliver(t.Context(), s.Ledger, s.Redis, s.Redis, "g"); err != nil {
		t.Fatal(err)
	}
	d, err := s.Redis.Admit(t.Context(), admit.Request{ID: "r", Account: row.Account, KeyDigest: digest, KeyVersion: 1, Unmetered: true, HoldFor: time.Minute})
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
	s.key = &compile.Key{}
	problem := &stores.Problem{Reason: v1alpha1.ReasonStoreUnavailable, Message: "away"}
	if c := s.unknown(problem); c.Status != metav1.ConditionUnknown || c.Reason != v1alpha1.ReasonStoreUnavailable {
		t.Errorf("unknown() = %+v before anything was committed", c)
	}
	object.Status.Conditions = []metav1.Condition{{Type: "Programmed", Status: "True", Reason: "Programmed", ObservedGeneration: 2}}
	if c := s.unknown(problem); c.Status != metav1.ConditionTrue {
		t.Errorf("unknown() = %+v after this generation was committed", c)
	}
	s.key = nil
	if c := s.unknown(problem); c.Status != metav1.ConditionUnknown {
		t.Errorf("unknown() = %+v of a row that is to be withheld", c)
	}
	s.key, object.Generation = &compile.Key{}, 3
	if c := s.unknown(problem); c.Status != metav1.ConditionUnknown {
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

func TestLosers(t *testing.T) {
	key := func(namespace, name string, ref *v1alpha1.GatewayRef) v1alpha1.APIKey {
		return v1alpha1.APIKey{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: v1alpha1.APIKeySpec{GatewayRef: ref}}
	}
	ours, other := &v1alpha1.GatewayRef{Namespace: "ai", Name: "main"}, &v1alpha1.GatewayRef{Namespace: "ai", Name: "other"}
	going := key("ai", "going", ours)
	going.DeletionTimestamp = &metav1.Time{Time: time.Unix(1000, 0)}
	in := &compile.Input{
		Gateway:  &v1alpha1.AIGateway{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "main"}},
		Gateways: []string{"main", "other"},
		APIKeys: []v1alpha1.APIKey{
			key("ai", "acme", ours), key("team", "acme", ours), key("ai", "b", other), key("team", "b", other), key("team", "c", nil), going,
		},
	}
	if diff := cmp.Diff([]string{"team/acme", "ai/b"}, losers(&in.APIKeys[0], in)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestOpensWith(t *testing.T) {
	ref := func(name string) v1alpha1.SecretKeyRef { return v1alpha1.SecretKeyRef{Name: name} }
	gw := &v1alpha1.AIGateway{Spec: v1alpha1.AIGatewaySpec{
		Redis:  &v1alpha1.GatewayRedis{URLSecretRef: ref("redis")},
		Ledger: &v1alpha1.GatewayLedger{URLSecretRef: ref("ledger")},
		TLS:    &v1alpha1.GatewayTLS{SecretRef: v1alpha1.LocalRef{Name: "cert"}},
	}}
	for secret, want := range map[string]bool{"redis": true, "ledger": true, "cert": false} {
		if got := opensWith(gw, secret); got != want {
			t.Errorf("opensWith(%s) = %v, want %v", secret, got, want)
		}
	}
}
