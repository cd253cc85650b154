package failover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/settle"
	"github.com/layers-dev/layers/hack/testenv"
)

// wire is a way to a server that can be made slow, or cut.
type wire struct {
	net.Listener
	to    string
	delay atomic.Int64
	cut   atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
	all   sync.WaitGroup
	gone  chan struct{}
}

func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w := &wire{Listener: l, to: to, gone: make(chan struct{})}
	w.all.Go(w.serve)
	t.Cleanup(func() {
		l.Close()
		close(w.gone)
		w.setCut(true)
		w.all.Wait()
	})
	return w
}

func (w *wire) url() string { return "redis://" + w.Addr().String() }

// setCut ends all connections and lets no new one through, or lets them through again.
func (w *wire) setCut(cut bool) {
	w.cut.Store(cut)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
}

func (w *wire) serve() {
	for {
		in, err := w.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", w.to)
		w.mu.Lock()
		if w.conns = append(w.conns, in); err == nil {
			w.conns = append(w.conns, out)
		}
		w.mu.Unlock()
		if err != nil || w.cut.Load() {
			w.setCut(w.cut.Load())
			continue
		}
		w.all.Go(func() { w.pipe(in, out, false) })
		w.all.Go(func() { w.pipe(out, in, true) })
	}
}

// pipe copies; answers come later by delay.
func (w *wire) pipe(from, to net.Conn, answers bool) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if d := time.Duration(w.delay.Load()); answers && d > 0 {
			select {
			case <-time.After(d):
			case <-w.gone:
			}
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// house is three replicas on one Redis and one ledger.
type house struct {
	t      *testing.T
	server *testenv.RedisProc
	wire   *wire
	b      *books
	gates  []*gate
}

// gate is a replica.
type gate struct {
	*Failover
	h       *house
	redis   *admit.Redis
	settler *settle.Settler
}

func newHouse(t *testing.T, b *books, timeout time.Duration) *house {
	t.Helper()
	h := &house{t: t, b: b, server: testenv.RedisServer(t)}
	h.wire = newWire(t, strings.TrimPrefix(h.server.URL, "redis://"))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, name := range []string{"a", "b", "c"} {
		r, err := admit.NewRedis(admit.Options{URL: h.wire.url(), Owner: name, Lease: 30 * time.Second, SyncEvery: 200 * time.Millisecond})
		must(t, err)
		t.Cleanup(r.Close)
		g := &gate{h: h, redis: r, Failover: New(Options{
			Primary: r, Ledger: b, Owner: name, Timeout: timeout, Probe: 100 * time.Millisecond,
			LedgerTimeout: 20 * time.Second, // of a busy machine
		})}
		g.settler = settle.New(settle.Options{
			Ledger: b, Confirmer: g, Log: slog.New(slog.DiscardHandler), Owned: true, Batch: 50, Queue: 10_000, Timeout: 5 * time.Second,
			Backoff: 5 * time.Millisecond, BackoffMax: 50 * time.Millisecond,
		})
		running.Go(func() { g.Run(ctx) })
		running.Go(func() { r.Keep(ctx, func(error) {}) })
		must(t, r.Renew(ctx))
		h.gates = append(h.gates, g)
	}
	for _, g := range h.gates { // until each knows of all
		must(t, g.redis.Renew(ctx))
	}
	t.Cleanup(func() {
		for _, g := range h.gates {
			if err := g.settler.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
		cancel()
		running.Wait()
	})
	return h
}

// ask asks as the server does, and has released what may have been admitted.
func (g *gate) ask(ctx context.Context, q *admit.Request) (admit.Decision, error) {
	d, err := g.decided(ctx, q)
	if err != nil {
		g.settler.Release(q.Account, q.ID)
	}
	return d, err
}

// decided asks as the server does: what is to be read again is read again.
func (g *gate) decided(ctx context.Context, q *admit.Request) (admit.Decision, error) {
	reread := map[admit.Outcome]bool{}
	for range 8 {
		d, err := g.Admit(ctx, *q)
		if err != nil {
			return d, err
		}
		switch {
		case d.Outcome == admit.ReloadKey:
			k, err := g.h.b.KeyByDigest(ctx, q.KeyDigest)
			if err != nil {
				return d, err
			}
			q.KeyVersion = k.Version
			err = g.LoadKey(ctx, q.Account, q.KeyDigest, string(k.State), k.Version)
			if err != nil {
				return d, err
			}
		case d.Outcome == admit.ReloadAccount || d.Outcome == admit.InsufficientCredits && !reread[d.Outcome]:
			a, next, err := g.h.b.Current(ctx, q.Account)
			if err == nil {
				err = g.LoadAccount(ctx, admit.Copy{Account: a.ID, Spendable: a.Spendable(), Version: a.Version, Next: next})
			}
			if err != nil {
				return d, err
			}
		default:
			return d, nil
		}
		reread[d.Outcome] = true
	}
	return admit.Decision{}, errors.New("no decision")
}

// end finishes a request and has it settled.
func (g *gate) end(q admit.Request, cost pricing.Nano) error {
	row := settlement(q, cost)
	rec, err := ledger.EncodeRecord(row)
	if err != nil {
		return err
	}
	err = g.Finish(context.Background(), admit.Finish{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, Actual: cost, Record: rec})
	_, err2 := g.settler.Submit(row, q.KeyDigest)
	return errors.Join(err, err2)
}

// raw asks the server itself.
func (h *house) raw(args ...string) string {
	h.t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{h.wire.to}, DisableCache: true, ForceSingleClient: true})
	must(h.t, err)
	defer c.Close()
	reply := c.Do(context.Background(), c.B().Arbitrary(args[0]).Args(args[1:]...).Build())
	text, err := reply.ToString()
	if n, err2 := reply.AsInt64(); err != nil && err2 == nil {
		return strconv.FormatInt(n, 10)
	}
	if rueidis.IsRedisNil(err) {
		return ""
	}
	must(h.t, err)
	return text
}

// heldInRedis is the sum of an account's holds there.
func (h *house) heldInRedis(account string) string {
	if sum := h.raw("HGET", "lyr:{"+account+"}:holds", ""); sum != "" {
		return sum
	}
	return "0"
}

func (h *house) pid() int {
	for line := range strings.Lines(h.raw("INFO", "server")) {
		if n, ok := strings.CutPrefix(line, "process_id:"); ok {
			pid, err := strconv.Atoi(strings.TrimSpace(n))
			must(h.t, err)
			return pid
		}
	}
	h.t.Fatal("the server has no process")
	return 0
}

func (h *house) away() (n int) {
	for _, g := range h.gates {
		if g.Away() {
			n++
		}
	}
	return n
}

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
