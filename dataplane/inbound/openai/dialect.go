package openai

import (
	"net/http"

	"github.com/layers-dev/layers/dataplane/chat"
)

// Completions is the chat completions protocol as a chat.Dialect.
type Completions struct{}

var _ chat.Dialect = Completions{}

// Protocol is chat.Completions.
func (Completions) Protocol() chat.Protocol { return chat.Completions }

// Parse is the function Parse. No header of a client's goes to an upstream: everything is in the body.
func (Completions) Parse(id string, _ http.Header, body []byte) (*chat.Request, *chat.Error) {
	return Parse(id, body)
}

// Error is the function Error.
func (Completions) Error(w http.ResponseWriter, e *chat.Error) { Error(w, e) }

// ErrorEvent is the function ErrorEvent.
func (Completions) ErrorEvent(e *chat.Error) []byte { return ErrorEvent(e) }

// WithCost is the function WithCost.
func (Completions) WithCost(data []byte, costUSD string) (out []byte, ok bool) {
	return WithCost(data, costUSD)
}

// Answer writes a chat.completion object.
func (Completions) Answer(r *chat.Request, a *chat.Answer, t chat.Total) ([]byte, error) {
	return answer(r, a, t)
}

// Stream writes chat.completion.chunk objects and [DONE].
func (Completions) Stream(r *chat.Request) chat.StreamWriter { return newStream(r) }
