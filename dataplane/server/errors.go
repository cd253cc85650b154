package server

import (
	"fmt"
	"net/http"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/server/observe"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Types of errors, as OpenAI names them.
const (
	typeRequest    = "invalid_request_error"
	typeAuth       = "authentication_error"
	typePermission = "permission_error"
	typeRate       = "rate_limit_error"
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
	"concurrency_limit_exceeded": true, "spend_cap_reached": true, "key_expired": true, "insufficient_scope": true, "account_suspended": true, "receipt_not_found": true, "headers_too_large": true,
	"not_found": true, "method_not_allowed": true, "client_gone": true, "not_routable": true,
	"request_in_progress": true, "already_processed": true, "idempotency_key_reused": true,
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

// errLedgerAway refuses what cannot be decided while the ledger cannot be reached.
func errLedgerAway(cause error) *chat.Error {
	e := errStore(cause)
	e.RetryAfter = 5 * retrySoon
	return e
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
		Message: fmt.Sprintf("The request body is larger than %d bytes, the limit for this API key.", limit),
		Details: map[string]any{"limit_bytes": limit},
	}
}

func errModelNotFound(name string) *chat.Error {
	return &chat.Error{
		Status: http.StatusNotFound, Type: typeRequest, Code: "model_not_found", Param: "model",
		Message: fmt.Sprintf("The model '%s' does not exist. GET /v1/models lists those that this API key may use.", clip(name, 128)),
	}
}

// errModelNotAllowed names the object that does not allow it: the Tier, or the APIKey.
func errModelNotAllowed(m *snapshot.Model, kind, name string) *chat.Error {
	details := map[string]any{"object": kind + " " + name}
	message := fmt.Sprintf("This API key, '%s', is not for the model '%s'.", name, m.PublicName)
	if kind == "Tier" {
		details["tier"] = name
		message = fmt.Sprintf("The model '%s' is not in the tier '%s' of this API key.", m.PublicName, name)
	}
	return &chat.Error{Status: http.StatusForbidden, Type: typePermission, Code: "model_not_allowed", Param: "model", Message: message, Details: details}
}

func errScope(scope, key string) *chat.Error {
	return &chat.Error{
		Status: http.StatusForbidden, Type: typePermission, Code: "insufficient_scope",
		Message: fmt.Sprintf("This API key, '%s', does not have the scope '%s'.", key, scope),
		Details: map[string]any{"object": "APIKey " + key, "scope": scope},
	}
}

// errSuspended refuses for an account that somebody has suspended.
func errSuspended(account string) *chat.Error {
	return &chat.Error{
		Status: http.StatusForbidden, Type: typePermission, Code: "account_suspended",
		Message: fmt.Sprintf("The account '%s' of this API key is suspended. Whoever runs this gateway can let it be served again.", account),
		Details: map[string]any{"object": "Account " + account},
	}
}

// errClientGone ends a request whose client left before anything was sent upstream. Nobody reads it.
func errClientGone(cause error) *chat.Error {
	return &chat.Error{Status: 499, Type: typeRequest, Code: "client_gone", Message: "The client closed the connection.", Cause: cause}
}
