// Package client speaks the protocols of the gateway's clients as strictly as the strictest of their libraries: it builds a
// request out of an Ask, and it finds fault with an answer wherever a library would. Standard library and sse only.
package client

import (
	"encoding/json"
	"fmt"
)

// Mismatch is an answer that is not what it should be.
type Mismatch struct {
	// Want and Got are for people; neither has a key in it.
	Want, Got string
}

// Error says both.
func (m *Mismatch) Error() string { return "expected " + m.Want + ", got " + m.Got }

// mismatch makes one; got is cut where it is long.
func mismatch(want, got string, args ...any) *Mismatch {
	return &Mismatch{Want: want, Got: Clip(fmt.Sprintf(got, args...))}
}

// maxQuote bounds what is told of an answer, in bytes.
const maxQuote = 300

// Clip cuts a text that is too long to be told.
func Clip(text string) string {
	if len(text) <= maxQuote {
		return text
	}
	return text[:maxQuote] + "..."
}

// Ask is a request in no protocol's words.
type Ask struct {
	Model, System string
	Turns         []Turn
	Tools         []Tool
	// Choice is empty (the model decides), Required, or the name of the one tool to call.
	Choice string
	// JSON asks for a JSON object, Schema for one that follows it.
	JSON   bool
	Schema json.RawMessage
	// Think asks for reasoning, Search for a web search, Cache for a prompt cache behind the system message.
	Think, Search, Cache bool
	// Adaptive asks for the kind of thinking whose depth the model decides, where the protocol tells the two apart.
	Adaptive bool
	// Stream asks for events, Usage for what they used (where the protocol asks).
	Stream, Usage bool
	// Limit bounds the answer, in tokens.
	Limit int64
}

// Required is the Choice of any tool.
const Required = "*"

// Turn is a user's message, or an answer of before with the results of its calls.
type Turn struct {
	Text string
	// Image is a PNG beside the text; nil: none.
	Image []byte
	// Reply is what the model answered earlier; then Text is empty and Results has a result for each of its calls.
	Reply   *Answer
	Results []string
}

// Tool is one that the client runs. A nil Schema: it takes no argument.
type Tool struct {
	Name, Description string
	Schema            json.RawMessage
}

// Answer is what the model said, unary or streamed.
type Answer struct {
	ID, Model       string
	Text, Reasoning string
	Calls           []Call
	// Citations are the URLs that the text cites.
	Citations []string
	Finish    Finish
	// Usage is nil where nothing was reported.
	Usage *Usage
	// Raw is what the protocol sends back as the model's turn; nil for a stream.
	Raw json.RawMessage
	// Signed says that there is reasoning that only its maker can read or check.
	Signed bool
}

// Call is a call of a tool. Arguments is the text of a JSON object.
type Call struct{ ID, Name, Arguments string }

// Finish is why an answer ended.
type Finish string

// Reasons. Any other word is the protocol's own.
const (
	Stop   Finish = "stop"
	Length Finish = "length"
	Tools  Finish = "tools"
	Filter Finish = "filter"
	Pause  Finish = "pause"
)

// Usage is in tokens; Input includes what was read from a cache or written to it, Reasoning is a part of Output.
type Usage struct {
	Input, CacheRead, CacheWrite, Output, Reasoning int64
	// Cost is in US dollars; empty: not told.
	Cost json.Number
}

// Failure is an error as its protocol tells it.
type Failure struct {
	Type, Code, Param, Message string
}

// String is for people.
func (f Failure) String() string {
	return Clip(fmt.Sprintf("type %q, code %q, param %q: %s", f.Type, f.Code, f.Param, f.Message))
}

// Event is one event of a stream.
type Event struct {
	Name string
	Data []byte
}

// Protocol is one way to ask. Errors of its readers are *Mismatch.
type Protocol interface {
	// Name is as in chat.Protocol, Path of the endpoint.
	Name() string
	Path() string
	// Body is the request.
	Body(a Ask) []byte
	// Answer reads a unary answer, Stream one of events, whole.
	Answer(body []byte) (*Answer, error)
	Stream(events []Event, usage bool) (*Answer, error)
	// Failure reads an error body.
	Failure(body []byte) (Failure, error)
}

// All are the protocols of chats.
func All() []Protocol { return []Protocol{Completions{}, Messages{}, Responses{}} }

// object is a JSON object that is being built.
type object map[string]any

// marshal encodes what always encodes: strings, numbers and JSON that was made here.
func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return b
}

// decode reads JSON into v.
func decode(data []byte, v any, what string) error {
	if err := json.Unmarshal(data, v); err != nil {
		return mismatch(what, "%s (%v)", data, err)
	}
	return nil
}

// arguments holds a call to being one that a client can run.
func (c Call) check() error {
	var args map[string]json.RawMessage
	switch {
	case c.ID == "":
		return mismatch("a tool call with an id", "none, for the tool %q", c.Name)
	case c.Name == "":
		return mismatch("a tool call with the tool's name", "none, for the id %q", c.ID)
	case json.Unmarshal([]byte(c.Arguments), &args) != nil || args == nil:
		return mismatch("arguments that are a JSON object", "%q", c.Arguments)
	}
	return nil
}

// calls checks each and that no id comes twice.
func (a *Answer) checkCalls() error {
	seen := map[string]bool{}
	for _, c := range a.Calls {
		if err := c.check(); err != nil {
			return err
		}
		if seen[c.ID] {
			return mismatch("tool calls with ids of their own", "%q twice", c.ID)
		}
		seen[c.ID] = true
	}
	if len(a.Calls) > 0 && a.Finish != Tools && a.Finish != Length {
		return mismatch("a finish reason that says that tools are to be run", "%q", a.Finish)
	}
	return nil
}
