package settle_test

import (
	"context"
	"sync/atomic"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/settle"
	"github.com/layers-dev/layers/dataplane/settle/reap"
	"github.com/layers-dev/layers/dataplane/settle/wal"
)

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

func (l link) Orphans(ctx context.Context, p *admit.Pass, most int) ([]admit.Orphan, bool, error) {
	if l.s.noRedis.Load() {
		return nil, false, errCut
	}
	return l.Redis.Orphans(ctx, p, most)
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
