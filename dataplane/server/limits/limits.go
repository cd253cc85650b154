// Package limits is what the admission script's limits look like from outside: what a request asks of a tier's limits, the
// headers that tell where they stand, and the errors that say which one refused. It decides nothing: every number it
// writes is one of the script's own.
package limits

import (
	"net/http"
	"strconv"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// DefaultOutputTokens is what an answer is thought to take of a limit of output tokens where the client asks for no number:
// the worst case of a model would refuse what nearly always fits. What it really took corrects it afterwards.
const DefaultOutputTokens = 1024

// bytesPerToken estimates the tokens of an input by its bytes.
const bytesPerToken = 4

// Estimate is how much a request is thought to take of the token limits.
type Estimate struct {
	Input, Output int64
}

// NewEstimate estimates a request of so many bytes that asks for at most asked tokens (0: it does not say) in each of so
// many choices of a model that writes at most most and reads at most context tokens.
func NewEstimate(inputBytes, context, asked, most, choices int64) Estimate {
	out := asked
	if out <= 0 {
		out = DefaultOutputTokens
	}
	return Estimate{
		Input:  min((inputBytes+bytesPerToken-1)/bytesPerToken, context),
		Output: min(out, most) * max(choices, 1),
	}
}

// Rates are a tier's limits and what one request takes of each.
func Rates(t *snapshot.Tier, e Estimate) []admit.Rate { return rates(t, 1, e) }

// Asking are a tier's limits for a Preview that only asks where they stand, and takes nothing.
func Asking(t *snapshot.Tier) []admit.Rate { return rates(t, 0, Estimate{}) }

func rates(t *snapshot.Tier, requests int64, e Estimate) []admit.Rate {
	if t == nil {
		return nil
	}
	out := make([]admit.Rate, 0, len(t.Limits))
	for _, l := range t.Limits {
		r := admit.Rate{Unit: l.Unit, Value: l.Value, Burst: l.Burst, Cost: requests}
		switch l.Unit {
		case snapshot.InputTokensPerMinute:
			r.Cost = e.Input
		case snapshot.OutputTokensPerMinute:
			r.Cost = e.Output
		}
		out = append(out, r)
	}
	return out
}

// SetHeaders tells where the limits stand after a decision: X-RateLimit-* of the tightest request limit, its reset in Unix
// seconds, and the same as OpenAI's clients read it, its reset as a duration; x-ratelimit-*-tokens of the tightest token
// limit. Without a limit there is no header.
func SetHeaders(h http.Header, d admit.Decision) {
	if d.Requests.Limit > 0 {
		h.Set("X-RateLimit-Limit", number(d.Requests.Limit))
		h.Set("X-RateLimit-Remaining", number(d.Requests.Remaining))
		h.Set("X-RateLimit-Reset", number(At(d, d.Requests.Reset)))
	}
	family(h, "requests", d.Requests)
	family(h, "tokens", d.Tokens)
}

func family(h http.Header, what string, l admit.Limit) {
	if l.Limit <= 0 {
		return
	}
	h.Set("x-ratelimit-limit-"+what, number(l.Limit))
	h.Set("x-ratelimit-remaining-"+what, number(l.Remaining))
	h.Set("x-ratelimit-reset-"+what, Duration(l.Reset))
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// Duration is d as OpenAI writes it, "6m0s", "1s", "12ms": in milliseconds, rounded up.
func Duration(d time.Duration) string { return ceilMillis(d).String() }

func ceilMillis(d time.Duration) time.Duration {
	return (max(d, 0) + time.Millisecond - 1).Truncate(time.Millisecond)
}

// At is the Unix second, rounded up, that is d after the decision: at that second it is true.
func At(d admit.Decision, after time.Duration) int64 {
	t := d.Now.Add(after)
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}
