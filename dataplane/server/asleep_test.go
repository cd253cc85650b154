package server

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// asleep is a store before which the process is stopped for so long that others take it for dead and charge its request.
type asleep struct {
	*admit.Redis
	w      *world
	passed atomic.Int64 // of the server's clock
	heard  bool         // of the admission
	t      *testing.T
}

// Admit implements admit.Admitter.
func (a *asleep) Admit(ctx context.Context, q admit.Request) (admit.Decision, error) {
	d, err := a.Redis.Admit(ctx, q)
	if d.Outcome != admit.Admitted || a.heard {
		return d, err
	}
	a.stopped(q.ID)
	return admit.Decision{}, context.DeadlineExceeded
}

// Release implements admit.Admitter.
func (a *asleep) Release(ctx context.Context, account, id string) error {
	a.stopped(id)
	return a.Redis.Release(ctx, account, id)
}

func (a *asleep) stopped(id string) {
	a.passed.Store(int64(time.Minute))
	_, err := a.w.books.Settle(a.t.Context(), []ledger.Settlement{{
		RequestID: id, Account: account, Held: 5, Charged: 5, Evidence: ledger.EvidenceOrphan, OrphanCharge: ledger.OrphanHold,
	}})
	if err != nil {
		a.t.Error(err)
	}
}

// A request that was never sent upstream costs nothing, though its process was taken for dead meanwhile.
func TestAsleepBeforeTheCall(t *testing.T) {
	for name, heard := range map[string]bool{"after its admission": true, "before its answer": false} {
		t.Run(name, func(t *testing.T) {
			store := &asleep{t: t, heard: heard}
			store.w = newWorld(t, func(o *Options, _ *snapshot.Snapshot) {
				store.Redis = o.Admitter.(*admit.Redis)
				o.Admitter, o.Upstreams = store, nil
				o.Now = func() time.Time { return time.Now().Add(time.Duration(store.passed.Load())) }
			})
			store.w.key(goodKey, usd)
			if got := store.w.chat(hello); got.status != http.StatusServiceUnavailable {
				t.Fatalf("%d %s", got.status, got.body)
			}
			eventually(t, "refund", func() bool { return store.w.balance() == usd && store.w.reserved() == 0 })
			store.w.sound()
		})
	}
}
