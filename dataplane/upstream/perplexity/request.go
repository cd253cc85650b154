package perplexity

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/responses"
)

// sonar is Perplexity's own model, the only one left of its name.
const sonar = "perplexity/sonar"

// presets are sent as "preset" and choose a model themselves.
var presets = map[string]bool{"fast": true, "low": true, "medium": true, "high": true, "xhigh": true, "wide-research": true}

// request is the body of POST /v1/responses: no more than the agent knows, because any other field is refused with 400.
type request struct {
	Model           string      `json:"model,omitempty"`
	Preset          string      `json:"preset,omitempty"`
	Instructions    string      `json:"instructions,omitempty"`
	Input           []any       `json:"input"`
	Tools           []any       `json:"tools,omitempty"`
	ToolChoice      any         `json:"tool_choice,omitempty"`
	ResponseFormat  any         `json:"response_format,omitempty"`
	Reasoning       *reasoning  `json:"reasoning,omitempty"`
	MaxOutputTokens int64       `json:"max_output_tokens,omitempty"`
	Temperature     json.Number `json:"temperature,omitempty"`
	TopP            json.Number `json:"top_p,omitempty"`
	Language        string      `json:"language_preference,omitempty"`
	Stream          bool        `json:"stream,omitempty"`
}

type reasoning struct {
	Effort string `json:"effort"`
}

type responseFormat struct {
	Type       string     `json:"type"`
	JSONSchema jsonSchema `json:"json_schema"`
}

type jsonSchema struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"schema"`
	Strict      *bool           `json:"strict,omitempty"`
}

// anyObject is the schema where the client asks for JSON of any kind: the agent takes schemas alone.
var anyObject = json.RawMessage(`{"type":"object"}`)

// prepare writes the request of a call, and says what it left out. An error is a *chat.Error.
func prepare(c chat.Call) (body []byte, dropped []string, err error) {
	p, err := prompt(c)
	if err != nil {
		return nil, nil, err
	}
	if p.Choices > 1 {
		return nil, nil, responses.Unsupported("n")
	}
	d := &responses.Drops{Protocol: c.Request.Protocol}
	r := request{Stream: c.Request.Stream, MaxOutputTokens: p.MaxOutputTokens, Temperature: p.Temperature, TopP: p.TopP}
	forced := r.choose(c.Model)
	if r.Instructions, r.Input, err = responses.Input(p, responses.InputOptions{Agent: true, Signatures: strings.HasPrefix(r.Model, "google/")}, d); err != nil {
		return nil, nil, err
	}
	if r.Input == nil {
		r.Input = []any{}
	}
	if err := r.tools(p, forced, d); err != nil {
		return nil, nil, err
	}
	r.format(p)
	r.think(p, d)
	responses.Unspoken(p, d)
	r.rest(p, d)
	if body, err = responses.JSON(r); err == nil {
		err = d.Refused(c)
	}
	if err != nil {
		return nil, nil, err
	}
	return body, d.All(), nil
}

// prompt is what the client asks for. Its error is a *chat.Error.
func prompt(c chat.Call) (*chat.Prompt, error) {
	if c.Request.Translate == nil {
		return nil, responses.Invalid("", "", "The model's provider does not serve this endpoint.")
	}
	p, err := c.Request.Translate()
	var e *chat.Error
	switch {
	case err == nil:
		return p, nil
	case errors.As(err, &e):
		return nil, e
	}
	e = responses.Invalid("", "", "The request cannot be translated for the model's provider.")
	e.Cause = err
	return nil, e
}

// choose names the model or the preset. forced says that the id is one of the models that are gone, which searched the web for
// every answer: Sonar, made to search, is what is left of them.
func (r *request) choose(id string) (forced bool) {
	switch {
	case id == "sonar", id == "sonar-pro":
		r.Model = sonar
		return true
	case presets[id]:
		r.Preset = id
	default:
		r.Model = id
	}
	return false
}

func (r *request) format(p *chat.Prompt) {
	if p.Format == nil {
		return
	}
	f := responseFormat{Type: "json_schema", JSONSchema: jsonSchema{
		Name: p.Format.Name, Description: p.Format.Description, Schema: p.Format.Schema, Strict: p.Format.Strict,
	}}
	if f.JSONSchema.Schema == nil {
		f.JSONSchema.Schema = anyObject
	}
	if f.JSONSchema.Name == "" {
		f.JSONSchema.Name = "response"
	}
	r.ResponseFormat = f
}

// think asks for an effort, which Perplexity's own model has none of.
func (r *request) think(p *chat.Prompt, d *responses.Drops) {
	if p.Reasoning == nil {
		return
	}
	effort := responses.Effort(p.Reasoning)
	switch {
	case strings.HasPrefix(r.Model, "perplexity/"):
		if effort != "none" {
			d.Parameter(responses.ParamReasoning)
		}
	case effort == "none":
		r.Reasoning = &reasoning{Effort: "minimal"} // the least that there is
	case effort != "":
		r.Reasoning = &reasoning{Effort: effort}
	}
}

// rest takes what Perplexity knows of the parameters without a place of their own, and drops the others.
func (r *request) rest(p *chat.Prompt, d *responses.Drops) {
	if p.ParallelTools != nil && len(p.Tools) > 0 {
		d.Parameter(responses.ParamParallel)
	}
	if p.Logprobs {
		d.Parameter(responses.ParamLogprobs)
	}
	if p.User != "" {
		d.Parameter(responses.ParamUser)
	}
	if p.Verbosity != "" {
		d.Parameter(responses.ParamVerbosity)
	}
	for _, o := range p.Others {
		switch {
		case o.Name == "include", filters[o.Name]:
		case o.Name == "language_preference":
			r.Language, _ = jsonscan.String(o.Value)
		default:
			d.Parameter(o.Name)
		}
	}
}
