package anthropic

import (
	"net/http"
	"strconv"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/sse"
)

// Headers of an error: the id that the server has set, and the name by which Anthropic's SDKs look for it.
const (
	headerOurID = "X-Request-Id"
	headerID    = "Request-Id"
)

// statusOverloaded is Anthropic's own status of an overloaded API; its clients look for it.
const statusOverloaded = 529

// Anthropic's words for kinds of errors (ErrorType of its SDKs).
const (
	kindRequest    = "invalid_request_error"
	kindOverloaded = "overloaded_error"
	kindAPI        = "api_error"
)

// kinds are the words by status; other 4xx are invalid_request_error, other 5xx api_error.
var kinds = map[int]string{
	http.StatusUnauthorized:          "authentication_error",
	http.StatusPaymentRequired:       "billing_error",
	http.StatusForbidden:             "permission_error",
	http.StatusNotFound:              "not_found_error",
	http.StatusRequestEntityTooLarge: "request_too_large",
	http.StatusTooManyRequests:       "rate_limit_error",
	http.StatusServiceUnavailable:    kindOverloaded,
	http.StatusGatewayTimeout:        "timeout_error",
	statusOverloaded:                 kindOverloaded,
}

func kind(e *chat.Error) string {
	if k, ok := kinds[e.Status]; ok {
		return k
	}
	if e.Status >= 400 && e.Status < 500 {
		return kindRequest
	}
	if e.Type == kindOverloaded {
		return kindOverloaded
	}
	return kindAPI
}

// writeError answers with the error in Anthropic's shape. Headers set before stay; the request's id among them is repeated
// under Anthropic's name and in the body.
func writeError(w http.ResponseWriter, e *chat.Error) {
	id := w.Header().Get(headerOurID)
	if id != "" {
		w.Header().Set(headerID, id)
	}
	told := *e
	if told.Status == http.StatusServiceUnavailable && told.Type == kindOverloaded {
		told.Status = statusOverloaded
	}
	chat.WriteError(w, &told, errorBody(e, id))
}

// errorBody is {"type":"error","error":{"type","message","details",...},"request_id"}. Anthropic's details.error_code has
// our code, details.param the field at fault; both are left out where they are empty, and so is an empty id.
func errorBody(e *chat.Error, id string) []byte {
	inner := make(map[string]any, len(e.Details)+3)
	if d := details(e); len(d) > 0 {
		inner["details"] = d
	}
	for name, value := range e.Details {
		inner[name] = value
	}
	inner["type"], inner["message"] = kind(e), e.Message
	outer := map[string]any{"type": "error", "error": inner}
	if id != "" {
		outer["request_id"] = id
	}
	body, err := encode(outer)
	if err != nil {
		// A detail cannot be encoded: the error itself matters more.
		plain := *e
		plain.Details = nil
		return errorBody(&plain, id)
	}
	return body
}

func details(e *chat.Error) map[string]string {
	d := map[string]string{}
	if e.Code != "" {
		d["error_code"] = e.Code
	}
	if e.Param != "" {
		d["param"] = e.Param
	}
	return d
}

// errorEvent is the error as the last event of a stream; no message_stop follows it.
func errorEvent(e *chat.Error) []byte { return sse.Append(nil, "error", errorBody(e, "")) }

// encode is chat.Encode.
func encode(v any) ([]byte, error) { return chat.Encode(v) }

// withCost puts "cost" into the usage object of a message or of a message_delta. An upstream's own cost is replaced; every
// other byte stays. The usage inside message_start is no bill yet and stays as it is.
func withCost(data []byte, costUSD string) (out []byte, ok bool) { return chat.WithCost(data, costUSD) }

// CountAnswer is the body of an answer of count_tokens: n input tokens.
func CountAnswer(n int64) []byte {
	return append(strconv.AppendInt([]byte(`{"input_tokens":`), n, 10), '}')
}
