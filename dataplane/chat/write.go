package chat

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// WriteError answers with an error's body, its status, and when to come back: Retry-After in seconds and Retry-After-Ms, which
// OpenAI's SDKs prefer. Headers set before stay.
func WriteError(w http.ResponseWriter, e *Error, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(ceil(e.RetryAfter, time.Second), 10))
		h.Set("Retry-After-Ms", strconv.FormatInt(ceil(e.RetryAfter, time.Millisecond), 10))
	}
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

// Encode writes JSON without HTML escapes and without a line end: clients compare texts byte by byte.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// WithCost returns data with "cost" in the usage object of the object that the path of members leads to: costUSD is a JSON
// number in USD. An upstream's own cost is replaced; every other byte stays. ok is false, and data returned as it is, where
// there is no usage object or data is no JSON object.
func WithCost(data []byte, costUSD string, path ...string) (out []byte, ok bool) {
	start, end := 0, len(data)
	for _, name := range append(path, "usage") {
		fields, err := jsonscan.Scan(data[start:end])
		if err != nil {
			return data, false
		}
		m, found := fields.Get(name)
		if !found || data[start+m.ValueStart] != '{' {
			return data, false
		}
		start, end = start+m.ValueStart, start+m.ValueEnd
	}
	usage, err := jsonscan.Scan(data[start:end])
	if err != nil {
		return data, false
	}
	edit := jsonscan.Edit{Start: end - start - 1, End: end - start - 1, Text: []byte(`"cost":` + costUSD)}
	if n := len(usage); n > 0 {
		// Right behind the last value, before any white space.
		edit = jsonscan.Edit{Start: usage[n-1].ValueEnd, End: usage[n-1].ValueEnd, Text: []byte(`,"cost":` + costUSD)}
	}
	if cost, found := usage.Get("cost"); found {
		edit = cost.Replace([]byte(costUSD))
	}
	edit.Start += start
	edit.End += start
	return jsonscan.Splice(data, edit), true
}
