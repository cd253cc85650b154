package responses

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/layers-dev/layers/dataplane/chat"
)

// Model is what a request must know of the model.
type Model struct {
	// ID is the upstream's.
	ID string
	// Reasons says that it reasons; Effort gives the nearest effort that it takes, empty: none.
	Reasons bool
	Effort  func(want string) string
	// Samples says whether it takes temperature, top_p and log probabilities with that effort; empty: not said.
	Samples func(effort string) bool
}

// request is the body of POST /responses.
type request struct {
	Model           string          `json:"model"`
	Instructions    string          `json:"instructions,omitempty"`
	Input           []any           `json:"input"`
	Tools           []any           `json:"tools,omitempty"`
	ToolChoice      any             `json:"tool_choice,omitempty"`
	ParallelTools   *bool           `json:"parallel_tool_calls,omitempty"`
	MaxToolCalls    int64           `json:"max_tool_calls,omitempty"`
	Text            *textOptions    `json:"text,omitempty"`
	Reasoning       *reasoning      `json:"reasoning,omitempty"`
	MaxOutputTokens int64           `json:"max_output_tokens,omitempty"`
	Temperature     json.Number     `json:"temperature,omitempty"`
	TopP            json.Number     `json:"top_p,omitempty"`
	TopLogprobs     int64           `json:"top_logprobs,omitempty"`
	User            string          `json:"user,omitempty"`
	Metadata        json.RawMessage `json:"metadata,omitempty"`
	ServiceTier     json.RawMessage `json:"service_tier,omitempty"`
	CacheKey        json.RawMessage `json:"prompt_cache_key,omitempty"`
	Retention       json.RawMessage `json:"prompt_cache_retention,omitempty"`
	Safety          json.RawMessage `json:"safety_identifier,omitempty"`
	Truncation      json.RawMessage `json:"truncation,omitempty"`
	Include         []string        `json:"include,omitempty"`
	Store           bool            `json:"store"`
	Stream          bool            `json:"stream,omitempty"`
}

type textOptions struct {
	Format    *format `json:"format,omitempty"`
	Verbosity string  `json:"verbosity,omitempty"`
}

type format struct {
	Type        string          `json:"type"`
	Name        string          `json:"name,omitempty"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"schema,omitempty"`
	Strict      *bool           `json:"strict,omitempty"`
}

type reasoning struct {
	Effort  string `json:"effort,omitempty"`
	Summary string `json:"summary,omitempty"`
}

// leastOutput is the smallest max_output_tokens that OpenAI takes.
const leastOutput = 16

// Encode writes the request of a call for OpenAI's models, and says what it left out. Nothing is stored at the upstream:
// reasoning comes encrypted and goes back with the conversation. An error is a *chat.Error.
func Encode(c chat.Call, p *chat.Prompt, m Model) ([]byte, *Drops, error) {
	d := &Drops{Protocol: c.Request.Protocol}
	if p.Choices > 1 {
		return nil, nil, Unsupported("n")
	}
	r := request{
		Model: m.ID, Stream: c.Request.Stream, Tools: FunctionTools(d.Protocol, p.Tools), ToolChoice: ToolChoice(p), ParallelTools: p.ParallelTools,
		User: p.User,
	}
	var err error
	if r.Instructions, r.Input, err = Input(p, InputOptions{Thoughts: m.Reasons, Documents: true}, d); err != nil {
		return nil, nil, err
	}
	if r.Input == nil {
		r.Input = []any{}
	}
	if p.MaxOutputTokens > 0 {
		r.MaxOutputTokens = max(p.MaxOutputTokens, leastOutput)
	}
	if len(p.Tools) == 0 && p.Search == nil {
		r.ToolChoice, r.ParallelTools = nil, nil // refused without tools
	}
	r.search(p, d)
	r.text(p)
	r.think(p, m, d)
	r.sample(p, m, d)
	r.others(p, d)
	body, err := JSON(r)
	if err == nil {
		err = d.Refused(c)
	}
	if err != nil {
		return nil, nil, err
	}
	return body, d, nil
}

func (r *request) search(p *chat.Prompt, d *Drops) {
	if p.Search == nil {
		return
	}
	r.Tools = append(r.Tools, search(p.Search, d))
	r.MaxToolCalls = p.Search.MaxUses
	if p.Search.Forced && (r.ToolChoice == nil || r.ToolChoice == string(chat.ChooseAuto)) {
		r.ToolChoice = named{Type: "web_search"}
	}
}

