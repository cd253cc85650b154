package openai

import (
	"fmt"
	"net/http"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/upstream/responses"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// Paths below the base URL.
const (
	completionsPath = "/chat/completions"
	responsesPath   = "/responses"
	embeddingsPath  = "/embeddings"
)

// dialect reads Responses; the zero value is OpenAI's own.
var dialect responses.Dialect

// plan says how a call goes. An error is a *chat.Error.
func plan(c chat.Call) (*exchange, error) {
	switch c.Request.Protocol {
	case chat.Responses:
		return passResponses(c)
	case chat.Embeddings:
		return passEmbeddings(c)
	}
	return passCompletions(c)
}

func passCompletions(c chat.Call) (*exchange, error) {
	body, dropped, err := rewrite(c)
	if err != nil {
		return nil, err
	}
	return &exchange{
		path: completionsPath, body: body, dropped: dropped, unary: unary,
		stream: func(a *transport.Answer) chat.Stream { return newStream(a) },
	}, nil
}

func passResponses(c chat.Call) (*exchange, error) {
	body, dropped, err := rewrite(c)
	if err != nil {
		return nil, err
	}
	return &exchange{
		path: responsesPath, body: body, dropped: dropped,
		unary:  func(a *transport.Answer) (*chat.Response, error) { return dialect.Unary(a, true) },
		stream: func(a *transport.Answer) chat.Stream { return dialect.Stream(a, true) },
	}, nil
}

func passEmbeddings(c chat.Call) (*exchange, error) {
	body, dropped, err := rewrite(c)
	if err != nil {
		return nil, err
	}
	return &exchange{path: embeddingsPath, body: body, dropped: dropped, unary: embeddings}, nil
}

// refuse is the answer to parameters that the model has nothing for where the model's Strict says so; nil: they are dropped.
func refuse(c chat.Call, dropped []string) error {
	if !c.Strict || len(dropped) == 0 {
		return nil
	}
	return &chat.Error{
		Status: http.StatusBadRequest, Type: "invalid_request_error", Code: "unsupported_parameter", Param: dropped[0],
		Message: fmt.Sprintf("Unsupported parameter: '%s' is not supported with this model.", dropped[0]),
	}
}

// official says that the provider is OpenAI, whose models and refusals are known.
func official(c chat.Call) bool { return c.Provider.Type == snapshot.OpenAI }
