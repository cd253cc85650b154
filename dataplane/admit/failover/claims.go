package failover

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
)

// knownClaims bounds the claims that this replica remembers, so that what Redis gave is known while it is away.
const knownClaims = 10_000

type claimName struct{ account, name string }

// given is a name and who has it.
type given struct {
	claimName
	holder string
}

type claim struct {
	holder string
	until  time.Time
}

// claims are those that this replica has heard of.
type claims struct {
	mu      sync.Mutex
	known   *lru[claimName, claim]
	givenUp map[given]struct{}  // which Redis has to hear of
	owed    map[claimName]claim // which the ledger has to hear of: Redis alone gave them
	unsaid  map[given]time.Time // which Redis has to hear of, and their ends: the ledger alone gave them
}

func newClaims() claims {
	return claims{known: newLRU[claimName, claim](knownClaims), givenUp: map[given]struct{}{}, owed: map[claimName]claim{}, unsaid: map[given]time.Time{}}
}

// owe has the ledger hear of a claim that Redis gave while the ledger did not answer; too many are in Redis alone.
func (c *claims) owe(n claimName, holder string, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.owed) < knownClaims {
		c.owed[n] = claim{holder, until}
	}
}

func (c *claims) toOwe() map[claimName]claim {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.owed)
}

// paid notes that the ledger need not hear of a claim of this holder any more.
func (c *claims) paid(n claimName, holder string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owed[n].holder == holder {
		delete(c.owed, n)
	}
}

// say has Redis hear of a claim that the ledger gave while Redis did not answer, or whoever has Redis alone later could give it
// again; too many are in the ledger alone.
func (c *claims) say(n claimName, holder string, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.unsaid) < knownClaims {
		c.unsaid[given{n, holder}] = until
	}
}

func (c *claims) toSay() map[given]time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.unsaid)
}

// said notes that Redis need not hear of a claim any more.
func (c *claims) said(g given) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.unsaid, g)
}

// stillSaid answers whether a claim that Redis was told of stood all the while; once heard it is not said again.
func (c *claims) stillSaid(g given, heard bool) (stands bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, stands = c.unsaid[g]; heard {
		delete(c.unsaid, g)
	}
	return stands
}

// giveUp has Redis hear of a claim that was given up while it was away; one of too many ends by itself.
func (c *claims) giveUp(n claimName, requestID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.givenUp) < knownClaims {
		c.givenUp[given{n, requestID}] = struct{}{}
	}
}

func (c *claims) toGiveUp() map[given]struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.givenUp)
}

func (c *claims) told(g given) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.givenUp, g)
}

// put remembers who has a name.
func (c *claims) put(n claimName, holder string, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.put(n, claim{holder, until})
	delete(c.givenUp, given{n, holder})
}

func (c *claims) get(n claimName, now time.Time) (holder string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, ok := c.known.get(n); ok && k.until.After(now) {
		return k.holder
	}
	return ""
}

func (c *claims) remove(n claimName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.remove(n)
}

// sweep forgets claims that are over, beginning with those that nobody asked for.
func (c *claims) sweep(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.known.order.Back(); e != nil; e = c.known.order.Back() {
		of := e.Value.(*entry[claimName, claim])
		if of.value.until.After(now) {
			return
		}
		c.known.remove(of.key)
	}
}

// Claim asks Redis and the ledger, so that a name that was given while either was away, or that Redis has lost since, is not
// given twice: another replica may have been alone with the other one. One of them is enough; where the ledger does not
// answer, what this replica knows of Redis' claims counts on while Redis is away. Requests with names are few.
func (f *Failover) Claim(ctx context.Context, account, name, requestID string, keep time.Duration) (string, error) {
	now, n := f.o.Now(), claimName{account, name}
	holder, away, err := try(ctx, f, f.o.Primary.Parts(account), f.o.Timeout, func(ctx context.Context) (string, error) {
		return f.o.Primary.Claim(ctx, account, name, requestID, keep)
	})
	switch {
	case !away && err != nil:
		f.unheard(n, requestID, err)
		return "", err
	case !away && (holder != requestID || f.o.Ledger == nil):
		f.claims.put(n, holder, now.Add(keep))
		return holder, nil
	case f.o.Ledger == nil:
		return "", errors.Join(err, errNoLedger)
	}
	unheard := err
	if known := f.claims.get(n, now); away && known != "" && known != requestID {
		f.unheard(n, requestID, unheard)
		return known, nil
	}
	err = f.inLedger(ctx, func(ctx context.Context) (err error) {
		holder, err = f.o.Ledger.Claim(ctx, account, name, requestID, keep)
		return err
	})
	switch {
	case err != nil && away:
		f.unheard(n, requestID, unheard)
		return "", err
	case err != nil: // Redis gave it
		holder = requestID
		f.claims.owe(n, holder, now.Add(keep))
	case holder != requestID && !away: // it is not ours in Redis either
		if _, err := f.tell(ctx, account, f.givingUp(account, name, requestID)); err != nil {
			f.claims.giveUp(n, requestID)
		}
	case holder != requestID:
		f.unheard(n, requestID, unheard)
	case away:
		f.claims.say(n, holder, now.Add(keep))
	}
	f.claims.put(n, holder, now.Add(keep))
	return holder, nil
}

// unheard has Redis give up a claim that it may have given without our hearing of it, and that nobody has: or the name would be
// taken by a request that never runs.
func (f *Failover) unheard(n claimName, requestID string, err error) {
	if err != nil && !errors.Is(err, ErrAway) && !errors.Is(err, admit.ErrRange) {
		f.claims.giveUp(n, requestID)
	}
}

// givingUp is the call.
func (f *Failover) givingUp(account, name, requestID string) func(context.Context) error {
	return func(ctx context.Context) error { return f.o.Primary.GiveUp(ctx, account, name, requestID) }
}

// GiveUp gives a claim up where it may be; a Redis that is away hears of it later.
func (f *Failover) GiveUp(ctx context.Context, account, name, requestID string) error {
	now, n := f.o.Now(), claimName{account, name}
	if f.claims.get(n, now) == requestID {
		f.claims.remove(n)
	}
	f.claims.paid(n, requestID)
	f.claims.said(given{n, requestID})
	away, err := f.tell(ctx, account, f.givingUp(account, name, requestID))
	if away {
		f.claims.giveUp(n, requestID)
		err = nil
	}
	if f.o.Ledger == nil {
		return err
	}
	return errors.Join(err, f.inLedger(ctx, func(ctx context.Context) error { return f.o.Ledger.GiveUp(ctx, account, name, requestID) }))
}

// saying is the call that tells Redis of a claim that the ledger gave; whoever has it there already keeps it.
func (f *Failover) saying(g given, until time.Time) func(context.Context) error {
	return func(ctx context.Context) error {
		keep := until.Sub(f.o.Now())
		if keep < time.Millisecond { // less cannot be said
			return nil
		}
		_, err := f.o.Primary.Claim(ctx, g.account, g.name, g.holder, keep)
		return err
	}
}

// pay tells the ledger of the claims that Redis gave while it did not answer, so that they outlive what Redis may lose.
func (f *Failover) pay(ctx context.Context) {
	for n, c := range f.claims.toOwe() {
		keep := c.until.Sub(f.o.Now())
		if keep > 0 {
			err := f.inLedger(ctx, func(ctx context.Context) error {
				_, err := f.o.Ledger.Claim(ctx, n.account, n.name, c.holder, keep)
				return err
			})
			if err != nil {
				return // it is away: the next one would wait as long
			}
		}
		f.claims.paid(n, c.holder)
	}
}
