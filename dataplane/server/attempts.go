package server

import (
	"context"
	"errors"
	"hash/fnv"
	"net/http"
	"regexp"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/route"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// attempts calls one backend after the other until one answers: nil. The error is the last one's. once makes one call;
// idle waits, and does meanwhile what the client needs; final says that nothing may take over any more.
func (e *exchange) attempts(ctx context.Context, once func(snapshot.Backend) error, idle func(time.Duration), final func() bool) error {
	plan := e.s.router.Plan(route.Query{
		Model: e.target.Object, Backends: e.backends, Affinity: affinity(e.key.Account, e.req),
		MaxConcurrent: func(provider string) int32 { return e.x.Provider(provider).MaxConcurrent },
	})
	var last error
	for {
		step := plan.Next(timeLeft(ctx))
		switch {
		case step.Wait > 0:
			idle(step.Wait)
			if ctx.Err() != nil || e.r.Context().Err() != nil {
				return last
			}
			continue
		case step.Lease == nil && last == nil:
			busy := errOverloaded("every provider of this model is busy or failing.")
			busy.RetryAfter = step.Retry
			return busy
		case step.Lease == nil:
			return last
		}
		if last = e.leased(ctx, step.Lease, once); last == nil {
			return nil
		}
		if !e.again(ctx, last) || final() {
			return last
		}
		if failed := asError(last); retryable(failed) {
			plan.MayRetry(step.Lease.Backend.Name, failed.RetryAfter)
		}
	}
}

// leased makes one call and says how it went, also where it panics.
func (e *exchange) leased(ctx context.Context, lease *route.Lease, once func(snapshot.Backend) error) (err error) {
	result, coolDown := route.Failed, time.Duration(0)
	defer func() { lease.End(result, coolDown) }()
	e.lease = lease
	err = once(lease.Backend)
	if result, coolDown = resultOf(err); err != nil && stopped(ctx) {
		result, coolDown = route.Unknown, 0 // whatever the call said of its end
	}
	return err
}

// stopped says that we ended the call, for no fault of the backend's.
func stopped(ctx context.Context) bool {
	cause := context.Cause(ctx)
	return errors.Is(cause, errLeft) || errors.Is(cause, errTooMany) || errors.Is(cause, errCut)
}

// resultOf says what an error tells of the backend's health, and for how long it asked to be left alone.
func resultOf(err error) (route.Result, time.Duration) {
	if err == nil {
		return route.Good, 0
	}
	var e *chat.Error
	if !errors.As(err, &e) {
		return route.Failed, 0
	}
	switch {
	case e.Status == 499, lacks(e): // it may never have been sent
		return route.Unknown, 0
	case e.Status == http.StatusTooManyRequests:
		// It is well, and full.
		return route.Good, e.RetryAfter
	case e.Status >= 500, e.Status == http.StatusRequestTimeout:
		return route.Failed, e.RetryAfter
	}
	return route.Good, 0
}

// retryable says that the same backend may do better a little later: not where its account or its key is at fault.
func retryable(e *chat.Error) bool {
	switch e.Code {
	case "upstream_auth", "insufficient_quota", "gateway_not_configured":
		return false
	}
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return true
	}
	return e.Status >= 500
}

// timeLeft is how long ctx lasts.
func timeLeft(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return time.Until(end)
	}
	return time.Hour
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// affinityBytes bounds what is hashed of each field.
const affinityBytes = 64 << 10

// affinityTurns bounds how many turns are looked at for the first of the user's.
const affinityTurns = 16

// breakpoint is a mark of the prompt cache. Clients move it to the end of what they have each time, so that it is no part
// of what a conversation's requests have in common.
var breakpoint = regexp.MustCompile(`,?\s*"cache_control"\s*:\s*(?:null|\{[^{}]*\})`)

// affinity is the hash of a conversation: what all its requests have in common, so that they meet the prompt cache of the
// provider that has seen them before. That is all up to the first turn of the user's; what follows it, only the later
// ones have. A client may name it itself by OpenAI's prompt_cache_key.
func affinity(account string, req *chat.Request) uint64 {
	h := fnv.New64a()
	add := func(b []byte) { _, _ = h.Write(breakpoint.ReplaceAll(b[:min(len(b), affinityBytes)], nil)) } // a hash never fails
	add([]byte(account))
	if key := req.Fields.Value(req.Body, "prompt_cache_key"); !jsonscan.IsNull(key) {
		add(key)
		return h.Sum64()
	}
	for _, name := range []string{"system", "instructions", "tools"} {
		add(req.Fields.Value(req.Body, name))
	}
	for _, name := range []string{"messages", "input"} {
		turns := req.Fields.Value(req.Body, name)
		if len(turns) > 0 && turns[0] == '"' {
			add(turns)
		}
		seen := 0
		for turn := range jsonscan.Elements(turns) {
			add(turn)
			role, _ := jsonscan.String(jsonscan.Field(turn, "role"))
			if seen++; role == "user" || seen == affinityTurns {
				break
			}
		}
	}
	return h.Sum64()
}
