package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/server/observe"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Reasons for ending an upstream call early; they are causes of its context.
var (
	errTotalTime = errors.New("the model's total time is over")
	errCut       = errors.New("the gateway is shutting down")
	errLeft      = errors.New("the client is gone, and the provider bills nothing more")
	errTooMany   = errors.New("too many calls go on without their client")
)

// run calls the backends and settles, whatever happens.
func (e *exchange) run() error {
	defer e.end(http.StatusInternalServerError) // reached only where the lines below did not: a panic
	e.admitted(e.stake.decision)
	if err := e.r.Context().Err(); err != nil {
		e.end(499)
		return errClientGone(err)
	}
	ctx, leave, stop := e.upstreamContext()
	defer stop()
	if e.req.Stream {
		return e.stream(ctx, leave)
	}
	return e.unary(ctx)
}

// upstreamContext is what upstream calls run on. It does not end when the client leaves, so that usage is still heard
// and billed, unless too many such calls go on already. leave says that the client left.
func (e *exchange) upstreamContext() (ctx context.Context, leave, stop func()) {
	total := time.Duration(e.target.Times.TotalSeconds) * time.Second
	timed, endTimer := context.WithTimeoutCause(context.WithoutCancel(e.r.Context()), total, errTotalTime)
	ctx, cancel := context.WithCancelCause(timed)
	endCut := context.AfterFunc(e.s.cut, func() { cancel(errCut) })
	var mu sync.Mutex
	var left, over, holds bool
	leave = func() {
		mu.Lock()
		defer mu.Unlock()
		if left || over {
			return
		}
		left = true
		e.disconnect.Store(ledger.DisconnectCancelled)
		if e.req.Stream && e.stopsBilling.Load() {
			cancel(errLeft)
			return
		}
		if holds = e.s.drained.TryAcquire(1); !holds {
			cancel(errTooMany)
			return
		}
		e.disconnect.Store(ledger.DisconnectDrained)
	}
	endLeave := context.AfterFunc(e.r.Context(), leave)
	return ctx, leave, func() {
		endLeave()
		endCut()
		cancel(nil)
		endTimer()
		mu.Lock()
		defer mu.Unlock()
		over = true
		e.rec.ClientLeft = left
		if holds {
			e.s.drained.Release(1)
			holds = false
		}
	}
}

// attempt prepares the call of one backend and forgets what the one before it produced.
func (e *exchange) attempt(b snapshot.Backend) (chat.Upstream, chat.Call, error) {
	e.tally = tally{}
	e.rec.Attempts++
	e.rec.Backend, e.rec.Provider = b.Name, b.Provider
	provider := e.x.Provider(b.Provider)
	up := e.s.o.Upstreams[provider.Type]
	if up == nil {
		err := errNotConfigured("this gateway cannot speak to providers of type " + string(provider.Type) + ".")
		err.Fallback = true
		return nil, chat.Call{}, err
	}
	e.reached = true
	e.stopsBilling.Store(provider.CancelStopsBilling)
	e.passes = up.Fit(provider, e.req.Protocol) == chat.Passes
	req, most := e.request()
	return up, chat.Call{Request: req, Provider: provider, Model: b.Model, Timeouts: e.target.Times, MaxOutputTokens: most, Strict: e.target.Strict}, nil
}

// again says whether the next backend shall be tried after err: not for a client that is not there any more, which would pay
// for an answer that nobody reads.
func (e *exchange) again(ctx context.Context, err error) bool {
	if !stopped(ctx) {
		e.s.metrics.AttemptFailed(e.rec, err)
	}
	failed := asError(err)
	// The adapter's own clock may be heard of a moment before the context's.
	return (failed.Fallback || lacks(failed)) && ctx.Err() == nil && timeLeft(ctx) > 0 && e.r.Context().Err() == nil
}

// lacks says that a backend has nothing for what the request asks; another one, of another provider, may.
func lacks(e *chat.Error) bool {
	return e.Status == http.StatusBadRequest && (e.Code == "unsupported_parameter" || e.Code == "unsupported_value")
}

// failed ends an exchange whose answer never began.
func (e *exchange) failed(ctx context.Context, err error) error {
	out := e.upstreamError(ctx, err)
	e.rec.Outcome = failureOf(ctx)
	e.end(out.Status)
	return out
}

// failureOf is the outcome of a call that failed: a client that left has ended it, where its leaving did.
func failureOf(ctx context.Context) string {
	if cause := context.Cause(ctx); errors.Is(cause, errLeft) || errors.Is(cause, errTooMany) {
		return observe.ClientGone
	}
	return observe.UpstreamError
}

