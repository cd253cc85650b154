package upkeep

import (
	"context"
	"errors"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
)

const (
	// toldAtOnce is how many changed accounts are read at once.
	toldAtOnce = 100
	// maxInVain is how many of them fail before the rest waits for the next turn, which begins behind them: where a part of the
	// admission store is away, it keeps nobody else from hearing.
	maxInVain = 10
)

// tell has the admission store copy every account that changed otherwise than by a settlement that is confirmed: a grant, a
// correction, another overdraft, what the clock did to grants, a reservation that was settled. Any number of replicas may do it at
// once, and any may die: a row goes when its account, read after it, was copied.
func (u *Upkeep) tell(ctx context.Context) error {
	x := u.o.Source.Current()
	if x == nil {
		return nil
	}
	var failed []error
	for {
		var changed []ledger.ChangedAccount
		err := u.call(ctx, func(ctx context.Context) (err error) {
			changed, err = u.o.Ledger.ChangedAccounts(ctx, x.GatewayUID, u.after, toldAtOnce)
			return err
		})
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		for _, c := range changed {
			u.after = c.Account
			if err := u.tellOf(ctx, c); err != nil {
				failed = append(failed, err)
			}
			if len(failed) >= maxInVain || ctx.Err() != nil {
				return errors.Join(failed...)
			}
		}
		if len(changed) < toldAtOnce {
			u.after = ""
			return errors.Join(failed...)
		}
	}
}

// tellOf copies one account as it is now.
func (u *Upkeep) tellOf(ctx context.Context, c ledger.ChangedAccount) error {
	return u.call(ctx, func(ctx context.Context) error {
		a, next, err := u.o.Ledger.Current(ctx, c.Account)
		if err == nil {
			err = u.o.Admission.LoadAccount(ctx, admit.Copy{Account: c.Account, Spendable: a.Spendable(), Version: a.Version, Next: next, Suspended: a.Suspended})
		}
		if err != nil && !errors.Is(err, ledger.ErrNotFound) {
			return err
		}
		return u.o.Ledger.DoneAccount(ctx, c)
	})
}
