package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// maxDecisions bounds how often one request goes to the script: the key, the account and a grant may each be reloaded
// once, and once more where they change meanwhile.
const maxDecisions = 6

// holdSlack is how much longer a hold lives than its request may: the time to settle.
const holdSlack = 5 * time.Minute

var outcomeNames = map[admit.Outcome]string{
	admit.Admitted: "admitted", admit.ReloadKey: "reload_key", admit.KeyRefused: "key_refused", admit.RateLimited: "rate_limited",
	admit.ReloadAccount: "reload_account", admit.InsufficientCredits: "insufficient_credits",
}

// admit asks for admission, and does what the script wants to have read again. nil: the hold is written. It goes on when
// the client leaves, so that no hold is left behind unknown.
func (e *exchange) admit() error {
	if !e.demo() && e.s.o.Settler.Full() {
		return errOverloaded("too many finished requests wait to be accounted for.")
	}
	ask := admit.Request{
		ID: e.rec.ID, Account: e.key.Account, KeyDigest: e.key.Digest, KeyVersion: e.key.Version,
		Hold: e.hold, Unmetered: e.unmetered, HoldFor: time.Duration(e.target.Times.TotalSeconds)*time.Second + holdSlack,
	}
	if e.tier != nil {
		ask.RequestsPerMinute, ask.Burst = e.tier.RequestsPerMinute, e.tier.Burst
	}
	grantsRead := false
	for range maxDecisions {
		d, err := e.ask(ask)
		if err != nil {
			e.forget() // it may have been admitted, or may be yet
			return errStore(err)
		}
		switch d.Outcome {
		case admit.Admitted:
			return nil
		case admit.ReloadKey, admit.KeyRefused:
			if err := e.reloadKey(&ask); err != nil {
				return err
			}
		case admit.RateLimited:
			return errRateLimited(d, e.tierName())
		case admit.InsufficientCredits:
			if grantsRead {
				return errCredits(d, e.hold, e.x.CreditsPerDollar)
			}
			grantsRead = true
			fallthrough // a grant may be newer than the copy
		case admit.ReloadAccount:
			if err := e.reloadAccount(); err != nil {
				return err
			}
		}
	}
	return errStore(errors.New("admission did not come to a decision"))
}

// ask puts the request to the script and tells the client the numbers of its decision.
func (e *exchange) ask(q admit.Request) (admit.Decision, error) {
	ctx, cancel := e.storeContext()
	defer cancel()
	d, err := e.s.o.Admitter.Admit(ctx, q)
	if err != nil {
		e.s.metrics.Decision("error")
		return d, err
	}
	e.s.metrics.Decision(outcomeNames[d.Outcome])
	h := e.w.Header()
	if d.Rate.Limit > 0 {
		h.Set("X-RateLimit-Limit", strconv.FormatInt(d.Rate.Limit, 10))
		h.Set("X-RateLimit-Remaining", strconv.FormatInt(d.Rate.Remaining, 10))
		h.Set("X-RateLimit-Reset", strconv.FormatInt(ceilSeconds(d.Now.Add(d.Rate.Reset)), 10))
	}
	if !e.unmetered && (d.Outcome == admit.Admitted || d.Outcome == admit.InsufficientCredits) {
		h.Set("X-Layers-Balance", pricing.FormatCredits(d.Spendable, e.x.CreditsPerDollar))
	}
	return d, nil
}

// ceilSeconds is t in Unix seconds, rounded up: at that second it is true.
func ceilSeconds(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}

// storeContext bounds one question to a store, whatever the client does.
func (e *exchange) storeContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(e.r.Context()), e.s.o.StoreTimeout)
}

// reloadKey reads the key's row again and copies it to the admission store; an error if the row lets nobody in.
func (e *exchange) reloadKey(ask *admit.Request) error {
	ctx, cancel := e.storeContext()
	defer cancel()
	if !e.demo() {
		key, err := e.s.o.Keys.Reload(ctx, e.key.Digest)
		if err != nil {
			return keyError(err)
		}
		if key.Account != e.key.Account {
			return keyError(keys.ErrUnknown)
		}
		e.key = key
	}
	if err := e.s.o.Admitter.LoadKey(ctx, e.key.Account, e.key.Digest, string(e.key.State), e.key.Version); err != nil {
		return errStore(err)
	}
	ask.KeyVersion = e.key.Version
	if e.demo() {
		return nil
	}
	return usable(e.key, e.x)
}

// reloadAccount copies the account's committed balance to the admission store. An account that is not there has nothing.
func (e *exchange) reloadAccount() error {
	ctx, cancel := e.storeContext()
	defer cancel()
	var account ledger.Account
	if !e.demo() {
		var err error
		if account, err = e.s.o.Accounts.Account(ctx, e.key.Account); err != nil && !errors.Is(err, ledger.ErrNotFound) {
			return errStore(err)
		}
	}
	if err := e.s.o.Admitter.LoadAccount(ctx, e.key.Account, account.Balance, account.Version); err != nil {
		return errStore(err)
	}
	return nil
}

// release gives back the hold of a request that costs nothing and is not recorded.
func (e *exchange) release() {
	ctx, cancel := e.storeContext()
	defer cancel()
	if err := e.s.o.Admitter.Release(ctx, e.key.Account, e.rec.ID); err != nil {
		e.s.o.Log.Warn("Hold is not released yet", "requestID", e.rec.ID, "error", err)
		e.forget()
	}
}

// forget hands over a hold that could not be given back. In demo mode, where a hold is nothing, it ends by itself.
func (e *exchange) forget() {
	if !e.demo() {
		e.s.o.Settler.Release(e.key.Account, e.rec.ID)
	}
}

// Header names of money.
const headerCost = "X-Layers-Cost"

// setCost tells what was charged, in credits.
func (e *exchange) setCost(h http.Header) {
	if !e.demo() {
		h.Set(headerCost, pricing.FormatCredits(e.rec.Charged, e.x.CreditsPerDollar))
	}
}
