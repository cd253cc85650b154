package admit

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/redis/rueidis"
)

//go:embed lua/extend.lua
var extendLua string

var extendScript = rueidis.NewLuaScriptRetryable(holdLua + holdsLua + inCalendar + extendLua)

// Extend makes the hold of a running request larger, if cap and credits have room. See Extender. Decision.Fits is the whole
// amount to which it could be extended.
//
// A store that does not know the hold of a request that runs here has lost it, and no epoch has told of it yet, or
// somebody took this process for dead and ended it. The request runs all the same: its hold is written again, and asked about again.
func (r *Redis) Extend(ctx context.Context, e Extension) (Decision, error) {
	if err := e.check(); err != nil {
		return Decision{}, fmt.Errorf("extending a hold: %w", err)
	}
	d, err := r.extend(ctx, e)
	if err != nil || d.Outcome != UnknownHold || r.owner == nil || !r.owner.runs(holdID{e.Account, e.RequestID}) {
		return d, err
	}
	r.owner.lost(e.Account)
	return r.extend(ctx, e)
}

// extend asks once.
func (r *Redis) extend(ctx context.Context, e Extension) (d Decision, err error) {
	keys := []string{accountKey(e.Account), holdsKey(e.Account), spentKey(e.Account, e.Counted())}
	if r.owner != nil {
		if err := r.syncLost(ctx, e.Account); err != nil { // what was adopted, or lost, is there before it is asked about
			return Decision{}, err
		}
		r.owner.pend(holdID{e.Account, e.RequestID}, 1)
		defer func() {
			if err == nil && d.Outcome == Admitted {
				r.owner.extended(holdID{e.Account, e.RequestID}, d.Held)
			}
			r.owner.pend(holdID{e.Account, e.RequestID}, -1)
		}()
	}
	err = r.do(ctx, "extending a hold", func(ctx context.Context, c rueidis.Client) error {
		epoch, err := r.epoch.now(ctx, c)
		if err != nil {
			return err
		}
		text, err := extendScript.Exec(ctx, c, keys, e.arguments(epoch)).ToString()
		if err == nil {
			d, err = parseDecision(text)
		}
		return err
	})
	if r.owner != nil && err == nil && d.Outcome == ReloadAccount {
		r.owner.lost(e.Account)
	}
	return d, err
}

// arguments are those of extend.lua.
func (e Extension) arguments(epoch int64) []string {
	amount, period, age := "", "", ""
	if e.Cap != nil {
		amount, period = decimal(e.Cap.Amount), e.Cap.Period
	}
	if e.LedgerAway {
		age = decimal(AwayAge.Microseconds())
	}
	return []string{e.RequestID, decimal(e.To), decimal(epoch), amount, period, decimal(e.Overdraft), age, decimal(AwayMost)}
}

func (e Extension) check() error {
	switch {
	case e.RequestID == "" || e.Account == "" || e.KeyDigest == "":
		return fmt.Errorf("request id, account and key must be there: %w", ErrRange)
	case e.To < 0 || e.To > MaxNano:
		return fmt.Errorf("hold %d: %w", e.To, ErrRange)
	case e.Overdraft < 0 || e.Overdraft > MaxNano:
		return fmt.Errorf("overdraft %d: %w", e.Overdraft, ErrRange)
	case e.Cap != nil && (e.Cap.Amount < 0 || e.Cap.Amount > MaxNano || !isPeriod(e.Cap.Period)):
		return fmt.Errorf("cap of %d a %q: %w", e.Cap.Amount, e.Cap.Period, ErrRange)
	}
	return nil
}
