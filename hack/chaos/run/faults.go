package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/hack/chaos/judge"
	"github.com/layers-dev/layers/hack/chaos/plan"
	"github.com/layers-dev/layers/hack/chaos/stores"
)

// strike makes a fault, and undoes it when its time is over.
func (c *chaos) strike(ctx context.Context, f plan.Fault) {
	strike := map[plan.Kind]func(context.Context, plan.Fault) error{
		plan.KillGateway: c.killGateway, plan.LoseNode: c.killGateway, plan.StopGateway: c.stopGateway,
		plan.KillRedis: c.killRedis, plan.EmptyRedis: c.killRedis, plan.OlderRedis: c.killRedis,
		plan.FlushRedis: c.flush, plan.FlushScripts: func(ctx context.Context, _ plan.Fault) error {
			return c.locked(func() error { return again(ctx, func() error { return c.watch.scripts(ctx) }) })
		},
		plan.StopPostgres: c.stopPostgres, plan.HangPostgres: c.hangPostgres, plan.StopBoth: c.stopBoth, plan.FlushInOutage: c.flushInOutage,
		plan.LoseInOutage: c.loseInOutage, plan.DropClients: c.drop,
	}[f.Kind]
	err := strike(ctx, f)
	c.say("at %6.2fs: %s is over", time.Since(c.begun).Seconds(), c.name(f))
	if err != nil && ctx.Err() == nil {
		c.fail(fmt.Errorf("%s: %w", c.name(f), err))
	}
	c.mu.Lock()
	c.faults[f.Kind]++
	c.mu.Unlock()
}

func (*chaos) name(f plan.Fault) string {
	return fmt.Sprintf("fault %d, %s (gateway %d)", f.N, f.Kind, f.Gateway)
}

func (c *chaos) locked(f func() error) error {
	c.onRedis.Lock()
	defer c.onRedis.Unlock()
	return f()
}

// hide notes holds that some admission will not see from now on; gone: the store loses them.
func (c *chaos) hide(what string, holds []judge.Hold, gone bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := judge.Loss{What: what, At: time.Now(), Holds: holds, Gone: gone}
	c.losses = append(c.losses, l)
	c.say("at %6.2fs: %s meets %d holds, %s USD", l.At.Sub(c.begun).Seconds(), what, len(holds), pricing.FormatUSD(l.Sum()))
}

// killGateway kills a replica and starts it again. Its holds stand until they are reaped, and what it charges is no more than
// they are: nothing is hidden.
func (c *chaos) killGateway(ctx context.Context, f plan.Fault) error {
	c.onGateway[f.Gateway].Lock()
	defer c.onGateway[f.Gateway].Unlock()
	g := c.gateways[f.Gateway]
	if err := g.Kill(f.Kind == plan.LoseNode); err != nil {
		return err
	}
	pause(ctx, f.For)
	return g.Start(ctx)
}

// stopGateway stops a replica past its lease. What it holds is reaped meanwhile, and charged after all when it goes on: all of
// it is hidden.
func (c *chaos) stopGateway(ctx context.Context, f plan.Fault) error {
	c.onGateway[f.Gateway].Lock()
	defer c.onGateway[f.Gateway].Unlock()
	g := c.gateways[f.Gateway]
	defer g.Stop()()
	holds, err := c.latest(ctx)
	if err != nil {
		return err
	}
	holds = slices.DeleteFunc(slices.Clone(holds), func(h judge.Hold) bool { return !strings.HasPrefix(h.Owner, g.UID+".") })
	c.hide(c.name(f), holds, false)
	pause(ctx, f.For)
	return nil
}

