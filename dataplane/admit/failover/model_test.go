package failover

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// replica is a Failover and what its settler has yet to tell.
type replica struct {
	name string
	*Failover
	redis   *faulty
	confirm []admit.Confirmation
}

// model is two replicas, an account, and what it has been told.
type model struct {
	t        *rapid.T
	b        *books
	mini     *miniredis.Miniredis
	now      time.Time
	key      ledger.Key
	replicas []*replica
	serial   int // of owners

	running map[string]*ran
	charged pricing.Nano
	granted pricing.Nano
	lost    pricing.Nano // holds that Redis has forgotten
	// unheard says that a replica died with confirmations: without its log nobody else knows of them.
	unheard bool
}

type ran struct {
	admit.Request
	by   *replica
	held pricing.Nano
}

// The rules of money over random schedules: replicas admit, extend, finish, release and settle, while for each of them Redis is
// away, loses answers or is late, and while it forgets all, and replicas die. Never is more than half lent, each request is
// charged once, and in the end nothing is held, and Redis knows what the ledger knows.
func TestModel(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		must(t, f.Value.Set("40"))
		defer func() { must(t, f.Value.Set(f.DefValue)) }()
	}
	mini := miniredis.RunT(t)
	b := openBooks(t, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"))
	rapid.Check(t, func(t *rapid.T) {
		mini.FlushAll()
		m := &model{t: t, b: b, mini: mini, now: clock, running: map[string]*ran{}}
		mini.SetTime(m.now)
		var err error
		m.key, err = b.CreateKey(context.Background(), ledger.NewKey{Digest: newDigest(), Name: "k", Account: "ns/" + newID(), Source: ledger.SourceCLI})
		must(t, err)
		m.granted = rapid.Int64Range(1, 1000).Draw(t, "granted")
		_, err = b.Grant(context.Background(), ledger.Grant{ID: newID(), Account: m.key.Account, Amount: m.granted, Kind: ledger.GrantManual})
		must(t, err)
		for range 2 {
			m.start()
		}
		steps := rapid.IntRange(1, 40).Draw(t, "steps")
		for range steps {
			m.step()
			m.check()
		}
		m.quiet()
	})
}

func (m *model) start() {
	m.serial++
	name := fmt.Sprintf("owner%d", m.serial)
	open := func() *admit.Redis {
		r, err := admit.NewRedis(admit.Options{URL: "redis://" + m.mini.Addr(), Timeout: 20 * time.Second, KeyAge: 1e6 * time.Hour, Owner: name})
		must(m.t, err)
		m.t.Cleanup(r.Close)
		return r
	}
	p := &faulty{Redis: open(), ghost: open()}
	must(m.t, p.Renew(context.Background()))
	m.replicas = append(m.replicas, &replica{name: name, redis: p, Failover: inline(Options{
		Primary: p, Ledger: m.b, Owner: name, Keep: 1e4 * time.Hour, Timeout: 20 * time.Second, LedgerTimeout: 20 * time.Second, // of a busy machine
	})})
}

// back has Redis asked again, all parts of it that are away; false: one is away still.
func (r *replica) back(ctx context.Context) bool {
	for _, part := range r.openParts() {
		if !r.probe(ctx, part) {
			return false
		}
	}
	return true
}

func (m *model) step() {
	r := m.replicas[rapid.IntRange(0, 1).Draw(m.t, "replica")]
	switch rapid.SampledFrom([]string{
		"admit", "admit", "admit", "admit", "extend", "finish", "finish", "release", "fault", "fault", "probe", "confirm", "sync", "late", "flush", "die",
	}).Draw(m.t, "step") {
	case "admit":
		m.admit(r)
	case "extend":
		m.extend()
	case "finish":
		if q := m.one(); q != nil {
			m.finish(q)
		}
	case "release":
		if q := m.one(); q != nil {
			must(m.t, q.by.Release(context.Background(), q.Account, q.ID))
			delete(m.running, q.ID)
		}
	case "fault":
		if r.redis.fault = rapid.SampledFrom([]fault{well, down, lost, late}).Draw(m.t, "fault"); r.redis.fault == well {
			m.runLate(r) // what is on its way gets there, before owners have looked twice
		}
	case "probe":
		r.back(context.Background())
	case "confirm":
		m.confirm(r)
	case "sync":
		_ = r.redis.Sync(context.Background()) // away, or not
	case "late":
		m.runLate(r)
	case "flush":
		m.lost += m.heldInRedis()
		m.mini.FlushAll()
	case "die":
		m.die(r)
	}
}

