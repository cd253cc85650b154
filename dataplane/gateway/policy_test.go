package gateway

import (
	"net/http"
	"slices"
	"testing"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// TestOrphanCharge: CreditPolicy.spec.orphanCharge says what a request is charged whose replica was killed before it had ended.
func TestOrphanCharge(t *testing.T) {
	for policy, charged := range map[string]func(row) pricing.Nano{
		"None":  func(row) pricing.Nano { return 0 },
		"Input": func(w row) pricing.Nano { return w.Cost },
		"Hold":  func(w row) pricing.Nano { return w.Held },
	} {
		t.Run(policy, func(t *testing.T) {
			r := newRig(t, 1, func(s *snapshot.Snapshot) {
				s.Policies, s.DefaultPolicy = []snapshot.CreditPolicy{{Name: "ns/policy", OrphanCharge: policy}}, "ns/policy"
			})
			killed := r.child(t.TempDir())
			go func() { _, _ = http.DefaultClient.Do(request(t, killed.api, hold)) }() // it is cut
			<-r.entered
			killed.kill(t)
			r.apis = slices.DeleteFunc(r.apis, func(api string) bool { return api == killed.api })
			r.everyone(1)
			for _, w := range r.exact(1) {
				if w.Evidence == string(ledger.EvidenceOrphan) && (w.Charged != charged(w) || w.Cost <= 0 || w.Held <= w.Cost) {
					t.Errorf("%+v", w)
				}
			}
		})
	}
}

// TestRedisOnUnavailable: AIGateway.spec.redis.onUnavailable says whether requests go on while Redis is away: LocalLimits, or are
// refused until it is back: Reject.
func TestRedisOnUnavailable(t *testing.T) {
	for onUnavailable, want := range map[string]int{"LocalLimits": http.StatusOK, "Reject": http.StatusServiceUnavailable} {
		t.Run(onUnavailable, func(t *testing.T) {
			r := newRig(t, 1, func(s *snapshot.Snapshot) { s.RejectWithoutRedis = onUnavailable == "Reject" })
			r.everyone(1)
			r.redis.Kill()
			for range 5 {
				got := r.ask(0, hi)
				if got.status == http.StatusOK {
					r.sent++
				}
				if got.status != want || want != http.StatusOK && got.header.Get("Retry-After") == "" {
					t.Errorf("%d %s", got.status, got.body)
				}
			}
			r.redis.Restart()
			eventually(t, "an answer", func() bool {
				got := r.ask(0, hi)
				if got.status == http.StatusOK {
					r.sent++
				}
				return got.status == http.StatusOK && got.header.Get("X-Layers-Degraded") == ""
			})
			r.exact(0)
		})
	}
}