func (r *request) text(p *chat.Prompt) {
	t := textOptions{Verbosity: p.Verbosity}
	if f := p.Format; f != nil {
		t.Format = &format{Type: "json_object"}
		if f.Schema != nil {
			t.Format = &format{Type: "json_schema", Name: f.Name, Description: f.Description, Schema: f.Schema, Strict: f.Strict}
			if f.Name == "" {
				t.Format.Name = "response"
			}
		}
	}
	if t != (textOptions{}) {
		r.Text = &t
	}
}

// think asks for reasoning. A summary of it is asked for where the client wants to read it: OpenAI gives none by itself.
func (r *request) think(p *chat.Prompt, m Model, d *Drops) {
	if m.Reasons {
		r.Include = append(r.Include, "reasoning.encrypted_content")
	}
	if p.Reasoning == nil {
		return
	}
	want := Effort(p.Reasoning)
	if !m.Reasons {
		if want != "none" {
			d.Parameter(ParamReasoning)
		}
		return
	}
	out := reasoning{Summary: summaryOf(p.Reasoning)}
	if want != "" {
		out.Effort = m.Effort(want)
	}
	if out != (reasoning{}) {
		r.Reasoning = &out
	}
}

// Budgets of tokens from which an effort is medium or high; LiteLLM's medium and high budgets are the lower ends.
const (
	mediumBudget = 2048
	highBudget   = 8192
)

// Effort is what a client wants, in words; empty: it leaves it to the model.
func Effort(r *chat.Reasoning) string {
	switch {
	case r.Off:
		return "none"
	case r.Effort != "":
		return r.Effort
	case r.Budget >= highBudget:
		return "high"
	case r.Budget >= mediumBudget:
		return "medium"
	case r.Budget > 0:
		return "low"
	}
	return ""
}

// summaryOf is the summary that a client wants; empty: none.
func summaryOf(r *chat.Reasoning) string {
	switch {
	case r.Off, r.Summary == "omitted":
		return ""
	case r.Summary == "summarized":
		return "auto"
	case r.Summary != "":
		return r.Summary
	case r.Budget > 0, r.Adaptive:
		return "auto" // Anthropic's thinking is there to be read
	}
	return ""
}

func (r *request) sample(p *chat.Prompt, m Model, d *Drops) {
	effort := ""
	if r.Reasoning != nil {
		effort = r.Reasoning.Effort
	}
	wanted := p.Temperature != "" || p.TopP != "" || p.Logprobs
	if wanted && m.Samples(effort) {
		r.Temperature, r.TopP = p.Temperature, p.TopP
		if p.Logprobs {
			r.TopLogprobs = p.TopLogprobs
			r.Include = append(r.Include, "message.output_text.logprobs")
		}
		return
	}
	for _, n := range []struct {
		name  string
		value json.Number
		to    *json.Number
	}{{"temperature", p.Temperature, &r.Temperature}, {"top_p", p.TopP, &r.TopP}} {
		switch n.value {
		case "", "1", "1.0": // the default, which every model takes
			*n.to = n.value
		default:
			d.Parameter(n.name)
		}
	}
	if p.Logprobs {
		d.Parameter(ParamLogprobs)
	}
}

// others passes what Responses have under the same name, and drops the rest.
func (r *request) others(p *chat.Prompt, d *Drops) {
	Unspoken(p, d)
	known := map[string]*json.RawMessage{
		"metadata": &r.Metadata, "service_tier": &r.ServiceTier, "prompt_cache_key": &r.CacheKey, "prompt_cache_retention": &r.Retention,
		"safety_identifier": &r.Safety, "truncation": &r.Truncation,
	}
	for _, o := range p.Others {
		to := known[o.Name]
		switch {
		case o.Name == "include":
		case to == nil, d.Protocol == chat.Messages: // Anthropic's words mean something else
			d.Parameter(o.Name)
		default:
			*to = o.Value
		}
	}
}

// Unspoken drops the parameters that no upstream of this protocol has.
func Unspoken(p *chat.Prompt, d *Drops) {
	for _, u := range []struct {
		name  string
		given bool
	}{
		{ParamStop, len(p.Stop) > 0}, {"top_k", p.TopK != nil}, {"seed", p.Seed != nil}, {"logit_bias", p.LogitBias != nil},
		{"presence_penalty", nonzero(p.PresencePenalty)}, {"frequency_penalty", nonzero(p.FrequencyPenalty)},
	} {
		if u.given {
			d.Parameter(u.name)
		}
	}
}

// nonzero says that a number was given and changes something.
func nonzero(n json.Number) bool { return n != "" && n != "0" && n != "0.0" }

// JSON writes a value without HTML escapes.
func JSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, &chat.Error{
			Status: http.StatusInternalServerError, Type: "api_error", Code: "internal_error", Message: "The request could not be translated.",
			Cause: fmt.Errorf("writing the request: %w", err),
		}
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
