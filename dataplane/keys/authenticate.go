package keys

import (
	"context"
	"errors"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// ErrThrottled: too many keys of this address were none (429, try again in a second).
var ErrThrottled = errors.New("too many invalid keys from this address")

// Authenticator goes the way of a plain key: its form, what this replica remembers, the guard, the shared cache, the store.
type Authenticator struct {
	Resolver *Resolver
	Guard    *Guard
}

// Authenticate finds the row of a plain key that came from ip. The row may be disabled or revoked: the caller looks.
// Errors: ErrMalformed, ErrReserved, ErrUnknown and ErrExpired, with the key (401), ErrThrottled (429), ErrUnavailable (503), or the error of ctx.
func (a *Authenticator) Authenticate(ctx context.Context, plain, ip string) (ledger.Key, error) {
	if err := Parse(plain); err != nil {
		return ledger.Key{}, err // costs nobody anything, so the address is not charged
	}
	digest := Digest(plain)
	key, found, err := a.Resolver.local(digest)
	if found || err != nil {
		return a.Resolver.timely(key, err)
	}
	if !a.Resolver.Seen(digest) && !a.Guard.Allow(ip) {
		return ledger.Key{}, ErrThrottled
	}
	key, began, err := a.Resolver.find(ctx, digest)
	if began && errors.Is(err, ErrUnknown) { // once for each store read, however many wait for it
		a.Guard.charge(ip, cost(plain))
	}
	return a.Resolver.timely(key, err)
}

// cost is what an unknown key costs its address: one that ends as the keys that Layers makes was one once, or belongs to
// another gateway.
func cost(plain string) int {
	if checked(plain) {
		return costUnknown
	}
	return costGarbage
}
