package failover

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/hack/testenv"
)

// slowAnswer is how long an answer of a slow Redis takes.
const slowAnswer = 5 * time.Second

// faults are ways for Redis to be away, and what brings it back.
var faults = map[string]func(t *testing.T, h *house) (back func()){
	"stopped": func(t *testing.T, h *house) func() {
		pid := h.pid()
		must(t, syscall.Kill(pid, syscall.SIGSTOP))
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
		return func() { must(t, syscall.Kill(pid, syscall.SIGCONT)) }
	},
	"killed, and back without its data": func(_ *testing.T, h *house) func() {
		h.server.Kill()
		return h.server.Restart
	},
	"slow": func(_ *testing.T, h *house) func() {
		h.wire.delay.Store(int64(slowAnswer))
		return func() {
			h.wire.delay.Store(0)
			h.wire.setCut(false)
		}
	},
	"cut": func(_ *testing.T, h *house) func() {
		h.wire.setCut(true)
		return func() { h.wire.setCut(false) }
	},
}

// Redis goes away in each way under the load of three replicas, and comes back: no request is refused for it, each
// is charged once, and in the end neither store holds anything.
func TestRedisGoesAndComesBack(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			b := openBooks(t, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"))
			if name == "stopped" {
				b = openBooks(t, testenv.Postgres(t))
			}
			drill(t, newHouse(t, b, 300*time.Millisecond), fault)
		})
	}
}

func drill(t *testing.T, h *house, fault func(*testing.T, *house) func()) {
	const accounts, granted = 3, 1_000_000
	var qs []admit.Request
	for i := range accounts {
		key := h.b.key(t, newDigest(), fmt.Sprintf("ns/%d", i))
		h.b.grant(t, key.Account, granted)
		qs = append(qs, admit.Request{Account: key.Account, KeyDigest: key.Digest, HoldFor: time.Hour, MaxConcurrent: 1000})
	}
	var charged, fallbacks, done [accounts]atomic.Int64
	var stop atomic.Bool
	var load sync.WaitGroup
	defer func() { // before the test ends, however it does
		stop.Store(true)
		load.Wait()
	}()
	for i := range 6 {
		g := h.gates[i%len(h.gates)]
		load.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for !stop.Load() {
				n := random.IntN(accounts)
				q := qs[n]
				q.ID, q.Hold = newID(), random.Int64N(100)
				d, err := g.ask(context.Background(), &q)
				if err != nil || d.Outcome != admit.Admitted {
					t.Errorf("%+v, %v", d, err)
					return
				}
				if d.Fallback {
					fallbacks[n].Add(1)
				}
				more, err := g.Extend(context.Background(), extension(q, d.Held+10))
				if err == nil && more.Outcome != admit.Admitted && more.Outcome != admit.ReloadAccount && more.Outcome != admit.UnknownHold {
					t.Errorf("%+v, %v", more, err)
				}
				if random.IntN(4) == 0 {
					must(t, g.Release(context.Background(), q.Account, q.ID))
					continue
				}
				cost := random.Int64N(100)
				if err := g.end(q, cost); err != nil {
					t.Error(err)
				}
				charged[n].Add(cost)
				done[n].Add(1)
			}
		})
	}
	enough := func(of *[accounts]atomic.Int64, n int64) func() bool {
		return func() bool {
			sum := int64(0)
			for i := range of {
				sum += of[i].Load()
			}
			return sum >= n || t.Failed()
		}
	}
	eventually(t, "load", enough(&done, 100))
	back := fault(t, h)
	eventually(t, "all have noticed", func() bool { return h.away() == len(h.gates) })
	eventually(t, "they go on without", enough(&fallbacks, 100))
	back()
	eventually(t, "it is back", func() bool { return h.away() == 0 })
	sum := int64(0)
	for i := range done {
		sum += done[i].Load()
	}
	eventually(t, "they go on with it", enough(&done, sum+100))
	stop.Store(true)
	load.Wait()
	for i, q := range qs {
		eventually(t, "quiet", func() bool {
			a, err := h.b.Account(t.Context(), q.Account)
			must(t, err)
			if a.Balance != granted-charged[i].Load() || h.b.held(t, q.Account) != 0 {
				return false
			}
			return h.heldInRedis(q.Account) == "0"
		})
	}
	bad, err := h.b.Check(t.Context())
	must(t, err)
	same(t, "the ledger is sound", bad, []string{})
}

