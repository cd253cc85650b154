package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/chat"
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
	admit.CapReached: "cap_reached", admit.InsufficientCredits: "insufficient_credits", admit.LedgerAway: "ledger_away",
	admit.UnknownHold: "unknown_hold", admit.AccountSuspended: "account_suspended",
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
	// away says that the ledger cannot be reached: nothing is read again, and copies may be older.
	away bool
}

// decide asks, and does what the script wants to have read again, until it says yes or no: the outcome is Admitted,
// AccountSuspended, RateLimited, TooManyConcurrent, CapReached or InsufficientCredits. An error is about the key, or a store.
func (q *question) decide() (admit.Decision, error) {
	q.away = !q.c.demo() && q.s.o.Settler.Away()
	reread := map[admit.Outcome]bool{}
	for range maxDecisions {
		d, err := q.ask()
		if err != nil {
			return d, err
		}
		if final, err := q.final(d, reread[d.Outcome] || q.away); final || err != nil {
			return d, err
		}
		err = q.reread(d)
		switch {
		case err == nil:
			reread[d.Outcome] = true
		case errors.Is(err, errUnread) && !q.away:
			q.away = true // the store knows whether it can decide without
		default:
			return d, err
		}
	}
	return admit.Decision{}, errStore(errors.New("admission did not come to a decision"))
}

// errUnread is the cause of an error where the ledger could not be read.
var errUnread = errors.New("the ledger cannot be read")

// final says that a decision stands; last: nothing will be known better.
func (q *question) final(d admit.Decision, last bool) (bool, error) {
	switch d.Outcome {
	case admit.KeyRefused: // the ledger may say otherwise since, or not know yet of a revocation that has begun
		if last {
			return true, errKey("key_revoked", "it has been revoked.")
		}
		return false, nil
	case admit.InsufficientCredits, admit.CapReached: // a grant may be newer than the copy
		return last, nil
	case admit.LedgerAway:
		return true, errLedgerAway(nil)
	case admit.ReloadKey, admit.ReloadAccount, admit.ReloadCap:
		if q.away {
			return true, errLedgerAway(errors.New("what admission does not know cannot be read"))
		}
		return false, nil
	}
	return true, nil
}

// reread does what a decision wants to have read again.
func (q *question) reread(d admit.Decision) error {
	switch d.Outcome {
	case admit.KeyRefused, admit.ReloadKey:
		return q.reloadKey()
	case admit.ReloadCap, admit.CapReached:
		return q.reloadSpend(d)
	}
	return q.reloadAccount()
}

func (q *question) ask() (admit.Decision, error) {
	ask, err := q.build()
	if err != nil {
		return admit.Decision{}, err
	}
	ctx, cancel := q.context()
	defer cancel()
	ask.LedgerAway = q.away
	d, err := q.put(ctx, ask)
	if err != nil {
		return d, errStore(err)
	}
	q.heard(d)
	return d, nil
}

// unread says that an error of the ledger, which clients hear as told, is that it cannot be read.
func unread(err error, told *chat.Error) error {
	if told.Status == http.StatusServiceUnavailable {
		told.Cause = errors.Join(errUnread, err)
	}
	return told
}

// degraded tells which store a decision did without.
func (q *question) degraded(h http.Header, d admit.Decision) {
	switch {
	case d.Fallback:
		h.Set(headerDegraded, storeRedis)
	case q.away:
		h.Set(headerDegraded, storeLedger)
	}
}

// headerDegraded names the store that cannot be reached.
const headerDegraded = "X-Layers-Degraded"

// Names of stores.
const (
	storeLedger = "ledger"
	storeRedis  = "redis"
)

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
			return unread(err, keyError(err))
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
	c := admit.Copy{Account: q.c.key.Account}
	if !q.c.demo() {
		account, next, err := q.s.o.Accounts.Current(ctx, c.Account)
		if err != nil && !errors.Is(err, ledger.ErrNotFound) {
			return unread(err, errStore(err))
		}
		c.Spendable, c.Version, c.Next, c.Suspended = account.Spendable(), account.Version, next, account.Suspended
	}
	if err := q.s.o.Admitter.LoadAccount(ctx, c); err != nil {
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
		return unread(err, errStore(err))
	}
	if len(spends) != 1 {
		return errStore(errors.New("the ledger does not say what the key has spent"))
	}
	q.spent = spends[0].Spent
	copied := admit.Spend{Period: window.Period, Window: window.Start, Spent: q.spent}
	if err := q.s.o.Admitter.LoadSpend(ctx, key.Account, key.Meter(), copied); err != nil {
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
			ID: "preview", Account: c.key.Account, KeyDigest: c.key.Digest, KeyVersion: c.key.Version, Meter: c.key.Meter(),
			Rates: limits.Asking(c.tier), Unmetered: true, HoldFor: holdSlack,
		}, nil
	}
	q.heard = func(d admit.Decision) {
		limits.SetHeaders(w.Header(), d)
		q.degraded(w.Header(), d)
	}
	_, err := q.decide()
	w.before = nil
	return err
}
