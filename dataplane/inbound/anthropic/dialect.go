// Package anthropic is Anthropic's Messages protocol as clients speak it to the gateway: requests in, translated where the
// upstream speaks another protocol; messages, streams, errors and model lists out.
package anthropic

import (
	"net/http"

	"github.com/layers-dev/layers/dataplane/chat"
)

// Messages is POST /v1/messages.
type Messages struct{}

// CountTokens is POST /v1/messages/count_tokens: what a prompt is worth. Its bodies are those of Messages, but for
// max_tokens, which is not needed; its answers pass through, or are CountAnswer.
type CountTokens struct{ Messages }

// Protocol is chat.Messages.
func (Messages) Protocol() chat.Protocol { return chat.Messages }

// Protocol is chat.CountTokens.
func (CountTokens) Protocol() chat.Protocol { return chat.CountTokens }

// Parse judges a body; see chat.Dialect. The headers anthropic-version and anthropic-beta are passed on, the latter without
// the betas that change a price.
func (Messages) Parse(id string, h http.Header, body []byte) (*chat.Request, *chat.Error) {
	return parse(id, chat.Messages, h, body)
}

// Parse judges a body; see Messages.Parse.
func (CountTokens) Parse(id string, h http.Header, body []byte) (*chat.Request, *chat.Error) {
	return parse(id, chat.CountTokens, h, body)
}

// Error answers {"type":"error","error":{...},"request_id"}; see chat.Dialect.
func (Messages) Error(w http.ResponseWriter, e *chat.Error) { writeError(w, e) }

// ErrorEvent is the error as an event of the name error, which ends the stream.
func (Messages) ErrorEvent(e *chat.Error) []byte { return errorEvent(e) }

// WithCost puts the cost into the usage of a message or of a message_delta; see chat.Dialect.
func (Messages) WithCost(data []byte, costUSD string) (out []byte, ok bool) {
	return withCost(data, costUSD)
}

var _, _ chat.Dialect = Messages{}, CountTokens{}
