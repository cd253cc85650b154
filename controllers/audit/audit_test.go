package audit

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib" // plants what no method of the ledger would write
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/secrets"
	"github.com/layers-dev/layers/controllers/status"
	"github.com/layers-dev/layers/controllers/stores"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/hack/testenv"
)

var main = types.NamespacedName{Namespace: "ai", Name: "main"}

// world is a reconciler with a gateway whose ledger is a real PostgreSQL, and a clock.
type world struct {
	*Reconciler
	t      *testing.T
	url    string
	now    time.Time
	events *events.FakeRecorder
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, url: testenv.Postgres(t), now: at("2026-03-20T12:00:00Z"), events: events.NewFakeRecorder(8)}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	store := func(key string) v1alpha1.SecretKeyRef { return v1alpha1.SecretKeyRef{Name: "stores", Key: key} }
	c := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.AIGateway{}).WithObjects(
		&v1alpha1.AIGateway{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "main", UID: "g"},
			Spec: v1alpha1.AIGatewaySpec{
				Credits: v1alpha1.GatewayCredits{PerDollar: 100},
				Redis:   &v1alpha1.GatewayRedis{URLSecretRef: store("redis")}, Ledger: &v1alpha1.GatewayLedger{URLSecretRef: store("ledger")},
			},
		},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "stores"}, Data: map[string][]byte{
			"redis": []byte("redis://" + miniredis.RunT(t).Addr()), "ledger": []byte(w.url),
		}},
	).Build()
	metrics, err := NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	w.Reconciler = &Reconciler{
		Client: c, Stores: &stores.Cache{Secrets: &secrets.Reader{Metadata: c, Live: c}}, Events: w.events, Metrics: metrics,
		Status: &status.Writer{Client: c, Owner: "test", Now: metav1.Now}, Now: func() time.Time { return w.now },
	}
	t.Cleanup(w.Stores.Close)
	return w
}

