package responses

import (
	"encoding/json"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// known are the top-level fields that decode has a place for, or that say nothing to another protocol.
var known = map[string]bool{
	"model": true, "input": true, "instructions": true, "stream": true, "max_output_tokens": true, "tools": true, "tool_choice": true,
	"parallel_tool_calls": true, "reasoning": true, "text": true, "temperature": true, "top_p": true, "top_logprobs": true, "user": true,
	"max_tool_calls": true, "include": true, "store": true, "background": true, "service_tier": true, "stream_options": true,
	"safety_identifier": true, "prompt_cache_key": true, "prompt_cache_retention": true, "truncation": true, "metadata": true, "n": true,
	"presence_penalty": true, "frequency_penalty": true,
}

// decoder builds a prompt. Its methods return a *chat.Error.
type decoder struct {
	body   []byte
	fields jsonscan.Object
	prompt *chat.Prompt
	// names are the tools of the calls so far, by call id.
	names map[string]string
	// signature is that of the call that follows.
	signature string
}

func decode(body []byte, fields jsonscan.Object) (*chat.Prompt, error) {
	d := &decoder{body: body, fields: fields, prompt: &chat.Prompt{Choices: 1}, names: map[string]string{}}
	for _, step := range []func() error{d.instructions, d.input, d.tools, d.toolChoice, d.format, d.settings} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return d.prompt, nil
}

func (d *decoder) get(name string) json.RawMessage {
	raw := d.fields.Value(d.body, name)
	if jsonscan.IsNull(raw) {
		return nil
	}
	return raw
}

// into reads a field leniently typed; absent leaves v.
func (d *decoder) into(name, want string, v any) error {
	raw := d.get(name)
	if raw == nil {
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return wrongType(name, want)
	}
	return nil
}

func (d *decoder) instructions() error {
	var text string
	if err := d.into("instructions", "a string", &text); err != nil || text == "" {
		return err
	}
	d.say(chat.System, chat.Part{Kind: chat.PartText, Text: text})
	return nil
}

// say adds parts to the conversation; those of one speaker in a row make one message, but for system messages.
func (d *decoder) say(role chat.Role, parts ...chat.Part) {
	if len(parts) == 0 {
		return
	}
	m := d.prompt.Messages
	if n := len(m); n > 0 && m[n-1].Role == role && role != chat.System {
		m[n-1].Parts = append(m[n-1].Parts, parts...)
		return
	}
	d.prompt.Messages = append(m, chat.Message{Role: role, Parts: parts})
}

func (d *decoder) settings() error {
	p := d.prompt
	var top int64
	for _, f := range []struct {
		name, want string
		v          any
	}{
		{"max_output_tokens", "an integer", &p.MaxOutputTokens}, {"parallel_tool_calls", "a boolean", &p.ParallelTools},
		{"temperature", "a number", &p.Temperature}, {"top_p", "a number", &p.TopP}, {"user", "a string", &p.User},
		{"presence_penalty", "a number", &p.PresencePenalty}, {"frequency_penalty", "a number", &p.FrequencyPenalty},
		{"top_logprobs", "an integer", &top},
	} {
		if err := d.into(f.name, f.want, f.v); err != nil {
			return err
		}
	}
	var include []string
	if err := d.into("include", "an array of strings", &include); err != nil {
		return err
	}
	for _, what := range include {
		p.Logprobs = p.Logprobs || what == "message.output_text.logprobs"
	}
	if p.TopLogprobs = top; p.TopLogprobs > 0 {
		p.Logprobs = true
	}
	for _, m := range d.fields {
		if !known[m.Name] && !jsonscan.IsNull(d.body[m.ValueStart:m.ValueEnd]) {
			p.Others = append(p.Others, chat.Parameter{Name: m.Name, Value: json.RawMessage(d.body[m.ValueStart:m.ValueEnd])})
		}
	}
	return d.reasoning()
}

func (d *decoder) reasoning() error {
	var r struct {
		Effort          string `json:"effort"`
		Summary         string `json:"summary"`
		GenerateSummary string `json:"generate_summary"`
	}
	if err := d.into("reasoning", "an object with strings", &r); err != nil {
		return err
	}
	if r.Summary == "" {
		r.Summary = r.GenerateSummary
	}
	switch r.Effort {
	case "", "none", "minimal", "low", "medium", "high", "xhigh", "max":
	default:
		return refuse("reasoning.effort", "invalid_value", "Invalid value: '%s'. Supported values are: 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and 'max'.", clip(r.Effort))
	}
	if r.Effort != "" || r.Summary != "" {
		d.prompt.Reasoning = &chat.Reasoning{Off: r.Effort == "none", Effort: r.Effort, Summary: r.Summary}
	}
	return nil
}

func (d *decoder) format() error {
	var text struct {
		Format struct {
			Type        string          `json:"type"`
			Name        string          `json:"name"`
			Description string          `json:"description"`
			Schema      json.RawMessage `json:"schema"`
			Strict      *bool           `json:"strict"`
		} `json:"format"`
		Verbosity string `json:"verbosity"`
	}
	if err := d.into("text", "an object", &text); err != nil {
		return err
	}
	d.prompt.Verbosity = text.Verbosity
	switch f := text.Format; f.Type {
	case "", "text":
	case "json_object":
		d.prompt.Format = &chat.Format{}
	case "json_schema":
		if jsonscan.IsNull(f.Schema) {
			return refuse("text.format.schema", "missing_required_parameter", "Missing required parameter: 'text.format.schema'.")
		}
		d.prompt.Format = &chat.Format{Schema: f.Schema, Name: f.Name, Description: f.Description, Strict: f.Strict}
	default:
		return refuse("text.format.type", "invalid_value", "Invalid value: '%s'. Supported values are: 'text', 'json_object', and 'json_schema'.", clip(f.Type))
	}
	return nil
}

func (d *decoder) tools() error {
	raw := d.get("tools")
	for item := range jsonscan.Elements(raw) {
		var t struct {
			Type         string          `json:"type"`
			Name         string          `json:"name"`
			Description  string          `json:"description"`
			Parameters   json.RawMessage `json:"parameters"`
			Strict       *bool           `json:"strict"`
			Format       json.RawMessage `json:"format"`
			ContextSize  string          `json:"search_context_size"`
			UserLocation json.RawMessage `json:"user_location"`
			Filters      struct {
				Allowed []string `json:"allowed_domains"`
			} `json:"filters"`
		}
		if err := json.Unmarshal(item, &t); err != nil {
			return wrongType("tools", "tools as the API has them")
		}
		switch {
		case searchTool(t.Type):
			// The bound that is held for is told to an upstream that knows one.
			d.prompt.Search = &chat.Search{ContextSize: t.ContextSize, AllowedDomains: t.Filters.Allowed, MaxUses: defaultSearches, Assumed: true}
			if !jsonscan.IsNull(t.UserLocation) {
				d.prompt.Search.Location = t.UserLocation
			}
			if n, _ := jsonscan.Int(d.get("max_tool_calls")); n > 0 {
				d.prompt.Search.MaxUses, d.prompt.Search.Assumed = n, false
			}
			continue
		case t.Name == "":
			return refuse("tools", "missing_required_parameter", "Missing required parameter: 'tools[].name'.")
		}
		tool := chat.Tool{Name: t.Name, Description: t.Description, Strict: t.Strict, Custom: t.Type == "custom"}
		if !jsonscan.IsNull(t.Parameters) {
			tool.Schema = t.Parameters
		}
		if tool.Custom && !jsonscan.IsNull(t.Format) {
			tool.Grammar = t.Format
		}
		d.prompt.Tools = append(d.prompt.Tools, tool)
	}
	return nil
}

// named is a tool as tool_choice names it.
type named struct {
	Type  string  `json:"type"`
	Name  string  `json:"name"`
	Mode  string  `json:"mode"`
	Tools []named `json:"tools"`
}

func (d *decoder) toolChoice() error {
	raw := d.get("tool_choice")
	if raw == nil {
		return nil
	}
	if raw[0] == '"' {
		word, _ := jsonscan.String(raw)
		return d.choose(word)
	}
	var c named
	if err := json.Unmarshal(raw, &c); err != nil {
		return wrongType("tool_choice", "a string or an object")
	}
	switch {
	case c.Type == "function" || c.Type == "custom":
		d.prompt.ToolChoice = chat.ToolChoice{Mode: chat.ChooseTool, Name: c.Name}
	case c.Type == "allowed_tools":
		if err := d.choose(c.Mode); err != nil {
			return err
		}
		d.prompt.ToolChoice.Allowed = []string{}
		for _, t := range c.Tools {
			d.prompt.ToolChoice.Allowed = append(d.prompt.ToolChoice.Allowed, t.Name)
		}
	case searchTool(c.Type) && d.prompt.Search != nil:
		d.prompt.Search.Forced = true
	default:
		return refuse("tool_choice", "invalid_value", "Invalid value: '%s'. Supported values are 'function', 'custom', 'allowed_tools' and 'web_search'.", clip(c.Type))
	}
	return nil
}

func (d *decoder) choose(word string) error {
	switch strings.ToLower(word) {
	case "", "auto", "none", "required":
		d.prompt.ToolChoice.Mode = chat.ChoiceMode(strings.ToLower(word))
		return nil
	}
	return refuse("tool_choice", "invalid_value", "Invalid value: '%s'. Supported values are: 'none', 'auto', and 'required'.", clip(word))
}