func (m *model) heldInRedis() pricing.Nano {
	sum, err := strconv.ParseInt(cmp.Or(m.mini.HGet("lyr:{"+m.key.Account+"}:holds", ""), "0"), 10, 64)
	must(m.t, err)
	return sum
}

// ids are those of the running requests, the oldest first.
func (m *model) ids() []string { return slices.Sorted(maps.Keys(m.running)) }

// one is a running request.
func (m *model) one() *ran {
	if len(m.running) == 0 {
		return nil
	}
	return m.running[rapid.SampledFrom(m.ids()).Draw(m.t, "request")]
}

func (m *model) admit(r *replica) {
	q := admit.Request{ID: newID(), Account: m.key.Account, KeyDigest: m.key.Digest, KeyVersion: m.key.Version, HoldFor: 1e4 * time.Hour}
	amounts(m.t, &q)
	rec, err := ledger.EncodeRecord(settlement(q, 0))
	must(m.t, err)
	q.Record = rec
	d, err := (&gate{Failover: r.Failover, h: &house{b: m.b}, settler: nil}).decided(context.Background(), &q)
	must(m.t, err) // the ledger is there
	if d.Outcome == admit.Admitted {
		if d.Held > q.Hold || d.Held < min(q.Expected, q.Floor) {
			m.t.Fatalf("%+v holds %+v", q, d)
		}
		m.running[q.ID] = &ran{q, r, d.Held}
	} else if d.Outcome != admit.InsufficientCredits {
		m.t.Fatalf("%+v", d)
	}
}

func (m *model) extend() {
	q := m.one()
	if q == nil {
		return
	}
	to := q.held + rapid.Int64Range(0, 100).Draw(m.t, "more")
	d, err := q.by.Extend(context.Background(), extension(q.Request, to))
	must(m.t, err)
	if d.Outcome == admit.Admitted {
		q.held = max(q.held, to)
	}
}

// finish ends a request at no more than it held, and settles it at once.
func (m *model) finish(q *ran) {
	cost := rapid.Int64Range(0, q.held).Draw(m.t, "cost")
	row := settlement(q.Request, cost)
	if cost == 0 {
		row.Evidence, row.OrphanCharge = ledger.EvidenceFree, ""
	}
	rec, err := ledger.EncodeRecord(row)
	must(m.t, err)
	f := admit.Finish{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, Actual: cost, Record: rec}
	must(m.t, q.by.Finish(context.Background(), f))
	m.settle(q.by, row, false)
	delete(m.running, q.ID)
}

func (m *model) settle(r *replica, row ledger.Settlement, again bool) {
	out, err := m.b.Settle(context.Background(), []ledger.Settlement{row})
	must(m.t, err)
	if out[0].Duplicate && !again {
		m.t.Fatalf("%s is settled twice", row.RequestID)
	}
	if !out[0].Duplicate {
		m.charged += row.Charged
	}
	r.confirm = append(r.confirm, admit.Confirmation{
		RequestID: row.RequestID, Account: row.Account, Balance: out[0].Account.Spendable(), Version: out[0].Account.Version, KeyDigest: m.key.Digest,
	})
}

// confirm tells what was told in vain.
func (m *model) confirm(r *replica) {
	if len(r.confirm) > 0 && r.Confirm(context.Background(), r.confirm) == nil {
		r.confirm = nil
	}
}

func (m *model) runLate(r *replica) {
	for _, run := range r.redis.later {
		run()
	}
	r.redis.later = nil
}

// die ends a replica: another one takes its place, and reaps what it held in the ledger, and in Redis, when its lease is over.
func (m *model) die(r *replica) {
	i := slices.Index(m.replicas, r)
	m.runLate(r)
	m.unheard = m.unheard || len(r.confirm) > 0
	m.replicas = slices.Delete(m.replicas, i, i+1)
	m.start()
	for id, q := range m.running {
		if q.by == r {
			delete(m.running, id)
		}
	}
	_, err := m.b.RenewReservations(context.Background(), r.name, 1)
	must(m.t, err)
	m.now = m.now.Add(time.Minute)
	m.mini.SetTime(m.now)
	m.reap()
}