// What was admitted without Redis is there before Redis decides again, on every replica that admitted: nothing is lent twice
// for good.
func TestTrustedWhenItKnows(t *testing.T) {
	b := openBooks(t, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"))
	h := newHouse(t, b, 300*time.Millisecond)
	b.grant(t, "ns/acme", 1000)
	before := request(300)
	d, err := h.gates[0].ask(t.Context(), &before)
	must(t, err)
	same(t, "by Redis", []any{d.Outcome, d.Fallback, d.Reserved}, []any{admit.Admitted, false, 0})
	h.wire.setCut(true)
	var running []admit.Request
	for _, g := range h.gates {
		q := request(150)
		eventually(t, "it is away", func() bool {
			probe := request(0, unmetered)
			_, err := g.ask(t.Context(), &probe)
			must(t, err)
			must(t, g.Release(t.Context(), probe.Account, probe.ID))
			return g.Away()
		})
		d, err := g.ask(t.Context(), &q)
		must(t, err)
		same(t, "by the ledger", []any{d.Outcome, d.Fallback}, []any{admit.Admitted, true})
		running = append(running, q)
	}
	q := request(51)
	d, err = h.gates[0].ask(t.Context(), &q)
	must(t, err)
	same(t, "half is lent", []any{d.Outcome, d.Fits}, []any{admit.InsufficientCredits, 50})
	h.wire.setCut(false)
	eventually(t, "it is back", func() bool { return h.away() == 0 })
	for _, g := range h.gates {
		q := request(251)
		d, err := g.ask(t.Context(), &q)
		must(t, err)
		same(t, "all is held", []any{d.Outcome, d.Fallback, d.Spendable, d.Reserved}, []any{admit.InsufficientCredits, false, 1000, 750})
	}
	must(t, h.gates[0].end(before, 300))
	for i, g := range h.gates {
		must(t, g.end(running[i], 100))
	}
	eventually(t, "all is settled", func() bool {
		a, err := b.Account(t.Context(), "ns/acme")
		must(t, err)
		return a.Balance == 400 && b.held(t, "ns/acme") == 0 && h.heldInRedis("ns/acme") == "0"
	})
	q = request(400)
	d, err = h.gates[1].ask(t.Context(), &q)
	must(t, err)
	same(t, "the rest", []any{d.Outcome, d.Spendable, d.Reserved}, []any{admit.Admitted, 400, 0})
}

// A Redis that forgets everything at once is not away: the owners write their holds again.
func TestFlushAll(t *testing.T) {
	b := openBooks(t, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"))
	h := newHouse(t, b, time.Second)
	b.grant(t, "ns/acme", 1000)
	var running []admit.Request
	for _, g := range h.gates {
		q := request(100)
		d, err := g.ask(t.Context(), &q)
		must(t, admitted(d, err))
		running = append(running, q)
	}
	h.raw("FLUSHALL")
	eventually(t, "the holds are back", func() bool { return h.heldInRedis("ns/acme") == "300" })
	q := request(701)
	d, err := h.gates[0].ask(t.Context(), &q)
	must(t, err)
	same(t, "decided by Redis", []any{d.Outcome, d.Fallback, d.Reserved, h.away()}, []any{admit.InsufficientCredits, false, 300, 0})
	for i, g := range h.gates {
		must(t, g.end(running[i], 10))
	}
	eventually(t, "settled", func() bool { return h.heldInRedis("ns/acme") == "0" })
}

// litellm#35273, with a real Redis whose answers take seconds, and one that has stopped: no request waits for more than its
// deadline, and from the third on nobody waits at all.
func TestSlowRealRedisHangsNobody(t *testing.T) {
	for _, name := range []string{"slow", "stopped"} {
		t.Run(name, func(t *testing.T) {
			b := openBooks(t, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"))
			h := newHouse(t, b, DefaultTimeout)
			b.grant(t, "ns/acme", 1_000_000)
			for _, g := range h.gates {
				q := request(1)
				_, err := g.ask(t.Context(), &q)
				must(t, err)
			}
			faults[name](t, h)
			var all sync.WaitGroup
			start := time.Now()
			for i := range 30 {
				g := h.gates[i%len(h.gates)]
				all.Go(func() {
					q := request(1)
					must(t, admitted(g.ask(context.Background(), &q)))
					must(t, g.Finish(context.Background(), admit.Finish{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest}))
					must(t, g.Release(context.Background(), q.Account, q.ID))
				})
			}
			all.Wait()
			if took := time.Since(start); took > slowAnswer-time.Second {
				t.Errorf("they took %v", took)
			}
			same(t, "away", h.away(), len(h.gates))
		})
	}
}