// upstreamError is what a client hears of a failed call, the reason why we ended it first of all.
func (e *exchange) upstreamError(ctx context.Context, err error) *chat.Error {
	if cause := context.Cause(ctx); cause != nil {
		status, message := http.StatusGatewayTimeout, "The model did not answer in time."
		switch {
		case errors.Is(cause, errLeft):
			return errClientGone(errors.Join(cause, err))
		case errors.Is(cause, errCut):
			status, message = http.StatusServiceUnavailable, "The gateway is shutting down. Please try again."
		case errors.Is(cause, errTooMany):
			status, message = http.StatusServiceUnavailable, "The client left, and too many calls go on without theirs."
		}
		return &chat.Error{Status: status, Type: typeServer, Code: "upstream_timeout", Message: message, Cause: errors.Join(cause, err)}
	}
	return asError(err)
}

// unary calls backends until one answers.
func (e *exchange) unary(ctx context.Context) error {
	var resp *chat.Response
	once := func(b snapshot.Backend) (err error) {
		resp, err = e.do(ctx, b)
		return err
	}
	if err := e.attempts(ctx, once, func(d time.Duration) { sleep(e.r.Context(), d) }, func() bool { return false }); err != nil {
		return e.failed(ctx, err)
	}
	return e.answer(resp)
}

func (e *exchange) do(ctx context.Context, b snapshot.Backend) (*chat.Response, error) {
	up, call, err := e.attempt(b)
	if err != nil {
		return nil, err
	}
	resp, err := up.Do(ctx, call)
	if err != nil {
		return nil, err
	}
	if resp.Events != nil {
		_ = resp.Events.Close() // it is an error all the same
		return nil, errInternal(errors.New("upstream streams a unary answer"))
	}
	return resp, nil
}

// answer settles a unary answer and gives it to the client, in that order.
func (e *exchange) answer(resp *chat.Response) error {
	e.tally = tally{usage: resp.Usage, outputBytes: resp.OutputBytes, content: resp.OutputBytes > 0, upstreamID: resp.UpstreamID, whole: true}
	e.end(http.StatusOK)
	body, err := e.body(resp)
	if err != nil {
		return errInternal(err)
	}
	h := e.w.Header()
	e.copyHeaders(resp)
	e.setCost(h)
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	e.s.writeDeadline(e.w)
	if _, err := e.w.Write(body); err != nil {
		e.rec.Outcome, e.rec.Err = observe.ClientGone, err
	}
	return nil
}

// body is a unary answer as the client gets it.
func (e *exchange) body(resp *chat.Response) ([]byte, error) {
	if resp.Answer != nil {
		return e.dialect.Answer(e.req, resp.Answer, e.total())
	}
	body, ok := e.dialect.WithCost(resp.Body, pricing.FormatUSD(e.rec.Charged))
	if teller, tells := e.dialect.(chat.UsageTeller); !ok && tells && resp.Usage == nil {
		body, _ = teller.WithUsage(resp.Body, e.total()) // what is no JSON object goes as it is
	}
	return body, nil
}

// total is what the answer came to.
func (e *exchange) total() chat.Total {
	b := e.bill()
	return chat.Total{Usage: b.usage, CostUSD: pricing.FormatUSD(b.charged)}
}

// tellUsage tells what a stream that has ended is charged for, where its client asked for usage and its provider told none.
func (e *exchange) tellUsage(out *outlet) {
	teller, ok := e.dialect.(chat.UsageTeller)
	like := e.tally.like
	if !ok || e.tally.usage != nil || len(like) == 0 || out.writer != nil {
		return
	}
	e.tally.like = []byte{} // once
	out.write(teller.UsageEvent(like, e.total()))
}

// copyHeaders gives the client the provider's headers. Ours win.
func (e *exchange) copyHeaders(resp *chat.Response) {
	h := e.w.Header()
	for name, values := range resp.Header {
		if _, ours := h[name]; !ours {
			h[name] = values
		}
	}
	if e.req.Protocol == chat.Messages || e.req.Protocol == chat.CountTokens {
		h.Set("Request-Id", e.rec.ID) // where Anthropic's SDKs look for it
	}
	dropped := resp.Dropped
	if e.passes { // only then what the dialect took out was missed
		dropped = merged(e.req.Dropped, dropped)
	}
	if len(dropped) > 0 {
		h.Set(headerDropped, strings.Join(dropped, ", "))
	}
}

// merged joins two lists of names, each name once.
func merged(a, b []string) []string {
	out := slices.Clone(a)
	for _, name := range b {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// headerDropped names the parameters that the provider has nothing for.
const headerDropped = "X-Layers-Dropped-Params"
