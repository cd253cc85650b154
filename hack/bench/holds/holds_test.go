package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/admit/forecast"
	"github.com/layers-dev/layers/dataplane/pricing"
)

func trace(t *testing.T) []row {
	t.Helper()
	rows, err := parseTrace(strings.NewReader(conversations))
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// byPolicy runs a workload under each policy.
func byPolicy(t *testing.T, w workload) map[string]result {
	t.Helper()
	out := map[string]result{}
	for _, p := range policies() {
		r, err := simulate(w, p)
		if err != nil {
			t.Fatal(err)
		}
		out[p.name] = r
	}
	return out
}

func TestAdaptiveHoldsAvoidRefusals(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3} {
		for _, w := range []workload{synthetic(seed), replayed(seed, trace(t))} {
			r := byPolicy(t, w)
			worst, adaptive, ideal := r[worstCase], r[adaptiveHolds], r["clairvoyant"]
			if worst.short-adaptive.short <= worst.short/20 {
				t.Errorf("%s %d: %d instead of %d 402s", w.name, seed, adaptive.short, worst.short)
			}
			if gained, possible := adaptive.served-worst.served, ideal.served-worst.served; gained*2 < possible {
				t.Errorf("%s %d: of %d requests that could be served more, %d are", w.name, seed, possible, gained)
			}
			if worst.overspent != 0 || ideal.overspent != 0 {
				t.Errorf("%s %d: full holds overspend %d and %d", w.name, seed, worst.overspent, ideal.overspent)
			}
			if adaptive.overspent*100 > adaptive.charged || r["nothing"].overspent <= adaptive.overspent {
				t.Errorf("%s %d: adaptive holds overspend %d of %d, none %d", w.name, seed, adaptive.overspent, adaptive.charged, r["nothing"].overspent)
			}
		}
	}
}

// Estimates that are wrong all at once cost the account what it has, not more than a slice of each running request.
func TestBurstsStayWithinASlice(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3} {
		w := bursts(seed)
		r := byPolicy(t, w)
		adaptive := r[adaptiveHolds]
		slice := frontier.price.Output * forecast.SliceTokens / 1_000_000
		if adaptive.deepest > slice*50 || adaptive.stopped == 0 {
			t.Errorf("%d: %d below zero, %d stopped", seed, adaptive.deepest, adaptive.stopped)
		}
		if adaptive.served <= r[worstCase].served || r["nothing"].deepest < dollars(5) {
			t.Errorf("%d: %d served, %d with worst-case holds; without holds one account is %d below zero", seed, adaptive.served, r[worstCase].served, r["nothing"].deepest)
		}
	}
}

func TestEveryRequestIsDecidedOnce(t *testing.T) {
	w := synthetic(4)
	for name, r := range byPolicy(t, w) {
		if r.served+r.short+r.tiedUp != len(w.requests) || len(r.refused) != r.short+r.tiedUp {
			t.Errorf("%s: %d served, %d and %d refused of %d", name, r.served, r.short, r.tiedUp, len(w.requests))
		}
	}
}

// What is left of the balances is what they were less what was charged, and nothing stays held.
func TestMoneyIsKept(t *testing.T) {
	w := bursts(1)
	s := simulation{w: w, balance: append([]pricing.Nano(nil), w.balances...), reserved: make([]pricing.Nano, len(w.balances))}
	s.refused = map[int]bool{}
	s.book = forecast.New(forecast.Options{Now: func() time.Time { return time.Unix(0, 0).Add(s.now) }})
	for i := range w.requests {
		s.until(w.requests[i].at)
		s.arrive(i, policies()[2])
	}
	s.until(1 << 62)
	if s.err != nil {
		t.Fatal(s.err)
	}
	left := s.charged
	for i := range w.balances {
		left += s.balance[i] - w.balances[i]
		if s.reserved[i] != 0 {
			t.Errorf("account %d: %d stays held", i, s.reserved[i])
		}
	}
	if left != 0 || s.charged == 0 {
		t.Errorf("of %d charged, %d are not missing in any balance", s.charged, left)
	}
}

// The same seed is the same workload, another one is another.
func TestWorkloadsRepeat(t *testing.T) {
	rows := trace(t)
	for name, make := range map[string]func(uint64) workload{
		"synthetic": synthetic, "bursts": bursts, "replayed": func(seed uint64) workload { return replayed(seed, rows) },
	} {
		if a, b := make(5), make(5); !cmp.Equal(a.balances, b.balances) || len(a.requests) != len(b.requests) || a.requests[7] != b.requests[7] {
			t.Errorf("%s: one seed, two workloads", name)
		}
		if a, b := make(5), make(6); cmp.Equal(a.balances, b.balances) {
			t.Errorf("%s: two seeds, one workload", name)
		}
	}
}

func TestReplayKeepsSizes(t *testing.T) {
	rows := trace(t)
	want, got := map[row]int{}, map[row]int{}
	for _, r := range rows {
		want[row{0, r.input, r.output}]++
	}
	for _, q := range replayed(1, rows).requests {
		got[row{0, q.input, q.output}]++
	}
	for r, n := range want {
		if got[r]%n != 0 || got[r] == 0 || len(got) != len(want) {
			t.Fatalf("%+v is %d times in the trace, %d times in the workload", r, n, got[r])
		}
	}
}

func TestWhatHasNoPrice(t *testing.T) {
	broken := model{"broken", pricing.Price{Input: -1}, 1000, 1000, false, 1}
	w := workload{balances: []pricing.Nano{1}, requests: []request{{model: &broken, bytes: 10, input: 5}}}
	for _, p := range policies() {
		if _, err := simulate(w, p); err == nil {
			t.Errorf("%s: a negative price is charged", p.name)
		}
	}
}

func TestParseTrace(t *testing.T) {
	rows, err := parseTrace(strings.NewReader("# a comment\nGeneratedTokens,TIMESTAMP,ContextTokens\n5,2026-01-01 00:00:01.5,7\n6,2026-01-01 00:00:03,8\n"))
	want := []row{{0, 7, 5}, {1500 * time.Millisecond, 8, 6}}
	if diff := cmp.Diff(want, rows, cmp.AllowUnexported(row{})); diff != "" || err != nil {
		t.Error(diff, err)
	}
	head := "TIMESTAMP,ContextTokens,GeneratedTokens\n"
	for _, text := range []string{"", head, "a,b,c\n1,2,3\n", head + "noon,1,2\n", head + "2026-01-01 00:00:01,-1,2\n", head + "2026-01-01 00:00:01,1\n"} {
		if _, err := parseTrace(strings.NewReader(text)); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

func TestReport(t *testing.T) {
	file := filepath.Join(t.TempDir(), "trace.csv")
	if err := os.WriteFile(file, []byte(conversations), 0o600); err != nil {
		t.Fatal(err)
	}
	var own, named bytes.Buffer
	if err := run(&own, 1, ""); err != nil {
		t.Fatal(err)
	}
	if err := run(&named, 1, file); err != nil || own.String() != named.String() {
		t.Errorf("the same trace by name gives another report: %v", err)
	}
	if n := strings.Count(own.String(), "402s avoided"); n != 3 {
		t.Errorf("%d reports in\n%s", n, own.String())
	}
	if err := run(&named, 1, file+".gone"); err == nil {
		t.Error("a trace that is not there is replayed")
	}
}
