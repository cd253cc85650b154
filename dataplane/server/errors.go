package server

import (
	"fmt"
	"net/http"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/server/observe"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Types of errors, as OpenAI names them.
const (
	typeRequest    = "invalid_request_error"
	typeAuth       = "authentication_error"
	typePermission = "permission_error"
	typeRate       = "rate_limit_error"
	typeQuota      = "insufficient_quota"
	typeServer     = "server_error"
)

// retrySoon is when to come back after something that passes by itself.
const retrySoon = time.Second

// refusals are the codes of our own errors: the only ones that become an outcome, so that metrics stay bounded.
var refusals = map[string]bool{
	"gateway_not_configured": true, "invalid_api_key": true, "key_disabled": true, "key_revoked": true, "too_many_invalid_keys": true,
	"store_unavailable": true, "overloaded": true, "invalid_request": true, "unsupported_content_type": true, "unsupported_content_encoding": true,
	"request_too_large": true, "request_timeout": true, "model_not_found": true, "model_not_allowed": true,
	"unsupported_capability": true, "max_tokens_too_large": true, "rate_limit_exceeded": true, "insufficient_credits": true, "credits_reserved": true,
	"not_found": true, "method_not_allowed": true, "client_gone": true, "not_routable": true,
}

// outcomeOf is the bounded word for an error of ours. Codes that others make up, and codes of the request parser, share one.
func outcomeOf(e *chat.Error) string {
	switch {
	case refusals[e.Code]:
		return e.Code
	case e.Status >= 400 && e.Status < 500:
		return "invalid_request"
	}
	return observe.InternalError
}

func errInternal(cause error) *chat.Error {
	return &chat.Error{Status: http.StatusInternalServerError, Type: typeServer, Code: "internal_error", Message: "The gateway failed to answer this request.", Cause: cause}
}

func errNotConfigured(why string) *chat.Error {
	return &chat.Error{Status: http.StatusServiceUnavailable, Type: typeServer, Code: "gateway_not_configured", Message: "AI Gateway not configured: " + why, RetryAfter: 5 * retrySoon}
}

func errStore(cause error) *chat.Error {
	return &chat.Error{Status: http.StatusServiceUnavailable, Type: typeServer, Code: "store_unavailable", Message: "The gateway cannot check this request now. Please try again.", RetryAfter: retrySoon, Cause: cause}
}

func errOverloaded(why string) *chat.Error {
	return &chat.Error{Status: http.StatusServiceUnavailable, Type: typeServer, Code: "overloaded", Message: "The gateway is overloaded: " + why + " Please try again.", RetryAfter: retrySoon}
}

func errKey(code, why string) *chat.Error {
	return &chat.Error{Status: http.StatusUnauthorized, Type: typeAuth, Code: code, Message: "Invalid API key: " + why}
}

func errRequest(code, param, message string) *chat.Error {
	return &chat.Error{Status: http.StatusBadRequest, Type: typeRequest, Code: code, Param: param, Message: message}
}

func errTooLarge(limit int64) *chat.Error {
	return &chat.Error{
		Status: http.StatusRequestEntityTooLarge, Type: typeRequest, Code: "request_too_large",
		Message: fmt.Sprintf("The request body is larger than %d bytes, the limit of this API key's tier.", limit),
		Details: map[string]any{"limit_bytes": limit},
	}
}

func errModelNotFound(name string) *chat.Error {
	return &chat.Error{
		Status: http.StatusNotFound, Type: typeRequest, Code: "model_not_found", Param: "model",
		Message: fmt.Sprintf("The model '%s' does not exist. GET /v1/models lists those that this API key may use.", clip(name, 128)),
	}
}

func errModelNotAllowed(m *snapshot.Model, tier string) *chat.Error {
	return &chat.Error{
		Status: http.StatusForbidden, Type: typePermission, Code: "model_not_allowed", Param: "model",
		Message: fmt.Sprintf("The model '%s' is not in the tier '%s' of this API key.", m.PublicName, tier),
		Details: map[string]any{"tier": tier},
	}
}

func errRateLimited(d admit.Decision, tier string) *chat.Error {
	return &chat.Error{
		Status: http.StatusTooManyRequests, Type: typeRate, Code: "rate_limit_exceeded", RetryAfter: max(d.RetryAfter, time.Millisecond),
		Message: fmt.Sprintf("Rate limit exceeded: the tier '%s' allows %d requests per minute. Please try again in %s.", tier, d.Rate.Limit, ceilMillis(d.RetryAfter)),
		Details: map[string]any{"tier": tier, "limit": d.Rate.Limit},
	}
}

func ceilMillis(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}

// amounts are the numbers of a credit refusal, in credits and in USD, as decimal strings.
func amounts(d admit.Decision, hold pricing.Nano, perDollar int64) map[string]any {
	of := func(n pricing.Nano) map[string]string {
		return map[string]string{"credits": pricing.FormatCredits(n, perDollar), "usd": pricing.FormatUSD(n)}
	}
	return map[string]any{"required": of(hold), "available": of(d.Spendable - d.Reserved), "balance": of(d.Spendable), "reserved": of(d.Reserved)}
}

func errCredits(d admit.Decision, hold pricing.Nano, perDollar int64) *chat.Error {
	credits := func(n pricing.Nano) string { return pricing.FormatCredits(n, perDollar) }
	if d.Spendable >= hold {
		return &chat.Error{
			Status: http.StatusTooManyRequests, Type: typeRate, Code: "credits_reserved", RetryAfter: retrySoon, Details: amounts(d, hold, perDollar),
			Message: fmt.Sprintf("Credits are reserved by running requests: this one may need up to %s credits, %s of the balance of %s are reserved. Please try again when they have finished.",
				credits(hold), credits(d.Reserved), credits(d.Spendable)),
		}
	}
	return &chat.Error{
		Status: http.StatusPaymentRequired, Type: typeQuota, Code: "insufficient_credits", Details: amounts(d, hold, perDollar),
		Message: fmt.Sprintf("Insufficient credits: this request may need up to %s credits and the balance is %s. Ask for fewer tokens (max_tokens) or add credits.",
			credits(hold), credits(d.Spendable)),
	}
}

// errClientGone ends a request whose client left before anything was sent upstream. Nobody reads it.
func errClientGone(cause error) *chat.Error {
	return &chat.Error{Status: 499, Type: typeRequest, Code: "client_gone", Message: "The client closed the connection.", Cause: cause}
}
