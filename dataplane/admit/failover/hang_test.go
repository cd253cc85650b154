package failover

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/hack/testenv"
)

const (
	// hangTimeout is what a call may wait for a Redis that hangs; hangSlack is what a busy machine may add.
	hangTimeout = 100 * time.Millisecond
	hangSlack   = time.Second
	// hangDial is how long the client itself is patient: far longer than a request may be.
	hangDial = 10 * time.Second
)

// What is no address and not this machine is asked of a name server that does not answer.
var _ = func() bool {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	return true
}()

// hangs are ways for Redis not to answer, without an error, and what ends them.
var hangs = map[string]func(t *testing.T, h *hung) (back func()){
	"stopped": func(t *testing.T, h *hung) func() {
		must(t, syscall.Kill(h.pid, syscall.SIGSTOP))
		return func() { must(t, syscall.Kill(h.pid, syscall.SIGCONT)) }
	},
	"swallowed": func(_ *testing.T, h *hung) func() { // what is sent gets nowhere, on old connections and new ones
		h.wire.swallow.Store(true)
		return func() {
			h.wire.swallow.Store(false)
			h.wire.setCut(false)
		}
	},
	"swallowed, another dials": func(t *testing.T, h *hung) func() { // somebody more patient has the one new connection in hand
		h.wire.swallow.Store(true)
		h.wire.setCut(false)
		done := make(chan struct{})
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			defer close(done)
			for ctx.Err() == nil {
				_ = h.redis.Ping(ctx)
			}
		}()
		eventually(t, "it dials", func() bool { return h.wire.count() > 0 })
		return func() {
			cancel()
			h.wire.swallow.Store(false)
			h.wire.setCut(false)
			<-done
		}
	},
	"blocked": func(_ *testing.T, h *hung) func() { // by a script that does not end
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.raw("EVAL", "return pcall(function() while true do end end) and '' or ''", "0")
		}()
		return func() {
			h.raw("SCRIPT", "KILL")
			<-done
		}
	},
	"nameless": func(t *testing.T, h *hung) func() { // its name is not resolved
		must(t, h.redis.Point("redis://redis.invalid.example.:6379"))
		return func() {
			must(t, h.redis.Point(h.wire.url()))
		}
	},
}

// hung is a replica without a ledger: what its calls wait for is Redis.
type hung struct {
	*Failover
	*house
	redis *admit.Redis
	pid   int
}

func newHung(t *testing.T) *hung {
	t.Helper()
	server := testenv.RedisServer(t)
	h := &hung{house: &house{t: t, server: server, wire: newWire(t, strings.TrimPrefix(server.URL, "redis://"))}}
	h.pid = h.house.pid()
	t.Cleanup(func() { _ = syscall.Kill(h.pid, syscall.SIGCONT) })
	var err error
	h.redis, err = admit.NewRedis(admit.Options{URL: h.wire.url(), Owner: "a", Timeout: hangDial})
	must(t, err)
	t.Cleanup(h.redis.Close)
	h.Failover = New(Options{Primary: h.redis, Owner: "a", Demo: func() bool { return true }, Timeout: hangTimeout})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { h.Run(ctx) })
	running.Go(func() { h.redis.Keep(ctx, func(error) {}) })
	t.Cleanup(func() {
		cancel()
		h.redis.Close()
		running.Wait()
	})
	return h
}

// each makes every call that a request may make, and answers how long the longest took.
func (h *hung) each() (worst time.Duration) {
	ctx, q := context.Background(), request(0, unmetered)
	q.Account = "ns/" + newID()
	timed := func(call func()) {
		start := time.Now()
		call()
		worst = max(worst, time.Since(start))
	}
	timed(func() { _, _, _ = h.Get(ctx, "lyr:key:"+q.ID) })
	timed(func() { _ = h.Set(ctx, "lyr:key:"+q.ID, "x", time.Second) })
	timed(func() { _, _ = h.Claim(ctx, q.Account, "name", q.ID, time.Minute) })
	timed(func() { _, _ = h.Preview(ctx, q) })
	timed(func() { _, _ = h.Admit(ctx, q) })
	timed(func() { _ = h.LoadKey(ctx, q.Account, q.KeyDigest, admit.KeyActive, 1) })
	timed(func() { _ = h.LoadAccount(ctx, admit.Copy{Account: q.Account, Version: 1}) })
	timed(func() { _, _ = h.Extend(ctx, extension(q, 1)) })
	timed(func() { _ = h.Finish(ctx, admit.Finish{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest}) })
	timed(func() { _ = h.GiveUp(ctx, q.Account, "name", q.ID) })
	timed(func() { _ = h.Release(ctx, q.Account, q.ID) })
	return worst
}

// load makes calls on eight requests at a time until so many rounds are over, and answers the longest.
func (h *hung) load(rounds int64) time.Duration {
	var worst [8]time.Duration
	var done atomic.Int64
	var all sync.WaitGroup
	for i := range worst {
		all.Go(func() {
			for done.Add(1) <= rounds {
				worst[i] = max(worst[i], h.each())
			}
		})
	}
	all.Wait()
	return slices.Max(worst[:])
}

// litellm#35273: in whatever way Redis hangs, no call of a request waits for longer than its deadline: not the first ones, not
// those that wait for another's new connection, not those after the replica has begun to go on without.
func TestNoRequestWaitsForAHangingRedis(t *testing.T) {
	for name, hang := range hangs {
		for _, cold := range []bool{false, true} {
			title := name
			if cold {
				title += ", never reached"
			}
			t.Run(title, func(t *testing.T) {
				h := newHung(t)
				if !cold {
					h.load(16)
					same(t, "it was there", h.Away(), false)
				}
				back := hang(t, h)
				worst := h.load(40)
				eventually(t, "it is away", func() bool {
					worst = max(worst, h.each())
					return h.Away()
				})
				worst = max(worst, h.load(200))
				t.Logf("the longest call: %v", worst)
				if worst > hangTimeout+hangSlack {
					t.Errorf("a call took %v", worst)
				}
				back()
				eventually(t, "it is back", func() bool { return !h.Away() })
			})
		}
	}
}
