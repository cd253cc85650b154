package run

import (
	"context"
	"sync"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/hack/chaos/judge"
	"github.com/layers-dev/layers/hack/chaos/plan"
)

const (
	// sampleEvery is how often the holds are looked at, keepEvery how often Redis' data are copied to be set back to.
	sampleEvery = 200 * time.Millisecond
	keepEvery   = 4 * time.Second
)

// storm does all that the plan says, and returns when it is over.
func (c *chaos) storm(ctx context.Context) {
	c.begun = time.Now()
	var all, side sync.WaitGroup
	beside, stop := context.WithCancel(ctx)
	side.Go(func() { c.sample(beside) })
	side.Go(func() { c.keep(beside) })
	for _, f := range c.plan.Faults {
		all.Go(func() {
			if c.until(ctx, f.At) {
				c.strike(ctx, f)
			}
		})
	}
	all.Go(func() { c.grants(ctx, &all) })
	for _, q := range c.plan.Requests {
		if !c.until(ctx, q.At) {
			break
		}
		all.Go(func() { c.request(ctx, q) })
	}
	all.Wait()
	stop()
	side.Wait()
}

// until waits for an instant of the plan; false: the run is given up.
func (c *chaos) until(ctx context.Context, at time.Duration) bool {
	return pause(ctx, at-time.Since(c.begun))
}

func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// request sends a request as often as the plan says; the second time goes to the next replica.
func (c *chaos) request(ctx context.Context, q plan.Request) {
	send := func(attempt int) { c.send(ctx, q, attempt, (q.Gateway+attempt)%plan.Gateways) }
	switch q.Again {
	case plan.Together:
		var both sync.WaitGroup
		both.Go(func() { send(0) })
		if pause(ctx, q.First/2) {
			both.Go(func() { send(1) })
		}
		both.Wait()
	case plan.After:
		send(0)
		send(1)
	default:
		send(0)
	}
}

// send sends a request to a replica, and notes what came of it.
func (c *chaos) send(ctx context.Context, q plan.Request, attempt, gateway int) judge.Call {
	call := c.client.Do(ctx, q, attempt, gateway)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, call)
	return call
}

// grants posts the plan's grants, each as often as it says, late ones after those behind them.
func (c *chaos) grants(ctx context.Context, all *sync.WaitGroup) {
	var held []plan.Grant
	post := func(g plan.Grant) {
		for range g.Copies {
			all.Go(func() { c.post(ctx, g) })
		}
	}
	for i, g := range c.plan.Grants {
		if !c.until(ctx, g.At) {
			return
		}
		if g.Held {
			held = append(held, g)
		} else {
			post(g)
		}
		if i%4 == 3 || i == len(c.plan.Grants)-1 {
			for j := len(held) - 1; j >= 0; j-- { // the last one first
				post(held[j])
			}
			held = nil
		}
	}
}

// post posts one grant, until the ledger has it.
func (c *chaos) post(ctx context.Context, g plan.Grant) {
	at := func(d time.Duration) int64 {
		if d == 0 {
			return 0
		}
		return c.begun.Add(g.At + d).UnixMicro()
	}
	out := ledger.Grant{
		ID: g.ID, Account: c.plan.Accounts[g.Account].ID, Amount: g.Amount, Kind: g.Kind, Reason: "chaos", Source: "source-" + g.ID,
		EffectiveAt: at(g.Begins), ExpiresAt: at(g.Expires),
	}
	for {
		err := c.grant(ctx, out)
		if err == nil {
			return
		}
		if time.Since(c.begun) > c.plan.Duration+time.Minute || !pause(ctx, 200*time.Millisecond) {
			c.fail(err)
			return
		}
	}
}

// sample looks at the holds again and again: what a replica that falls back by itself does not see is in the sample before.
func (c *chaos) sample(ctx context.Context) {
	for pause(ctx, sampleEvery) {
		at := time.Now()
		holds, err := c.watch.holds(ctx)
		if err != nil {
			continue // it is down: the fault has read them
		}
		c.mu.Lock()
		c.samples = append(c.samples, judge.Loss{What: "sample", At: at, Holds: holds})
		c.mu.Unlock()
	}
}

// keep copies Redis' data again and again, for a fault that sets it back.
func (c *chaos) keep(ctx context.Context) {
	for pause(ctx, keepEvery) {
		c.onRedis.Lock()
		c.fail(c.redis.Keep())
		c.onRedis.Unlock()
	}
}
