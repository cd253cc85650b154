package server

import (
	"context"
	"net/http"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/server/limits"
)

// admit asks for admission. nil: the hold is written.
func (e *exchange) admit() error {
	if !e.demo() && e.s.o.Settler.Full() {
		return errOverloaded("too many finished requests wait to be accounted for.")
	}
	q := e.question(func(ctx context.Context, ask admit.Request) (admit.Decision, error) {
		d, err := e.s.o.Admitter.Admit(ctx, ask)
		if err != nil {
			e.forget() // it may have been admitted, or may be yet
			e.refund(http.StatusServiceUnavailable)
		}
		return d, err
	})
	q.heard = func(d admit.Decision) {
		e.s.metrics.Decision(outcomeNames[d.Outcome])
		e.tell(d)
		q.degraded(e.w.Header(), d)
	}
	d, err := q.decide()
	e.rec.Account = e.key.Account
	e.w.before = nil // told, or the store is away
	if err != nil {
		e.s.metrics.Decision("error")
		return err
	}
	if err := e.refusal(d, q.spent); err != nil {
		return err
	}
	if d.Would != admit.Admitted {
		e.s.metrics.Shadowed(d.Refusal.Rule)
		e.w.Header().Set(headerShadow, d.Refusal.Rule)
	}
	e.stake.decision = d
	return nil
}

// headerShadow names the rule that would have refused the request, were limits and credits enforced.
const headerShadow = "X-Layers-Shadow"

// question is what e asks of the admission store.
func (e *exchange) question(put func(context.Context, admit.Request) (admit.Decision, error)) *question {
	return &question{s: e.s, r: e.r, c: e.caller, put: put, build: e.ask}
}

// ask is e as an admission request, under the terms that are known now: they may have changed since the model was found.
func (e *exchange) ask() (admit.Request, error) {
	if err := e.allowed(e.target); err != nil {
		return admit.Request{}, err
	}
	if err := e.worstCase(); err != nil { // another tier has another markup
		return admit.Request{}, err
	}
	ask := admit.Request{
		ID: e.rec.ID, Account: e.key.Account, KeyDigest: e.key.Digest, KeyVersion: e.key.Version, Meter: e.key.Meter(),
		Rates: limits.Rates(e.tier, e.guess), Hold: e.holds(), Unmetered: e.unmetered,
		HoldFor: time.Duration(e.target.Times.TotalSeconds)*time.Second + holdSlack, Shadow: e.shadow(),
	}
	if e.price != nil && !e.unmetered {
		n := e.stake.need
		ask.Expected, ask.Healthy = n.Estimate, n.Healthy()
		if ask.Healthy > admit.MaxNano { // nobody has so much
			ask.Healthy = 0
		}
		if !n.Strict {
			ask.Floor = n.Floor
		}
		if e.policy != nil {
			ask.Overdraft = e.policy.Overdraft
		}
	}
	if !e.demo() {
		var err error
		if ask.Record, err = ledger.EncodeRecord(e.orphan()); err != nil {
			return admit.Request{}, errInternal(err)
		}
	}
	if e.tier != nil {
		ask.MaxConcurrent = e.tier.MaxConcurrent
	}
	if e.key.CapAmount > 0 && !e.unmetered {
		ask.Cap = &admit.Cap{Amount: e.key.CapAmount, Period: e.key.CapPeriod}
	}
	return ask, nil
}

// tell writes the numbers of a decision into the answer's headers.
func (e *exchange) tell(d admit.Decision) {
	h := e.w.Header()
	limits.SetHeaders(h, d)
	if !e.unmetered && (d.Outcome == admit.Admitted || d.Outcome == admit.InsufficientCredits) {
		h.Set("X-Layers-Balance", pricing.FormatCredits(d.Spendable, e.x.CreditsPerDollar))
	}
}

// refusal is a decision as the client hears it; nil: admitted.
func (e *exchange) refusal(d admit.Decision, spent pricing.Nano) error {
	about := limits.Subject{Tier: e.tier, Key: e.key.Name, Account: e.key.Account, Hold: e.holds(), Least: e.least(), CreditsPerDollar: e.x.CreditsPerDollar}
	if e.policy != nil {
		about.TopUpURL = e.policy.TopUpURL
	}
	switch d.Outcome {
	case admit.AccountSuspended:
		return errSuspended(e.key.Account)
	case admit.RateLimited:
		return limits.RateLimited(d, about)
	case admit.TooManyConcurrent:
		return limits.TooManyConcurrent(d, about)
	case admit.CapReached:
		return limits.CapReached(d, about, spent)
	case admit.InsufficientCredits:
		return limits.Credits(d, about, e.advice(d.Available()))
	}
	return nil
}

// holds is the most that the exchange may hold: the worst case, or nothing where nothing is charged.
func (e *exchange) holds() pricing.Nano {
	if e.unmetered {
		return 0
	}
	return e.worst
}

// maybeReaped is how long after its beginning a request may have been charged as an orphan's, because this process was stopped:
// less than a lease and the grace after it.
const maybeReaped = 2 * time.Second

// release gives back the hold of a request that costs nothing and is not recorded, unless somebody may have charged it. status is
// what the client was told.
func (e *exchange) release(status int) {
	defer e.refund(status)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.r.Context()), e.s.o.StoreTimeout)
	defer cancel()
	if err := e.s.o.Admitter.Release(ctx, e.key.Account, e.rec.ID); err != nil {
		e.s.o.Log.Warn("Hold is not released yet", "requestID", e.rec.ID, "error", err)
		e.forget()
	}
}

// refund settles at nothing what was never sent upstream, if it took so long that it may be taken for an orphan.
func (e *exchange) refund(status int) {
	// The clock on the wall goes on while the machine is asleep.
	if e.demo() || e.s.o.Now().Round(0).Sub(e.rec.Start.Round(0)) < maybeReaped {
		return
	}
	if _, err := e.s.o.Settler.Submit(e.settlement(bill{evidence: ledger.EvidenceFree}, status), e.key.Meter()); err != nil {
		e.s.o.Log.Error("Request that cost nothing is not settled, its hold may have been charged", "requestID", e.rec.ID, "error", err)
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
