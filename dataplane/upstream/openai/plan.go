package openai

import (
	"errors"
	"slices"

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
	if fits[c.Provider.Type][c.Request.Protocol] == chat.Translates {
		return translate(c)
	}
	switch c.Request.Protocol {
	case chat.Responses:
		return passResponses(c)
	case chat.Embeddings:
		return passEmbeddings(c)
	}
	if c.Request.Searches > 0 && c.Request.Translate != nil && searchesElsewhere(c) {
		return translate(c)
	}
	return passCompletions(c)
}

// searchesElsewhere says that a model of OpenAI searches the web in Responses alone: in chat completions it answers 400 "Web
// search options not supported".
func searchesElsewhere(c chat.Call) bool {
	f := flavourOf(c)
	return (f.official || f.router && f.creator == "openai") && !f.model.searches()
}

// searchesAlways says that OpenAI's model searches for every answer.
func searchesAlways(c chat.Call) bool { return official(c) && modelOf(c.Model).searches() }

// translate says a call in the words of Responses, where only they can say it, or of chat completions.
func translate(c chat.Call) (*exchange, error) {
	if c.Request.Translate == nil {
		return nil, responses.Invalid("", "", "The model's provider does not serve this endpoint.")
	}
	p, err := c.Request.Translate()
	if err != nil {
		return nil, asError(err)
	}
	if p.Search != nil && searchesElsewhere(c) || official(c) && (thinks(c) || linksDocuments(p)) {
		return throughResponses(c, p)
	}
	body, drops, err := encode(c, p)
	if err != nil {
		return nil, err
	}
	r := reading{translate: true, searches: searchesAlways(c)}
	return &exchange{path: completionsPath, body: [][]byte{body}, dropped: drops.All(), unary: r.unary, stream: r.stream}, nil
}

// thinks says that OpenAI's model reasons: only Responses tell what it thought, take it back, and take tools and an effort at
// once.
func thinks(c chat.Call) bool {
	m := modelOf(c.Model)
	return m.reasons && !m.searches()
}

// linksDocuments says that there is a document by URL, which OpenAI fetches for Responses alone.
func linksDocuments(p *chat.Prompt) bool {
	link := func(part chat.Part) bool { return part.Kind == chat.PartDocument && part.Media.URL != "" }
	for i := range p.Messages {
		for _, part := range p.Messages[i].Parts {
			if link(part) || part.Kind == chat.PartResult && slices.ContainsFunc(part.Result.Parts, link) {
				return true
			}
		}
	}
	return false
}

// summaryParam is what OpenAI refuses to organizations that it has not verified.
const summaryParam = "reasoning.summary"

// throughResponses asks Responses. Where reasoning would be nice to read, and is not given, the answer comes without.
func throughResponses(c chat.Call, p *chat.Prompt) (*exchange, error) {
	x, err := asResponses(c, p)
	if err != nil || p.Reasoning == nil || p.Reasoning.Off || p.Reasoning.Summary == "omitted" {
		return x, err
	}
	quiet, silent := *p, *p.Reasoning
	silent.Summary = "omitted"
	quiet.Reasoning = &silent
	x.refusable = summaryParam
	x.otherwise, err = asResponses(c, &quiet)
	return x, err
}

func asResponses(c chat.Call, p *chat.Prompt) (*exchange, error) {
	m := modelOf(c.Model)
	body, drops, err := responses.Encode(c, p, responses.Model{ID: c.Model, Reasons: m.reasons, Effort: m.effort, Samples: m.samples})
	if err != nil {
		return nil, err
	}
	return &exchange{
		path: responsesPath, body: [][]byte{body}, dropped: drops.All(),
		unary:  func(a *transport.Answer) (*chat.Response, error) { return dialect.Unary(a, false) },
		stream: func(a *transport.Answer) chat.Stream { return dialect.Stream(a, false) },
	}, nil
}

// asError makes sure of the contract of Translate: its error is a *chat.Error.
func asError(err error) error {
	var e *chat.Error
	if errors.As(err, &e) {
		return e
	}
	e = responses.Invalid("", "", "The request cannot be translated for the model's provider.")
	e.Cause = err
	return e
}

func passCompletions(c chat.Call) (*exchange, error) {
	body, dropped, err := rewrite(c)
	if err != nil {
		return nil, err
	}
	r := reading{searches: searchesAlways(c)}
	return &exchange{path: completionsPath, body: body, dropped: dropped, unary: r.unary, stream: r.stream}, nil
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

// official says that the provider is OpenAI, whose models and refusals are known.
func official(c chat.Call) bool { return c.Provider.Type == snapshot.OpenAI }
