package openai

import (
	"net/http"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/sse"
)

// Error answers with the error in OpenAI's shape. Headers set before stay.
func Error(w http.ResponseWriter, e *chat.Error) {
	chat.WriteError(w, e, ErrorBody(e))
}

// ErrorBody is {"error":{"message","type","param","code",...details}}; param and code are null where they are empty.
func ErrorBody(e *chat.Error) []byte {
	inner := make(map[string]any, len(e.Details)+4)
	for name, value := range e.Details {
		inner[name] = value
	}
	inner["message"], inner["type"] = e.Message, e.Type
	inner["param"], inner["code"] = orNull(e.Param), orNull(e.Code)
	body, err := encode(map[string]any{"error": inner})
	if err != nil {
		// A detail cannot be encoded: the error itself matters more.
		plain := *e
		plain.Details = nil
		return ErrorBody(&plain)
	}
	return body
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// ErrorEvent is the error as the last event of a stream; no [DONE] follows it.
func ErrorEvent(e *chat.Error) []byte { return sse.Append(nil, "", ErrorBody(e)) }

// encode is chat.Encode.
func encode(v any) ([]byte, error) { return chat.Encode(v) }

// WithCost returns the body of an answer, or the data of a chunk, with "cost" in its usage object: costUSD is a JSON number
// in USD. An upstream's own cost is replaced; every other byte stays. ok is false, and data returned as it is, where there
// is no usage object or data is no JSON object.
func WithCost(data []byte, costUSD string) (out []byte, ok bool) { return chat.WithCost(data, costUSD) }
