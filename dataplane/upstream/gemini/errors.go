package gemini

import (
	"bytes"
	"errors"
	"net/http"
	"regexp"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// failure is a google.rpc.Status.
type failure struct {
	code            int64
	message, status string
	// reason is that of a google.rpc.ErrorInfo among the details, retry that of a google.rpc.RetryInfo.
	reason string
	retry  time.Duration
}

// statuses has the HTTP status of each google.rpc.Code that may come without one.
var statuses = map[string]int{
	"INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "OUT_OF_RANGE": 400, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404,
	"ABORTED": 409, "ALREADY_EXISTS": 409, "RESOURCE_EXHAUSTED": 429, "CANCELLED": 499, "UNKNOWN": 500, "INTERNAL": 500, "DATA_LOSS": 500,
	"UNIMPLEMENTED": 501, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
}

// refusal reads an answer that is not 200. A stream's endpoint answers with JSON too, and one without alt=sse with a list.
func refusal(a *transport.Answer) *chat.Error {
	body := bytes.TrimSpace(a.Refused())
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("data:")))
	if len(body) > 1 && body[0] == '[' && body[len(body)-1] == ']' {
		body = bytes.TrimSpace(body[1 : len(body)-1])
	}
	if _, err := jsonscan.Scan(body); err != nil {
		return a.Refusal(a.Status, transport.Report{})
	}
	raw := jsonscan.Field(body, "error")
	if jsonscan.IsNull(raw) {
		return a.Refusal(a.Status, transport.Report{})
	}
	return readFailure(raw).refuse(a, a.Status)
}

// inBody is for an error where an answer was due.
func inBody(a *transport.Answer, raw []byte) *chat.Error {
	f := readFailure(raw)
	status := int(f.code)
	if status < 400 || status > 599 {
		status = statuses[f.status]
	}
	if status == 0 {
		status = http.StatusInternalServerError
	}
	return f.refuse(a, status)
}

func readFailure(raw []byte) failure {
	var f failure
	if message, ok := jsonscan.String(raw); ok {
		return failure{message: message}
	}
	f.code, _ = jsonscan.Int(jsonscan.Field(raw, "code"))
	f.message, _ = jsonscan.String(jsonscan.Field(raw, "message"))
	f.status, _ = jsonscan.String(jsonscan.Field(raw, "status"))
	for detail := range jsonscan.Elements(jsonscan.Field(raw, "details")) {
		if s, ok := jsonscan.String(jsonscan.Field(detail, "reason")); ok && f.reason == "" {
			f.reason = s
		}
		if s, ok := jsonscan.String(jsonscan.Field(detail, "retryDelay")); ok {
			f.retry = delay(s)
		}
	}
	if f.retry == 0 {
		if m := retryIn.FindStringSubmatch(f.message); m != nil {
			f.retry = delay(m[1])
		}
	}
	return f
}

// retryIn is how the message says it: "Please retry in 48.27s."
var retryIn = regexp.MustCompile(`(?i)retry in (\d{1,9}(?:\.\d{1,9})?s)`)

// maxDelay bounds what is believed.
const maxDelay = 30 * 24 * time.Hour

// delay reads a google.protobuf.Duration; 0: it is none.
func delay(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0
	}
	return min(d, maxDelay)
}

var (
	tooLong  = regexp.MustCompile(`(?i)input token count.*exceeds|exceeds the maximum number of (?:input )?tokens|prompt is too long`)
	noModel  = regexp.MustCompile(`(?i)unexpected model name format|is not found for API version|model\S* .*(?:not found|does not exist)`)
	noKey    = regexp.MustCompile(`(?i)API key|unregistered callers|authentication credential`)
	noCredit = regexp.MustCompile(`(?i)credits? (?:are|is) depleted|prepay|enable billing`)
	tooLarge = regexp.MustCompile(`(?i)request payload size exceeds`)
	notHere  = regexp.MustCompile(`(?i)location is not supported`)
)

// own are reasons that speak of the gateway's own account, whatever the status.
var own = map[string]bool{
	"API_KEY_INVALID": true, "API_KEY_EXPIRED": true, "API_KEY_SERVICE_BLOCKED": true, "API_KEY_HTTP_REFERRER_BLOCKED": true, "API_KEY_IP_ADDRESS_BLOCKED": true,
	"SERVICE_DISABLED": true, "CONSUMER_INVALID": true, "CONSUMER_SUSPENDED": true, "ACCESS_TOKEN_EXPIRED": true, "CREDENTIALS_MISSING": true,
	"ACCESS_TOKEN_TYPE_UNSUPPORTED": true,
}

// refuse says what the client hears.
func (f failure) refuse(a *transport.Answer, status int) *chat.Error {
	status, code, param := f.judge(status)
	e := a.Refusal(status, transport.Report{Message: f.message, Code: code, Param: param, Known: true})
	if f.retry > 0 && (e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable) {
		e.RetryAfter = f.retry
	}
	if notHere.MatchString(f.message) {
		e.Fallback = true // the gateway stands in the wrong place, not the client
	}
	return e
}

// judge finds the status that other providers would give, and OpenAI's code and parameter.
func (f failure) judge(status int) (_ int, code, param string) {
	switch {
	case own[f.reason], status == http.StatusForbidden && noKey.MatchString(f.message):
		return http.StatusUnauthorized, "invalid_api_key", ""
	case noCredit.MatchString(f.message):
		return http.StatusTooManyRequests, "insufficient_quota", ""
	case status == http.StatusBadRequest && tooLong.MatchString(f.message):
		return status, "context_length_exceeded", "messages"
	case status == http.StatusBadRequest && tooLarge.MatchString(f.message):
		return http.StatusRequestEntityTooLarge, "request_too_large", ""
	case status == http.StatusNotFound, status == http.StatusBadRequest && noModel.MatchString(f.message):
		return http.StatusNotFound, "model_not_found", "model"
	case status == http.StatusBadRequest && notHere.MatchString(f.message):
		return http.StatusForbidden, "unsupported_country", ""
	case status == 499:
		return http.StatusBadGateway, "", "" // the provider cancelled it, not the client
	case status == http.StatusConflict:
		return http.StatusServiceUnavailable, "", "" // ABORTED: to be tried again
	}
	return status, "", ""
}

// bad is for an answer that is not of the protocol, or that was cut off.
func bad(a *transport.Answer, text []byte, err error) *chat.Error {
	var syntax *jsonscan.SyntaxError
	if errors.As(err, &syntax) && syntax.Offset >= len(text) {
		return transport.Incomplete(err)
	}
	return a.Bad(err)
}
