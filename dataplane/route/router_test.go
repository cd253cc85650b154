package route

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// world is a router with a clock that the test moves.
type world struct {
	*Router
	now time.Time
}

func newWorld(without Parts) *world {
	w := &world{now: time.Unix(1_800_000_000, 0)}
	w.Router = New(Options{Now: func() time.Time { return w.now }, Rand: func(int64) int64 { return 0 }, Without: without})
	return w
}

func (w *world) plan(affinity uint64, most int32, backends ...snapshot.Backend) *Plan {
	return w.Plan(Query{Model: "ns/m", Backends: backends, Affinity: affinity, MaxConcurrent: func(string) int32 { return most }})
}

// call makes one call of a new request that ends at once, and says where it went; "": nowhere.
func (w *world) call(result Result, backends ...snapshot.Backend) string {
	step := w.plan(0, 0, backends...).Next(time.Minute)
	if step.Lease == nil {
		return ""
	}
	step.Lease.End(result, 0)
	return step.Lease.Backend.Name
}

func TestBreaker(t *testing.T) {
	w := newWorld(Parts{})
	first, second := backend("first", 0, 1), backend("second", 1, 1)
	expect := func(want string, result Result) {
		t.Helper()
		if got := w.call(result, first, second); got != want {
			t.Fatalf("the call went to %q, want %q", got, want)
		}
	}
	for range 5 {
		expect("first", Good)
	}
	for range minFailures - 1 {
		expect("first", Failed)
	}
	expect("first", Failed) // half of ten calls have failed: it opens
	if got := w.Open(); len(got) != 1 || got[0] != "ns/m/first" {
		t.Fatalf("open are %v", got)
	}
	expect("second", Good)
	for open := firstOpen; open <= 4*firstOpen; open *= 2 {
		w.now = w.now.Add(open)
		probe := w.plan(0, 0, first, second).Next(time.Minute)
		if probe.Lease == nil || probe.Lease.Backend.Name != "first" {
			t.Fatalf("no probe after %v", open)
		}
		expect("second", Good) // one probe at a time
		probe.Lease.End(Failed, 0)
		expect("second", Good)
	}
	w.now = w.now.Add(maxOpen)
	step := w.plan(0, 0, first, second).Next(time.Minute)
	step.Lease.End(Unknown, 0) // a probe whose client left says nothing
	expect("first", Good)
	expect("first", Good)
	if got := w.Open(); len(got) != 0 {
		t.Errorf("open are %v", got)
	}
}

// Calls that were on their way when a circuit opened are no probes of it.
func TestLateCalls(t *testing.T) {
	w := newWorld(Parts{})
	first, second := backend("first", 0, 1), backend("second", 1, 1)
	var late []*Lease
	for range 50 {
		late = append(late, w.plan(0, 0, first, second).Next(time.Minute).Lease)
	}
	for _, l := range late[:49] {
		l.End(Failed, 0)
	}
	w.now = w.now.Add(firstOpen)
	probe := w.plan(0, 0, first, second).Next(time.Minute).Lease
	if probe.Backend.Name != "first" {
		t.Fatalf("failures of one moment keep a circuit open for longer than %v", firstOpen)
	}
	late[49].End(Good, 0)
	if got := w.call(Good, first, second); got != "second" || len(w.Open()) != 1 {
		t.Errorf("beside a probe a call went to %q, open are %v", got, w.Open())
	}
	probe.End(Good, 0)
	if got := w.call(Good, first, second); got != "first" {
		t.Errorf("after a good probe a call went to %q", got)
	}
}

// A probe that streams for long closes the circuit when it has begun.
func TestProbeThatStreams(t *testing.T) {
	w := newWorld(Parts{})
	first, second := backend("first", 0, 1), backend("second", 1, 1)
	for range minFailures {
		w.call(Failed, first, second)
	}
	w.now = w.now.Add(firstOpen)
	probe := w.plan(0, 0, first, second).Next(time.Minute).Lease
	probe.Began()
	probe.Began()
	if got := w.call(Good, first, second); got != "first" {
		t.Errorf("while the probe streams a call went to %q", got)
	}
	probe.End(Failed, 0)
	if got := w.call(Good, first, second); got != "first" || len(w.Open()) > 0 {
		t.Errorf("one failure after the probe: a call went to %q", got)
	}
}

// The only backend is called whatever its circuit says, and closes it when its time is over.
func TestTheOnlyOneCloses(t *testing.T) {
	w := newWorld(Parts{})
	a := backend("a", 0, 1)
	for range minFailures {
		w.call(Failed, a)
	}
	if w.call(Good, a); len(w.Open()) != 1 {
		t.Errorf("before its time open are %v", w.Open())
	}
	w.now = w.now.Add(firstOpen)
	if w.call(Good, a); len(w.Open()) != 0 {
		t.Errorf("after a good call open are %v", w.Open())
	}
}

