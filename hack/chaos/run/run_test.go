package run

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/hack/chaos/judge"
	"github.com/layers-dev/layers/hack/chaos/plan"
	"github.com/layers-dev/layers/hack/chaos/stores"
)

func TestConfigurationIsServed(t *testing.T) {
	s := configuration("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1")
	if err := snapshot.Validate(s); err != nil {
		t.Fatal(err)
	}
	for _, m := range s.Models {
		if sliceOf(m.PublicName, plan.TierPlain) <= 0 || sliceOf(m.PublicName, plan.TierMarkup) <= sliceOf(m.PublicName, plan.TierPlain) {
			t.Errorf("a slice of %s costs %d, with a markup %d", m.PublicName, sliceOf(m.PublicName, plan.TierPlain), sliceOf(m.PublicName, plan.TierMarkup))
		}
	}
	cost, _, err := pricing.Cost(pricing.Usage{Input: plan.StepAbove + 1}, priceOf(plan.ModelSteps, plan.TierMarkup))
	if want := pricing.Nano((plan.StepAbove + 1) * 4000 * 5 / 4); err != nil || cost != want {
		t.Errorf("above the step it costs %d, %v, want %d", cost, err, want)
	}
}

func TestParseHolds(t *testing.T) {
	got := parseHolds("a", map[string]string{
		"": "30", "key d": "30", "req_1": "10 99 1 d pod-1.boot.1 5 some record", "req_2": "20 99 0 d pod-2.boot.1 5 ", "req_3": "7 99 1 d",
	})
	want := []judge.Hold{
		{RequestID: "req_1", Account: "a", Owner: "pod-1.boot.1", Amount: 10, Running: true},
		{RequestID: "req_2", Account: "a", Owner: "pod-2.boot.1", Amount: 20},
		{RequestID: "req_3", Account: "a", Amount: 7, Running: true},
	}
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(func(a, b judge.Hold) bool { return a.RequestID < b.RequestID })); diff != "" {
		t.Error(diff)
	}
}

func TestWatcherSeesAndFlushes(t *testing.T) {
	r, err := stores.StartRedis(t.Context(), t.TempDir(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Kill()
	w, err := newWatcher(r.URL, []string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.client.Close()
	set := func() {
		t.Helper()
		b := w.client.B()
		for _, r := range w.client.DoMulti(t.Context(),
			b.Hset().Key("lyr:{a}:holds").FieldValue().FieldValue("", "10").FieldValue("req_1", "10 99 1 d pod-1.boot.1 5 r").Build(),
			b.Hset().Key("lyr:{a}:account").FieldValue().FieldValue("b", "50").FieldValue("v", "3").FieldValue("at", "9").Build()) {
			if err := r.Error(); err != nil {
				t.Fatal(err)
			}
		}
	}
	set()
	hold := judge.Hold{RequestID: "req_1", Account: "a", Owner: "pod-1.boot.1", Amount: 10, Running: true}
	copies, err := w.copies(t.Context())
	if diff := cmp.Diff(map[string]judge.Copy{"a": {There: true, Spendable: 50, Version: 3, Holds: []judge.Hold{hold}, Sum: 10}, "b": {}}, copies); diff != "" || err != nil {
		t.Error(diff, err)
	}
	dump, err := w.dump(t.Context(), "a")
	if diff := cmp.Diff(map[string]string{"lyr:{a}:holds": "=10 req_1=10 99 1 d pod-1.boot.1 5 r", "lyr:{a}:account": "b=50 v=3"}, dump); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if holds, err := w.flush(t.Context()); err != nil || !cmp.Equal(holds, []judge.Hold{hold}) {
		t.Errorf("flushing: %v, %v", holds, err)
	}
	if holds, err := w.holds(t.Context()); err != nil || len(holds) > 0 {
		t.Errorf("after it: %v, %v", holds, err)
	}
}

// What a fallback did not see is in the sample before it and in the one after it.
func TestAround(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	sample := func(ms int, ids ...string) judge.Loss {
		l := judge.Loss{At: at(ms)}
		for _, id := range ids {
			l.Holds = append(l.Holds, judge.Hold{RequestID: id, Account: "a", Amount: 1}, judge.Hold{RequestID: "other-" + id, Account: "b"})
		}
		return l
	}
	c := &chaos{samples: []judge.Loss{sample(100, "1"), sample(200, "2"), sample(300, "3"), sample(400, "4")}}
	var ids []string
	for _, l := range c.around(judge.Fallback{RequestID: "f", Account: "a", At: at(250)}) {
		for _, h := range l.Holds {
			ids = append(ids, h.RequestID)
		}
		if !l.At.Equal(at(200)) {
			t.Errorf("from %v on", l.At)
		}
	}
	if strings.Join(ids, " ") != "2 3" {
		t.Errorf("not seen: %v", ids)
	}
}

func TestTable(t *testing.T) {
	r := &Result{
		Plan: &plan.Plan{Options: plan.Options{Seed: 5, Duration: time.Minute, Rate: 70}}, Faults: map[plan.Kind]int{plan.FlushRedis: 2},
		Overspent: []judge.Overspent{{Account: "a", Class: plan.Small, By: 3, Bound: 1_000_000_000}, {Account: "b", Class: plan.Hot, Bound: 5}}, Counts: judge.Counts{Requests: 11},
		Violations: []judge.Violation{{Rule: "P4", Account: "a", Text: "too much"}},
	}
	table := Table([]*Result{r})
	for _, want := range []string{"| 5 | 11 |", "| 0.000000003 | 1 |", "| 0 | 2 | 0 |", "1m0s"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	if report := r.Report(); !strings.Contains(report, "VIOLATION P4 a: too much") || !strings.Contains(report, "1 violations of P4") {
		t.Error(report)
	}
}
