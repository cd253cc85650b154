package failover

import (
	"context"

	"github.com/layers-dev/layers/dataplane/admit"
)

// fault is how a Redis treats its calls.
type fault int

const (
	well fault = iota
	down       // nothing gets there
	lost       // they run, and their answers do not come
	late       // they run later
)

// faulty is an admit.Redis whose way to the store has a fault. What runs without its answer runs through another client of the same
// owner, so that the owner does not learn of it.
type faulty struct {
	*admit.Redis
	ghost *admit.Redis
	fault fault
	later []func()
}

func (p *faulty) do(ctx context.Context, call func(context.Context, *admit.Redis) error) error {
	if p.fault == well || ctx.Err() != nil {
		return call(ctx, p.Redis)
	}
	_ = call(told(ctx), p.Redis) // the owner notes that it asked
	run := func() { _ = call(context.Background(), p.ghost) }
	switch p.fault {
	case lost:
		run()
	case late:
		p.later = append(p.later, run)
	}
	return context.DeadlineExceeded
}

func (p *faulty) Admit(ctx context.Context, q admit.Request) (d admit.Decision, err error) {
	err = p.do(ctx, func(ctx context.Context, r *admit.Redis) (err error) {
		d, err = r.Admit(ctx, q)
		return err
	})
	return d, err
}

func (p *faulty) Extend(ctx context.Context, e admit.Extension) (d admit.Decision, err error) {
	err = p.do(ctx, func(ctx context.Context, r *admit.Redis) (err error) {
		d, err = r.Extend(ctx, e)
		return err
	})
	return d, err
}

func (p *faulty) Finish(ctx context.Context, f admit.Finish) error {
	return p.do(ctx, func(ctx context.Context, r *admit.Redis) error { return r.Finish(ctx, f) })
}

func (p *faulty) Confirm(ctx context.Context, cs []admit.Confirmation) error {
	return p.do(ctx, func(ctx context.Context, r *admit.Redis) error { return r.Confirm(ctx, cs) })
}

func (p *faulty) Release(ctx context.Context, account, id string) error {
	return p.do(ctx, func(ctx context.Context, r *admit.Redis) error { return r.Release(ctx, account, id) })
}

func (p *faulty) LoadAccount(ctx context.Context, c admit.Copy) error {
	return p.do(ctx, func(ctx context.Context, r *admit.Redis) error { return r.LoadAccount(ctx, c) })
}

func (p *faulty) LoadKey(ctx context.Context, account, digest, state string, version int64) error {
	return p.do(ctx, func(ctx context.Context, r *admit.Redis) error {
		return r.LoadKey(ctx, account, digest, state, version)
	})
}

func (p *faulty) Probe(ctx context.Context, part int) error {
	if p.fault != well {
		return context.DeadlineExceeded
	}
	return p.Redis.Probe(ctx, part)
}

func (p *faulty) Sync(ctx context.Context) error {
	if p.fault != well {
		return context.DeadlineExceeded
	}
	return p.Redis.Sync(ctx)
}

func (p *faulty) SyncPart(ctx context.Context, part int) error {
	if p.fault != well {
		return context.DeadlineExceeded
	}
	return p.Redis.SyncPart(ctx, part)
}
