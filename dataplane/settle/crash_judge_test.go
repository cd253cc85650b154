package settle_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

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
