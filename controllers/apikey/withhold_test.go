package apikey

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/controllers/index"
	"github.com/layers-dev/layers/controllers/secrets"
	"github.com/layers-dev/layers/controllers/status"
	"github.com/layers-dev/layers/controllers/stores"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// cluster is a reconciler over an API server's stand-in with one AIGateway, SQLite, and a Redis that the test can take away.
func cluster(t *testing.T, objects ...client.Object) (*Reconciler, *miniredis.Miniredis) {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	server := miniredis.RunT(t)
	url := "sqlite:" + filepath.Join(t.TempDir(), "ledger.db")
	migrate(t, url)
	store := func(key string) v1alpha1.SecretKeyRef { return v1alpha1.SecretKeyRef{Name: "stores", Key: key} }
	objects = append(objects,
		&v1alpha1.AIGateway{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "main", UID: "g"},
			Spec: v1alpha1.AIGatewaySpec{
				Mode: v1alpha1.ModeLive, Credits: v1alpha1.GatewayCredits{PerDollar: 100},
				Redis: &v1alpha1.GatewayRedis{URLSecretRef: store("redis")}, Ledger: &v1alpha1.GatewayLedger{URLSecretRef: store("ledger")},
			},
		},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "stores"}, Data: map[string][]byte{
			"redis": []byte("redis://" + server.Addr()), "ledger": []byte(url),
		}},
	)
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.APIKey{}).
		WithIndex(&v1alpha1.APIKey{}, index.KeyClaim, func(o client.Object) []string {
			return []string{index.KeyClaimOf(o.(*v1alpha1.APIKey))}
		}).Build()
	reader := &secrets.Reader{Metadata: c, Live: c}
	r := &Reconciler{
		Client: c, Secrets: reader, Stores: &stores.Cache{Secrets: reader}, ClusterUID: "c", Now: time.Now,
		Status: &status.Writer{Client: c, Owner: "test", Now: metav1.Now},
	}
	t.Cleanup(r.Stores.Close)
	return r, server
}

// migrate makes a ledger at url, as the Jobs of a cluster do.
func migrate(t *testing.T, url string) {
	t.Helper()
	sql, err := ledger.Open(t.Context(), url, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer sql.Close()
	if err := sql.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// open answers the gateway's stores.
func open(t *testing.T, r *Reconciler) *stores.Stores {
	t.Helper()
	gw := &v1alpha1.AIGateway{}
	if err := r.Client.Get(t.Context(), types.NamespacedName{Namespace: "ai", Name: "main"}, gw); err != nil {
		t.Fatal(err)
	}
	s, err := r.Stores.Get(t.Context(), gw)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func declared(name string) *v1alpha1.APIKey {
	return &v1alpha1.APIKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: name, UID: types.UID("uid-" + name), CreationTimestamp: metav1.Unix(1000, 0)},
		Spec:       v1alpha1.APIKeySpec{Account: "account-" + name, Key: v1alpha1.KeySource{SHA256: digest}},
	}
}

func TestOfTwoOfOneSecondTheFirstByNameWins(t *testing.T) {
	b := declared("b")
	r, _ := cluster(t, b)
	row := func(object string, state ledger.KeyState) {
		t.Helper()
		got, err := open(t, r).Ledger.KeyByDigest(t.Context(), digest)
		if err != nil || got.ObjectName != "ai/"+object || got.ObjectUID != "uid-"+object || got.Account != "ai/account-"+object || got.State != state {
			t.Fatalf("the row is %+v, %v; want that of %s, %s", got, err, object, state)
		}
	}
	reconcile := func(obj *v1alpha1.APIKey, accepted, programmed string) {
		t.Helper()
		name := client.ObjectKeyFromObject(obj)
		if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: name}); err != nil {
			t.Fatal(err)
		}
		if err := r.Client.Get(t.Context(), name, obj); err != nil {
			t.Fatal(err)
		}
		for kind, want := range map[string]string{"Accepted": accepted, "Programmed": programmed} {
			if c := meta.FindStatusCondition(obj.Status.Conditions, kind); c == nil || c.Reason != want {
				t.Fatalf("%s of %s is %+v, want %s", kind, obj.Name, c, want)
			}
		}
	}
	reconcile(b, "Accepted", "Programmed")
	row("b", ledger.KeyActive)

	a := declared("a")
	if err := r.Client.Create(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	reconcile(b, "Conflicted", "Pending")
	row("b", ledger.KeyDisabled)
	if b.Status.SHA256 != digest {
		t.Error("the status has lost the digest")
	}
	reconcile(a, "Accepted", "Programmed")
	row("a", ledger.KeyActive)
	reconcile(b, "Conflicted", "Pending")
	row("a", ledger.KeyActive)

	a.Spec.State = v1alpha1.KeyDisabled
	if err := r.Client.Update(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	reconcile(a, "Accepted", "Programmed")
	row("a", ledger.KeyDisabled)
}

func TestNoRowOfAStrangerIsTaken(t *testing.T) {
	a := declared("a")
	r, _ := cluster(t, a)
	theirs, err := open(t, r).Ledger.UpsertKey(t.Context(), ledger.KeyUpsert{Key: ledger.Key{
		Digest: digest, Account: "other/b", State: ledger.KeyActive, Source: Source, ClusterUID: "c", ObjectUID: "u", ObjectName: "other/b",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(a)}); err != nil {
		t.Fatal(err)
	}
	if got, err := open(t, r).Ledger.KeyByDigest(t.Context(), digest); err != nil || !cmp.Equal(got, theirs) {
		t.Errorf("the row is %+v, %v; want %+v", got, err, theirs)
	}
}

// A gateway of another namespace whose stores are broken keeps a withheld key coming back, and is not what its status says.
func TestABrokenGatewayElsewhere(t *testing.T) {
	lost := declared("b")
	lost.CreationTimestamp = metav1.Unix(2000, 0)
	store := v1alpha1.SecretKeyRef{Name: "absent", Key: "url"}
	r, _ := cluster(t, declared("a"), lost, &v1alpha1.AIGateway{
		ObjectMeta: metav1.ObjectMeta{Namespace: "elsewhere", Name: "main", UID: "e"},
		Spec: v1alpha1.AIGatewaySpec{
			Mode: v1alpha1.ModeLive, APIKeys: v1alpha1.NamespaceScope{From: v1alpha1.NamespacesAll},
			Redis: &v1alpha1.GatewayRedis{URLSecretRef: store}, Ledger: &v1alpha1.GatewayLedger{URLSecretRef: store},
		},
	})
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(lost)}); err == nil {
		t.Error("nothing brings the key back")
	}
	if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(lost), lost); err != nil {
		t.Fatal(err)
	}
	c := meta.FindStatusCondition(lost.Status.Conditions, "Programmed")
	if c == nil || c.Status != metav1.ConditionFalse || c.Reason != v1alpha1.ReasonPending {
		t.Errorf("Programmed is %+v", c)
	}
}

