package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/layers-dev/layers/hack/chaos/judge"
	"github.com/layers-dev/layers/hack/chaos/plan"
)

// restWithin is how long a run may take to come to rest, atRest for how long it must be. What the ledger held for a gateway that
// was killed stands for a minute and a half.
const (
	restWithin = 150 * time.Second
	atRest     = 2 * time.Second
)

// rest waits until no gateway has anything to bring to its end, nothing is held, and the copies are the ledger's rows; what
// does not come to rest in time is found by the checks.
func (c *chaos) rest(ctx context.Context, touched bool) time.Duration {
	begun, since, said := time.Now(), time.Time{}, ""
	for time.Since(begun) < restWithin && pause(ctx, 250*time.Millisecond) {
		open, err := c.open(ctx, touched)
		if err != nil {
			open = err.Error()
		}
		if open != "" {
			said, since = open, time.Time{}
			continue
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) >= atRest {
			return time.Since(begun)
		}
	}
	c.say("it did not come to rest: %s", said)
	return time.Since(begun)
}

// open is what is not at rest; empty: nothing.
func (c *chaos) open(ctx context.Context, touched bool) (string, error) {
	for _, g := range c.gateways {
		if open, err := g.Open(ctx); open != "" || err != nil {
			return open, err
		}
	}
	b, err := books(ctx, c.postgres.URL)
	if err != nil {
		return "", err
	}
	copies, err := c.watch.copies(ctx)
	if err != nil {
		return "", err
	}
	var open []string
	for _, v := range judge.Rest(b, copies, touched) {
		open = append(open, v.String())
	}
	if n := len(open); n > 3 {
		open = append(open[:3], fmt.Sprintf("and %d more", n-3))
	}
	return strings.Join(open, "\n"), nil
}

