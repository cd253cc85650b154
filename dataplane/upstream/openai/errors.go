package openai

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

const statusClientClosed = 499

// Errors of the way to the upstream. What went wrong in detail is for the log: it may name addresses of the inside.

func cancelled(ctx context.Context, cause error) *chat.Error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return timeout(cause)
	}
	return &chat.Error{Status: statusClientClosed, Type: "api_error", Code: "request_cancelled", Message: "The request was cancelled.", Cause: cause}
}

func timeout(cause error) *chat.Error {
	return &chat.Error{
		Status: http.StatusGatewayTimeout, Type: "api_error", Code: "upstream_timeout", Fallback: true, Cause: cause,
		Message: "The upstream provider did not answer in time.",
	}
}

func unreachable(cause error) *chat.Error {
	var timed interface{ Timeout() bool }
	if errors.As(cause, &timed) && timed.Timeout() {
		return timeout(cause)
	}
	return &chat.Error{
		Status: http.StatusBadGateway, Type: "api_error", Code: "upstream_unreachable", Fallback: true, Cause: cause,
		Message: "The upstream provider could not be reached.",
	}
}

func incomplete(cause error) *chat.Error {
	return &chat.Error{
		Status: http.StatusBadGateway, Type: "api_error", Code: "upstream_incomplete", Fallback: true, Cause: cause,
		Message: "The upstream provider's answer broke off before its end.",
	}
}

// broken is failure for a read of the body: the upstream was reached.
func (w *watch) broken(err error) *chat.Error {
	e := w.failure(err)
	if e.Code == "upstream_unreachable" {
		return incomplete(err)
	}
	return e
}

// translator turns an upstream's refusals into errors for the client.
type translator struct {
	credential string
	now        func() time.Time
}

// report is what an upstream says went wrong, in whichever shape.
type report struct {
	message, kind, code, param string
	// status is the code, where that is an HTTP status.
	status int
	// known says that it was JSON.
	known bool
}

// badAnswer is for an answer that is no answer: an HTML page, broken JSON.
func (t *translator) badAnswer(status int, cause error) *chat.Error {
	return &chat.Error{
		Status: http.StatusBadGateway, Type: "api_error", Code: "upstream_invalid_response", Fallback: true,
		Message: "The upstream provider's answer is not a chat completion.",
		Cause:   fmt.Errorf("status %d: %w", status, cause),
	}
}

// refusal reads an answer that is not 200.
func (t *translator) refusal(resp *http.Response) *chat.Error {
	body, err := readAll(resp.Body, maxErrorBytes)
	if err != nil {
		body = nil
	}
	var r report
	if fields, err := jsonscan.Scan(body); err == nil {
		r = readReport(body, fields)
	}
	e := t.classify(resp.StatusCode, r)
	if e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable {
		e.RetryAfter = retryAfter(resp.Header, r.message, t.now())
	}
	return e
}

// inBody reads an error object where an answer was due: in a 200, or in a stream.
func (t *translator) inBody(body []byte, fields jsonscan.Object) *chat.Error {
	r := readReport(body, fields)
	status := r.status
	if status == 0 {
		status = statusOf(r)
	}
	e := t.classify(status, r)
	if e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable {
		e.RetryAfter = retryAfter(http.Header{}, r.message, t.now())
	}
	return e
}

