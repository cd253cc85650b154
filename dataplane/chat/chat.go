// Package chat is what every client protocol and every provider protocol is translated through: a request, an answer or
// a stream of events, usage, errors. inbound/* and upstream/* import this package and never each other.
package chat

import (
	"context"
	"net/http"
	"time"

	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Request is what the gateway knows of a request, whatever protocol it came in.
type Request struct {
	// ID is the request's id (X-Request-Id).
	ID string
	// Protocol is the client's.
	Protocol Protocol
	// Header holds the client's headers that an upstream of the same protocol shall have (anthropic-beta, ...); may be nil.
	Header http.Header
	// Created is when the request came, in Unix seconds: translated answers whose provider does not say tell it as theirs.
	// The server sets it.
	Created int64
	// Model is the name that the client sent.
	Model string
	// Stream says that the client wants server-sent events; IncludeUsage that it asked for the usage chunk.
	Stream, IncludeUsage bool
	// MaxOutputTokens is what the client asked for, for each choice; 0: nothing.
	MaxOutputTokens int64
	// ExtraOutputTokens are output tokens that the body may cause beside MaxOutputTokens, for each choice: reasoning that has
	// a budget of its own, a prediction that does not come true.
	ExtraOutputTokens int64
	// Choices is OpenAI's n, at least 1.
	Choices int64
	// Needs are the capabilities (api/v1alpha1.Capability) that the body asks for, each once.
	Needs []string
	// InputBytes bounds the input tokens: a byte-level tokenizer never makes more tokens than bytes. Opaque says that the
	// body has parts whose tokens its bytes do not bound (image URLs, files, audio): then only the model's context does.
	InputBytes int64
	Opaque     bool
	// Attachments are the parts that make it opaque and tell their size, AttachedBytes what the body has of them. Unsized says that
	// something else makes it opaque, too.
	Attachments   []Attachment
	AttachedBytes int64
	Unsized       bool
	// Searches bounds how often the provider's web search may be used, at its price; 0: it is not.
	Searches int64
	// LongCache says that cache writes of an hour are asked for, which have a price of their own.
	LongCache bool
	// Body is what the client sent; Fields are its top-level members, for rewriting it in place.
	Body   []byte
	Fields jsonscan.Object
	// Dropped names what Parse has taken out of Body and Header that an upstream of the same protocol shall not have. The
	// client is told where the body passes.
	Dropped []string
	// Translate reads Body for an upstream of another protocol, once, and is safe for concurrent use (sync.OnceValues). nil: the
	// protocol cannot be translated. The Prompt is shared: nobody changes it. An error is a *Error with status 400.
	Translate func() (*Prompt, error)
}

// Call is one attempt at one backend.
type Call struct {
	Request  *Request
	Provider *snapshot.Provider
	// Model is the upstream's id of the model.
	Model    string
	Timeouts snapshot.Timeout
	// MaxOutputTokens is the most that the model writes, for protocols in which a request must say it.
	MaxOutputTokens int64
	// Strict refuses what the upstream has no parameter for (Error with code unsupported_parameter), instead of dropping it.
	Strict bool
}

// Upstream speaks one provider protocol. Implementations are safe for concurrent use.
type Upstream interface {
	// Fit says how the provider serves a protocol.
	Fit(p *snapshot.Provider, protocol Protocol) Fit
	// Do sends the call. It returns when a unary answer is read whole, or when a stream's status is known to be good. Any
	// failure is an *Error. The stream's life is bounded by ctx and by the call's timeouts.
	Do(ctx context.Context, c Call) (*Response, error)
}

// Response is a provider's good answer.
type Response struct {
	// Header holds the provider's headers that a client may see (never credentials, cookies or organization ids).
	Header http.Header
	// UpstreamID is the provider's own id of the answer; may be empty.
	UpstreamID string

	// Dropped are the parameters, by the client's names, that the upstream has nothing for.
	Dropped []string

	// Body is a unary answer in the client's protocol; nil for a stream and for a translated answer.
	Body []byte
	// Answer is a translated unary answer; nil: Body has it.
	Answer *Answer
	// Usage is what was reported; nil: absent. (An explicit zero is reported.) Unary only.
	Usage *pricing.Usage
	// OutputBytes counts text, reasoning and tool arguments, for an estimate where usage is absent; 0: an empty answer. Unary only.
	OutputBytes int64

	// Events is a stream; nil for a unary answer.
	Events Stream
}

// Stream yields the events of one answer.
type Stream interface {
	// Next returns the next event. After the last it returns io.EOF; a failure is an *Error. An Event's slices are valid
	// until the next call.
	Next() (Event, error)
	// Close ends the upstream call; it may be called at any time, from another goroutine too.
	Close() error
}

// Event is one event of a stream: in the client's protocol, or translated.
type Event struct {
	// Pieces are what a translated event says; Raw and Data are then empty. Each belongs to this event alone.
	Pieces []Piece
	// Raw is the whole event as the client shall get it, its closing blank line included.
	Raw []byte
	// Data is the payload inside Raw (joined data lines); empty for comments and keep-alives.
	Data []byte
	// Content says that it carries text, reasoning, a tool call or a refusal. A role chunk is none.
	Content bool
	// OutputBytes counts the text, reasoning and tool arguments in it.
	OutputBytes int64
	// Usage is what it reports; nil: nothing. UsageOnly says that it carries nothing else, so that a client that did not
	// ask for usage never sees it.
	Usage     *pricing.Usage
	UsageOnly bool
	// UpstreamID is the provider's id of the answer, if the event tells it.
	UpstreamID string
	// Done marks the end marker ("[DONE]").
	Done bool
	// Err is set for an error event: the stream has failed.
	Err *Error
}

// Error is a failure as the client shall hear it. Inbound protocols write it in their own shape.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Type, Code and Param are OpenAI's error fields; Code and Param may be empty (null on the wire).
	Type, Code, Param string
	// Message is for the client: no key, no secret, no address of the inside.
	Message string
	// Details are further members of the error object for the client (amounts, limits); values are JSON-encodable.
	Details map[string]any
	// RetryAfter is when to come back; 0: not said.
	RetryAfter time.Duration
	// Fallback says that another backend may succeed where this one failed.
	Fallback bool
	// Cause is for the log only.
	Cause error
}

// Error is the message and the cause, for logs.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }
