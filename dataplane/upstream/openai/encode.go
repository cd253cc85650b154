package openai

import (
	"encoding/json"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/responses"
)

// completionRequest is the body of POST /chat/completions for a translated request.
type completionRequest struct {
	Model            string            `json:"model"`
	Messages         []any             `json:"messages"`
	Tools            []any             `json:"tools,omitempty"`
	ToolChoice       any               `json:"tool_choice,omitempty"`
	ParallelTools    *bool             `json:"parallel_tool_calls,omitempty"`
	ResponseFormat   any               `json:"response_format,omitempty"`
	Search           any               `json:"web_search_options,omitempty"`
	MaxTokens        int64             `json:"max_tokens,omitempty"`
	MaxCompletion    int64             `json:"max_completion_tokens,omitempty"`
	ReasoningEffort  string            `json:"reasoning_effort,omitempty"`
	Reasoning        *reasoningOptions `json:"reasoning,omitempty"`
	Thinking         *thinkingOptions  `json:"thinking,omitempty"`
	Verbosity        string            `json:"verbosity,omitempty"`
	N                int64             `json:"n,omitempty"`
	Stop             []string          `json:"stop,omitempty"`
	Temperature      json.Number       `json:"temperature,omitempty"`
	TopP             json.Number       `json:"top_p,omitempty"`
	PresencePenalty  json.Number       `json:"presence_penalty,omitempty"`
	FrequencyPenalty json.Number       `json:"frequency_penalty,omitempty"`
	Seed             *int64            `json:"seed,omitempty"`
	Logprobs         bool              `json:"logprobs,omitempty"`
	TopLogprobs      int64             `json:"top_logprobs,omitempty"`
	LogitBias        json.RawMessage   `json:"logit_bias,omitempty"`
	User             string            `json:"user,omitempty"`
	Metadata         json.RawMessage   `json:"metadata,omitempty"`
	ServiceTier      json.RawMessage   `json:"service_tier,omitempty"`
	CacheKey         json.RawMessage   `json:"prompt_cache_key,omitempty"`
	Retention        json.RawMessage   `json:"prompt_cache_retention,omitempty"`
	Safety           json.RawMessage   `json:"safety_identifier,omitempty"`
	Options          json.RawMessage   `json:"providerOptions,omitempty"`
	Stream           bool              `json:"stream,omitempty"`
	StreamOptions    json.RawMessage   `json:"stream_options,omitempty"`
}

// reasoningOptions are Vercel's and Morph's.
type reasoningOptions struct {
	Enabled   *bool  `json:"enabled,omitempty"`
	Effort    string `json:"effort,omitempty"`
	MaxTokens int64  `json:"max_tokens,omitempty"`
}

type thinkingOptions struct {
	Type string `json:"type"`
}

// includeUsage asks for the usage chunk.
var includeUsage = json.RawMessage(`{"include_usage":true}`)

// autoCaching asks Vercel AI Gateway to mark the prompt where the model's provider wants marks.
var autoCaching = json.RawMessage(`{"gateway":{"caching":"auto"}}`)

// encoding makes a request out of a prompt.
type encoding struct {
	flavour
	call  chat.Call
	p     *chat.Prompt
	r     completionRequest
	drops responses.Drops
}

// encode writes a translated request, and says what it left out. An error is a *chat.Error.
func encode(c chat.Call, p *chat.Prompt) ([]byte, *responses.Drops, error) {
	e := encoding{flavour: flavourOf(c), call: c, p: p, drops: responses.Drops{Protocol: c.Request.Protocol}}
	e.r = completionRequest{Model: c.Model, Messages: []any{}, Stream: c.Request.Stream, User: p.User}
	if e.r.Stream {
		e.r.StreamOptions = includeUsage
	}
	if p.Cache != "" && e.marks() {
		e.r.Options = autoCaching
	}
	if err := e.messages(); err != nil {
		return nil, nil, err
	}
	if err := e.tools(); err != nil {
		return nil, nil, err
	}
	e.limits()
	e.format()
	e.think()
	e.search()
	e.sample()
	e.others()
	body, err := responses.JSON(e.r)
	if err == nil {
		err = e.drops.Refused(c)
	}
	if err != nil {
		return nil, nil, err
	}
	return body, &e.drops, nil
}

func (e *encoding) limits() {
	if e.p.Choices > 1 {
		e.r.N = e.p.Choices
	}
	if e.official {
		e.r.MaxCompletion = e.p.MaxOutputTokens
	} else {
		e.r.MaxTokens = e.p.MaxOutputTokens
	}
}

type responseFormat struct {
	Type       string      `json:"type"`
	JSONSchema *jsonSchema `json:"json_schema,omitempty"`
}

