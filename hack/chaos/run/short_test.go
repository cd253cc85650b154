package run

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/layers-dev/layers/hack/chaos/plan"
	"github.com/layers-dev/layers/hack/chaos/stores"
)

// TestAShortRun is a run that is too short for faults: all parts work together, every probe is made, and nothing is wrong.
func TestAShortRun(t *testing.T) {
	dir, err := os.MkdirTemp("", "layers-chaos-test-") // PostgreSQL's user must be able to enter it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	bin, err := stores.Build(t.Context(), filepath.Join("..", "..", ".."), dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), Options{Options: plan.Options{Seed: 1, Duration: 6 * time.Second, Rate: 30}, Bin: bin, Dir: filepath.Join(dir, "run"), Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Violations) > 0 || len(r.Plan.Faults) > 0 {
		t.Errorf("without faults:\n%s", r.Report())
	}
	if n := r.Counts; n.Requests < 150 || n.Served < 100 || n.Settled < n.Served || n.LostHolds+n.LostSettlements+n.Orphans+n.Twice > 0 {
		t.Errorf("counted %+v", n)
	}
}