// settle waits for rest, collects what there is, and judges it.
func (c *chaos) settle(ctx context.Context) (*Result, error) {
	quiet := c.rest(ctx, false)
	c.expire(ctx)
	c.touch(ctx)
	quiet += c.rest(ctx, true)
	w, err := c.collect(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.write(w); err != nil {
		return nil, err
	}
	r := &Result{Plan: c.plan, Faults: c.faults, Quiet: quiet}
	found, counts := w.Settled()
	over, spent := w.Overspend()
	r.Counts, r.Overspent = counts, spent
	r.Violations = slices.Concat(found, over, w.Expired(), w.Rich())
	for _, check := range []func(context.Context, *judge.World) ([]judge.Violation, error){c.checkBooks, c.checkRest, c.replay, c.refuse, c.raise} {
		more, err := check(ctx, w)
		if err != nil {
			return nil, err
		}
		r.Violations = append(r.Violations, more...)
	}
	return r, nil
}

// expire waits until no grant begins or expires any more, which the gateways post by themselves: what the clock changes while a
// replay is compared is no change of the replay's. A grant that stays is found by checkBooks.
func (c *chaos) expire(ctx context.Context) {
	for begun := time.Now(); time.Since(begun) < restWithin && pause(ctx, 250*time.Millisecond); {
		if n, err := waiting(ctx, c.postgres.URL); err == nil && n == 0 {
			return
		}
	}
}

// touches is how often an account is asked about that cannot be answered for, which a busy machine may be too slow for.
const touches = 10

// touch asks once more on every account, which brings what was granted since to its copy.
func (c *chaos) touch(ctx context.Context) {
	var all sync.WaitGroup
	for i := range c.plan.Accounts {
		q := plan.Request{N: 2_000_000 + i, Account: i, Model: plan.ModelCancel, Input: 40, Output: 5, MaxTokens: 16}
		all.Go(func() {
			for n := range touches {
				call := c.send(ctx, q, n, (i+n)%plan.Gateways)
				if call.Degraded == "" && call.Status < http.StatusInternalServerError || !pause(ctx, time.Second) {
					return
				}
			}
		})
	}
	all.Wait()
}

// collect reads all that the checks need.
func (c *chaos) collect(ctx context.Context) (*judge.World, error) {
	w := &judge.World{
		Calls: c.calls, Served: c.served.Calls(), Losses: c.losses, Outages: c.outages, Accounts: c.plan.Accounts,
		Price: priceOf, Slice: sliceOf,
	}
	for _, g := range c.gateways {
		w.Lives = append(w.Lives, g.Lives())
	}
	var errs [5]error
	w.Rows, errs[0] = rows(ctx, c.postgres.URL)
	w.Balances, errs[1] = balances(ctx, c.postgres.URL)
	w.Fallbacks, errs[2] = fallbacks(ctx, c.postgres.URL)
	w.Expiries, errs[3] = expiries(ctx, c.postgres.URL)
	w.Claimed, errs[4] = claimed(ctx, c.postgres.URL)
	for _, f := range w.Fallbacks {
		w.Losses = append(w.Losses, c.around(f)...)
	}
	return w, errors.Join(errs[:]...)
}

// write keeps what was judged in the run's folder, for whoever looks for the cause of a violation.
func (c *chaos) write(w *judge.World) error {
	b, err := json.MarshalIndent(map[string]any{
		"Calls": w.Calls, "Served": w.Served, "Rows": w.Rows, "Lives": w.Lives, "Losses": w.Losses, "Outages": w.Outages, "Fallbacks": w.Fallbacks,
		"Balances": w.Balances, "Expiries": w.Expiries, "Claimed": w.Claimed, "Accounts": w.Accounts,
	}, "", " ")
	if err == nil {
		err = os.WriteFile(filepath.Join(c.o.Dir, "world.json"), b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("writing what is judged: %w", err)
	}
	return nil
}

// around is what the samples before and after a hold of the ledger's have of its account: whoever fell back did not see it.
func (c *chaos) around(f judge.Fallback) (out []judge.Loss) {
	i, _ := slices.BinarySearchFunc(c.samples, f.At, func(s judge.Loss, at time.Time) int { return s.At.Compare(at) })
	from := f.At
	if i > 0 {
		from = c.samples[i-1].At
	}
	for _, s := range c.samples[max(0, i-1):min(len(c.samples), i+1)] {
		l := judge.Loss{What: "fallback", At: from}
		for _, h := range s.Holds {
			if h.Account == f.Account && h.RequestID != f.RequestID {
				l.Holds = append(l.Holds, h)
			}
		}
		out = append(out, l)
	}
	return out
}

// checkBooks has the ledger check itself (P1, P2, P3), and compares its grants with those that were made.
func (c *chaos) checkBooks(ctx context.Context, _ *judge.World) (out []judge.Violation, err error) {
	problems, err := c.ledger.Check(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range problems {
		out = append(out, judge.Violation{Rule: "P1-P3", Text: p})
	}
	wrong, err := sums(ctx, c.postgres.URL)
	if err != nil {
		return nil, err
	}
	for _, w := range wrong {
		out = append(out, judge.Violation{Rule: "P1-P2", Text: w})
	}
	have, err := granted(ctx, c.postgres.URL)
	if err != nil {
		return nil, err
	}
	late, err := waiting(ctx, c.postgres.URL)
	if err != nil {
		return nil, err
	}
	if late > 0 {
		out = append(out, judge.Violation{Rule: "P7", Text: fmt.Sprintf("%d grants began or expired, and nobody posted it", late)})
	}
	return append(out, judge.Granted(maps.Clone(c.granted), have)...), nil
}

// checkRest looks for holds and drift (P5).
func (c *chaos) checkRest(ctx context.Context, _ *judge.World) ([]judge.Violation, error) {
	b, err := books(ctx, c.postgres.URL)
	if err != nil {
		return nil, err
	}
	copies, err := c.watch.copies(ctx)
	if err != nil {
		return nil, err
	}
	return judge.Rest(b, copies, true), nil
}
