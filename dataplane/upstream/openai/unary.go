package openai

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

var errTooLarge = errors.New("answer is larger than the limit")

// unary reads an answer whole.
func unary(w *watch, t *translator, c chat.Call, resp *http.Response) (*chat.Response, error) {
	body, err := readAll(resp.Body, maxUnaryBytes)
	if errors.Is(err, errTooLarge) {
		return nil, t.badAnswer(resp.StatusCode, err)
	}
	if err != nil {
		return nil, w.broken(err)
	}
	fields, err := jsonscan.Scan(body)
	if err != nil {
		return nil, t.badAnswer(resp.StatusCode, err)
	}
	if raw := fields.Value(body, "error"); !jsonscan.IsNull(raw) {
		return nil, t.inBody(body, fields)
	}
	if c.Request.Stream {
		return nil, t.badAnswer(resp.StatusCode, errors.New("JSON instead of a stream"))
	}
	choices := fields.Value(body, "choices")
	if len(choices) == 0 || choices[0] != '[' {
		return nil, t.badAnswer(resp.StatusCode, errors.New("no choices"))
	}
	out := &chat.Response{Header: safeHeader(resp.Header), Body: body, Usage: usage(fields.Value(body, "usage"))}
	out.UpstreamID, _ = jsonscan.String(fields.Value(body, "id"))
	for choice := range jsonscan.Elements(choices) {
		out.OutputBytes += contentBytes(jsonscan.Field(choice, "message"))
	}
	return out, nil
}

func readAll(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, errTooLarge
	}
	return body, nil
}
