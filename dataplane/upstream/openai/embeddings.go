package openai

import (
	"errors"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// embeddings reads an answer with vectors. They are passed as they are, numbers or base64, and are no output tokens: one
// byte stands for them all, so that the answer is not taken for empty.
func embeddings(a *transport.Answer) (*chat.Response, error) {
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
	data := fields.Value(body, "data")
	if len(data) == 0 || data[0] != '[' {
		return nil, a.Bad(errors.New("no data"))
	}
	out := &chat.Response{Body: body, Usage: embeddingUsage(fields.Value(body, "usage"))}
	out.UpstreamID, _ = jsonscan.String(fields.Value(body, "id"))
	if present(data) {
		out.OutputBytes = 1
	}
	return out, nil
}

// embeddingUsage reads {prompt_tokens, total_tokens}; nil: there is none. Some leave one of the two out.
func embeddingUsage(raw []byte) *pricing.Usage {
	n, ok := count(raw, "prompt_tokens")
	if !ok {
		n, ok = count(raw, "total_tokens")
	}
	if !ok {
		return nil
	}
	return &pricing.Usage{Input: n}
}
