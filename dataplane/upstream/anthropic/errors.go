package anthropic

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// refusal reads an answer that is not 200.
func refusal(a *transport.Answer) *chat.Error {
	var r transport.Report
	if fields, body, ok := scanned(a.Refused()); ok {
		r = report(body, fields)
	}
	status := a.Status
	if r.Code == disabled {
		status = http.StatusUnauthorized
	}
	return a.Refusal(status, r)
}

func scanned(body []byte) (jsonscan.Object, []byte, bool) {
	fields, err := jsonscan.Scan(body)
	return fields, body, err == nil
}

// inBody is the error object that a 200, or an event, has where an answer was due; nil: it has none. The text is valid JSON.
func inBody(a *transport.Answer, body []byte) *chat.Error {
	fields, _, ok := scanned(body)
	if !ok {
		return nil
	}
	kind, _ := jsonscan.String(fields.Value(body, "type"))
	if kind != "error" && jsonscan.IsNull(fields.Value(body, "error")) {
		return nil
	}
	r := report(body, fields)
	if r.Code == disabled {
		r.Type = "authentication_error"
	}
	return a.Refusal(statusOf(r.Type), r)
}

// statusOf is the HTTP status that goes with an error's type, by Anthropic's documentation of errors.
func statusOf(kind string) int {
	switch kind {
	case "invalid_request_error":
		return http.StatusBadRequest
	case "authentication_error":
		return http.StatusUnauthorized
	case "billing_error":
		return http.StatusPaymentRequired
	case "permission_error":
		return http.StatusForbidden
	case "not_found_error":
		return http.StatusNotFound
	case "request_too_large":
		return http.StatusRequestEntityTooLarge
	case "rate_limit_error":
		return http.StatusTooManyRequests
	case "timeout_error":
		return http.StatusGatewayTimeout
	case "overloaded_error":
		return 529
	}
	return http.StatusInternalServerError
}

// report is Anthropic's error object in OpenAI's words. Its type alone never tells a prompt that is too long from a bad field:
// the message does. An error of the edge (413) has neither an outer type nor a request_id.
func report(body []byte, fields jsonscan.Object) transport.Report {
	r := transport.ReadReport(body, fields)
	r.Code, r.Status = "", 0
	r.Message = organization.ReplaceAllString(r.Message, "[redacted]")
	lower := strings.ToLower(r.Message)
	switch {
	case r.Type == "billing_error", strings.Contains(lower, "credit balance is too low"), strings.Contains(lower, "specified api usage limits"):
		r.Code = "insufficient_quota"
	case strings.Contains(lower, "organization has been disabled"):
		r.Code = disabled
	case tooLong.MatchString(lower):
		r.Code, r.Param = "context_length_exceeded", "messages"
	case r.Type == "not_found_error" && strings.HasPrefix(lower, "model"):
		r.Code, r.Param = "model_not_found", "model"
	case r.Type == "invalid_request_error":
		r.Param = param(r.Message)
	}
	return r
}

// disabled is the code of an account that is shut: the API calls it a bad request, but the request is not to blame.
const disabled = "account_disabled"

// organization finds the ids of organizations, which are UUIDs.
var organization = regexp.MustCompile(`(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`)

// tooLong are the ways to say that the context's length is exceeded: "prompt is too long: 3333404 tokens > 200000 maximum",
// "input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000".
var tooLong = regexp.MustCompile("prompt is too long|exceeds? (?:the )?(?:model'?s? )?(?:maximum )?context (?:limit|window|length)")

// field finds the field at the beginning of "tools.0.custom.input_schema.type: Input should be 'object'".
var field = regexp.MustCompile(`^([a-z_]+)(?:\.[A-Za-z0-9_.-]+)?: `)

// param is OpenAI's name of the parameter that a message begins with; empty: it begins with none.
func param(message string) string {
	m := field.FindStringSubmatch(message)
	if m == nil {
		return ""
	}
	switch name := m[1]; name {
	case "messages", "tools", "tool_choice", "max_tokens", "temperature", "top_p", "top_k", "model":
		return name
	case "system":
		return "messages"
	case "stop_sequences":
		return "stop"
	case "thinking":
		return "reasoning_effort"
	case "output_config":
		if strings.HasPrefix(message, "output_config.format") {
			return "response_format"
		}
		return "reasoning_effort"
	case "metadata":
		return "user"
	}
	return ""
}
