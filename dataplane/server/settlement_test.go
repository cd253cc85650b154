package server

import (
	"context"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// recorder keeps the records that holds are given.
type recorder struct {
	Admission
	mu              sync.Mutex
	first, finished []byte
}

// Admit implements admit.Admitter.
func (r *recorder) Admit(ctx context.Context, q admit.Request) (admit.Decision, error) {
	r.mu.Lock()
	r.first = q.Record
	r.mu.Unlock()
	return r.Admission.Admit(ctx, q)
}

// Finish implements admit.Admitter.
func (r *recorder) Finish(ctx context.Context, f admit.Finish) error {
	r.mu.Lock()
	r.finished = f.Record
	r.mu.Unlock()
	return r.Admission.Finish(ctx, f)
}

// A hold knows from its beginning what its request is charged if nobody finishes it, and in the end the whole settlement.
func TestHoldsHaveRecords(t *testing.T) {
	input := pricing.Usage{Input: 16 + (int64(len(hello))+3)/4}
	for name, c := range map[string]struct {
		policy func(*snapshot.CreditPolicy)
		want   string
	}{
		"by default":  {func(*snapshot.CreditPolicy) {}, ledger.OrphanInput},
		"none":        {func(p *snapshot.CreditPolicy) { p.OrphanCharge = ledger.OrphanNone }, ledger.OrphanNone},
		"all of it":   {func(p *snapshot.CreditPolicy) { p.OrphanCharge = ledger.OrphanHold }, ledger.OrphanHold},
		"unmetered":   {func(p *snapshot.CreditPolicy) { p.Unmetered, p.OrphanCharge = true, ledger.OrphanHold }, ledger.OrphanNone},
		"in a shadow": {func(p *snapshot.CreditPolicy) { p.Shadow = true }, ledger.OrphanInput},
	} {
		t.Run(name, func(t *testing.T) {
			rec := &recorder{}
			w := newWorld(t, func(o *Options, s *snapshot.Snapshot) {
				rec.Admission, o.Admitter = o.Admitter, rec
				c.policy(&s.Policies[0])
			})
			k := w.key(goodKey, usd)
			w.serve(answers(20, 10))
			posted := w.receipt(w.chat(hello))
			rec.mu.Lock()
			defer rec.mu.Unlock()
			orphan, err := ledger.DecodeRecord(rec.first)
			if err != nil {
				t.Fatal(err)
			}
			orphan.Lines = nil // they are those of its usage
			want := ledger.Settlement{
				RequestID: posted.RequestID, Account: account, KeyID: k.ID, Model: "test/good", Usage: input, PriceVersion: "v1", Cost: input.Input * perIn,
				Evidence: ledger.EvidenceOrphan, OrphanCharge: c.want, StartedAt: posted.StartedAt, FinishedAt: orphan.FinishedAt,
			}
			if d := cmp.Diff(want, orphan); d != "" {
				t.Error(d)
			}
			finished, err := ledger.DecodeRecord(rec.finished)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(posted.Settlement, finished); d != "" {
				t.Error(d)
			}
		})
	}
}
