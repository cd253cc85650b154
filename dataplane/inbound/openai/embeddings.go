package openai

import (
	"errors"
	"net/http"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// Embeddings is POST /v1/embeddings. Its errors and its cost are those of Completions; its answers always pass through.
type Embeddings struct{ Completions }

// Protocol is chat.Embeddings.
func (Embeddings) Protocol() chat.Protocol { return chat.Embeddings }

// embeddingNames are the fields that decide what is called and what it costs. The others (encoding_format, dimensions, user)
// change the form of the answer alone and pass through.
var embeddingNames = chat.NewNames("model", "input")

// Parse judges a body; see chat.Dialect.
func (Embeddings) Parse(id string, _ http.Header, body []byte) (*chat.Request, *chat.Error) {
	fields, err := jsonscan.Scan(body)
	if err != nil {
		return nil, malformed(err)
	}
	p := &parser{request: &chat.Request{
		ID: id, Protocol: chat.Embeddings, Choices: 1, InputBytes: int64(len(body)), Body: body, Fields: fields,
	}}
	if err := p.embeddings(); err != nil {
		var e *chat.Error
		if !errors.As(err, &e) {
			e = malformed(err)
		}
		return nil, e
	}
	return p.request, nil
}

func (p *parser) embeddings() error {
	values, err := embeddingNames.Collect(p.request)
	if err != nil {
		return err
	}
	if err := p.model(values[0]); err != nil {
		return err
	}
	return embeddingInput(values[1])
}

// embeddingInput is a text, an array of texts, an array of tokens, or an array of these.
func embeddingInput(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return refuse("input", "missing_required_parameter", "Missing required parameter: 'input'.")
	}
	switch raw[0] {
	case '"':
		if jsonscan.StringLen(raw) == 0 {
			return refuse("input", "empty_string", "Invalid 'input': empty string.")
		}
		return nil
	case '[':
	default:
		return wrongType("input", "a string or an array", raw)
	}
	empty := true
	for item := range jsonscan.Elements(raw) {
		empty = false
		if _, number := jsonscan.Int(item); !number && item[0] != '"' && item[0] != '[' {
			return wrongType("input", "an array of strings or of tokens", item)
		}
	}
	if empty {
		return refuse("input", "empty_array", "Invalid 'input': empty array.")
	}
	return nil
}
