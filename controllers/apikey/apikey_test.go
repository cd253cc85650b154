package apikey

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
)

var digest = strings.Repeat("ab", 32)

func TestRevokeWhileRedisIsAway(t *testing.T) {
	key := declared("acme")
	r, server := cluster(t, key)
	reconcile := func() error {
		_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(key)})
		return err
	}
	if err := reconcile(); err != nil {
		t.Fatal(err)
	}
	server.Close()
	if err := r.Client.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if err := reconcile(); err == nil {
		t.Fatal("no error, and so no second try")
	}
	row, err := open(t, r).Ledger.KeyByDigest(t.Context(), digest)
	if err != nil || row.State != ledger.KeyRevoked {
		t.Fatalf("the ledger says %v, %v; a Redis that is away must not keep it from being told", row.State, err)
	}
	if err := reconcile(); err == nil {
		t.Fatal("no error while Redis is still away")
	}
	r.Stores.Close() // as when a URL changes: what was open then is no use any more
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := reconcile(); err != nil {
		t.Fatal(err)
	}
	d, err := open(t, r).Redis.Admit(t.Context(), admit.Request{ID: "r", Account: row.Account, KeyDigest: digest, KeyVersion: 1, Unmetered: true, HoldFor: time.Minute})
	if err != nil || d.Outcome != admit.KeyRefused {
		t.Errorf("Admit() = %v, %v; want a refusal", d.Outcome, err)
	}
	if len(r.unpublished) != 0 {
		t.Error("it is still remembered")
	}
}

func TestRevokeForgetsAGatewayThatIsGone(t *testing.T) {
	r, _ := cluster(t)
	name := types.NamespacedName{Namespace: "ai", Name: "acme"}
	r.remember(name, revoked{gateway: types.NamespacedName{Namespace: "ai", Name: "gone"}})
	if err := r.retry(t.Context(), name); err != nil || len(r.unpublished) != 0 {
		t.Errorf("retry() = %v with %d left", err, len(r.unpublished))
	}
}

func TestUpsert(t *testing.T) {
	r := &Reconciler{ClusterUID: "c"}
	s := &scope{
		object:  &v1alpha1.APIKey{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "acme", UID: "o"}},
		gateway: &v1alpha1.AIGateway{ObjectMeta: metav1.ObjectMeta{UID: "g"}},
		key:     &compile.Key{Account: "ai/a", Tier: "ai/t", Policy: "ai/p", FirstGrant: 7, Disabled: true},
		digest:  digest, prefix: "lyr_live_abc",
	}
	want := ledger.KeyUpsert{FirstGrant: 7, Key: ledger.Key{
		Digest: digest, Prefix: "lyr_live_abc", Name: "ai/acme", Account: "ai/a", Tier: "ai/t", Policy: "ai/p",
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
	want := map[string]any{"prefix": nil, "sha256": nil, "secretRef": nil}
	if diff := cmp.Diff(want, s.report().Fields); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	s.digest, s.prefix, s.secretName = "d", "p", "s"
	want = map[string]any{"prefix": "p", "sha256": "d", "secretRef": map[string]any{"name": "s"}}
	if diff := cmp.Diff(want, s.report().Fields); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRowsByDigest(t *testing.T) {
	rows := []ledger.Key{{Digest: "a"}, {Digest: "b"}}
	if !holds(rows, "a") || holds(rows, "c") {
		t.Error("holds() is wrong")
	}
	if got := others(rows, "a"); len(got) != 1 || got[0].Digest != "b" {
		t.Errorf("others() = %v", got)
	}
}

func TestGatewayChanged(t *testing.T) {
	gw := func(generation int64, ready metav1.ConditionStatus) *v1alpha1.AIGateway {
		g := &v1alpha1.AIGateway{ObjectMeta: metav1.ObjectMeta{Generation: generation}}
		g.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionStoresReady, Status: ready}}
		return g
	}
	for name, tc := range map[string]struct {
		before, after *v1alpha1.AIGateway
		want          bool
	}{
		"nothing":      {gw(1, "True"), gw(1, "True"), false},
		"the spec":     {gw(1, "True"), gw(2, "True"), true},
		"stores came":  {gw(1, "False"), gw(1, "True"), true},
		"stores went":  {gw(1, "True"), gw(1, "False"), true},
		"first status": {&v1alpha1.AIGateway{}, gw(0, "True"), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := gatewayChanged().Update(event.UpdateEvent{ObjectOld: tc.before, ObjectNew: tc.after}); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
