package admit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/rueidis"
)

var (
	//go:embed lua/lease.lua
	leaseLua string
	//go:embed lua/dead.lua
	deadLua string
	//go:embed lua/live.lua
	liveLua string
	//go:embed lua/list.lua
	listLua string
)

var (
	leaseScript = rueidis.NewLuaScriptRetryable(holdLua + leaseLua)
	deadScript  = rueidis.NewLuaScriptRetryable(holdLua + deadLua)
	liveScript  = rueidis.NewLuaScriptRetryable(holdLua + liveLua)
	listScript  = rueidis.NewLuaScriptRetryable(holdLua + listLua)
)

// Leases and lists are in the slot of the epoch, so that they are lost together, and a new epoch tells of it.
const leasesKey = "lyr:{epoch}:leases"

func listKey(owner string) string { return "lyr:{epoch}:accounts:" + owner }

// joinAttempts bounds how often an admission begins anew because its owner's lease was lost meanwhile.
const joinAttempts = 4

var (
	errLease   = errors.New("the owner's lease was lost again and again")
	errNoOwner = errors.New("there is no Options.Owner")
)

// member answers under which name an admission holds, the lease being one that outlives the call.
func (r *Redis) member(ctx context.Context, c rueidis.Client, account string) (membership, error) {
	o := r.owner
	o.sawEpoch(r.epoch.last())
	for range joinAttempts {
		o.mu.Lock()
		m := membership{owner: o.name, joined: o.of(account).joined == o.name}
		valid := o.clock().Before(o.until)
		o.mu.Unlock()
		if valid {
			return m, nil
		}
		if err := r.renew(ctx, c, false); err != nil {
			return m, err
		}
	}
	return membership{}, errLease
}

// join puts an account on the owner's list, with all others that wait for it.
func (r *Redis) join(ctx context.Context, c rueidis.Client, account string) error {
	o := r.owner
	o.mu.Lock()
	o.wanted[account] = true
	o.mu.Unlock()
	return r.inTurn(ctx, func() error {
		o.mu.Lock()
		done := o.of(account).joined == o.name
		o.wanted[account] = !done
		o.mu.Unlock()
		if done {
			return nil
		}
		return r.lease(ctx, c)
	})
}

// renew renews the lease, unless somebody else has since.
func (r *Redis) renew(ctx context.Context, c rueidis.Client, always bool) error {
	return r.inTurn(ctx, func() error {
		r.owner.mu.Lock()
		valid := r.owner.clock().Before(r.owner.until)
		r.owner.mu.Unlock()
		if valid && !always {
			return nil
		}
		return r.lease(ctx, c)
	})
}

func (r *Redis) inTurn(ctx context.Context, do func() error) error {
	select {
	case r.owner.turn <- struct{}{}:
		defer func() { <-r.owner.turn }()
		return do()
	case <-ctx.Done():
		return fmt.Errorf("waiting for the owner's lease: %w", ctx.Err())
	}
}

// lease renews the lease and puts the accounts that wait on its list. One that was lost begins anew.
func (r *Redis) lease(ctx context.Context, c rueidis.Client) error {
	o := r.owner
	for range joinAttempts {
		sent := o.clock()
		o.mu.Lock()
		maps.DeleteFunc(o.wanted, func(_ string, wants bool) bool { return !wants })
		name, first, accounts := o.name, !o.had, slices.Sorted(maps.Keys(o.wanted))
		o.mu.Unlock()
		args := append([]string{name, decimal(r.opts.Lease.Microseconds()), flag(first)}, accounts...)
		live, err := leaseScript.Exec(ctx, c, []string{leasesKey, listKey(name)}, args).AsInt64()
		if err != nil {
			return fmt.Errorf("renewing the owner's lease: %w", err)
		}
		o.mu.Lock()
		if live > 0 {
			// A script that is sent before until runs before the lease ends, or its call has been given up.
			o.had, o.live, o.until = true, live, sent.Add(max(r.opts.Lease/2, r.opts.Lease-r.opts.Timeout))
			for _, account := range accounts {
				o.of(account).joined = name
				delete(o.wanted, account)
			}
			o.mu.Unlock()
			return nil
		}
		o.rename()
		o.mu.Unlock()
	}
	return errLease
}

// leave takes accounts that nothing is held on off the list.
func (r *Redis) leave(ctx context.Context, c rueidis.Client, account string) error {
	o := r.owner
	return r.inTurn(ctx, func() error {
		o.mu.Lock()
		name, a := o.name, o.accounts[account]
		gone := a != nil && len(a.holds) == 0 && a.rounds == 0
		if gone {
			delete(o.accounts, account)
		}
		o.mu.Unlock()
		if !gone {
			return nil
		}
		return r.list(ctx, c, name, account, "remove")
	})
}

func (r *Redis) list(ctx context.Context, c rueidis.Client, owner, account, what string) error {
	args := []string{owner, account, what, decimal(r.opts.Lease.Microseconds())}
	if err := listScript.Exec(ctx, c, []string{leasesKey, listKey(owner)}, args).Error(); err != nil {
		return fmt.Errorf("changing an owner's list: %w", err)
	}
	return nil
}

// Renew renews the lease. See Owner.
func (r *Redis) Renew(ctx context.Context) error {
	if r.owner == nil {
		return errNoOwner
	}
	return r.do(ctx, "renewing a lease", func(ctx context.Context, c rueidis.Client) error { return r.renew(ctx, c, true) })
}

// Owners is how many leases lived when this one was last renewed. See Owner.
func (r *Redis) Owners() int64 {
	if r.owner == nil {
		return 0
	}
	r.owner.mu.Lock()
	defer r.owner.mu.Unlock()
	return r.owner.live
}

// Keep renews the lease three times in its life, looks for a new epoch every second, and syncs on one, on a new
// connection and every SyncEvery. It says what went wrong and goes on. See Owner.
func (r *Redis) Keep(ctx context.Context, tell func(error)) {
	if r.owner == nil {
		tell(errNoOwner)
		return
	}
	var renewed, synced time.Time
	for every := min(beatEvery, r.opts.Lease/3, r.opts.SyncEvery); ctx.Err() == nil; {
		now := r.owner.clock()
		var errs []error
		changed, err := r.look(ctx)
		errs = append(errs, err)
		changed = r.owner.distrust() || changed
		if changed || now.Sub(renewed) >= r.opts.Lease/3-every {
			err := r.Renew(ctx)
			if errs = append(errs, err); err == nil {
				renewed = now
			}
		}
		if changed || now.Sub(synced) >= r.opts.SyncEvery {
			synced = now // what fails now is due again then; a client that admits has it read before
			errs = append(errs, r.Sync(ctx))
		}
		if err := errors.Join(errs...); err != nil && ctx.Err() == nil {
			tell(err)
		}
		rest(ctx, every)
	}
}

// look asks for the epoch.
func (r *Redis) look(ctx context.Context) (changed bool, err error) {
	err = r.do(ctx, "reading the epoch", func(ctx context.Context, c rueidis.Client) error {
		epoch, err := r.epoch.read(ctx, c)
		if err == nil {
			changed = r.owner.sawEpoch(epoch)
		}
		return err
	})
	return changed, err
}
