package transport

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// Report is what an upstream says went wrong, in the words of OpenAI's errors: protocols with other words translate them.
type Report struct {
	Message, Type, Code, Param string
	// Status is the code, where that is an HTTP status; 0: it is none.
	Status int
	// Known says that the answer was an error of the protocol, and not a page of something in between.
	Known bool
}

// Bad is for an answer that is no answer: an HTML page, broken JSON.
func (a *Answer) Bad(cause error) *chat.Error {
	return &chat.Error{
		Status: http.StatusBadGateway, Type: "api_error", Code: "upstream_invalid_response", Fallback: true,
		Message: "The upstream provider's answer is not one of its protocol.",
		Cause:   fmt.Errorf("status %d: %w", a.Status, cause),
	}
}

// Refusal is what the client hears of an answer with that status and report, and when to come back.
func (a *Answer) Refusal(status int, r Report) *chat.Error {
	e := a.classify(status, r)
	if e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable {
		h := a.Header
		if a.Status == http.StatusOK { // Anthropic sends Retry-After with good answers too
			h = http.Header{}
		}
		e.RetryAfter = RetryAfter(h, r.Message, a.now())
	}
	return e
}

// InBody is Refusal of an error object where an answer was due: in a 200, or in a stream.
func (a *Answer) InBody(r Report) *chat.Error {
	status := r.Status
	if status == 0 {
		status = statusOf(r)
	}
	return a.Refusal(status, r)
}

// statusOf guesses the status that an error would have had, by its code or type.
func statusOf(r Report) int {
	switch {
	case r.Has("rate_limit_exceeded", "rate_limit_error", "tokens", "requests", "insufficient_quota"):
		return http.StatusTooManyRequests
	case r.Has("model_not_found"):
		return http.StatusNotFound
	case r.Has("invalid_request_error", "context_length_exceeded", "content_filter"), ofRequest(r.Code):
		return http.StatusBadRequest
	case r.Has("invalid_api_key", "authentication_error"):
		return http.StatusUnauthorized
	case r.Has("overloaded_error"):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// ofRequest says that a code is one of those of OpenAI's failed responses that speak of the request (ResponseError of its
// SDKs), and not of the server.
func ofRequest(code string) bool {
	switch code {
	case "invalid_prompt", "empty_image_file", "failed_to_download_image", "unsupported_image_media_type":
		return true
	}
	return strings.HasPrefix(code, "invalid_image") || strings.HasPrefix(code, "image_") || code == "invalid_base64_image"
}

// Has says whether the type or the code is one of names.
func (r Report) Has(names ...string) bool {
	for _, n := range names {
		if r.Type == n || r.Code == n {
			return true
		}
	}
	return false
}

// classify maps a status and a report to what the client hears.
func (a *Answer) classify(status int, r Report) *chat.Error {
	e := &chat.Error{
		Status: status, Type: r.Type, Code: r.Code, Param: r.Param, Message: a.Redact(r.Message),
		Cause: fmt.Errorf("upstream answered %d: %s", status, a.Redact(r.Message)),
	}
	set := func(status int, kind, code, message string, fallback bool) *chat.Error {
		e.Status, e.Type, e.Code, e.Fallback = status, kind, code, fallback
		if e.Message == "" {
			e.Message = message
		}
		return e
	}
	code := func(otherwise string) string {
		if r.Code == "" || r.Status != 0 {
			return otherwise
		}
		return r.Code
	}
	switch {
	case status == 401, status == 403 && (!r.Known || r.Has("invalid_api_key", "authentication_error", "missing_api_key", "invalid_authentication")):
		// It is the gateway's key that was refused, not the client's. What the upstream says may show a part of it.
		e.Message, e.Param = "", ""
		return set(502, "api_error", "upstream_auth", "The upstream provider refused the gateway's credential.", true)
	case status == 402, r.Has("insufficient_quota"):
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
	case status == 529, status == 503, r.Has("overloaded_error"):
		return set(503, "overloaded_error", code("upstream_overloaded"), "The upstream provider is overloaded.", true)
	case status == 504:
		return set(504, "api_error", "upstream_timeout", "The upstream provider did not answer in time.", true)
	case status >= 400 && status < 500 && r.Known:
		return set(status, "invalid_request_error", code(""), "The upstream provider refused the request.", false)
	case status >= 500:
		return set(502, "api_error", code("upstream_error"), "The upstream provider failed.", true)
	}
	// A redirect, another success than 200, or a page that no API has sent.
	return a.Bad(errors.New("not an answer of this protocol"))
}

// ReadReport finds the parts of an error in the shapes that upstreams use: error as an object or a string, or its members
// at the top (vLLM), or "detail" (FastAPI).
func ReadReport(body []byte, fields jsonscan.Object) Report {
	r := Report{Known: true}
	inner := fields.Value(body, "error")
	if message, ok := jsonscan.String(inner); ok {
		r.Message = message
		inner = nil
	}
	get := func(name string) []byte {
		if len(inner) > 0 && inner[0] == '{' {
			return jsonscan.Field(inner, name)
		}
		return fields.Value(body, name)
	}
	if r.Message == "" {
		r.Message, _ = jsonscan.String(get("message"))
	}
	if r.Message == "" {
		r.Message, _ = jsonscan.String(get("detail"))
	}
	r.Type, _ = jsonscan.String(get("type"))
	r.Param, _ = jsonscan.String(get("param"))
	raw := get("code")
	if n, ok := jsonscan.Int(raw); ok {
		r.Code = string(raw)
		if n >= 400 && n < 600 {
			r.Status = int(n)
		}
	} else {
		r.Code, _ = jsonscan.String(raw)
	}
	return r
}

// secrets are the shapes of keys, organizations and projects in upstreams' messages.
var secrets = regexp.MustCompile(`\bproject(?:_number:|s/)\d+|\b(?:sk|pk|rk|org|proj|user|vck|gsk|xai)[-_][A-Za-z0-9*._-]{6,}|\bBearer\s+\S+|\bAIza[A-Za-z0-9_-]{10,}`)

// Redact takes the credential, and what looks like one, out of a text of an upstream.
func (a *Answer) Redact(s string) string {
	if len(a.credential) >= 4 {
		s = strings.ReplaceAll(s, a.credential, "[redacted]")
	}
	return secrets.ReplaceAllString(s, "[redacted]")
}