// latest reads the holds. Redis may be down just now: then it is read when it is back, if that is before a lease ends, else they
// are those of the last sample, since which Redis has admitted nothing.
func (c *chaos) latest(ctx context.Context) (holds []judge.Hold, err error) {
	for begun := time.Now(); time.Since(begun) < stores.Lease/2; {
		pause(ctx, 20*time.Millisecond) // what a stopped gateway has sent is done
		if holds, err = c.watch.holds(ctx); err == nil {
			return holds, nil
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.samples); n > 0 {
		return c.samples[n-1].Holds, nil
	}
	return nil, fmt.Errorf("reading the holds before a fault: %w", err)
}

// killRedis kills it and starts it again, with the data that the fault leaves. While it is away the ledger admits and does not
// see the holds of that instant.
func (c *chaos) killRedis(ctx context.Context, f plan.Fault) error {
	return c.locked(func() error {
		if err := c.cutRedis(ctx, f); err != nil {
			return err
		}
		pause(ctx, f.For)
		return c.redis.Start(ctx)
	})
}

// still is for how long Redis writes nothing, so that what is read then is what a fault meets.
const still = 5 * time.Second

// cutRedis reads the holds while nothing is written, and kills Redis then.
func (c *chaos) cutRedis(ctx context.Context, f plan.Fault) error {
	var holds []judge.Hold
	err := again(ctx, func() (err error) {
		begun := time.Now()
		if err = c.watch.pause(ctx, still); err == nil {
			holds, err = c.watch.holds(ctx)
		}
		if err == nil && time.Since(begun) > still/2 {
			err = errors.New("reading the holds took too long")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("pausing Redis: %w", err)
	}
	c.hide(c.name(f), holds, f.Kind == plan.EmptyRedis || f.Kind == plan.OlderRedis)
	c.redis.Kill()
	switch f.Kind {
	case plan.EmptyRedis:
		return c.redis.Empty()
	case plan.OlderRedis:
		return c.redis.SetBack()
	}
	return nil
}

func (c *chaos) flush(ctx context.Context, f plan.Fault) error {
	return c.locked(func() error {
		var holds []judge.Hold
		err := again(ctx, func() error {
			before, err := c.watch.holds(ctx)
			if err != nil {
				return err
			}
			flushed, err := c.watch.flush(ctx)
			if err != nil { // it may have run, and its answer was lost
				holds = append(holds, before...)
			}
			holds = append(holds, flushed...)
			return err
		})
		if err == nil {
			c.hide(c.name(f), holds, true)
		}
		return err
	})
}

// outage notes when the ledger is away.
func (c *chaos) outage(from time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outages = append(c.outages, judge.Span{From: from, To: time.Now().Add(time.Second)})
}

func (c *chaos) stopPostgres(ctx context.Context, f plan.Fault) error {
	c.onPostgres.Lock()
	defer c.onPostgres.Unlock()
	defer c.outage(time.Now())
	c.postgres.Stop()
	pause(ctx, f.For)
	return c.postgres.Start(ctx)
}

func (c *chaos) hangPostgres(ctx context.Context, f plan.Fault) error {
	c.onPostgres.Lock()
	defer c.onPostgres.Unlock()
	defer c.outage(time.Now())
	pids := c.postgres.Hang()
	defer c.postgres.Continue(pids)
	pause(ctx, f.For)
	return nil
}

// stopBoth stops both stores; Redis keeps its data.
func (c *chaos) stopBoth(ctx context.Context, f plan.Fault) error {
	c.onPostgres.Lock()
	defer c.onPostgres.Unlock()
	defer c.outage(time.Now())
	c.postgres.Stop()
	err := c.killRedis(ctx, f)
	return errors.Join(err, c.postgres.Start(ctx))
}

// flushInOutage takes all that Redis has while the ledger is away.
func (c *chaos) flushInOutage(ctx context.Context, f plan.Fault) error {
	c.onPostgres.Lock()
	defer c.onPostgres.Unlock()
	defer c.outage(time.Now())
	c.postgres.Stop()
	pause(ctx, f.For/2)
	err := c.flush(ctx, f)
	pause(ctx, f.For/2)
	return errors.Join(err, c.postgres.Start(ctx))
}

// loseInOutage takes a replica with its log while the ledger is away: what it had settled is in the holds that Redis keeps.
func (c *chaos) loseInOutage(ctx context.Context, f plan.Fault) error {
	c.onPostgres.Lock()
	defer c.onPostgres.Unlock()
	defer c.outage(time.Now())
	c.onGateway[f.Gateway].Lock()
	defer c.onGateway[f.Gateway].Unlock()
	c.postgres.Stop()
	pause(ctx, f.For/2)
	g := c.gateways[f.Gateway]
	err := g.Kill(true)
	pause(ctx, f.For/2)
	return errors.Join(err, c.postgres.Start(ctx), g.Start(ctx))
}

// drop ends the replicas' connections to both stores. Whoever falls back for that does not see the holds of that instant.
func (c *chaos) drop(ctx context.Context, f plan.Fault) error {
	err := c.locked(func() error {
		return again(ctx, func() error {
			holds, err := c.watch.holds(ctx)
			if err != nil {
				return err
			}
			c.hide(c.name(f), holds, false)
			return c.watch.drop(ctx)
		})
	})
	if err != nil {
		return err
	}
	c.onPostgres.Lock()
	defer c.onPostgres.Unlock()
	const sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
	return query(ctx, c.postgres.URL, sql, func(pgx.Rows) error { return nil })
}
