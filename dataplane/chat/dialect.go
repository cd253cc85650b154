package chat

import (
	"net/http"

	"github.com/layers-dev/layers/dataplane/pricing"
)

// Protocol is a wire protocol of requests and answers, as a client or an upstream speaks it.
type Protocol string

// Protocols.
const (
	// Completions is OpenAI's POST /v1/chat/completions.
	Completions Protocol = "chat.completions"
	// Messages is Anthropic's POST /v1/messages.
	Messages Protocol = "messages"
	// Responses is OpenAI's POST /v1/responses.
	Responses Protocol = "responses"
	// Embeddings is OpenAI's POST /v1/embeddings. Only upstreams that speak it serve it.
	Embeddings Protocol = "embeddings"
	// CountTokens is Anthropic's POST /v1/messages/count_tokens: what a prompt is worth; it costs nothing.
	CountTokens Protocol = "count_tokens"
)

// Fit says how well an upstream serves a protocol.
type Fit int

// Fits.
const (
	// Unfit: it cannot.
	Unfit Fit = iota
	// Translates: through Prompt, and Answer or Pieces.
	Translates
	// Passes: the bytes go through.
	Passes
)

// Dialect is one protocol that clients speak. Implementations have no state and are safe for concurrent use.
type Dialect interface {
	Protocol() Protocol
	// Parse judges a body, which is kept in the request and not copied. An error has status 400 and names the field in Param.
	// The headers are the client's; Parse puts those that an upstream of the protocol shall have into Request.Header.
	Parse(id string, h http.Header, body []byte) (*Request, *Error)
	// Error answers with the error in the protocol's shape. Headers set before stay.
	Error(w http.ResponseWriter, e *Error)
	// ErrorEvent is the error as the last event of a stream.
	ErrorEvent(e *Error) []byte
	// WithCost returns the body of an answer, or the data of an event, that passes through, with "cost" in its usage object:
	// a JSON number in USD. ok is false, and data returned as it is, where there is no usage.
	WithCost(data []byte, costUSD string) (out []byte, ok bool)
	// Clamp is the request with at most so many output tokens for each choice, whatever the client asked for; see Request.Clamp.
	Clamp(r *Request, most int64) *Request
	// Follow begins to follow a stream that passes through, so that it can be ended before its time.
	Follow(r *Request) Follower
	// Answer writes a translated unary answer.
	Answer(r *Request, a *Answer, t Total) ([]byte, error)
	// Stream begins to write a translated stream.
	Stream(r *Request) StreamWriter
}

// UsageTeller is a Dialect whose answers may pass through without usage, because their provider tells none. The client reads
// what the gateway took them for.
type UsageTeller interface {
	// WithUsage is WithCost of a body without a usage object, which it adds; every other byte stays. ok is false, and body
	// returned as it is, where there is one, or body is no JSON object.
	WithUsage(body []byte, t Total) (out []byte, ok bool)
	// UsageEvent is the event that tells the usage of a stream, of the same answer as an event with the data like.
	UsageEvent(like []byte, t Total) []byte
}

// Total is what an answer came to: the client reads it in its usage.
type Total struct {
	Usage pricing.Usage
	// CostUSD is a JSON number; empty: nothing is charged here, and no cost is told.
	CostUSD string
}

// StreamWriter writes one translated stream. Its methods append whole events to dst and return it.
type StreamWriter interface {
	// Write takes the next piece. Some say nothing until End.
	Write(dst []byte, p *Piece) []byte
	// End is called once after the last piece: what is open is closed, usage is told, the end marker follows.
	End(dst []byte, t Total) []byte
}

// Follower knows what a client that reads a stream which passes through still waits for.
type Follower interface {
	// Event sees the data of the next event.
	Event(data []byte)
	// Stop appends what ends the answer as one that reached its limit of tokens: what is open is closed, the reason and the
	// usage are told, the end marker follows.
	Stop(dst []byte, t Total) []byte
}
