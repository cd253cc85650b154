package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// A ledger keeps claims while Redis is away.
var _ admit.Claims = ledger.Ledger(nil)

// claimed is who has the name after a request asked for it, for an hour.
func (e env) claimed(t *testing.T, account, name, requestID, want string) {
	t.Helper()
	if holder, err := e.Claim(t.Context(), account, name, requestID, time.Hour); err != nil || holder != want {
		t.Errorf("%s of %s, asked by %s, is held by %q, want %q: %v", name, account, requestID, holder, want, err)
	}
}

func TestClaim(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e.claimed(t, "default/a", "a name", "req_1", "req_1")
		e.claimed(t, "default/a", "a name", "req_1", "req_1")
		e.claimed(t, "default/a", "a name", "req_2", "req_1")
		e.claimed(t, "default/b", "a name", "req_2", "req_2")
		e.claimed(t, "default/a", "name", "req_2", "req_2")
		for _, give := range []struct{ up, then string }{{"req_2", "req_1"}, {"req_1", "req_3"}, {"req_1", "req_3"}} {
			if err := e.GiveUp(t.Context(), "default/a", "a name", give.up); err != nil {
				t.Error(err)
			}
			e.claimed(t, "default/a", "a name", "req_3", give.then)
		}
		e.claimed(t, "default/a", "a name", "req_4", "req_3")
	})
}

// TestClaimEnds: after its time a name is anybody's, asking again does not prolong it, and old ones do not stay.
func TestClaimEnds(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, now := e.at(t)
		for i := range 30 {
			e.claimed(t, "default/a", fmt.Sprint("old ", i), "req_0", "req_0")
		}
		e.claimed(t, "default/a", "name", "req_1", "req_1")
		now.Add(time.Hour.Microseconds() - 1)
		e.claimed(t, "default/a", "name", "req_1", "req_1")
		e.claimed(t, "default/a", "name", "req_2", "req_1")
		now.Add(1)
		e.claimed(t, "default/a", "name", "req_2", "req_2")
		e.claimed(t, "default/a", "name", "req_1", "req_2")
		if n := e.number(t, "SELECT COUNT(*) FROM claims"); n != 1 {
			t.Errorf("%d claims are kept", n)
		}
	})
}

// TestOneOfManyClaims: of those who ask at once, one has the name, and all are told which; again and again over claims whose
// time has passed, which all of them take away.
func TestOneOfManyClaims(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, now := e.at(t)
		for round := range 4 {
			holders := make([]string, 16)
			var wg sync.WaitGroup
			for i := range holders {
				wg.Go(func() {
					id := fmt.Sprintf("req_%d_%d", round, i)
					for _, name := range []string{fmt.Sprint("own ", i), "name"} {
						var err error
						if holders[i], err = e.Claim(t.Context(), "default/a", name, id, time.Minute); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			if all := slices.Compact(slices.Clone(holders)); len(all) != 1 || !strings.HasPrefix(all[0], fmt.Sprintf("req_%d_", round)) {
				t.Errorf("round %d: %v have it", round, holders)
			}
			now.Add(time.Minute.Microseconds())
		}
	})
}

func TestClaimsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		for _, c := range []struct {
			account, name, id string
			keep              time.Duration
		}{
			{"", "n", "req_1", time.Hour}, {"system/x", "n", "req_1", time.Hour}, {"default/a", "", "req_1", time.Hour},
			{"default/a", strings.Repeat("n", 513), "req_1", time.Hour}, {"default/a", "n", "", time.Hour}, {"default/a", "n", "req_1", 0},
		} {
			if holder, err := e.Claim(t.Context(), c.account, c.name, c.id, c.keep); err == nil {
				t.Errorf("%+v: held by %q", c, holder)
			}
		}
		if n := e.number(t, "SELECT COUNT(*) FROM claims"); n != 0 {
			t.Errorf("%d claims", n)
		}
	})
}

func TestRecentOutput(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		k := e.created(t, ledger.NewKey{Digest: digest("k1"), Account: "default/a", Source: ledger.SourceCLI, Name: "n"})
		other := e.created(t, ledger.NewKey{Digest: digest("k2"), Account: "default/a", Source: ledger.SourceCLI, Name: "n"})
		for i, change := range []func(*ledger.Settlement){
			func(*ledger.Settlement) {}, func(*ledger.Settlement) {},
			func(e *ledger.Settlement) { e.KeyID = other.ID }, func(e *ledger.Settlement) { e.Model = "another" },
			func(e *ledger.Settlement) { e.Evidence, e.Charged = ledger.EvidenceFree, 0 },
			func(e *ledger.Settlement) { e.Evidence = ledger.EvidenceEstimated },
		} {
			s := settlement(fmt.Sprint("req_", i), "default/a", 1)
			s.KeyID, s.Usage.Output, s.FinishedAt = k.ID, int64(100+i), s.FinishedAt+int64(i)
			change(&s)
			e.only(t, s)
		}
		for most, want := range map[int][]int64{10: {105, 101, 100}, 2: {105, 101}} {
			got, err := e.RecentOutput(t.Context(), digest("k1"), "m", most)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v, %s", err, diff)
			}
		}
		if got, err := e.RecentOutput(t.Context(), digest("k3"), "m", 10); err != nil || got != nil {
			t.Errorf("of nobody: %v, %v", got, err)
		}
		for d, most := range map[string]int{"no digest": 1, digest("k1"): 0} {
			if _, err := e.RecentOutput(t.Context(), d, "m", most); err == nil {
				t.Errorf("%s, %d: taken", d, most)
			}
		}
	})
}
