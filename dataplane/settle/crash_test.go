package settle_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/settle"
	"github.com/layers-dev/layers/dataplane/settle/reap"
	"github.com/layers-dev/layers/dataplane/settle/wal"
	"github.com/layers-dev/layers/hack/testenv"
)

const (
	slots      = 2
	crashHold  = pricing.Nano(100)
	crashInput = pricing.Nano(30)
	crashGrant = pricing.Nano(1_000_000)
	leases     = "lyr:{epoch}:leases"
	keyDigest  = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

var errCut = errors.New("cut off")

// machine runs processes, and crashes them.
type machine struct {
	rt       *rapid.T
	s        *stores
	dir, run string
	lives    int
	folders  [slots]int // that the slots have had
	pods     [slots]*process
	flushes  int
	requests []*request
}

func (m *machine) must(err error) {
	m.rt.Helper()
	if err != nil {
		m.rt.Fatal(err)
	}
}

func (m *machine) folder(slot int) string {
	return filepath.Join(m.dir, fmt.Sprintf("%d.%d", slot, m.folders[slot]))
}

// begin starts the process of a slot over the log that is there.
func (m *machine) begin(slot int) {
	m.lives++
	p := &process{name: fmt.Sprintf("%s-%d", m.run, m.lives)}
	r, err := admit.NewRedis(admit.Options{URL: m.s.url, Timeout: 20 * time.Second, KeyAge: 1000 * time.Hour, Owner: p.name, Lease: time.Hour})
	m.must(err)
	p.redis = link{r, m.s}
	p.log, err = wal.Open(m.folder(slot), wal.Options{SegmentBytes: 4000})
	m.must(err)
	quiet := slog.New(slog.DiscardHandler)
	p.settler = settle.New(settle.Options{
		Ledger: m.s, Confirmer: p.redis, Log: quiet, WAL: p.log, Owned: true, SyncEvery: time.Millisecond, Backoff: time.Millisecond, BackoffMax: 2 * time.Millisecond, Batch: 3,
	})
	p.reaper = reap.New(reap.Options{Owner: p.redis, Ledger: m.s, Confirmer: p.redis, Log: quiet, Self: p.name, Grace: -1, Patience: time.Nanosecond})
	m.pods[slot] = p
}

// kill ends the process of a slot at once, and lets its lease end.
func (m *machine) kill(slot int) {
	p := m.pods[slot]
	if p == nil {
		return
	}
	m.pods[slot] = nil
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.settler.Close(ctx) // it gives up what it has
	m.must(p.log.Close())
	p.redis.Close()
	m.expire(p.is)
	for _, r := range m.requests {
		if r.owner == p {
			r.owner = nil
		}
	}
}

// expire has processes taken for dead.
func (m *machine) expire(dead func(process string) bool) {
	c, err := m.s.admin.Client(context.Background())
	m.must(err)
	names, err := c.Do(context.Background(), c.B().Zrange().Key(leases).Min("0").Max("-1").Build()).AsStrSlice()
	m.must(err)
	for _, n := range names {
		if process, _, _ := strings.Cut(n, "."); dead(process) {
			m.must(c.Do(context.Background(), c.B().Zadd().Key(leases).Xx().ScoreMember().ScoreMember(1, n).Build()).Error())
		}
	}
}

func (m *machine) flush() {
	c, err := m.s.admin.Client(context.Background())
	m.must(err)
	m.must(c.Do(context.Background(), c.B().Flushall().Build()).Error())
	m.flushes++
}

// alive draws a slot that has a process.
func (m *machine) alive(rt *rapid.T) int {
	slot := rapid.IntRange(0, slots-1).Draw(rt, "slot")
	if m.pods[slot] == nil {
		rt.Skip("nobody is there")
	}
	return slot
}

func (m *machine) admit(rt *rapid.T) {
	slot := m.alive(rt)
	if m.s.noRedis.Load() {
		rt.Skip("there is no Redis")
	}
	for range rapid.IntRange(1, 3).Draw(rt, "requests") {
		m.admitOne(rt, slot)
	}
}

func (m *machine) admitOne(rt *rapid.T, slot int) {
	r := &request{
		id: fmt.Sprintf("%s-r%d", m.run, len(m.requests)), slot: slot, owner: m.pods[slot], admitted: m.flushes,
		account: m.account(rapid.IntRange(0, 1).Draw(rt, "account")), policy: rapid.SampledFrom([]string{ledger.OrphanNone, ledger.OrphanInput, ledger.OrphanHold}).Draw(rt, "policy"),
	}
	record, err := ledger.EncodeRecord(r.start())
	m.must(err)
	m.hold(r.owner, r.id, r.account, record)
	m.requests = append(m.requests, r)
}

func (m *machine) hold(p *process, id, account string, record []byte) {
	for range 4 {
		d, err := p.redis.Admit(context.Background(), admit.Request{
			ID: id, Account: account, KeyDigest: keyDigest, KeyVersion: 1, Hold: crashHold, HoldFor: time.Hour, Record: record,
		})
		m.must(err)
		switch d.Outcome {
		case admit.Admitted:
			return
		case admit.ReloadKey:
			m.must(p.redis.LoadKey(context.Background(), account, keyDigest, admit.KeyActive, 1))
		case admit.ReloadAccount:
			m.load(p, account)
		default:
			m.rt.Fatalf("%+v", d)
		}
	}
	m.rt.Fatalf("%s is not admitted", id)
}

func (m *machine) account(n int) string { return fmt.Sprintf("%s/a%d", m.run, n) }

func (m *machine) load(p *process, account string) {
	a, err := m.s.Account(context.Background(), account)
	m.must(err)
	m.must(p.redis.LoadAccount(context.Background(), admit.Copy{Account: account, Spendable: a.Spendable(), Version: a.Version}))
}

func (m *machine) running() (rs []*request) {
	for _, r := range m.requests {
		if r.owner != nil {
			rs = append(rs, r)
		}
	}
	return rs
}

// finish ends a request, as the server does: the hold, then the settlement.
func (m *machine) finish(r *request) {
	p := r.owner
	r.owner, r.finished, r.folder, r.stored = nil, true, m.folders[r.slot], -1
	record, err := ledger.EncodeRecord(r.end())
	m.must(err)
	if !m.s.noRedis.Load() {
		m.must(p.redis.Finish(context.Background(), admit.Finish{RequestID: r.id, Account: r.account, KeyDigest: keyDigest, Actual: r.charged, Record: record}))
		r.stored = m.flushes
	}
	wait, err := p.settler.Submit(r.end(), keyDigest)
	m.must(err)
	m.must(wait(context.Background()))
}

// toggle changes one of the faults.
func toggle(b *atomic.Bool) func(*rapid.T) { return func(*rapid.T) { b.Store(!b.Load()) } }

func (m *machine) actions() map[string]func(*rapid.T) {
	finish := func(rt *rapid.T) {
		running := m.running()
		if len(running) == 0 {
			rt.Skip("nothing runs")
		}
		r := rapid.SampledFrom(running).Draw(rt, "request")
		r.charged = rapid.SampledFrom([]pricing.Nano{0, 1, 41, 130}).Draw(rt, "cost")
		m.finish(r)
	}
	reaps := func(rt *rapid.T) { m.pods[m.alive(rt)].reaper.Round(context.Background()) }
	return map[string]func(*rapid.T){
		"admit": m.admit, "admitMore": m.admit, "finish": finish, "finishMore": finish, "reap": reaps, "reapMore": reaps,
		"kill": func(rt *rapid.T) { m.kill(m.alive(rt)) },
		"nodeLoss": func(rt *rapid.T) {
			slot := m.alive(rt)
			m.kill(slot)
			m.must(os.RemoveAll(m.folder(slot)))
			m.folders[slot]++
		},
		"start": func(rt *rapid.T) {
			slot := rapid.IntRange(0, slots-1).Draw(rt, "slot")
			if m.pods[slot] != nil {
				rt.Skip("it runs")
			}
			m.begin(slot)
		},
		"asleep": func(rt *rapid.T) { m.expire(m.pods[m.alive(rt)].is) },
		"flush": func(rt *rapid.T) {
			if rapid.IntRange(0, 3).Draw(rt, "rarely") > 0 {
				rt.Skip("not now")
			}
			m.flush()
		},
		"sync": func(rt *rapid.T) {
			if p := m.pods[m.alive(rt)]; !m.s.noRedis.Load() {
				m.must(p.redis.Sync(context.Background()))
			}
		},
		"books": toggle(&m.s.noBooks), "redis": toggle(&m.s.noRedis), "loseCommit": toggle(&m.s.loseCommit), "loseConfirm": toggle(&m.s.loseConfirm),
	}
}

// unlessTold sets a flag for this test, if nobody has.
func unlessTold(t *testing.T, name, value string) {
	f := flag.Lookup(name)
	if f.Value.String() != f.DefValue {
		return
	}
	if err := f.Value.Set(value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Value.Set(f.DefValue) }) // as it was
}

