package admit

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// steps are what may happen, each as often as it stands here.
func (w *protocol) steps() []func() {
	flush := func() { w.lose(w.mini.FlushAll) }
	photo := func() { w.older = w.pods[0].photo() }
	back := func() {
		if w.older != nil {
			w.lose(func() { w.pods[0].setTo(w.older) })
		}
	}
	steps := []func(){
		w.admit, w.admit, w.admit, w.admit, w.finish, w.finish, w.extend, w.settle, w.settle, w.confirm, w.confirm, w.confirm,
		w.grant, w.late, w.crash, w.asleep, w.pass, w.sync, w.reap, w.reap,
	}
	if w.draw(2) == 0 { // without a loss of data nothing at all may be overspent
		return steps
	}
	return append(steps, flush, photo, back)
}

// quiet lets everything come to its end.
func (w *protocol) quiet() {
	for _, p := range w.pods {
		for len(p.running) > 0 {
			s := p.running[0]
			p.running = p.running[1:]
			s.finished = true
			must(w.tb, p.Finish(context.Background(), Finish{RequestID: s.ID, Account: s.Account, KeyDigest: s.KeyDigest, Record: []byte("0")}))
			p.log = append(p.log, s)
		}
		for _, s := range p.log {
			w.unsent = append(w.unsent, w.post(s.ID, s.cost, false))
		}
		p.log = nil
	}
	must(w.tb, w.pods[0].LoadAccount(context.Background(), Copy{Account: "ns/acme", Spendable: w.books.balance, Version: w.fenced(w.books.version)}))
	for i := range w.unsent { // in any order
		j := i + w.draw(len(w.unsent)-i)
		w.unsent[i], w.unsent[j] = w.unsent[j], w.unsent[i]
	}
	for _, p := range w.pods {
		w.tell(p, w.unsent...)
	}
	for range 5 { // leases of the dead end, lists that were lost are made again, what leaked goes
		w.advance(3)
		for range 3 {
			w.reap()
		}
	}
}

// check looks at P3 to P5 when everything has come to its end.
func (w *protocol) check() {
	if !w.out.lease { // without one they go with the next admission
		same(w.tb, "P5: held", w.pods[0].held(), "0")
	}
	copied, err := w.pods[0].raw("HGET", accountKey("ns/acme"), "b").AsInt64()
	must(w.tb, err)
	same(w.tb, "P5: copy", copied, w.books.balance)
	admitted := map[string]bool{}
	for _, s := range w.all {
		admitted[s.ID] = true
		charged, there := w.books.settled[s.ID]
		charged += w.books.adjust[s.ID]
		switch {
		case !there && s.died && s.exposed: // the declared loss: its process and the store's data are both gone
		case !there:
			w.tb.Fatalf("P3: %+v is not settled", *s)
		case w.books.posts[s.ID] != 1:
			w.tb.Fatalf("P3: %+v is settled %d times", *s, w.books.posts[s.ID])
		case s.died && (!s.finished || !s.told || s.exposed):
			if charged > s.held {
				w.tb.Fatalf("P3: an orphan that held %d is charged %d", s.held, charged)
			}
		case charged != s.cost:
			w.tb.Fatalf("P3: %+v is charged %d", *s, charged)
		}
	}
	if out := slices.DeleteFunc(slices.Sorted(maps.Keys(w.books.settled)), func(id string) bool { return admitted[id] }); len(out) > 0 && !w.leaksDied() {
		w.tb.Fatalf("P3: %q were never admitted", out)
	}
}

// leaksDied says whether a replica died that may have left an admission that it had given up: an orphan for its reaper.
func (w *protocol) leaksDied() bool { return w.serial > 3 }

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

// Random schedules of everything that goes wrong: nobody is charged wrongly, nothing is overspent beyond what was held when
// data were lost, nothing stays tied up.
func TestProtocol(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.IntRange(1, 120).Draw(rt, "steps")
		if err := schedule(without{}, steps, func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "") }); err != nil {
			rt.Fatal(err)
		}
	})
}

func seeded(out without, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 5))
	return schedule(out, 120, r.IntN)
}

// Each ingredient is needed: without it some schedule, which the whole protocol passes, goes wrong.
func TestProtocolHasTeeth(t *testing.T) {
	for name, out := range map[string]without{
		"the version fence": {fence: true}, "the unique key": {unique: true}, "the owner lease": {lease: true},
		"the two-way sync": {sync: true}, "the adjust entry": {adjust: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(500) {
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