// used fills the ledger with a grant and a charge of one day.
func (w *world) used(day string) {
	w.t.Helper()
	noon := at(day + "T12:00:00Z")
	l, err := ledger.Open(w.t.Context(), w.url, ledger.Options{Now: func() time.Time { return noon }})
	if err != nil {
		w.t.Fatal(err)
	}
	defer l.Close()
	if err := l.Migrate(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	if _, err := l.Grant(w.t.Context(), ledger.Grant{ID: "g:" + day, Account: "ai/acme", Amount: 1000, Kind: "manual", Reason: "test"}); err != nil {
		w.t.Fatal(err)
	}
	settlement := ledger.Settlement{
		RequestID: "req_" + day, Account: "ai/acme", Model: "m", Provider: "p", Cost: 0, Charged: 0, Evidence: ledger.EvidenceFree,
		StartedAt: noon.UnixMicro(), FinishedAt: noon.UnixMicro(),
	}
	if _, err := l.Settle(w.t.Context(), []ledger.Settlement{settlement}); err != nil {
		w.t.Fatal(err)
	}
}

// plant runs a statement behind the ledger's back.
func (w *world) plant(statement string) {
	w.t.Helper()
	db, err := sql.Open("pgx", w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(w.t.Context(), statement); err != nil {
		w.t.Fatal(err)
	}
}

// look reconciles at an instant and answers LedgerSound and what the status says.
func (w *world) look(now string) (string, *v1alpha1.GatewayAudit) {
	w.t.Helper()
	w.now = at(now)
	result, err := w.Reconcile(w.t.Context(), ctrl.Request{NamespacedName: main})
	if err != nil {
		w.t.Fatal(err)
	}
	gw := w.gateway()
	c := meta.FindStatusCondition(gw.Status.Conditions, v1alpha1.ConditionLedgerSound)
	if c == nil || !strings.HasSuffix(c.Message, ".") {
		w.t.Fatalf("LedgerSound is %+v", c)
	}
	if gw.Spec.Ledger != nil && (result.RequeueAfter <= 0 || result.RequeueAfter > atMost) {
		w.t.Errorf("it is looked at again after %s", result.RequeueAfter)
	}
	return string(c.Status) + " " + c.Reason, gw.Status.Audit
}

func (w *world) gateway() *v1alpha1.AIGateway {
	w.t.Helper()
	gw := &v1alpha1.AIGateway{}
	if err := w.Client.Get(w.t.Context(), main, gw); err != nil {
		w.t.Fatal(err)
	}
	return gw
}

func (w *world) told() []string {
	var out []string
	for len(w.events.Events) > 0 {
		out = append(out, <-w.events.Events)
	}
	return out
}

func TestSoundThenDriftThenSound(t *testing.T) {
	w := newWorld(t)
	for _, day := range []string{"2026-03-19", "2026-03-20", "2026-03-21"} {
		w.used(day)
	}
	said, audit := w.look("2026-03-20T12:00:00Z")
	if said != "True Sound" || audit == nil || audit.Day != "2026-03-19" || !audit.CheckedAt.Time.Equal(at("2026-03-20T12:00:00Z")) || len(audit.Drift) > 0 {
		t.Errorf("%s, %+v", said, audit)
	}
	// Behind everybody's back a balance changes, and a grant's rest. The day is checked already.
	w.plant("UPDATE accounts SET balance = balance + 5 WHERE id = 'ai/acme'")
	w.plant("UPDATE credit_grants SET remaining = remaining - 1 WHERE idem_key LIKE '%g:2026-03-20'")
	if again, same := w.look("2026-03-20T23:00:00Z"); again != "True Sound" || !cmp.Equal(same, audit) {
		t.Errorf("the same day again: %s, %+v", again, same)
	}
	if said, _ := w.look("2026-03-21T00:29:00Z"); said != "True Sound" || len(w.told()) > 0 {
		t.Errorf("before the day is due: %s", said)
	}
	said, audit = w.look("2026-03-21T00:30:00Z")
	if said != "False Drift" || audit.Day != "2026-03-20" {
		t.Fatalf("%s, %+v", said, audit)
	}
	want := []v1alpha1.GatewayDrift{{Kind: "account", Count: 2}, {Kind: "grant", Count: 1}}
	if diff := cmp.Diff(want, audit.Drift); diff != "" {
		t.Errorf("drift: %s", diff)
	}
	if told := w.told(); len(told) != 1 || !strings.Contains(told[0], "Warning LedgerDrift") || !strings.Contains(told[0], "account 2, grant 1") {
		t.Errorf("events %q", told)
	}
	if said, _ := w.look("2026-03-21T05:00:00Z"); said != "False Drift" || len(w.told()) > 0 {
		t.Errorf("later: %s; it is told once", said)
	}
	w.plant("UPDATE accounts SET balance = balance - 5 WHERE id = 'ai/acme'")
	w.plant("UPDATE credit_grants SET remaining = remaining + 1 WHERE idem_key LIKE '%g:2026-03-20'")
	if said, audit := w.look("2026-03-22T00:31:00Z"); said != "True Sound" || len(audit.Drift) > 0 {
		t.Errorf("repaired: %s, %+v", said, audit)
	}
}

// What a process before this one has found is told again, without another check.
func TestAnotherProcessGoesOn(t *testing.T) {
	w := newWorld(t)
	w.used("2026-03-19")
	w.plant("UPDATE accounts SET balance = balance + 5 WHERE id = 'ai/acme'")
	if said, _ := w.look("2026-03-20T12:00:00Z"); said != "False Drift" {
		t.Fatal(said)
	}
	w.told()
	var err error
	if w.Metrics, err = NewMetrics(prometheus.NewRegistry()); err != nil {
		t.Fatal(err)
	}
	w.plant("UPDATE accounts SET balance = balance - 5 WHERE id = 'ai/acme'")
	if said, _ := w.look("2026-03-20T13:00:00Z"); said != "False Drift" || len(w.told()) > 0 {
		t.Errorf("it checks again: %s", said)
	}
	if got := w.Metrics.last[main]; got.Day != "2026-03-19" || len(got.Drift) == 0 {
		t.Errorf("its metrics are of %+v", got)
	}
}

func TestLedgerAway(t *testing.T) {
	w := newWorld(t)
	secret := &corev1.Secret{}
	name := types.NamespacedName{Namespace: "ai", Name: "stores"}
	set := func(url string) {
		t.Helper()
		if err := w.Client.Get(t.Context(), name, secret); err != nil {
			t.Fatal(err)
		}
		secret.Data["ledger"] = []byte(url)
		if err := w.Client.Update(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
	}
	away := "postgres://u@127.0.0.1:1/x?connect_timeout=1"
	set(away)
	if said, audit := w.look("2026-03-20T12:00:00Z"); said != "Unknown Pending" || audit != nil {
		t.Errorf("never checked: %s, %+v", said, audit)
	}
	w.used("2026-03-19")
	set(w.url)
	if said, _ := w.look("2026-03-20T12:05:00Z"); said != "True Sound" {
		t.Errorf("back: %s", said)
	}
	set(away)
	if said, audit := w.look("2026-03-21T12:00:00Z"); said != "True Sound" || audit.Day != "2026-03-19" {
		t.Errorf("a day late: %s, %+v", said, audit)
	}
	if said, audit := w.look("2026-03-22T12:00:00Z"); said != "Unknown StoreUnavailable" || audit.Day != "2026-03-19" {
		t.Errorf("two days late: %s, %+v", said, audit)
	}
}

func TestGatewaysWithoutALedger(t *testing.T) {
	w := newWorld(t)
	w.used("2026-03-19")
	w.look("2026-03-20T12:00:00Z")
	gw := w.gateway()
	gw.Spec.Mode, gw.Spec.Redis, gw.Spec.Ledger = v1alpha1.ModeDemo, nil, nil
	if err := w.Client.Update(t.Context(), gw); err != nil {
		t.Fatal(err)
	}
	if said, _ := w.look("2026-03-21T12:00:00Z"); said != "True Sound" || len(w.Metrics.last) > 0 {
		t.Errorf("%s, metrics %v", said, w.Metrics.last)
	}
	w.Metrics.set(main, v1alpha1.GatewayAudit{})
	if err := w.Client.Delete(t.Context(), gw, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	result, err := w.Reconcile(t.Context(), ctrl.Request{NamespacedName: main})
	if err != nil || result.RequeueAfter != 0 || len(w.Metrics.last) > 0 {
		t.Errorf("gone: %+v, %v, metrics %v", result, err, w.Metrics.last)
	}
}