// TestCrashes runs two processes (settler, write-ahead log, reaper) over a real ledger and a real Redis through random crashes,
// losses of logs and of Redis' data, outages and lost answers, and processes that are wrongly taken for dead: in the end each
// request is settled once, as what it was, or is in the class that may be lost.
func TestCrashes(t *testing.T) {
	unlessTold(t, "rapid.checks", "30")
	unlessTold(t, "rapid.steps", "60")
	s := &stores{url: testenv.Redis(t)}
	var err error
	if s.Ledger, err = ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Ledger.Close)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.admin, err = admit.NewRedis(admit.Options{URL: s.url, Timeout: 20 * time.Second}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.admin.Close)
	runs, seen := 0, map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		m := &machine{rt: rt, s: s, dir: t.TempDir(), run: fmt.Sprint("run", runs)}
		m.flush()
		for n := range 2 {
			_, err := s.Grant(context.Background(), ledger.Grant{ID: m.account(n), Account: m.account(n), Amount: crashGrant, Kind: ledger.GrantPurchased})
			m.must(err)
		}
		for slot := range slots {
			m.begin(slot)
		}
		defer func() {
			for slot := range slots {
				m.kill(slot)
			}
		}()
		rt.Repeat(m.actions())
		m.rest()
		m.judge()
		for _, r := range m.requests {
			if got, err := s.Receipt(context.Background(), r.account, r.id); err == nil && got.Floor > 0 {
				seen["adjusted"]++
			} else if err == nil {
				seen[string(got.Evidence)]++
			} else {
				seen["lost"]++
			}
		}
	})
	t.Logf("%d runs: %v", runs, seen)
	for _, what := range []string{"reported", "orphan"} {
		if seen[what] == 0 && !t.Failed() {
			t.Errorf("no request was %s: %v", what, seen)
		}
	}
}
