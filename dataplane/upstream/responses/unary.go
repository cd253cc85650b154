package responses

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// Unary reads an answer whole. pass says that the client speaks the protocol, too, and gets the body as it is. An error is a
// *chat.Error.
func (d Dialect) Unary(a *transport.Answer, pass bool) (*chat.Response, error) {
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
	if raw := fields.Value(body, "output"); len(raw) == 0 || raw[0] != '[' {
		return nil, a.Bad(errors.New("no output"))
	}
	switch status, _ := jsonscan.String(fields.Value(body, "status")); status {
	case "failed", "cancelled":
		return nil, a.InBody(transport.Report{Known: true, Message: "The upstream provider failed to answer."})
	case "queued", "in_progress":
		return nil, a.Bad(fmt.Errorf("a response that is %s", status))
	}
	object := bytes.TrimSpace(body) // some put white space before it while they wait
	answer := d.Answer(object)
	out := &chat.Response{UpstreamID: answer.ID, Usage: Usage(object), OutputBytes: outputBytes(answer)}
	if pass {
		out.Body = body
	} else {
		out.Answer = answer
	}
	return out, nil
}

// outputBytes counts text, reasoning, refusals and calls. Something encrypted is no text, and yet an answer.
func outputBytes(a *chat.Answer) int64 {
	n := 0
	for _, c := range a.Choices {
		for _, p := range c.Parts {
			n += len(p.Text)
			if p.Thought != nil {
				n += max(len(p.Thought.Text), 1)
			}
			if p.Call != nil {
				n += len(p.Call.Name) + len(p.Call.Arguments)
			}
		}
	}
	return int64(n)
}