// Routers are used from many goroutines.
func TestParallel(t *testing.T) {
	r := New(Options{Now: time.Now, Rand: rand.Int64N})
	var group []snapshot.Backend
	for i := range 16 {
		group = append(group, backend(fmt.Sprintf("b%d", i), int32(i%3), 1))
	}
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			for i := range 300 {
				p := r.Plan(Query{Model: "ns/m", Backends: group, Affinity: uint64(i % 5), MaxConcurrent: func(string) int32 { return 8 }})
				for step := p.Next(time.Second); step.Lease != nil; step = p.Next(0) {
					_ = r.Open()
					step.Lease.End(Result((g+i)%3), 0)
					p.MayRetry(step.Lease.Backend.Name, time.Millisecond)
				}
			}
		})
	}
	all.Wait()
	if len(r.providers) != 0 {
		t.Errorf("providers have %v running", r.providers)
	}
}

func TestBreakerForgets(t *testing.T) {
	w := newWorld(Parts{})
	a, b := backend("a", 0, 1), backend("b", 1, 1)
	for range 3 {
		for range minFailures - 1 {
			if got := w.call(Failed, a, b); got != "a" {
				t.Fatalf("the call went to %q", got)
			}
		}
		w.now = w.now.Add(window * time.Second)
	}
	alone := newWorld(Parts{})
	for range 3 * minFailures {
		if got := alone.call(Failed, a); got != "a" {
			t.Fatalf("the only backend is shut out: %q", got)
		}
	}
	without := newWorld(Parts{Breaker: true})
	for range 3 * minFailures {
		if got := without.call(Failed, a, b); got != "a" {
			t.Fatalf("without a breaker the call went to %q", got)
		}
	}
}

func TestAllOpen(t *testing.T) {
	w := newWorld(Parts{})
	a, b := backend("a", 0, 1), backend("b", 1, 1)
	for range 2 * minFailures {
		w.call(Failed, a, b)
	}
	step := w.plan(0, 0, a, b).Next(time.Minute)
	if step.Lease != nil || step.Retry < time.Second || step.Retry > maxOpen {
		t.Errorf("with every circuit open: %+v", step)
	}
}

func TestRetries(t *testing.T) {
	w := newWorld(Parts{})
	a, b := backend("a", 0, 1), backend("b", 1, 1)
	p := w.plan(0, 0, a, b)
	lease := func(want string) {
		t.Helper()
		step := p.Next(time.Minute)
		if step.Lease == nil || step.Lease.Backend.Name != want {
			t.Fatalf("got %+v, want %s", step, want)
		}
		step.Lease.End(Failed, 0)
	}
	wait := func(want time.Duration) {
		t.Helper()
		if step := p.Next(time.Minute); step.Lease != nil || step.Wait != want {
			t.Fatalf("got %+v, want a wait of %v", step, want)
		}
	}
	lease("a")
	p.MayRetry("a", 3*time.Second)
	lease("b") // another one goes first
	p.MayRetry("b", 0)
	wait(firstBackoff / 2)
	lease("b")
	wait(3 * time.Second) // b did not allow it again
	lease("a")
	p.MayRetry("a", 0)
	if step := p.Next(time.Minute); step.Lease != nil || step.Wait != 0 {
		t.Errorf("a fifth attempt: %+v", step)
	}
}

func TestRetriesOfOne(t *testing.T) {
	a := backend("a", 0, 1)
	for name, tc := range map[string]struct {
		without Parts
		after   time.Duration
		left    time.Duration
		want    time.Duration
	}{
		"its own time":     {after: 2 * time.Second, left: time.Minute, want: 2 * time.Second},
		"too long":         {after: maxWait + time.Second, left: time.Minute},
		"beyond the end":   {after: 2 * time.Second, left: time.Second},
		"a backoff":        {left: time.Minute, want: firstBackoff / 2},
		"without retrying": {without: Parts{Retry: true}, left: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(tc.without)
			p := w.plan(0, 0, a)
			p.Next(tc.left).Lease.End(Failed, 0)
			p.MayRetry("a", tc.after)
			if step := p.Next(tc.left); step.Wait != tc.want || step.Lease != nil {
				t.Errorf("got %+v", step)
			}
		})
	}
}

