// Package failover keeps admission going while Redis is away. A Failover stands between the server and Redis: every call has a
// short deadline and passes a circuit breaker (of a cluster, one for each of its parts), and an admission that Redis does not answer is decided by a local limiter,
// at this replica's share of the limits, and by the ledger, which lends at most half of what an account may spend, because
// Redis may hold of the same money. It is never open: where the ledger does not answer either, neither does it.
//
// What the fallback admits is held in the ledger and is given to Redis' owner (admit.Adopter) as well, whose Sync writes
// it into a Redis that is back, before that decides anything. For a while both count it, which is the safe side; settling
// the request releases the one, confirming it the other.
package failover

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// ErrAway says that Redis is not asked, because it did not answer of late.
var ErrAway = errors.New("redis is away")

// Primary is Redis as a Failover needs it; see admit.Redis. Calls should end with their context, and must end.
type Primary interface {
	admit.Admitter
	admit.Extender
	admit.Claims
	admit.Adopter
	keys.Cache
	// Owners as in admit.Owner.
	Owners() int64
	// Split is into how many parts it is divided that may be away each by itself, Part where a key is, Parts what a call about an
	// account needs, the account's own part first.
	Split() int
	Part(key string) int
	Parts(account string) []int
	// Probe answers whether a part can be written; SyncPart is Sync, as in admit.Owner, of a part.
	Probe(ctx context.Context, part int) error
	SyncPart(ctx context.Context, part int) error
}

// Ledger is what a Failover needs of the ledger; see ledger.Ledger.
type Ledger interface {
	admit.Claims
	KeyByDigest(ctx context.Context, digest string) (ledger.Key, error)
	Account(ctx context.Context, id string) (ledger.Account, error)
	KeySpends(ctx context.Context, keyID string, windows []ledger.Window) ([]ledger.Spend, error)
	Reserve(ctx context.Context, r ledger.Reservation) (ledger.Reserved, error)
	ExtendReservation(ctx context.Context, account, requestID string, more pricing.Nano, divisor int64) (ledger.Reserved, error)
	FinishReservation(ctx context.Context, s ledger.Settlement) (ledger.Reserved, error)
	ReleaseReservation(ctx context.Context, account, requestID string) error
	RenewReservations(ctx context.Context, owner string, until int64) (int, error)
}

// Defaults of Options.
const (
	DefaultTimeout       = 50 * time.Millisecond
	DefaultPatience      = time.Second
	DefaultLedgerTimeout = 2 * time.Second
	DefaultProbe         = 2 * time.Second
	DefaultSyncTimeout   = 10 * time.Second
	DefaultKeep          = 90 * time.Second
	DefaultKeyAge        = time.Second
	DefaultKeys          = 100_000
)

// mostParts is how many parts may be found away before somebody takes note; Split is less.
const mostParts = 1024

// Options of a Failover.
type Options struct {
	Primary Primary
	// Ledger may be nil where the gateway only ever serves in demo mode.
	Ledger Ledger
	// Owner is whose the reservations are: the name of this start of this process, as in admit.Options.
	Owner string
	// Reject says that requests are refused while Redis is away; nil: they are not.
	Reject func() bool
	// Demo says that keys have no rows and nothing is charged now; nil: never.
	Demo func() bool
	Log  *slog.Logger
	Now  func() time.Time // nil: time.Now

	// Timeout bounds a call to Redis that a request waits for, Patience one that nobody waits for (confirmations of many
	// requests), SyncTimeout the Sync after an outage.
	Timeout, Patience, SyncTimeout time.Duration
	// LedgerTimeout bounds what the ledger may take of one decision.
	LedgerTimeout time.Duration
	// Probe is how often, at least, a Redis that is away is asked whether it is back.
	Probe time.Duration
	// Keep is how long a reservation stands without being renewed, which it is three times in that.
	Keep time.Duration
	// KeyAge is how old the row of a key may be, Keys how many keys' rates and rows are remembered.
	KeyAge time.Duration
	Keys   int
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		of        *time.Duration
		otherwise time.Duration
	}{
		{&o.Timeout, DefaultTimeout}, {&o.Patience, DefaultPatience}, {&o.LedgerTimeout, DefaultLedgerTimeout}, {&o.Probe, DefaultProbe},
		{&o.SyncTimeout, DefaultSyncTimeout}, {&o.Keep, DefaultKeep}, {&o.KeyAge, DefaultKeyAge},
	} {
		if *d.of <= 0 {
			*d.of = d.otherwise
		}
	}
	never := func() bool { return false }
	if o.Reject == nil {
		o.Reject = never
	}
	if o.Demo == nil {
		o.Demo = never
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Keys <= 0 {
		o.Keys = DefaultKeys
	}
	return o
}

// Failover is an admit.Admitter, Extender and Claims, and a keys.Cache, on a Redis that may be away. Whoever makes one runs
// Run. It is safe for concurrent use.
type Failover struct {
	o      Options
	parts  parts
	opened chan int     // parts that have been found away
	since  atomic.Int64 // when the first of them was, in microseconds
	owners atomic.Int64 // last seen
	strays atomic.Int64 // calls to Redis that nobody waits for any more
	spawn  func(func())

	limits  *limits
	book    *book
	ends    *ends
	flights singleflight.Group

	keysMu sync.Mutex
	keys   *lru[string, keyRow]
	claims claims
	stats  stats
}

var _ interface {
	admit.Admitter
	admit.Extender
	admit.Claims
	keys.Cache
} = (*Failover)(nil)

// New makes a Failover that takes Redis for well until it is not.
func New(o Options) *Failover {
	o = o.withDefaults()
	return &Failover{
		o: o, parts: parts{by: map[int]*breaker{}}, opened: make(chan int, mostParts), spawn: func(do func()) { go do() }, limits: newLimits(o.Keys), book: newBook(), ends: &ends{all: map[string]end{}},
		keys: newLRU[string, keyRow](o.Keys), claims: newClaims(), stats: newStats(),
	}
}

// replicas is among how many the limits are divided: the leases that lived when Redis was last heard.
func (f *Failover) replicas() int64 {
	if n := f.o.Primary.Owners(); n > 0 {
		f.owners.Store(n)
	}
	return max(1, f.owners.Load())
}

// inLedger makes one call to the ledger.
func (f *Failover) inLedger(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, f.o.LedgerTimeout)
	defer cancel()
	return call(ctx)
}
