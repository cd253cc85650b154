package anthropic

import (
	"context"
	"errors"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// pass serves a client that speaks Messages itself.
func (u *Upstream) pass(ctx context.Context, c chat.Call) (*chat.Response, error) {
	a, err := u.open(ctx, c, messagesPath, rewrite(c))
	if err != nil {
		return nil, err
	}
	if c.Request.Stream {
		return &chat.Response{Header: safeHeader(a.Header), Events: &stream{answer: a}}, nil
	}
	defer func() { _ = a.Close() }() // it is read whole
	body, fields, err := message(a)
	if err != nil {
		return nil, err
	}
	out := &chat.Response{Header: safeHeader(a.Header), Body: body, Usage: usageOf(fields.Value(body, "usage"))}
	out.UpstreamID, _ = jsonscan.String(fields.Value(body, "id"))
	for block := range jsonscan.Elements(fields.Value(body, "content")) {
		n, _ := blockBytes(block)
		out.OutputBytes += n
	}
	return out, nil
}

// message reads a unary answer: a message object, or the error that came in its place.
func message(a *transport.Answer) ([]byte, jsonscan.Object, error) {
	body, err := a.Whole()
	if err != nil {
		return nil, nil, err
	}
	fields, err := jsonscan.Scan(body)
	if err != nil {
		return nil, nil, a.Bad(err)
	}
	if e := inBody(a, body); e != nil {
		return nil, nil, e
	}
	if content := fields.Value(body, "content"); len(content) == 0 || content[0] != '[' {
		return nil, nil, a.Bad(errors.New("no content"))
	}
	return body, fields, nil
}

// count serves POST /v1/messages/count_tokens, which costs nothing and makes no output.
func (u *Upstream) count(ctx context.Context, c chat.Call) (*chat.Response, error) {
	a, err := u.open(ctx, c, countPath, rewrite(c))
	if err != nil {
		return nil, err
	}
	defer func() { _ = a.Close() }() // it is read whole
	body, err := a.Whole()
	if err != nil {
		return nil, err
	}
	fields, err := jsonscan.Scan(body)
	if err != nil {
		return nil, a.Bad(err)
	}
	if e := inBody(a, body); e != nil {
		return nil, e
	}
	if _, ok := jsonscan.Int(fields.Value(body, "input_tokens")); !ok {
		return nil, a.Bad(errors.New("no input_tokens"))
	}
	return &chat.Response{Header: safeHeader(a.Header), Body: body, Usage: &pricing.Usage{}}, nil
}

// rewrite makes the upstream's body out of the client's: its own id of the model, and every other byte as it was.
func rewrite(c chat.Call) [][]byte {
	model, ok := c.Request.Fields.Get("model")
	if !ok {
		return [][]byte{c.Request.Body}
	}
	return jsonscan.Pieces(c.Request.Body, model.Replace(jsonscan.Quote(c.Model)))
}
