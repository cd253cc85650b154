package openai

import (
	"bytes"
	"errors"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// unary reads an answer of chat completions whole, as it is.
func unary(a *transport.Answer) (*chat.Response, error) { return whole(a, false) }

// translated reads an answer of chat completions whole, as an answer in no protocol's words.
func translated(a *transport.Answer) (*chat.Response, error) { return whole(a, true) }

func whole(a *transport.Answer, translate bool) (*chat.Response, error) {
	body, err := a.Whole()
	if err != nil {
		return nil, err
	}
	fields, err := jsonscan.Scan(body)
	if err != nil {
		return nil, a.Bad(err)
	}
	if raw := fields.Value(body, "error"); !jsonscan.IsNull(raw) {
		return nil, a.InBody(transport.ReadReport(body, fields))
	}
	choices := fields.Value(body, "choices")
	if len(choices) == 0 || choices[0] != '[' {
		return nil, a.Bad(errors.New("no choices"))
	}
	out := &chat.Response{Body: body, Usage: usage(fields.Value(body, "usage"))}
	out.UpstreamID, _ = jsonscan.String(fields.Value(body, "id"))
	for choice := range jsonscan.Elements(choices) {
		out.OutputBytes += contentBytes(jsonscan.Field(choice, "message"))
	}
	if translate {
		out.Body, out.Answer = nil, answerOf(bytes.TrimSpace(body)) // some put white space before it while they wait
	}
	return out, nil
}

// refusal reads an answer that is not 200.
func refusal(a *transport.Answer) *chat.Error {
	var r transport.Report
	body := a.Refused()
	if fields, err := jsonscan.Scan(body); err == nil {
		r = transport.ReadReport(body, fields)
	}
	return a.Refusal(a.Status, r)
}
