// Package outbox tells each gateway's Redis of the keys that changed in its ledger while Redis could not be told, or by
// somebody who died before telling it.
package outbox

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"

	"github.com/layers-dev/layers/controllers/stores"
	"github.com/layers-dev/layers/dataplane/keys"
)

const (
	// defaultEvery is the pause between two passes, passTimeout the most that one gateway may take of one.
	defaultEvery = 2 * time.Second
	passTimeout  = 10 * time.Second
	// atOnce bounds the gateways that are seen to at the same time.
	atOnce = 8
)

// Runner delivers the outboxes of all stores that are open. It is a Runnable of the manager, for the leader alone.
type Runner struct {
	Stores *stores.Cache
	// Every is the pause between two passes; 0: 2 s.
	Every time.Duration
	Log   logr.Logger
}

// NeedLeaderElection says that one of several operators is enough.
func (r *Runner) NeedLeaderElection() bool { return true }

// Start delivers until ctx is over.
func (r *Runner) Start(ctx context.Context) error {
	every := r.Every
	if every <= 0 {
		every = defaultEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		r.pass(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// pass sees to every gateway once; one whose stores do not answer keeps no other waiting for long.
func (r *Runner) pass(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(atOnce)
	for uid, open := range r.Stores.All() {
		group.Go(func() error {
			_, err := keys.Deliver(ctx, open.Ledger, open.Redis, open.Redis, string(uid))
			if err != nil && ctx.Err() == nil {
				r.Log.Info("Redis could not be told of changed keys; it is tried again", "gateway", uid, "error", err.Error())
			}
			return nil
		})
	}
	_ = group.Wait() // no function of the group answers an error
}
