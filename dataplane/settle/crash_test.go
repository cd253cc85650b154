package settle_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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

// stores are what the processes share: a real ledger on SQLite, a real Redis, and what is wrong with them now.
type stores struct {
	ledger.Ledger

	url   string
	admin *admit.Redis
	// noBooks and noRedis: these answer nothing. lose: the next commit's answer is lost, and the next confirmation's.
	noBooks, noRedis, loseCommit, loseConfirm atomic.Bool
}

func (s *stores) Settle(ctx context.Context, rows []ledger.Settlement) ([]ledger.Settled, error) {
	if s.noBooks.Load() {
		return nil, errCut
	}
	out, err := s.Ledger.Settle(ctx, rows)
	if s.loseCommit.Swap(false) {
		return nil, errCut
	}
	return out, err
}

func (s *stores) Ready(ctx context.Context) error {
	if s.noBooks.Load() {
		return errCut
	}
	return s.Ledger.Ready(ctx)
}

// link is a process's way to Redis.
type link struct {
	*admit.Redis

	s *stores
}

func (l link) Confirm(ctx context.Context, cs []admit.Confirmation) error {
	if l.s.noRedis.Load() {
		return errCut
	}
	err := l.Redis.Confirm(ctx, cs)
	if l.s.loseConfirm.Swap(false) {
		return errCut
	}
	return err
}

func (l link) Orphans(ctx context.Context, most int) ([]admit.Orphan, error) {
	if l.s.noRedis.Load() {
		return nil, errCut
	}
	return l.Redis.Orphans(ctx, most)
}

// process is one life of a pod.
type process struct {
	name    string
	redis   link
	log     *wal.Log
	settler *settle.Settler
	reaper  *reap.Reaper
}

func (p *process) is(name string) bool { return p.name == name }

// request is what the model knows of one.
type request struct {
	id, account, policy string
	slot                int
	owner               *process // that runs it; nil: it has ended, or its process has
	// flushes and folder are how often Redis had lost its data at the admission, and at the end, and which folder has the log.
	admitted, stored, folder int
	charged                  pricing.Nano
	finished                 bool
}

func (r *request) start() ledger.Settlement {
	return ledger.Settlement{RequestID: r.id, Account: r.account, Cost: crashInput, Evidence: ledger.EvidenceOrphan, OrphanCharge: r.policy, StartedAt: 1_800_000_000_000_000}
}

func (r *request) end() ledger.Settlement {
	return ledger.Settlement{
		RequestID: r.id, Account: r.account, Cost: r.charged, Charged: r.charged, Held: crashHold, Evidence: ledger.EvidenceReported, Status: 200,
		StartedAt: 1_800_000_000_000_000, FinishedAt: 1_800_000_001_000_000,
	}
}

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
		r.charged = pricing.Nano(rapid.SampledFrom([]int64{0, 1, 41, 130}).Draw(rt, "cost"))
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

// rest heals everything, ends what runs, and waits until the logs are empty, Redis holds nothing and its copies are the
// ledger's (P5).
func (m *machine) rest() {
	for _, b := range []*atomic.Bool{&m.s.noBooks, &m.s.noRedis, &m.s.loseCommit, &m.s.loseConfirm} {
		b.Store(false)
	}
	for slot := range slots {
		if m.pods[slot] == nil {
			m.begin(slot)
		}
	}
	for _, r := range m.running() {
		r.charged = 41
		m.finish(r)
	}
	for n := range 2 { // whoever uses an account finds what others have left on it, though Redis has lost their lists
		probe := fmt.Sprintf("%s-probe%d", m.run, n)
		m.hold(m.pods[0], probe, m.account(n), nil)
		m.must(m.pods[0].redis.Release(context.Background(), m.account(n), probe))
	}
	alive := func(name string) bool {
		return slices.ContainsFunc(m.pods[:], func(p *process) bool { return p.is(name) })
	}
	for deadline := time.Now().Add(10 * time.Second); ; <-time.After(time.Millisecond) {
		open := 0
		m.expire(func(name string) bool { return !alive(name) }) // as time does
		for _, p := range m.pods {
			p.reaper.Round(context.Background())
			m.must(p.redis.Sync(context.Background()))
			open += p.log.Stats().Unconfirmed
		}
		why := m.unrest()
		if open == 0 && why == "" {
			return
		}
		if time.Now().After(deadline) {
			m.rt.Fatalf("no rest: %d in the logs; %s", open, why)
		}
	}
}

// unrest says what Redis holds, or has of an account that the ledger has not; empty: nothing.
func (m *machine) unrest() string {
	for n := range 2 {
		a, err := m.s.Account(context.Background(), m.account(n))
		m.must(err)
		p := m.pods[0]
		m.must(p.redis.LoadKey(context.Background(), a.ID, keyDigest, admit.KeyActive, 1))
		d, err := p.redis.Preview(context.Background(), admit.Request{ID: "preview", Account: a.ID, KeyDigest: keyDigest, KeyVersion: 1, HoldFor: time.Hour})
		m.must(err)
		if d.Outcome == admit.ReloadAccount {
			m.load(p, a.ID)
			return "reloaded"
		}
		if d.Reserved != 0 || d.Spendable != a.Balance {
			return fmt.Sprintf("%s: Redis holds %d of %d, the ledger has %d", a.ID, d.Reserved, d.Spendable, a.Balance)
		}
	}
	return ""
}

// judge compares each request's receipt with what may be said of it (P3), the balances with the receipts (P1), and the ledger
// with itself before and after everything comes once more (P2, P6).
func (m *machine) judge() {
	charged := map[string]pricing.Nano{}
	var again []ledger.Settlement
	for _, r := range m.requests {
		got, err := m.s.Receipt(context.Background(), r.account, r.id)
		logged := r.finished && r.folder == m.folders[r.slot]
		kept := r.finished && r.stored == m.flushes
		switch {
		case errors.Is(err, ledger.ErrNotFound):
			if logged || kept || m.flushes == r.admitted {
				m.rt.Fatalf("%+v is not settled", r)
			}
			continue // in the declared class: its pod's log and Redis' data are both gone
		case err != nil:
			m.rt.Fatal(err)
		case got.Evidence == ledger.EvidenceReported && r.finished && got.Charged == r.charged:
			again = append(again, r.end())
		case got.Evidence == ledger.EvidenceOrphan && !logged && !kept && got.OrphanCharge == r.policy && got.Charged == ledger.Floor(r.policy, crashHold, crashInput):
		default:
			m.rt.Fatalf("%+v is charged as %+v", r, got)
		}
		orphan := r.start()
		orphan.Held, orphan.FinishedAt = crashHold, 1_800_000_002_000_000
		orphan.Charged = ledger.Floor(r.policy, crashHold, crashInput)
		again = append(again, orphan)
		charged[r.account] += got.Charged
	}
	sound := func() {
		for n := range 2 {
			a, err := m.s.Account(context.Background(), m.account(n))
			m.must(err)
			if a.Balance != crashGrant-charged[a.ID] {
				m.rt.Fatalf("%s: charged %d, receipts say %d", a.ID, crashGrant-a.Balance, charged[a.ID])
			}
		}
		bad, err := m.s.Check(context.Background())
		if m.must(err); len(bad) > 0 {
			m.rt.Fatalf("the ledger is not sound: %v", bad)
		}
	}
	sound()
	for part := range slices.Chunk(again, 100) {
		slices.Reverse(part)
		_, err := m.s.Settle(context.Background(), part)
		m.must(err)
	}
	sound()
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
