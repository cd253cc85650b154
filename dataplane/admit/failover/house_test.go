package failover

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
	// swallow has what is sent get nowhere, on all connections.
	swallow atomic.Bool

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

// count is how many ends of connections there are.
func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.conns)
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
		if w.swallow.Load() {
			continue
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