// reap does what the reaper does: what has finished as it is, the rest at the floor, and all of it confirmed.
func (m *model) reap() {
	ctx := context.Background()
	for _, r := range m.replicas {
		must(m.t, r.redis.Renew(ctx))
	}
	by := m.replicas[len(m.replicas)-1]
	expired, err := m.b.ExpiredReservations(ctx, 1000)
	must(m.t, err)
	for _, e := range expired {
		if e.Finished {
			m.settle(by, *e.Record, true)
		} else {
			m.orphan(by, *e.Orphan, e.Amount)
		}
	}
	orphans, _, err := by.redis.Orphans(ctx, &admit.Pass{}, 1000)
	must(m.t, err)
	for _, o := range orphans {
		row, err := ledger.DecodeRecord(o.Record)
		must(m.t, err)
		if o.Finished {
			m.settle(by, row, true)
		} else {
			m.orphan(by, row, o.Amount)
		}
	}
}

func (m *model) orphan(by *replica, row ledger.Settlement, held pricing.Nano) {
	row.Held, row.Charged, row.Evidence = held, ledger.Floor(row.OrphanCharge, held, row.Cost), ledger.EvidenceOrphan
	m.settle(by, row, true)
}

// check holds at each instant: at most half is lent.
func (m *model) check() {
	if held := m.lent(); held > m.granted/divisor {
		m.t.Fatalf("%d of %d are lent", held, m.granted)
	}
}

func (m *model) lent() pricing.Nano {
	out, err := m.b.Ledger.Reserve(context.Background(), ledger.Reservation{
		RequestID: newID(), Account: m.key.Account, Amount: admit.MaxNano, Owner: "look", ExpiresAt: 1 << 60,
	})
	if err == nil {
		m.t.Fatal("so much fits")
	}
	return out.Held
}

// quiet lets everything come to its end.
func (m *model) quiet() {
	ctx := context.Background()
	for _, id := range m.ids() {
		if rapid.Bool().Draw(m.t, "before Redis is back") {
			m.finish(m.running[id])
		}
	}
	for _, r := range m.replicas {
		r.redis.fault = well
		m.runLate(r)
		if !r.back(ctx) {
			m.t.Fatal("it does not come back")
		}
	}
	for _, id := range m.ids() {
		m.finish(m.running[id])
	}
	for range 4 {
		for _, r := range m.replicas { // whoever uses an account finds what the dead hold there whose lists are lost
			q := admit.Request{ID: newID(), Account: m.key.Account, KeyDigest: m.key.Digest, KeyVersion: m.key.Version, HoldFor: time.Hour, Unmetered: true}
			_, err := (&gate{Failover: r.Failover, h: &house{b: m.b}}).decided(ctx, &q)
			must(m.t, err)
			must(m.t, r.Release(ctx, q.Account, q.ID))
		}
		m.now = m.now.Add(time.Minute)
		m.mini.SetTime(m.now)
		m.reap()
		for _, r := range m.replicas {
			r.endReserved(ctx)
			r.tidy(ctx)
			m.confirm(r)
			must(m.t, r.redis.Sync(ctx))
		}
	}
	for _, r := range m.replicas {
		same(m.t, "requests and releases of "+r.name, []any{r.book.size(), len(r.ends.list()), len(r.confirm)}, []any{0, 0, 0})
	}
	same(m.t, "lent", m.lent(), 0)
	left, err := m.b.ExpiredReservations(ctx, 1000)
	must(m.t, err)
	same(m.t, "reservations that nobody ends", len(left), 0)
	same(m.t, "held in Redis", m.heldInRedis(), 0)
	a, err := m.b.Account(ctx, m.key.Account)
	must(m.t, err)
	same(m.t, "balance", a.Balance, m.granted-m.charged)
	// Redis may lend all to one replica while the ledger lends the other, whom Redis does not answer, half of what is left, again
	// and again.
	if a.Balance < -m.granted-m.lost {
		m.t.Fatalf("balance %d of %d, %d lost", a.Balance, m.granted, m.lost)
	}
	if m.unheard { // which the first admission after admit.AwayAge asks for; here copies never age
		must(m.t, m.replicas[0].LoadAccount(ctx, admit.Copy{Account: m.key.Account, Spendable: a.Spendable(), Version: a.Version}))
	}
	q := admit.Request{ID: newID(), Account: m.key.Account, KeyDigest: m.key.Digest, KeyVersion: m.key.Version, HoldFor: time.Hour}
	d, err := (&gate{Failover: m.replicas[0].Failover, h: &house{b: m.b}}).decided(ctx, &q)
	must(m.t, err)
	same(m.t, "Redis knows", []any{d.Fallback, d.Spendable, d.Reserved}, []any{false, a.Balance, 0})
}
