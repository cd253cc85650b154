// Package reap settles what processes left behind that are gone: holds in the admission store whose owner's lease is gone,
// and reservations of the ledger whose time is over. A request that had finished is posted as the settlement that it
// is; one that nobody finished is charged what its credit policy declares (None, Input or Hold), and adjusted once if its process was
// only asleep and settles it after all.
//
// Any number of reapers may run at once, and one may end at any place: all that is posted is posted once by the ledger,
// and what is not confirmed comes again.
package reap

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// Owner is what a reaper needs of admit.Owner.
type Owner interface {
	Orphans(ctx context.Context, p *admit.Pass, most int) (found []admit.Orphan, more bool, err error)
}

// Ledger is what a reaper needs of ledger.Ledger.
type Ledger interface {
	Settle(ctx context.Context, s []ledger.Settlement) ([]ledger.Settled, error)
	ExpiredReservations(ctx context.Context, limit int) ([]ledger.Reservation, error)
	ReleaseReservation(ctx context.Context, account, requestID string) error
	// Accounts answers accounts as they are now; those that are not there are left out.
	Accounts(ctx context.Context, ids []string) ([]ledger.Account, error)
	// Ready is nil when the store can be written.
	Ready(ctx context.Context) error
}

// Confirmer is what a reaper needs of admit.Admitter.
type Confirmer interface {
	Confirm(ctx context.Context, cs []admit.Confirmation) error
}

// Options of a Reaper. Owner, Ledger, Confirmer and Log must be set; zero values take the defaults below.
type Options struct {
	Owner     Owner
	Ledger    Ledger
	Confirmer Confirmer
	Log       *slog.Logger
	Now       func() time.Time
	// Self is the name under which this process reserves in the ledger: what it holds there itself is left alone, however old.
	// (The admission store knows its own.)
	Self string
	// Every is the mean pause between two rounds. Jitter makes the next pause of it; nil: between a half and one and a half, so
	// that replicas take turns.
	Every  time.Duration
	Jitter func(every time.Duration) time.Duration
	// Grace is how long an owner has been seen dead before what it did not finish is charged: after an outage of a store all
	// leases are over, and whoever lives renews them. 0: Every; negative: none.
	Grace time.Duration
	// Patience is how long a record that this build cannot read is left to the other replicas, one of which may be newer.
	Patience time.Duration
	// Timeout bounds each call of a store.
	Timeout time.Duration
}

// Defaults of Options.
const (
	DefaultEvery    = 10 * time.Second
	DefaultPatience = 10 * time.Minute
	DefaultTimeout  = 5 * time.Second
)

// batch is how many are asked for, and settled, at once.
const batch = 200

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Every <= 0 {
		o.Every = DefaultEvery
	}
	if o.Jitter == nil {
		o.Jitter = func(every time.Duration) time.Duration { return every/2 + rand.N(every) }
	}
	if o.Grace == 0 {
		o.Grace = o.Every
	}
	if o.Patience <= 0 {
		o.Patience = DefaultPatience
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	return o
}

// Reaper settles what the dead left. It is a prometheus.Collector.
type Reaper struct {
	o Options

	turn   sync.Mutex // one round at a time; what follows is its own
	seen   sightings
	pass   admit.Pass
	untold []admit.Confirmation // of reservations, which do not come again

	mu    sync.Mutex
	stats stats
}

// New makes a Reaper, which does nothing until Run or Round.
func New(o Options) *Reaper {
	r := &Reaper{o: o.withDefaults(), seen: sightings{}, stats: newStats()}
	r.pass.Gone = r.renew
	return r
}

// Run makes rounds until ctx ends, the first after a pause: whoever starts with everybody else after an outage gives them
// time to say that they live.
func (r *Reaper) Run(ctx context.Context) {
	for {
		t := time.NewTimer(r.o.Jitter(r.o.Every))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
		r.Round(ctx)
	}
}

// maxTurns bounds a round, of each store.
const maxTurns = 1000

// Round settles what is there to settle now, and answers how many requests that were. Failures are told in the log and
// the metrics, and tried again in the next round.
func (r *Reaper) Round(ctx context.Context) (settled int) {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.seen.forget(r.o.Now().Add(-10 * max(r.o.Grace, r.o.Patience)))
	if !r.ready(ctx) {
		return 0
	}
	r.tellAgain(ctx)
	return r.reapOrphans(ctx) + r.reapReserved(ctx)
}

// reapOrphans goes through all owners that are gone, and again as long as that settles something. What fails waits for the next
// round, which goes on behind it.
func (r *Reaper) reapOrphans(ctx context.Context) (settled int) {
	before := 0 // settled before this pass
	for range maxTurns {
		found, more, ok := r.orphans(ctx)
		posted, passed := r.post(ctx, found)
		settled += posted
		if !ok || !passed && posted == 0 || ctx.Err() != nil || !more && settled == before {
			break
		}
		if !more {
			before = settled
		}
	}
	return settled
}

// reapReserved settles reservations as long as there are any.
func (r *Reaper) reapReserved(ctx context.Context) (settled int) {
	for range maxTurns {
		found, ok := r.reservations(ctx)
		posted, passed := r.post(ctx, found)
		settled += posted
		if !ok || !passed || posted == 0 || ctx.Err() != nil {
			break
		}
	}
	return settled
}

// ready says whether the ledger takes anything at all: without it nothing can be reaped, and everything comes again.
func (r *Reaper) ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	err := r.o.Ledger.Ready(ctx)
	if err != nil {
		r.failed("ledger", "Ledger is not ready, nothing is reaped", err)
	}
	return err == nil
}
