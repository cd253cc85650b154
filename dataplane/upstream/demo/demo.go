// Package demo is a model inside the gateway's own process: it answers in every shape that a client may ask for, so that a
// newcomer sees streams, tools, JSON and usage with nothing configured. It calls nobody and costs nothing.
package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// DefaultDelay is between two words.
const DefaultDelay = 20 * time.Millisecond

// bytesPerToken is how many bytes count as one token.
const bytesPerToken = 4

// Options are what New needs.
type Options struct {
	// Delay between two words of a stream; 0: DefaultDelay, negative: none.
	Delay time.Duration
	// Now is the clock for "created"; nil: time.Now.
	Now func() time.Time
}

// Upstream implements chat.Upstream.
type Upstream struct{ options Options }

var _ chat.Upstream = (*Upstream)(nil)

// New makes the demo model.
func New(o Options) *Upstream {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Delay == 0 {
		o.Delay = DefaultDelay
	}
	return &Upstream{options: o}
}

// Do answers the call. A unary answer comes at once.
func (u *Upstream) Do(ctx context.Context, c chat.Call) (*chat.Response, error) {
	in, err := u.read(c)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, cancelled(err)
	}
	a := answer{
		id: "chatcmpl-demo-" + c.Request.ID, model: c.Model, created: u.options.Now().Unix(), choices: max(1, c.Request.Choices),
		reply: in.reply(),
	}
	a.cut(c.Request.MaxOutputTokens)
	a.usage = pricing.Usage{Input: tokens(in.length()), Output: a.choices * tokens(a.length())}
	translate := u.Fit(c.Provider, c.Request.Protocol) == chat.Translates
	if c.Request.Stream {
		events := a.events
		if translate {
			events = a.pieces
		}
		return &chat.Response{Header: http.Header{}, Events: newStream(ctx, events(), u.options.Delay)}, nil
	}
	usage := a.usage
	out := &chat.Response{Header: http.Header{}, UpstreamID: a.id, Usage: &usage, OutputBytes: a.choices * int64(a.length())}
	if translate {
		out.Answer = a.translated()
	} else {
		out.Body = a.body()
	}
	return out, nil
}

// read reads the request in whichever protocol it came.
func (u *Upstream) read(c chat.Call) (request, error) {
	if u.Fit(c.Provider, c.Request.Protocol) == chat.Translates {
		p, err := c.Request.Translate()
		if err != nil {
			return request{}, err
		}
		return fromPrompt(p), nil
	}
	var in request
	if err := json.Unmarshal(c.Request.Body, &in); err != nil {
		return request{}, &chat.Error{
			Status: http.StatusBadRequest, Type: "invalid_request_error", Code: "invalid_type", Cause: err,
			Message: "The demo model does not understand the request: a field has another type than OpenAI's API gives it.",
		}
	}
	return in, nil
}

func cancelled(cause error) *chat.Error {
	return &chat.Error{Status: 499, Type: "api_error", Code: "request_cancelled", Message: "The request was cancelled.", Cause: cause}
}

// tokens estimates tokens by bytes, at least one for anything.
func tokens(length int) int64 { return int64((length + bytesPerToken - 1) / bytesPerToken) }

// reply is what the model says: a text, or a call of a tool.
type reply struct {
	text string
	tool string
	// arguments is JSON.
	arguments string
}

// answer is a reply with everything around it.
type answer struct {
	id, model string
	created   int64
	choices   int64
	reply
	truncated bool
	usage     pricing.Usage
}

func (a *answer) length() int { return len(a.text) + len(a.tool) + len(a.arguments) }

// cut keeps to the client's limit. A tool call is not cut: half of one is none.
func (a *answer) cut(limit int64) {
	if limit <= 0 || a.tool != "" || tokens(len(a.text)) <= limit {
		return
	}
	// Not in the middle of a character.
	a.text, a.truncated = strings.ToValidUTF8(a.text[:limit*bytesPerToken], ""), true
}

func (a *answer) finish() string {
	switch {
	case a.truncated:
		return "length"
	case a.tool != "":
		return "tool_calls"
	}
	return "stop"
}

func (a *answer) callID(choice int64) string { return fmt.Sprintf("call_%s_%d", a.id, choice) }