func TestCoolDown(t *testing.T) {
	w := newWorld(Parts{})
	a, b := backend("a", 0, 1), backend("b", 1, 1)
	w.plan(0, 0, a, b).Next(time.Minute).Lease.End(Good, 2*time.Second)
	if got := w.call(Good, a, b); got != "b" {
		t.Errorf("a backend that asked to be left alone: the call went to %q", got)
	}
	w.now = w.now.Add(2 * time.Second)
	if got := w.call(Good, a, b); got != "a" {
		t.Errorf("after its time the call went to %q", got)
	}
}

func TestConcurrency(t *testing.T) {
	w := newWorld(Parts{})
	a, b := backend("a", 0, 1), backend("b", 1, 1)
	a.Provider, b.Provider = "ns/p", "ns/q"
	one := w.plan(0, 1, a, b).Next(time.Minute).Lease
	two := w.plan(0, 1, a, b).Next(time.Minute).Lease
	if one.Backend.Name != "a" || two.Backend.Name != "b" {
		t.Fatalf("the calls went to %s and %s", one.Backend.Name, two.Backend.Name)
	}
	if step := w.plan(0, 1, a, b).Next(time.Minute); step.Lease != nil || step.Retry <= 0 {
		t.Errorf("with every place taken: %+v", step)
	}
	one.End(Good, 0)
	if got := w.plan(0, 1, a, b).Next(time.Minute).Lease; got == nil || got.Backend.Name != "a" {
		t.Errorf("a place that was given back is not found: %+v", got)
	}
}

func TestAffinity(t *testing.T) {
	w := newWorld(Parts{})
	group := []snapshot.Backend{backend("a", 0, 1), backend("b", 0, 1), backend("c", 0, 2)}
	home := map[uint64]string{}
	count := map[string]int{}
	for c := uint64(1); c <= 4000; c++ {
		step := w.plan(c*0x9e3779b97f4a7c15, 0, group...).Next(time.Minute)
		step.Lease.End(Good, 0)
		home[c] = step.Lease.Backend.Name
		count[home[c]]++
	}
	for name, share := range map[string]int{"a": 1000, "b": 1000, "c": 2000} {
		if d := count[name] - share; d < -200 || d > 200 {
			t.Errorf("%s has %d of 4000 conversations, want about %d", name, count[name], share)
		}
	}
	for c := uint64(1); c <= 4000; c++ {
		step := w.plan(c*0x9e3779b97f4a7c15, 0, group[:2]...).Next(time.Minute)
		step.Lease.End(Good, 0)
		if home[c] != "c" && step.Lease.Backend.Name != home[c] {
			t.Fatal("a conversation moved though its backend stayed")
		}
	}
}

// One conversation that is all there is does not drown one backend.
func TestAffinityIsBounded(t *testing.T) {
	w := newWorld(Parts{})
	group := []snapshot.Backend{backend("a", 0, 1), backend("b", 0, 1)}
	running := map[string]int{}
	for range 100 {
		running[w.plan(7, 0, group...).Next(time.Minute).Lease.Backend.Name]++
	}
	if running["a"] > 64 || running["b"] > 64 {
		t.Errorf("running are %v", running)
	}
}

// Whatever happens, every place is given back, and a plan ends.
func TestPlacesAreGivenBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(Parts{})
		group := []snapshot.Backend{backend("a", 0, 1), backend("b", 0, 3), backend("c", 1, 1)}
		for i := range group {
			group[i].Provider = fmt.Sprintf("ns/p%d", i%2)
		}
		var running []*Lease
		for range rapid.IntRange(1, 40).Draw(t, "requests") {
			p := w.plan(rapid.Uint64Range(0, 3).Draw(t, "affinity"), rapid.Int32Range(0, 3).Draw(t, "most"), group...)
			for steps := 0; ; steps++ {
				if steps > 20 {
					t.Fatal("a plan does not end")
				}
				step := p.Next(time.Minute)
				if step.Wait > 0 {
					w.now = w.now.Add(step.Wait)
					continue
				}
				if step.Lease == nil {
					break
				}
				if rapid.Bool().Draw(t, "goes on") {
					running = append(running, step.Lease)
					break
				}
				step.Lease.End(Result(rapid.IntRange(0, 2).Draw(t, "result")), time.Duration(rapid.IntRange(0, 3).Draw(t, "cool"))*time.Second)
				if rapid.Bool().Draw(t, "retry") {
					p.MayRetry(step.Lease.Backend.Name, 0)
				}
			}
		}
		for _, l := range running {
			l.End(Good, 0)
		}
		for key, h := range w.backends {
			if h.running != 0 {
				t.Fatalf("%s has %d calls running", key, h.running)
			}
		}
		if len(w.providers) != 0 {
			t.Fatalf("providers have %v running", w.providers)
		}
	})
}
