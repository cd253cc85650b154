package admit

import (
	"errors"
	stdflag "flag"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// replay posts everything again, in any order, and tells of it (P6).
func (w *protocol) replay() {
	was, p := w.books.balance, w.pods[0]
	for _, i := range rand.New(rand.NewPCG(uint64(len(w.all)), 6)).Perm(len(w.all)) {
		s := w.all[i]
		if _, there := w.books.settled[s.ID]; there && !s.died {
			w.tell(p, w.books.post(s.ID, s.cost, false))
		}
	}
	for _, g := range w.hooks {
		w.books.grant(g)
	}
	same(w.tb, "P6: after everything once more", w.books.balance, was)
}

// check looks at P1 to P7 when everything has come to its end.
func (w *protocol) check() {
	w.replay()
	w.books.check(w.tb)
	if !w.out.lease { // without one they go with the next admission
		same(w.tb, "P5: held", w.pods[0].held(), "0")
	}
	copied, err := w.pods[0].raw("HGET", accountKey("ns/acme"), "b").AsInt64()
	must(w.tb, err)
	same(w.tb, "P5: copy", copied, w.books.balance)
	admitted := map[string]bool{}
	for _, s := range w.all {
		admitted[s.ID] = true
		w.checkOne(s)
	}
	for id, charged := range w.books.settled {
		input, gaveUp := w.gaveUp[id]
		if admitted[id] || gaveUp && w.books.orphan[id] && (w.policy == 2 || charged == min(input, charged)) {
			continue // of what was given up, a replica that died, or seemed to, may leave an orphan
		}
		w.tb.Fatalf("P3: %q was never admitted", id)
	}
}

// checkOne looks at P3: one settlement, for what was used, or for the policy's floor.
func (w *protocol) checkOne(s *served) {
	charged, there := w.books.settled[s.ID]
	_, adjusted := w.books.adjust[s.ID]
	charged += w.books.adjust[s.ID]
	floor := []int64{0, min(s.input, s.held), s.held}[w.policy]
	switch {
	case !there && s.died && s.exposed: // the declared loss: its process and the store's data are both gone
	case !there:
		w.tb.Fatalf("P3: %+v is not settled", *s)
	case w.books.posts[s.ID] != 1:
		w.tb.Fatalf("P3: %+v is settled %d times", *s, w.books.posts[s.ID])
	case s.died && w.books.orphan[s.ID] && !adjusted && (!s.finished || !s.told || s.exposed):
		if charged != floor && (!s.exposed || charged > floor) { // an older copy of the hold may be smaller
			w.tb.Fatalf("P3: an orphan that held %d is charged %d, not %d", s.held, charged, floor)
		}
	case charged != s.cost:
		w.tb.Fatalf("P3: %+v is charged %d", *s, charged)
	}
}

// schedule runs so many random steps, then quiet, and answers what is wrong.
func schedule(out without, steps int, draw func(int) int) (err error) {
	j := &judge{}
	defer func() {
		for _, f := range slices.Backward(j.cleanups) {
			f()
		}
		switch v := recover().(type) {
		case nil:
		case violation:
			err = errors.New(string(v))
		default:
			panic(v)
		}
	}()
	w := newProtocol(j, out, draw)
	all := w.steps()
	for range steps {
		all[draw(len(all))]()
	}
	w.quiet()
	w.check()
	return nil
}

var schedules = stdflag.Int("schedules", 0, "how many seeded schedules TestProtocolSeeds runs; 0: as many as schedulesTime has room for")

// schedulesTime bounds TestProtocolSeeds where nobody says how many it shall run: a thousand, about, on two processors.
const schedulesTime = 20 * time.Second

// Random schedules of everything that goes wrong: P1 to P7, P9 and P10 hold. Nobody is charged wrongly, nothing is overspent
// beyond what was held when data were lost or out of sight, nothing stays tied up.
func TestProtocol(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // an interpreter of Lua for each call makes much that dies young
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.IntRange(1, 120).Draw(rt, "steps")
		if err := schedule(without{}, steps, func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "") }); err != nil {
			rt.Fatal(err)
		}
	})
}

// The same, by seeds and on all processors: `go test ./dataplane/admit -run TestProtocolSeeds -schedules 10000` runs that many.
func TestProtocolSeeds(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	var next, done atomic.Int64
	var running sync.WaitGroup
	start := time.Now()
	more := func(seed int64) bool {
		if *schedules > 0 {
			return seed <= int64(*schedules)
		}
		return time.Since(start) < schedulesTime
	}
	for range runtime.GOMAXPROCS(0) + 2 {
		running.Go(func() {
			for seed := next.Add(1); more(seed) && !t.Failed(); seed = next.Add(1) {
				if err := seeded(without{}, uint64(seed)); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
				done.Add(1)
			}
		})
	}
	running.Wait()
	t.Logf("%d schedules", done.Load())
}

func seeded(out without, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 5))
	return schedule(out, 120, r.IntN)
}

// Each ingredient is needed: without it some schedule, which the whole protocol passes, goes wrong.
func TestProtocolHasTeeth(t *testing.T) {
	for name, out := range map[string]without{
		"the version fence": {fence: true}, "the unique key": {unique: true}, "the owner lease": {lease: true},
		"the two-way sync": {sync: true}, "the adjust entry": {adjust: true}, "the change by the clock": {next: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(1000) {
				if err := seeded(out, seed); err != nil {
					t.Logf("seed %d: %v", seed, err)
					must(t, seeded(without{}, seed))
					return
				}
			}
			t.Error("nothing goes wrong without it")
		})
	}
}