// A gateway that takes no keys of other namespaces any more still has the rows of those that it took.
func TestWithheldByAGatewayThatTakesNoSuchKeysNow(t *testing.T) {
	key := declared("b")
	key.Namespace, key.Spec.GatewayRef = "team", &v1alpha1.GatewayRef{Namespace: "ai", Name: "main"}
	r, _ := cluster(t, key)
	gw := &v1alpha1.AIGateway{}
	if err := r.Client.Get(t.Context(), types.NamespacedName{Namespace: "ai", Name: "main"}, gw); err != nil {
		t.Fatal(err)
	}
	gw.Spec.APIKeys.From = v1alpha1.NamespacesSame
	if err := r.Client.Update(t.Context(), gw); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, r).Ledger.UpsertKey(t.Context(), ledger.KeyUpsert{Key: ledger.Key{
		Digest: digest, Account: "team/b", State: ledger.KeyActive, Source: Source, ClusterUID: "c", GatewayUID: "g", ObjectUID: "uid-b", ObjectName: "team/b",
	}}); err != nil {
		t.Fatal(err)
	}
	if err := r.withhold(t.Context(), newScope(key)); err != nil {
		t.Fatal(err)
	}
	if row, err := open(t, r).Ledger.KeyByDigest(t.Context(), digest); err != nil || row.State != ledger.KeyDisabled {
		t.Errorf("the row is %+v, %v", row, err)
	}
}

// An object that was deleted and made again does not honour its namesake's key for the overlap of a rotation.
func TestTheKeyOfAFormerObjectEndsAtOnce(t *testing.T) {
	for uid, want := range map[string]ledger.KeyState{"uid-acme": ledger.KeyActive, "former": ledger.KeyRevoked} {
		t.Run(uid, func(t *testing.T) {
			r, _ := cluster(t)
			s := newScope(declared("acme"))
			s.stores, s.gateway, s.digest, s.rotation = open(t, r), &v1alpha1.AIGateway{ObjectMeta: metav1.ObjectMeta{UID: "g"}}, "new", 2
			s.key = &compile.Key{Account: "ai/acme", OverlapSeconds: 3600}
			row, err := s.stores.Ledger.UpsertKey(t.Context(), ledger.KeyUpsert{Key: ledger.Key{
				Digest: digest, Account: "ai/acme", State: ledger.KeyActive, Rotation: 1, Source: Source, ClusterUID: "c", GatewayUID: "g",
				ObjectUID: uid, ObjectName: "ai/acme",
			}})
			if err != nil {
				t.Fatal(err)
			}
			s.rows = []ledger.Key{row}
			if err := r.before(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if row, err = s.stores.Ledger.KeyByDigest(t.Context(), digest); err != nil || row.State != want {
				t.Errorf("the row is %+v, %v; want %s", row, err, want)
			}
		})
	}
}

// The status may have been read before it said anything of the key.
func TestRemember(t *testing.T) {
	object := &v1alpha1.APIKey{Spec: v1alpha1.APIKeySpec{Key: v1alpha1.KeySource{Generate: &v1alpha1.KeyGenerate{SecretName: "s"}}}}
	s := newScope(object)
	for _, row := range []ledger.Key{{Digest: "old", Prefix: "p1", Rotation: 1}, {Digest: "new", Prefix: "p2", Rotation: 2}, {Digest: "old", Prefix: "p1", Rotation: 1}} {
		s.remember(row)
	}
	if s.digest != "new" || s.prefix != "p2" || s.rotation != 2 || s.secretName != "s" {
		t.Errorf("remembered %+v", s)
	}
}
