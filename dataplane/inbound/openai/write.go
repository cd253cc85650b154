package openai

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/sse"
)

// Error answers with the error in OpenAI's shape. Headers set before stay.
func Error(w http.ResponseWriter, e *chat.Error) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if e.RetryAfter > 0 {
		ms := ceil(e.RetryAfter, time.Millisecond)
		h.Set("Retry-After", strconv.FormatInt(ceil(e.RetryAfter, time.Second), 10))
		h.Set("Retry-After-Ms", strconv.FormatInt(ms, 10))
	}
	body := ErrorBody(e)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(e.Status)
	// A client that is gone cannot be told.
	_, _ = w.Write(body)
}

// ceil is d in units, rounded up.
func ceil(d, unit time.Duration) int64 {
	n := int64(d / unit)
	if d%unit > 0 && n < math.MaxInt64 {
		n++
	}
	return n
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

// encode writes JSON without HTML escapes and without a line end.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// WithCost returns the body of an answer, or the data of a chunk, with "cost" in its usage object: costUSD is a JSON number
// in USD. An upstream's own cost is replaced; every other byte stays. ok is false, and data returned as it is, where there
// is no usage object or data is no JSON object.
func WithCost(data []byte, costUSD string) (out []byte, ok bool) {
	fields, err := jsonscan.Scan(data)
	if err != nil {
		return data, false
	}
	m, found := fields.Get("usage")
	if !found || data[m.ValueStart] != '{' {
		return data, false
	}
	inner, err := jsonscan.Scan(data[m.ValueStart:m.ValueEnd])
	if err != nil {
		return data, false
	}
	edit := jsonscan.Edit{Start: m.ValueEnd - 1, End: m.ValueEnd - 1, Text: []byte(`,"cost":` + costUSD)}
	if len(inner) == 0 {
		edit.Text = edit.Text[1:]
	} else {
		// Right behind the last value, before any white space.
		edit.Start = m.ValueStart + inner[len(inner)-1].ValueEnd
		edit.End = edit.Start
	}
	if cost, found := inner.Get("cost"); found {
		edit = cost.Replace([]byte(costUSD))
		edit.Start += m.ValueStart
		edit.End += m.ValueStart
	}
	return jsonscan.Splice(data, edit), true
}
