package reap

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/settle"
	"github.com/layers-dev/layers/dataplane/settle/wal"
)

// away is a store that answers nothing while it is told so.
type away struct {
	ledger.Ledger
	Confirmer

	books, redis atomic.Bool
}

func (a *away) Settle(ctx context.Context, rows []ledger.Settlement) ([]ledger.Settled, error) {
	if a.books.Load() {
		return nil, errDown
	}
	return a.Ledger.Settle(ctx, rows)
}

func (a *away) Ready(ctx context.Context) error {
	if a.books.Load() {
		return errDown
	}
	return a.Ledger.Ready(ctx)
}

func (a *away) Confirm(ctx context.Context, cs []admit.Confirmation) error {
	if a.redis.Load() {
		return errDown
	}
	return a.Confirmer.Confirm(ctx, cs)
}

// pod is a process that admits, finishes and settles, and its log.
type pod struct {
	s       *stores
	redis   *admit.Redis
	away    *away
	dir     string
	log     *wal.Log
	settler *settle.Settler
}

func (s *stores) pod(name, dir string) *pod {
	s.t.Helper()
	p := &pod{s: s, redis: s.process(name), dir: dir}
	p.away = &away{Ledger: s.books, Confirmer: p.redis}
	var err error
	p.log, err = wal.Open(dir, wal.Options{})
	s.must(err)
	p.settler = settle.New(settle.Options{
		Ledger: p.away, Confirmer: p.away, Log: slog.New(slog.DiscardHandler), WAL: p.log, Owned: true, Backoff: time.Millisecond, BackoffMax: 5 * time.Millisecond,
	})
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		_ = p.settler.Close(ctx) // it may be closed, or never end
		_ = p.log.Close()
	})
	return p
}

// serve runs a request to its end.
func (p *pod) serve(e ledger.Settlement) {
	p.s.t.Helper()
	p.s.admit(p.redis, e.RequestID, encoded(p.s.t, unfinished(e.RequestID, ledger.OrphanHold)))
	p.s.must(p.redis.Finish(p.s.t.Context(), admit.Finish{RequestID: e.RequestID, Account: account, KeyDigest: digest, Actual: e.Charged, Record: encoded(p.s.t, e)}))
	_, err := p.settler.Submit(e, digest)
	p.s.must(err)
}

func (p *pod) drain(grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return p.settler.Close(ctx)
}

// settled polls until a request is.
func (s *stores) settled(id string, round func()) {
	s.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; <-time.After(time.Millisecond) {
		round()
		if _, err := s.books.Receipt(s.t.Context(), account, id); err == nil {
			return
		} else if time.Now().After(deadline) {
			s.t.Fatal(err)
		}
	}
}

// A pod that drains waits until its log is empty; holds that it could not take away, because Redis was away, are taken by
// another one, which charges nothing again.
func TestDrainWithoutRedis(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stores) {
		p := s.pod("draining", t.TempDir())
		p.away.redis.Store(true)
		p.serve(finished("a"))
		p.serve(finished("b"))
		if err := p.drain(10 * time.Second); err != nil {
			t.Fatal(err)
		}
		if n := p.log.Stats().Unconfirmed; n != 0 {
			t.Errorf("%d are in the log", n)
		}
		p.redis.Close()
		live := s.process("live")
		if _, reserved := s.copied(live); reserved != 2*41 {
			t.Errorf("%d are held", reserved)
		}
		r := s.reaper(live)
		s.quiet(live, 2*41, func() { r.Round(t.Context()) })
		if got := r.stats.reaped; got[kindDuplicate] != 2 || got[kindFinished] != 0 {
			t.Errorf("reaped %v", got)
		}
	})
}