// statusOf guesses the status that an error would have had, by its code or type.
func statusOf(r report) int {
	switch {
	case r.has("rate_limit_exceeded", "rate_limit_error", "tokens", "requests", "insufficient_quota"):
		return http.StatusTooManyRequests
	case r.has("invalid_request_error", "context_length_exceeded", "content_filter"):
		return http.StatusBadRequest
	case r.has("invalid_api_key", "authentication_error"):
		return http.StatusUnauthorized
	case r.has("overloaded_error"):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func (r report) has(names ...string) bool {
	for _, n := range names {
		if r.kind == n || r.code == n {
			return true
		}
	}
	return false
}

// classify maps a status and a report to what the client hears.
func (t *translator) classify(status int, r report) *chat.Error {
	e := &chat.Error{
		Status: status, Type: r.kind, Code: r.code, Param: r.param, Message: t.redact(r.message),
		Cause: fmt.Errorf("upstream answered %d: %s", status, t.redact(r.message)),
	}
	set := func(status int, kind, code, message string, fallback bool) *chat.Error {
		e.Status, e.Type, e.Code, e.Fallback = status, kind, code, fallback
		if e.Message == "" {
			e.Message = message
		}
		return e
	}
	code := func(otherwise string) string {
		if r.code == "" || r.status != 0 {
			return otherwise
		}
		return r.code
	}
	switch {
	case status == 401, status == 403 && (!r.known || r.has("invalid_api_key", "authentication_error", "missing_api_key", "invalid_authentication")):
		// It is the gateway's key that was refused, not the client's. What the upstream says may show a part of it.
		e.Message, e.Param = "", ""
		return set(502, "api_error", "upstream_auth", "The upstream provider refused the gateway's credential.", true)
	case status == 402, r.has("insufficient_quota"):
		e.Message = strings.TrimSuffix("The upstream provider's quota is used up: "+e.Message, ": ")
		return set(429, "insufficient_quota", "insufficient_quota", "", true)
	case status == 403:
		return set(403, "permission_error", code(""), "The upstream provider refused the request.", false)
	case status == 408:
		return set(504, "api_error", "upstream_timeout", "The upstream provider did not answer in time.", true)
	case status == 409:
		return set(409, "invalid_request_error", code("conflict"), "The upstream provider reports a conflict.", true)
	case status == 413:
		return set(413, "invalid_request_error", code("request_too_large"), "The request is too large for the upstream provider.", false)
	case status == 429:
		return set(429, "rate_limit_error", code("rate_limit_exceeded"), "The upstream provider's rate limit is reached.", true)
	case status == 529, status == 503, r.has("overloaded_error"):
		return set(503, "overloaded_error", code("upstream_overloaded"), "The upstream provider is overloaded.", true)
	case status == 504:
		return set(504, "api_error", "upstream_timeout", "The upstream provider did not answer in time.", true)
	case status >= 400 && status < 500 && r.known:
		return set(status, "invalid_request_error", code(""), "The upstream provider refused the request.", false)
	case status >= 500:
		return set(502, "api_error", code("upstream_error"), "The upstream provider failed.", true)
	}
	// A redirect, another success than 200, or a page that no API has sent.
	return t.badAnswer(status, errors.New("not an answer of this protocol"))
}

// readReport finds the parts of an error in the shapes that upstreams use: error as an object or a string, or its members
// at the top (vLLM), or "detail" (FastAPI).
func readReport(body []byte, fields jsonscan.Object) report {
	r := report{known: true}
	inner := fields.Value(body, "error")
	if message, ok := jsonscan.String(inner); ok {
		r.message = message
		inner = nil
	}
	get := func(name string) []byte {
		if len(inner) > 0 && inner[0] == '{' {
			return jsonscan.Field(inner, name)
		}
		return fields.Value(body, name)
	}
	if r.message == "" {
		r.message, _ = jsonscan.String(get("message"))
	}
	if r.message == "" {
		r.message, _ = jsonscan.String(get("detail"))
	}
	r.kind, _ = jsonscan.String(get("type"))
	r.param, _ = jsonscan.String(get("param"))
	raw := get("code")
	if n, ok := jsonscan.Int(raw); ok {
		r.code = string(raw)
		if n >= 400 && n < 600 {
			r.status = int(n)
		}
	} else {
		r.code, _ = jsonscan.String(raw)
	}
	return r
}

// secrets are the shapes of keys, organizations and projects in upstreams' messages.
var secrets = regexp.MustCompile(`\b(?:sk|pk|rk|org|proj|user|vck|gsk|xai)[-_][A-Za-z0-9*._-]{6,}|\bBearer\s+\S+|\bAIza[A-Za-z0-9_-]{10,}`)

func (t *translator) redact(s string) string {
	if len(t.credential) >= 4 {
		s = strings.ReplaceAll(s, t.credential, "[redacted]")
	}
	return secrets.ReplaceAllString(s, "[redacted]")
}
