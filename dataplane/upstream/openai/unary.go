package openai

import (
	"bytes"
	"errors"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// reading says how an answer of chat completions is read.
type reading struct {
	// translate gives an answer in no protocol's words; otherwise the bytes pass.
	translate bool
	// searches says that the model searches the web for every answer, which its usage does not tell: OpenAI's
	// *-search-preview, billed by the call.
	searches bool
}

// unary reads an answer whole.
func (r reading) unary(a *transport.Answer) (*chat.Response, error) {
	body, err := a.Whole()
	if err != nil {
		return nil, err
	}
	fields, err := jsonscan.Scan(body)
	if err != nil {
		return nil, a.Bad(err)
	}
	if raw := fields.Value(body, "error"); !jsonscan.IsNull(raw) {
		return nil, a.InBody(report(body, fields))
	}
	choices := fields.Value(body, "choices")
	if len(choices) == 0 || choices[0] != '[' {
		return nil, a.Bad(errors.New("no choices"))
	}
	out := &chat.Response{Body: body, Usage: usage(fields.Value(body, "usage"))}
	out.UpstreamID, _ = jsonscan.String(fields.Value(body, "id"))
	for choice := range jsonscan.Elements(choices) {
		message := jsonscan.Field(choice, "message")
		out.OutputBytes += contentBytes(message)
		searched(out.Usage, billableSearches(message))
	}
	if r.searches {
		searched(out.Usage, 1)
	}
	if r.translate {
		out.Body, out.Answer = nil, answerOf(bytes.TrimSpace(body)) // some put white space before it while they wait
	}
	return out, nil
}
