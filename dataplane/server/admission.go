package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/server/limits"
)

// maxDecisions bounds how often one request goes to the script: the key, the account, the key's spending and a grant may
// each be reloaded once, and once more where they change meanwhile.
const maxDecisions = 8

// holdSlack is how much longer a hold lives than its request may: the time to settle.
const holdSlack = 5 * time.Minute

var outcomeNames = map[admit.Outcome]string{
	admit.Admitted: "admitted", admit.ReloadKey: "reload_key", admit.KeyRefused: "key_refused", admit.RateLimited: "rate_limited",
	admit.TooManyConcurrent: "too_many_concurrent", admit.ReloadAccount: "reload_account", admit.ReloadCap: "reload_cap",
	admit.CapReached: "cap_reached", admit.InsufficientCredits: "insufficient_credits",
}

// question is one request of a caller to the admission store, for as long as it takes to be decided. It goes on when the
// client leaves, so that no hold is left behind unknown.
type question struct {
	s *Server
	r *http.Request
	c *caller
	// build makes the request out of the key as it is known now, or says why that key may not ask.
	build func() (admit.Request, error)
	// put is Admit or Preview.
	put func(context.Context, admit.Request) (admit.Decision, error)
	// heard sees every decision.
	heard func(admit.Decision)
	// spent is what the ledger says that the key has spent in its cap's window.
	spent pricing.Nano
}

// decide asks, and does what the script wants to have read again, until it says yes or no: the outcome is Admitted,
// RateLimited, TooManyConcurrent, CapReached or InsufficientCredits. An error is about the key, or a store.
func (q *question) decide() (admit.Decision, error) {
	reread := map[admit.Outcome]bool{}
	for range maxDecisions {
		d, err := q.ask()
		if err != nil {
			return d, err
		}
		again := !reread[d.Outcome]
		switch d.Outcome {
		case admit.KeyRefused: // the ledger may say otherwise since, or not know yet of a revocation that has begun
			if !again {
				return d, errKey("key_revoked", "it has been revoked.")
			}
			err = q.reloadKey()
		case admit.ReloadKey:
			err = q.reloadKey()
		case admit.ReloadAccount:
			err = q.reloadAccount()
		case admit.ReloadCap:
			err = q.reloadSpend(d)
		case admit.InsufficientCredits: // a grant may be newer than the copy
			if !again {
				return d, nil
			}
			err = q.reloadAccount()
		case admit.CapReached:
			if !again {
				return d, nil
			}
			err = q.reloadSpend(d)
		default:
			return d, nil
		}
		if err != nil {
			return d, err
		}
		reread[d.Outcome] = true
	}
	return admit.Decision{}, errStore(errors.New("admission did not come to a decision"))
}

func (q *question) ask() (admit.Decision, error) {
	ask, err := q.build()
	if err != nil {
		return admit.Decision{}, err
	}
	ctx, cancel := q.context()
	defer cancel()
	d, err := q.put(ctx, ask)
	if err != nil {
		return d, errStore(err)
	}
	q.heard(d)
	return d, nil
}

// context bounds one question to a store, whatever the client does.
func (q *question) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(q.r.Context()), q.s.o.StoreTimeout)
}

// reloadKey reads the key's row again and copies it to the admission store; an error if the row lets nobody in.
func (q *question) reloadKey() error {
	ctx, cancel := q.context()
	defer cancel()
	c := q.c
	if !c.demo() {
		key, err := q.s.o.Keys.Reload(ctx, c.key.Digest)
		if err != nil {
			return keyError(err)
		}
		c.key = key // of another account, if it moved: nothing is held yet under the one before
	}
	if err := q.s.o.Admitter.LoadKey(ctx, c.key.Account, c.key.Digest, string(c.key.State), c.key.Version); err != nil {
		return errStore(err)
	}
	if c.demo() {
		return nil
	}
	if err := usable(c.key, c.x, q.s.o.Now()); err != nil {
		return err
	}
	return c.terms()
}

// reloadAccount copies the account's committed balance to the admission store. An account that is not there has nothing.
func (q *question) reloadAccount() error {
	ctx, cancel := q.context()
	defer cancel()
	var account ledger.Account
	if !q.c.demo() {
		var err error
		if account, err = q.s.o.Accounts.Account(ctx, q.c.key.Account); err != nil && !errors.Is(err, ledger.ErrNotFound) {
			return errStore(err)
		}
	}
	if err := q.s.o.Admitter.LoadAccount(ctx, admit.Copy{Account: q.c.key.Account, Spendable: account.Balance, Version: account.Version}); err != nil {
		return errStore(err)
	}
	return nil
}

// reloadSpend copies what the key has spent in the cap's window to the admission store.
func (q *question) reloadSpend(d admit.Decision) error {
	ctx, cancel := q.context()
	defer cancel()
	key := q.c.key
	window := ledger.Window{Period: key.CapPeriod, Start: d.Window}
	spends, err := q.s.o.Accounts.KeySpends(ctx, key.ID, []ledger.Window{window})
	if err != nil {
		return errStore(err)
	}
	if len(spends) != 1 {
		return errStore(errors.New("the ledger does not say what the key has spent"))
	}
	q.spent = spends[0].Spent
	copied := admit.Spend{Period: window.Period, Window: window.Start, Spent: q.spent}
	if err := q.s.o.Admitter.LoadSpend(ctx, key.Account, key.Digest, copied); err != nil {
		return errStore(err)
	}
	return nil
}

// tellLimits adds where the caller's limits stand to an answer that no decision has told yet: nothing is taken. The answer
// matters more: without the store it goes without these headers.
func (s *Server) tellLimits(w *answer, r *http.Request, c *caller) {
	if c.tier == nil || len(c.tier.Limits) == 0 {
		return
	}
	if err := s.peek(w, r, c); err != nil {
		s.o.Log.Debug("Limits are not known", "error", err)
	}
}

// peek asks where the caller's limits stand, and whether the key is still good.
func (s *Server) peek(w *answer, r *http.Request, c *caller) error {
	q := &question{s: s, r: r, c: c, put: s.o.Admitter.Preview}
	q.build = func() (admit.Request, error) {
		return admit.Request{
			ID: "preview", Account: c.key.Account, KeyDigest: c.key.Digest, KeyVersion: c.key.Version,
			Rates: limits.Asking(c.tier), Unmetered: true, HoldFor: holdSlack,
		}, nil
	}
	q.heard = func(d admit.Decision) { limits.SetHeaders(w.Header(), d) }
	_, err := q.decide()
	w.before = nil
	return err
}
