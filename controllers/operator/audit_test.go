package operator_test

import (
	"context"
	rawsql "database/sql"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // plants what no method of the ledger would write
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/audit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/hack/testenv"
)

// usedPostgres is a ledger on PostgreSQL that was used on the day that is due to be checked.
func usedPostgres(ctx context.Context) string {
	GinkgoHelper()
	url := testenv.Postgres(GinkgoTB())
	due, err := time.Parse(time.DateOnly, audit.Due(time.Now()))
	Expect(err).NotTo(HaveOccurred())
	l, err := ledger.Open(ctx, url, ledger.Options{Now: func() time.Time { return due.Add(12 * time.Hour) }})
	Expect(err).NotTo(HaveOccurred())
	defer l.Close()
	Expect(l.Migrate(ctx)).To(Succeed())
	_, err = l.Grant(ctx, ledger.Grant{ID: "gift", Account: "ai/acme", Amount: 1000, Kind: "manual", Reason: "test"})
	Expect(err).NotTo(HaveOccurred())
	return url
}

// withLedger points the namespace's stores to another ledger.
func withLedger(ctx context.Context, ns, url string) {
	GinkgoHelper()
	secret := &corev1.Secret{}
	Expect(c.Get(ctx, client.ObjectKey{Namespace: ns, Name: "stores"}, secret)).To(Succeed())
	secret.Data["ledger"] = []byte(url)
	Expect(c.Update(ctx, secret)).To(Succeed())
}

// drift is what the operator's metrics say of a gateway and a kind, -1: nothing.
func drift(g Gomega, gw *v1alpha1.AIGateway, kind string) float64 {
	families, err := metrics.Registry.Gather()
	g.Expect(err).NotTo(HaveOccurred())
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if labels := m.GetLabel(); f.GetName() == "layers_ledger_drift" && labels[0].GetValue() == gw.Namespace+"/"+gw.Name && labels[1].GetValue() == kind {
				return m.GetGauge().GetValue()
			}
		}
	}
	return -1
}

var _ = Describe("LedgerSound", func() {
	It("is True where yesterday agrees, at once", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		withLedger(ctx, ns, usedPostgres(ctx))
		gw, demo := liveGateway(ns, "main"), demoGateway(ns, "demo")
		create(ctx, gw, demo)
		said(ctx, gw, "LedgerSound", "True", "Sound")
		Expect(gw.Status.Audit).NotTo(BeNil())
		Expect(gw.Status.Audit.Day).To(Equal(audit.Due(time.Now())))
		Expect(gw.Status.Audit.CheckedAt.Time).To(BeTemporally("~", time.Now(), time.Minute))
		Expect(drift(Default, gw, "account")).To(BeZero())
		said(ctx, demo, "LedgerSound", "True", "Sound")
		Expect(demo.Status.Audit).To(BeNil())

		By("taking the metrics away with the gateway")
		Expect(c.Delete(ctx, gw)).To(Succeed())
		Eventually(func(g Gomega) { g.Expect(drift(g, gw, "account")).To(Equal(float64(-1))) }).Should(Succeed())
	})

	It("is False where something drifts, and tells of it", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		url := usedPostgres(ctx)
		db, err := rawsql.Open("pgx", url)
		Expect(err).NotTo(HaveOccurred())
		defer db.Close()
		_, err = db.ExecContext(ctx, "UPDATE accounts SET balance = balance + 5 WHERE id = 'ai/acme'")
		Expect(err).NotTo(HaveOccurred())
		withLedger(ctx, ns, url)
		gw := liveGateway(ns, "main")
		create(ctx, gw)
		said(ctx, gw, "LedgerSound", "False", "Drift")
		Expect(gw.Status.Audit.Drift).To(ConsistOf(v1alpha1.GatewayDrift{Kind: "account", Count: 1}))
		Expect(drift(Default, gw, "account")).To(Equal(float64(1)))
		said(ctx, gw, "StoresReady", "True", "Available")
		Eventually(func(g Gomega) {
			var all eventsv1.EventList
			g.Expect(c.List(ctx, &all, client.InNamespace(ns))).To(Succeed())
			g.Expect(all.Items).To(ContainElement(And(HaveField("Reason", "LedgerDrift"), HaveField("Note", ContainSubstring("account 1")))))
		}).Should(Succeed())
	})

	It("waits for a ledger that cannot be reached, and keeps nobody else waiting", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		withLedger(ctx, ns, "postgres://u@127.0.0.1:1/x?connect_timeout=1")
		gw, p := liveGateway(ns, "main"), provider(ns, "upstream")
		create(ctx, gw, credential(ns, "x"), p)
		said(ctx, gw, "LedgerSound", "Unknown", "Pending")
		said(ctx, p, "Accepted", "True", "Accepted")
	})
})