type jsonSchema struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"schema"`
	Strict      *bool           `json:"strict,omitempty"`
}

func (e *encoding) format() {
	f := e.p.Format
	switch {
	case f == nil:
	case f.Schema == nil:
		e.r.ResponseFormat = responseFormat{Type: "json_object"}
	default:
		s := &jsonSchema{Name: f.Name, Description: f.Description, Schema: f.Schema, Strict: f.Strict}
		if s.Name == "" {
			s.Name = "response"
		}
		e.r.ResponseFormat = responseFormat{Type: "json_schema", JSONSchema: s}
	}
}

// think says what the client wants of reasoning, each in its provider's words.
func (e *encoding) think() {
	r := e.p.Reasoning
	if r == nil {
		return
	}
	effort := responses.Effort(r)
	switch {
	case e.official:
		if e.model.reasons && effort != "" {
			e.r.ReasoningEffort = e.model.effort(effort)
		} else if effort != "none" && !e.model.reasons {
			e.drops.Parameter(responses.ParamReasoning)
		}
	case e.router:
		e.r.Reasoning = routed(r)
	case named(e.model.id, "deepseek") && effort == "none":
		e.r.Thinking = &thinkingOptions{Type: "disabled"}
	case effort == "none":
		e.drops.Parameter(responses.ParamReasoning)
	case e.morph && effort != "":
		e.r.Reasoning = &reasoningOptions{Effort: effort}
	default:
		e.r.ReasoningEffort = nearest([]string{"low", "medium", "high"}, effort)
	}
}

// routed is reasoning in Vercel's words: {enabled, effort, max_tokens}, of which effort and max_tokens exclude each other.
func routed(r *chat.Reasoning) *reasoningOptions {
	on := !r.Off && r.Effort != "none"
	out := &reasoningOptions{Enabled: &on}
	switch {
	case !on:
	case r.Effort != "":
		out.Effort = r.Effort
	default:
		out.MaxTokens = r.Budget
	}
	return out
}

type searchOptions struct {
	ContextSize string          `json:"search_context_size,omitempty"`
	Location    json.RawMessage `json:"user_location,omitempty"`
}

// search asks for a web search where chat completions have it: OpenAI's models that always search, and compatible upstreams,
// which know best. (Others are asked by way of Responses.)
func (e *encoding) search() {
	s := e.p.Search
	if s == nil || e.router && e.creator == "perplexity" { // it searches without being asked
		return
	}
	if e.router || e.morph {
		e.drops.Parameter(responses.ParamSearch)
		return
	}
	e.r.Search = searchOptions{ContextSize: s.ContextSize, Location: nestedLocation(s.Location)}
	if len(s.AllowedDomains) > 0 {
		e.drops.Parameter(responses.ParamSearch, "allowed_domains")
	}
	if len(s.BlockedDomains) > 0 {
		e.drops.Parameter(responses.ParamSearch, "blocked_domains")
	}
}

// nestedLocation is a location as chat completions have it: {"type":"approximate","approximate":{...}}.
func nestedLocation(flat json.RawMessage) json.RawMessage {
	if flat == nil || jsonscan.Field(flat, "approximate") != nil {
		return flat
	}
	inner := stripping{}
	out := append([]byte(`{"type":"approximate","approximate":`), inner.object(flat, shape{strip: []string{"type"}})...)
	return append(out, '}')
}

func (e *encoding) sample() {
	p, takes := e.p, true
	if e.official {
		takes = e.model.samples(e.r.ReasoningEffort)
	}
	set := func(name string, ok bool, value json.Number, to *json.Number) {
		switch {
		case value == "":
		case ok || plainNumber(value):
			*to = value
		default:
			e.drops.Parameter(name)
		}
	}
	set("temperature", takes, p.Temperature, &e.r.Temperature)
	set("top_p", takes, p.TopP, &e.r.TopP)
	bends := !e.official || !e.model.reasons
	bend := func(name string, value json.Number, to *json.Number) {
		if value == "" || bends {
			*to = value
		} else if value != "0" && value != "0.0" {
			e.drops.Parameter(name)
		}
	}
	bend("presence_penalty", p.PresencePenalty, &e.r.PresencePenalty)
	bend("frequency_penalty", p.FrequencyPenalty, &e.r.FrequencyPenalty)
	e.r.Seed = p.Seed
	drop := func(name string, given, ok bool) bool {
		if given && !ok {
			e.drops.Parameter(name)
		}
		return given && ok
	}
	if drop(responses.ParamLogprobs, p.Logprobs, takes) {
		e.r.Logprobs, e.r.TopLogprobs = true, p.TopLogprobs
	}
	if drop("logit_bias", p.LogitBias != nil, bends) {
		e.r.LogitBias = p.LogitBias
	}
	if drop(responses.ParamStop, len(p.Stop) > 0, bends) {
		e.r.Stop = p.Stop
	}
	if drop(responses.ParamVerbosity, p.Verbosity != "", e.official && e.model.reasons || e.router) {
		e.r.Verbosity = p.Verbosity
	}
	drop("top_k", p.TopK != nil, false)
}

// plainNumber says that a temperature or top_p is the default, which every model takes.
func plainNumber(n json.Number) bool { return n == "1" || n == "1.0" }

// others passes what OpenAI has under the same name, and drops the rest.
func (e *encoding) others() {
	known := map[string]*json.RawMessage{}
	if e.arrays() && e.drops.Protocol != chat.Messages { // Anthropic's words mean something else
		known = map[string]*json.RawMessage{
			"metadata": &e.r.Metadata, "service_tier": &e.r.ServiceTier, "prompt_cache_key": &e.r.CacheKey,
			"prompt_cache_retention": &e.r.Retention, "safety_identifier": &e.r.Safety,
		}
	}
	for _, o := range e.p.Others {
		switch to := known[o.Name]; {
		case o.Name == "include", o.Name == "truncation":
		case to == nil:
			e.drops.Parameter(o.Name)
		default:
			*to = o.Value
		}
	}
}
