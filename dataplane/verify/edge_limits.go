package verify

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/layers-dev/layers/dataplane/verify/client"
)

// rateLimits holds the headers of limits to each other.
func rateLimits(ctx context.Context, g *gateway) error {
	got, err := g.patient(ctx, http.MethodGet, modelsPath, g.keyed(), nil)
	if err != nil {
		return err
	}
	if err := got.good(client.Completions{}, "application/json"); err != nil {
		return err
	}
	h := got.header
	requests, tokens := family(h, "requests"), family(h, "tokens")
	if requests.none() && tokens.none() && h.Get("X-RateLimit-Limit") == "" {
		return skip{"the key's tier has no limits"}
	}
	if err := first(requests.consistent("requests"), tokens.consistent("tokens")); err != nil {
		return err
	}
	if h.Get("X-RateLimit-Limit") != requests.limit || h.Get("X-RateLimit-Remaining") != requests.remaining {
		return wrong("X-RateLimit-Limit and -Remaining as in x-ratelimit-*-requests", "%q, %q and %q, %q",
			h.Get("X-RateLimit-Limit"), h.Get("X-RateLimit-Remaining"), requests.limit, requests.remaining)
	}
	if requests.none() {
		return nil
	}
	// A day is the longest limit; the clocks of the two may differ.
	at, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	if from := g.options.Now().Unix(); err != nil || at < from-300 || at > from+86400+300 {
		return wrong("X-RateLimit-Reset in Unix seconds, within a day", "%q", h.Get("X-RateLimit-Reset"))
	}
	return nil
}

// standing is where one limit stands, as its headers say.
type standing struct{ limit, remaining, reset string }

func family(h http.Header, what string) standing {
	return standing{h.Get("x-ratelimit-limit-" + what), h.Get("x-ratelimit-remaining-" + what), h.Get("x-ratelimit-reset-" + what)}
}

func (s standing) none() bool { return s == standing{} }

func (s standing) consistent(what string) error {
	if s.none() {
		return nil
	}
	limit, err := strconv.ParseInt(s.limit, 10, 64)
	left, errLeft := strconv.ParseInt(s.remaining, 10, 64)
	reset, errReset := time.ParseDuration(s.reset)
	if err != nil || errLeft != nil || errReset != nil || limit < 1 || left < 0 || left > limit || reset < 0 {
		return wrong("x-ratelimit-{limit,remaining,reset}-"+what+", the remaining within the limit, the reset a duration", "%q, %q, %q", s.limit, s.remaining, s.reset)
	}
	return nil
}
