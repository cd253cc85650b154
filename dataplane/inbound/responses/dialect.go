// Package responses is OpenAI's Responses protocol as clients speak it to the gateway, without state: every request brings
// its whole conversation, and what refers to something kept elsewhere is refused by name.
package responses

import (
	"net/http"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/sse"
)

// ErrorWriter writes errors in OpenAI's shape, which all its protocols share.
type ErrorWriter interface {
	Error(w http.ResponseWriter, e *chat.Error)
}

// Responses is POST /v1/responses.
type Responses struct{ errors ErrorWriter }

var _ chat.Dialect = Responses{}

// New makes the dialect.
func New(errors ErrorWriter) Responses { return Responses{errors: errors} }

// Protocol is chat.Responses.
func (Responses) Protocol() chat.Protocol { return chat.Responses }

// Parse judges a body; see chat.Dialect.
func (Responses) Parse(id string, _ http.Header, body []byte) (*chat.Request, *chat.Error) {
	return parse(id, body)
}

// Error answers with the error; see chat.Dialect.
func (d Responses) Error(w http.ResponseWriter, e *chat.Error) { d.errors.Error(w, e) }

// errorEvent is OpenAI's event of the name error.
type errorEvent struct {
	Type    string  `json:"type"`
	Code    *string `json:"code"`
	Message string  `json:"message"`
	Param   *string `json:"param"`
}

// ErrorEvent is the error as the last event of a stream. It has no sequence_number: what the stream's last one was is not
// known where it broke off.
func (Responses) ErrorEvent(e *chat.Error) []byte {
	return event(nil, "error", errorEvent{Type: "error", Code: optional(e.Code), Message: e.Message, Param: optional(e.Param)})
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// WithCost puts the cost into the usage of a response, or of the response in an event; see chat.Dialect.
func (Responses) WithCost(data []byte, costUSD string) (out []byte, ok bool) {
	if out, ok = chat.WithCost(data, costUSD, "response"); ok {
		return out, true
	}
	return chat.WithCost(data, costUSD)
}

// Answer writes a response object.
func (Responses) Answer(r *chat.Request, a *chat.Answer, t chat.Total) ([]byte, error) {
	return encode(answer(r, a, t))
}

// Stream writes the typed events of a response.
func (Responses) Stream(r *chat.Request) chat.StreamWriter { return newStream(r) }

// event appends one event with its name.
func event(dst []byte, name string, v any) []byte {
	data, err := encode(v)
	if err != nil {
		return dst // what the package writes always encodes
	}
	return sse.Append(dst, name, data)
}
