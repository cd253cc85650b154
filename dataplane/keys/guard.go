package keys

import (
	"time"

	"golang.org/x/time/rate"
)

// Guard slows down addresses that send keys which are none. Only lookups that would cost a store ask it; a key that this
// replica has found before passes without it. Safe for concurrent use.
type Guard struct {
	opts GuardOptions
	ips  *lru[*rate.Limiter]
}

// GuardOptions bounds the failures of one address.
type GuardOptions struct {
	// PerSecond and Burst bound the store reads that failed keys of one address may cost; 0: 20 a second, 100 at once.
	PerSecond float64
	Burst     int
	// Addresses is how many are remembered; 0: 10,000. The one that failed longest ago is forgotten first.
	Addresses int
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Penalties, in failures: an unknown key that does not end as those that Layers makes is most likely a guess, or garbage.
const (
	costUnknown = 1
	costGarbage = 3
)

// NewGuard makes a Guard that knows nobody.
func NewGuard(o GuardOptions) *Guard {
	if o.PerSecond <= 0 {
		o.PerSecond = 20
	}
	if o.Burst <= 0 {
		o.Burst = 100
	}
	if o.Addresses <= 0 {
		o.Addresses = 10_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Guard{opts: o, ips: newLRU[*rate.Limiter](o.Addresses)}
}

// Allow answers whether a store may be asked about a key from this address.
func (g *Guard) Allow(ip string) bool {
	l, ok := g.ips.get(ip)
	return !ok || l.TokensAt(g.opts.Now()) >= 1
}

// Failed counts a key of this address that was none. Failures that ran at the same time may take it below zero: they are
// paid back before the next one is allowed.
func (g *Guard) Failed(ip string) { g.charge(ip, costUnknown) }

func (g *Guard) charge(ip string, failures int) {
	l := g.ips.put(ip, func(old *rate.Limiter, ok bool) *rate.Limiter {
		if ok {
			return old
		}
		return rate.NewLimiter(rate.Limit(g.opts.PerSecond), g.opts.Burst)
	})
	l.ReserveN(g.opts.Now(), min(failures, g.opts.Burst))
}
