package up

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// A ledger whose row of yesterday says another cost than its lines is found when the process starts, and told in its metrics.
func TestNightlyCheck(t *testing.T) {
	data := t.TempDir()
	path := filepath.Join(data, "ledger.db")
	books, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := books.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	wrong := ledger.Settlement{
		RequestID: "req_1", Account: "default/acme", Model: "m", Provider: "default/p", Cost: 5, Charged: 5, Evidence: ledger.EvidenceReported,
		Lines: []pricing.Line{{Kind: "input", Quantity: 2_000_000, UnitPrice: 3}}, FinishedAt: time.Now().Add(-48 * time.Hour).UnixMicro(),
	}
	if _, err := books.Settle(t.Context(), []ledger.Settlement{wrong}); err != nil {
		t.Fatal(err)
	}
	books.Close()
	p := start(t, Options{Data: data, Manifests: folder(t, manifest(t, provider(t), keys.Digest(plainKey)))})
	for deadline := time.Now().Add(20 * time.Second); ; {
		_, text := p.get(t, p.Admin+"/metrics")
		if strings.Contains(text, `layers_ledger_drift{gateway="default/up",kind="request"} 1`) && strings.Contains(text, `kind="grant"} 0`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s\n%s", p.stderr, text)
		}
		<-time.After(10 * time.Millisecond)
	}
	if !strings.Contains(p.stderr.String(), "request req_1: its row says that it costs 5, its usage 6") {
		t.Errorf("%s", p.stderr)
	}
}
