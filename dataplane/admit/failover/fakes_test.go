package failover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

var errDown = errors.New("connection refused")

// primary is a Redis that says yes, or does as it is told.
type primary struct {
	mu      sync.Mutex
	err     error // of every call
	hang    bool  // every call lasts as long as its context
	owners  int64
	calls   []string
	adopted []admit.Adopted
	synced  func() error
}

func (p *primary) set(err error) { p.do(func() { p.err, p.hang = err, false }) }

func (p *primary) do(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// called answers the calls since it was last asked.
func (p *primary) called() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := p.calls
	p.calls = nil
	return calls
}

func (p *primary) call(ctx context.Context, what string) error {
	p.mu.Lock()
	if ctx.Err() == nil || strings.HasPrefix(what, "note ") { // as admit.Redis: a context that has ended asks nothing
		p.calls = append(p.calls, what)
	}
	err, hang := p.err, p.hang
	p.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if hang {
		<-ctx.Done()
		return fmt.Errorf("asking: %w", ctx.Err())
	}
	return err
}

func (p *primary) Admit(ctx context.Context, q admit.Request) (admit.Decision, error) {
	return admit.Decision{Held: q.Hold, Now: clock}, p.call(ctx, "admit "+q.ID)
}

func (p *primary) Preview(ctx context.Context, q admit.Request) (admit.Decision, error) {
	return admit.Decision{Held: q.Hold, Now: clock}, p.call(ctx, "preview "+q.ID)
}

func (p *primary) Extend(ctx context.Context, e admit.Extension) (admit.Decision, error) {
	return admit.Decision{Held: e.To}, p.call(ctx, "extend "+e.RequestID)
}

func (p *primary) Finish(ctx context.Context, f admit.Finish) error {
	if f.Actual < 0 {
		return admit.ErrRange
	}
	if ctx.Err() != nil {
		return p.call(ctx, "note "+f.RequestID)
	}
	return p.call(ctx, "finish "+f.RequestID)
}

func (p *primary) Confirm(ctx context.Context, cs []admit.Confirmation) error {
	return p.call(ctx, "confirm "+cs[0].RequestID)
}

func (p *primary) Release(ctx context.Context, _, id string) error { return p.call(ctx, "release "+id) }

func (p *primary) LoadAccount(ctx context.Context, c admit.Copy) error {
	return p.call(ctx, "load account "+c.Account)
}

func (p *primary) LoadSpend(ctx context.Context, account, _ string, _ admit.Spend) error {
	return p.call(ctx, "load spend "+account)
}

func (p *primary) LoadKey(ctx context.Context, _, _, state string, _ int64) error {
	return p.call(ctx, "load key "+state)
}

func (p *primary) Ping(ctx context.Context) error { return p.call(ctx, "ping") }

func (p *primary) Claim(ctx context.Context, _, name, id string, _ time.Duration) (string, error) {
	return id, p.call(ctx, "claim "+name)
}

func (p *primary) GiveUp(ctx context.Context, _, name, _ string) error {
	return p.call(ctx, "give up "+name)
}

func (p *primary) Get(ctx context.Context, key string) (string, bool, error) {
	return "cached", true, p.call(ctx, "get "+key)
}

func (p *primary) Set(ctx context.Context, key, _ string, _ time.Duration) error {
	return p.call(ctx, "set "+key)
}

func (p *primary) Del(ctx context.Context, key string) error { return p.call(ctx, "del "+key) }

func (p *primary) Adopt(h admit.Adopted) { p.do(func() { p.adopted = append(p.adopted, h) }) }

func (p *primary) Owners() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.owners
}

func (p *primary) Split() int         { return 1 }
func (p *primary) Part(string) int    { return 0 }
func (p *primary) Parts(string) []int { return []int{0} }

func (p *primary) Probe(ctx context.Context, _ int) error { return p.call(ctx, "probe") }

func (p *primary) SyncPart(ctx context.Context, _ int) error {
	if p.synced != nil {
		if err := p.synced(); err != nil {
			return err
		}
	}
	return p.call(ctx, "sync")
}

// clock is the instant of tests whose time stands still: not at the beginning of a window.
var clock = time.UnixMicro(1_800_000_123_456_789).UTC()

const digest = "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c"

var serial struct {
	sync.Mutex
	n int
}

func newID() string {
	serial.Lock()
	defer serial.Unlock()
	serial.n++
	return fmt.Sprintf("req_%d", serial.n)
}

// request is one of the account ns/acme that may hold so much.
func request(hold int64, with ...func(*admit.Request)) admit.Request {
	q := admit.Request{ID: newID(), Account: "ns/acme", KeyDigest: digest, KeyVersion: 1, Hold: hold, HoldFor: time.Hour}
	for _, w := range with {
		w(&q)
	}
	return q
}

func unmetered(q *admit.Request) { q.Unmetered = true }

func limited(unit snapshot.Unit, value, burst, cost int64) func(*admit.Request) {
	return func(q *admit.Request) {
		q.Rates = append(q.Rates, admit.Rate{Unit: unit, Value: value, Burst: burst, Cost: cost})
	}
}

// inline is a Failover that looks for itself whether Redis is away, where it has the suspicion.
func inline(o Options) *Failover {
	f := New(o)
	f.spawn = func(do func()) { do() }
	return f
}

// opened has Redis away, closed has it back.
func opened(f *Failover) {
	if b := f.parts.of(0); b.suspect() && b.looked(false) {
		f.open(0, errDown)
	}
}

func closed(f *Failover) {
	for _, part := range f.openParts() {
		f.parts.of(part).close(time.Now())
		f.parts.count(-1)
	}
}

// openParts are the parts that are away.
func (f *Failover) openParts() (open []int) {
	f.parts.mu.Lock()
	defer f.parts.mu.Unlock()
	for part, b := range f.parts.by {
		if b.isOpen() {
			open = append(open, part)
		}
	}
	slices.Sort(open)
	return open
}

// demo is a Failover without a ledger, on a Redis that is down, whose time is *now.
func demo(p *primary, now *time.Time) *Failover {
	return inline(Options{Primary: p, Owner: "a", Demo: func() bool { return true }, Now: func() time.Time { return *now }})
}

func must(tb interface {
	Helper()
	Fatal(...any)
}, err error,
) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func same(tb interface {
	Helper()
	Errorf(string, ...any)
}, what string, got, want any,
) {
	tb.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		tb.Errorf("%s: %s, want %s", what, g, w)
	}
}

// eventually polls until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); !is(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
