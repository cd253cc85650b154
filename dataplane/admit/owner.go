package admit

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/layers-dev/layers/dataplane/pricing"
)

// owner is what a process knows of its own holds: the truth of which the store has a copy, as far as this owner goes.
type owner struct {
	base  string
	clock func() time.Time // a monotonic one
	turn  chan struct{}    // has room for whoever may talk about the lease

	// dialled: there is a new connection, and another store may be at its end, which lacks what the last one took in its last
	// second. No epoch tells of that.
	dialled atomic.Bool

	mu       sync.Mutex
	name     string // base and a serial: a lease that was lost does not come back
	serial   int
	had      bool      // the store has answered for this name
	until    time.Time // until when the lease surely lives
	live     int64     // leases that lived then
	epoch    int64
	wanted   map[string]bool // accounts that wait to be on the list
	accounts map[string]*ownAccount
}

// ownAccount is an account that this process has used of late.
type ownAccount struct {
	joined string // the owner's name on whose list it is
	holds  map[string]*ownHold
	rounds int  // how many more syncs it needs though it has no holds
	idle   int  // syncs since it needed one
	lost   bool // the store has lost something of it
}

type ownHold struct {
	pending        int  // calls under way: the store may have it in either state
	known          bool // it was admitted
	finished       bool
	amount         pricing.Nano
	until, at      int64 // us
	digest, record string
}

type holdID struct{ account, id string }

// membership is what an admission says of its owner.
type membership struct {
	owner  string
	joined bool
}

const (
	// syncRounds is how often an account is synced after its last change: what was given up may run late, once.
	syncRounds = 2
	// idleRounds is after how many syncs without need an account leaves the list.
	idleRounds = 10
)

func newOwner(base string) *owner {
	o := &owner{base: base, clock: time.Now, turn: make(chan struct{}, 1), wanted: map[string]bool{}, accounts: map[string]*ownAccount{}}
	o.rename()
	return o
}

// rename begins a new lease; the caller holds mu, or is alone. All accounts have to be put on its list, and all holds under it.
func (o *owner) rename() {
	o.serial++
	o.name, o.had, o.until = o.base+"."+strconv.Itoa(o.serial), false, time.Time{}
	o.stale()
}

func (o *owner) stale() {
	for _, a := range o.accounts {
		a.joined, a.rounds, a.lost = "", syncRounds, true
	}
}

// mine says whether a name is this process's, now or before.
func (o *owner) mine(name string) bool {
	serial, ok := strings.CutPrefix(name, o.base+".")
	_, err := strconv.Atoi(serial)
	return ok && err == nil
}

// sawEpoch notices that the store has lost data, the list of accounts maybe among them.
func (o *owner) sawEpoch(epoch int64) (changed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	changed = o.epoch != 0 && o.epoch != epoch
	if o.epoch = epoch; changed {
		o.until = time.Time{}
		o.stale()
	}
	return changed
}

// dial opens a connection as the driver would, and notes it.
func (o *owner) dial(ctx context.Context, address string, dialer *net.Dialer, secure *tls.Config) (net.Conn, error) {
	o.dialled.Store(true)
	if secure != nil {
		return (&tls.Dialer{NetDialer: dialer, Config: secure}).DialContext(ctx, "tcp", address)
	}
	return dialer.DialContext(ctx, "tcp", address)
}

// distrust has every account synced before the next admission on it, if there is a new connection.
func (o *owner) distrust() bool {
	if !o.dialled.Swap(false) {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range o.accounts {
		a.lost, a.rounds = true, syncRounds
	}
	return true
}

// of is the state of an account; the caller holds mu.
func (o *owner) of(account string) *ownAccount {
	a := o.accounts[account]
	if a == nil {
		a = &ownAccount{holds: map[string]*ownHold{}}
		o.accounts[account] = a
	}
	a.idle = 0
	return a
}

// holdsAny says whether there is a hold that the store should have.
func (a *ownAccount) holdsAny() bool {
	for _, h := range a.holds {
		if h.known {
			return true
		}
	}
	return false
}

// begin notes that an admission is asked for, before it is.
func (o *owner) begin(account, id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.of(account)
	if a.holds[id] == nil {
		a.holds[id] = &ownHold{}
	}
	a.holds[id].pending++
}

// admitted notes the answer, or that there is none.
func (o *owner) admitted(q Request, d Decision, stands bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.of(q.Account)
	h := a.holds[q.ID]
	if h == nil { // it was ended while it was asked for: what the store has of it, Sync takes away
		a.rounds = syncRounds
		return
	}
	h.pending--
	if err != nil {
		a.rounds = syncRounds
	}
	if d.Outcome == ReloadAccount && err == nil {
		a.lost = true
	}
	if err == nil && d.Outcome == Admitted && stands && !h.known {
		h.known, h.amount, h.digest = true, d.Held, q.Counted()
		h.at, h.until, h.record = d.Now.UnixMicro(), d.Now.Add(q.HoldFor).UnixMicro(), string(q.Record)
	}
	if !h.known && h.pending <= 0 {
		delete(a.holds, q.ID)
	}
}

// finished notes what a request cost; the first answer counts.
func (o *owner) finished(f Finish) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if h := o.hold(holdID{f.Account, f.RequestID}); h != nil && h.known && !h.finished {
		h.finished, h.amount, h.record = true, f.Actual, string(f.Record)
	}
}

func (o *owner) extended(id holdID, to pricing.Nano) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if h := o.hold(id); h != nil && h.known && !h.finished {
		h.amount = to
	}
}

// knows says whether this process holds it.
func (o *owner) knows(id holdID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.hold(id)
	return h != nil && h.known
}

// runs says whether this process holds it for a request that has not finished.
func (o *owner) runs(id holdID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	h := o.hold(id)
	return h != nil && h.known && !h.finished
}

// hold answers a hold, nil where there is none; the caller holds mu.
func (o *owner) hold(id holdID) *ownHold {
	if a := o.accounts[id.account]; a != nil {
		return a.holds[id.id]
	}
	return nil
}

// pend counts calls about a hold that are under way.
func (o *owner) pend(id holdID, by int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if h := o.hold(id); h != nil {
		h.pending += by
	}
}

// forget drops holds that the store has ended.
func (o *owner) forget(ids []holdID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range ids {
		if h := o.hold(id); h != nil {
			delete(o.accounts[id.account].holds, id.id)
			o.of(id.account).rounds = syncRounds
		}
	}
}

// lost notes that the store does not know an account.
func (o *owner) lost(account string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.of(account).lost = true
}

// due answers the accounts to sync, and those that need not be on the list any more.
func (o *owner) due() (sync, idle []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(o.accounts)) {
		a := o.accounts[name]
		switch {
		case len(a.holds) > 0 || a.rounds > 0:
			sync = append(sync, name)
		case a.idle >= idleRounds:
			idle = append(idle, name)
		default:
			a.idle++
		}
	}
	return sync, idle
}

// ending runs a call that ends holds. While it is under way nobody knows whether they stand; when it has passed they do not.
func (r *Redis) ending(ids []holdID, call func() error) error {
	if r.owner == nil {
		return call()
	}
	for _, id := range ids {
		r.owner.pend(id, 1)
	}
	err := call()
	if err == nil {
		r.owner.forget(ids)
		return nil
	}
	for _, id := range ids {
		r.owner.pend(id, -1)
	}
	return err
}
