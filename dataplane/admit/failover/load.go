package failover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
)

// LoadAccount copies to Redis. A Redis that does not answer needs no copy, the fallback reads the ledger itself: no error.
func (f *Failover) LoadAccount(ctx context.Context, c admit.Copy) error {
	return f.load(ctx, c.Account, func(ctx context.Context) error { return f.o.Primary.LoadAccount(ctx, c) })
}

// LoadSpend is as LoadAccount.
func (f *Failover) LoadSpend(ctx context.Context, account, digest string, s admit.Spend) error {
	return f.load(ctx, account, func(ctx context.Context) error { return f.o.Primary.LoadSpend(ctx, account, digest, s) })
}

// LoadKey is as LoadAccount; but a Redis that is asked has to hear of a key that is to be refused.
func (f *Failover) LoadKey(ctx context.Context, account, digest, state string, version int64) error {
	f.forgetKey(digest)
	load := func(ctx context.Context) error { return f.o.Primary.LoadKey(ctx, account, digest, state, version) }
	away, err := f.tell(ctx, account, load)
	if away && (state == admit.KeyActive || errors.Is(err, ErrAway)) {
		return nil
	}
	return err
}

// Teller is a Failover for whoever has to know that Redis has heard of a key or an account: a replica that alone does not reach it, or
// not that part of it, must not take a revocation or a correction for delivered.
type Teller struct{ *Failover }

// LoadKey answers an error, ErrAway for one, where Redis has not heard.
func (t Teller) LoadKey(ctx context.Context, account, digest, state string, version int64) error {
	t.forgetKey(digest)
	_, err := t.tell(ctx, account, func(ctx context.Context) error {
		return t.o.Primary.LoadKey(ctx, account, digest, state, version)
	})
	return err
}

// LoadAccount answers an error, ErrAway for one, where Redis has not heard.
func (t Teller) LoadAccount(ctx context.Context, c admit.Copy) error {
	_, err := t.tell(ctx, c.Account, func(ctx context.Context) error { return t.o.Primary.LoadAccount(ctx, c) })
	return err
}

func (f *Failover) load(ctx context.Context, account string, call func(context.Context) error) error {
	away, err := f.tell(ctx, account, call)
	if away {
		return nil
	}
	return err
}

// Preview answers what Admit would. While Redis is away it knows the account's balance and what this replica holds of it, not
// what others do.
func (f *Failover) Preview(ctx context.Context, q admit.Request) (admit.Decision, error) {
	d, away, err := try(ctx, f, f.o.Primary.Parts(q.Account), f.o.Timeout, func(ctx context.Context) (admit.Decision, error) {
		return f.o.Primary.Preview(ctx, q)
	})
	if !away {
		return d, err
	}
	if err := q.Valid(); err != nil {
		return admit.Decision{}, fmt.Errorf("previewing an admission: %w", err)
	}
	if f.o.Reject() {
		return admit.Decision{}, fmt.Errorf("admitting without redis is not allowed: %w", err)
	}
	if h, ok := f.book.get(q.ID); ok {
		return h.decision, nil
	}
	d, instead := f.decide(ctx, q, false)
	if instead != nil {
		return admit.Decision{}, fmt.Errorf("previewing an admission without redis (%w): %w", err, instead)
	}
	return d, nil
}

// Ping answers whether Redis is there.
func (f *Failover) Ping(ctx context.Context) error {
	return f.tellOf(ctx, "", f.o.Primary.Ping)
}

// Get implements keys.Cache: without Redis there is no cache.
func (f *Failover) Get(ctx context.Context, key string) (value string, ok bool, err error) {
	type cached struct {
		value string
		ok    bool
	}
	c, _, err := try(ctx, f, []int{f.o.Primary.Part(key)}, f.o.Timeout, func(ctx context.Context) (c cached, err error) {
		c.value, c.ok, err = f.o.Primary.Get(ctx, key)
		return c, err
	})
	return c.value, c.ok, err
}

// Set implements keys.Cache.
func (f *Failover) Set(ctx context.Context, key, value string, ttl time.Duration) error {
	return f.tellOf(ctx, key, func(ctx context.Context) error { return f.o.Primary.Set(ctx, key, value, ttl) })
}

// Del implements keys.Cache.
func (f *Failover) Del(ctx context.Context, key string) error {
	return f.tellOf(ctx, key, func(ctx context.Context) error { return f.o.Primary.Del(ctx, key) })
}

// tellOf makes a call about a key that is no account's.
func (f *Failover) tellOf(ctx context.Context, key string, call func(context.Context) error) error {
	_, err := f.tellParts(ctx, []int{f.o.Primary.Part(key)}, f.o.Timeout, call)
	return err
}