// A pod whose grace ends while the ledger is away leaves its rows in the log and in Redis. Whoever comes first posts them, the
// other one changes nothing.
func TestDrainWithoutLedger(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stores) {
		p := s.pod("draining", t.TempDir())
		p.away.books.Store(true)
		p.serve(finished("a"))
		p.serve(finished("b"))
		if err := p.drain(50 * time.Millisecond); !errors.Is(err, settle.ErrPending) {
			t.Fatalf("got %v", err)
		}
		if n := p.log.Stats().Unconfirmed; n != 2 {
			t.Errorf("%d are in the log", n)
		}
		s.must(p.log.Close())
		p.redis.Close()
		live := s.process("live")
		r := s.reaper(live)
		s.quiet(live, 2*41, func() { r.Round(t.Context()) })
		again := s.pod("again", p.dir) // the container starts once more in its pod
		if err := again.drain(10 * time.Second); err != nil || again.log.Stats().Unconfirmed != 0 {
			t.Errorf("%+v, %v", again.log.Stats(), err)
		}
		s.quiet(live, 2*41, func() {})
	})
}

// litellm#33872: spend that was taken from a queue before it was committed is lost with the process. Here a row leaves log and
// hold after the commit: a process that dies during the commit, whether that then passes or not, loses nothing, not even
// where its log is lost too.
func TestPopBeforeCommitLosesSpend(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stores) {
		for _, c := range []struct {
			id             string
			commits, noLog bool
		}{{"neither", false, false}, {"commits", true, false}, {"no-log", false, true}, {"commits-no-log", true, true}} {
			dir := t.TempDir()
			p := s.pod(c.id, dir)
			p.away.books.Store(true)
			p.serve(finished(c.id))
			if c.commits {
				_, err := s.books.Settle(t.Context(), []ledger.Settlement{finished(c.id)})
				s.must(err)
			}
			_ = p.drain(time.Millisecond) // it dies here
			s.must(p.log.Close())
			p.redis.Close()
			if c.noLog {
				s.must(os.RemoveAll(dir))
			}
			if err := s.pod("next-"+c.id, dir).drain(10 * time.Second); err != nil {
				t.Errorf("%s: %v", c.id, err)
			}
		}
		live := s.process("live")
		r := s.reaper(live)
		s.quiet(live, 4*41, func() { r.Round(t.Context()) })
	})
}

// new-api gives a pre-paid amount back in a goroutine that nobody waits for: it is lost with the process, or where the store
// does not answer. Here what was held too much is given back by the confirmation, which is tried until it passes, and by
// another process if this one dies.
func TestRefundInAFireAndForgetGoroutine(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stores) {
		p := s.pod("pod", t.TempDir())
		p.away.redis.Store(true)
		p.serve(finished("again")) // 100 are held, and cost 41
		s.admit(p.redis, "given-up", nil)
		p.settler.Release(account, "given-up")
		live := s.process("live")
		s.settled("again", func() {})
		if _, reserved := s.copied(live); reserved != 41+100 {
			t.Errorf("%d are held", reserved)
		}
		p.away.redis.Store(false)
		s.quiet(live, 41, func() {})
		p.away.redis.Store(true)
		p.serve(finished("reaped"))
		s.must(p.drain(10 * time.Second))
		p.redis.Close()
		r := s.reaper(live)
		s.quiet(live, 2*41, func() { r.Round(t.Context()) })
	})
}

// litellm#37992: usage that is reported as zero is charged by an estimate. Here a request that ended with nothing is settled as
// that, though its process died and its policy charges orphans all that they held.
func TestExplicitZeroUsageBilledByEstimate(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stores) {
		dead, live := s.process("dead"), s.process("live")
		zero := finished("zero")
		zero.Cost, zero.Charged = 0, 0
		s.admit(dead, "zero", encoded(t, unfinished("zero", ledger.OrphanHold)))
		s.must(dead.Finish(t.Context(), admit.Finish{RequestID: "zero", Account: account, KeyDigest: digest, Record: encoded(t, zero)}))
		dead.Close()
		r := s.reaper(live)
		s.settled("zero", func() { r.Round(t.Context()) })
		s.quiet(live, 0, func() {})
		if got := s.receipt("zero"); got.Evidence != ledger.EvidenceReported || got.Charged != 0 {
			t.Errorf("%+v", got)
		}
	})
}
