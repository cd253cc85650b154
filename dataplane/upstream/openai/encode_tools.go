package openai

import (
	"encoding/json"
	"slices"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/responses"
)

// Tools of a translated request.
type (
	toolObject struct {
		Type     string          `json:"type"`
		Function *functionObject `json:"function,omitempty"`
		Custom   *customObject   `json:"custom,omitempty"`
		Cache    *cacheObject    `json:"cache_control,omitempty"`
	}
	functionObject struct {
		Name        string          `json:"name"`
		Description string          `json:"description,omitempty"`
		Parameters  json.RawMessage `json:"parameters,omitempty"`
		Strict      *bool           `json:"strict,omitempty"`
	}
	customObject struct {
		Name        string          `json:"name"`
		Description string          `json:"description,omitempty"`
		Format      json.RawMessage `json:"format,omitempty"`
	}
	nameObject struct {
		Name string `json:"name"`
	}
	choiceObject struct {
		Type     string         `json:"type"`
		Function *nameObject    `json:"function,omitempty"`
		Custom   *nameObject    `json:"custom,omitempty"`
		Allowed  *allowedObject `json:"allowed_tools,omitempty"`
	}
	allowedObject struct {
		Mode  string         `json:"mode"`
		Tools []choiceObject `json:"tools"`
	}
)

// noParameters is the schema of a tool that takes none: some upstreams want one.
var noParameters = json.RawMessage(`{"type":"object","properties":{}}`)

func (e *encoding) tools() error {
	tools := e.allowed()
	for i := range tools {
		t := &tools[i]
		if t.Custom && !e.official {
			return responses.Unsupported("tools")
		}
		e.r.Tools = append(e.r.Tools, e.tool(t))
	}
	if len(tools) > 0 {
		e.r.ToolChoice, e.r.ParallelTools = e.choice(), e.p.ParallelTools
	}
	return nil
}

// allowed are the tools. Where the client allows some of them alone, OpenAI is told so, which keeps the prompt's cache; the
// others get no more than those.
func (e *encoding) allowed() []chat.Tool {
	c := e.p.ToolChoice
	if c.Allowed == nil || e.official {
		return e.p.Tools
	}
	var out []chat.Tool
	for _, t := range e.p.Tools {
		if slices.Contains(c.Allowed, t.Name) {
			out = append(out, t)
		}
	}
	return out
}

func (e *encoding) tool(t *chat.Tool) toolObject {
	out := toolObject{Type: "function", Function: &functionObject{Name: t.Name, Description: t.Description, Parameters: t.Schema, Strict: t.Strict}}
	if t.Custom {
		return toolObject{Type: "custom", Custom: &customObject{Name: t.Name, Description: t.Description, Format: nestedFormat(t.Grammar)}}
	}
	if t.Schema == nil {
		out.Function.Parameters = noParameters
	}
	if t.Cache != "" && e.marks() {
		out.Cache = &cacheObject{Type: "ephemeral"}
		if t.Cache == "1h" {
			out.Cache.TTL = t.Cache
		}
	}
	return out
}

// nestedFormat is the format of a custom tool as chat completions have it: {"type":"grammar","grammar":{...}}.
func nestedFormat(format json.RawMessage) json.RawMessage {
	if jsonscan.Field(format, "definition") == nil {
		return format
	}
	inner := stripping{}
	out := append([]byte(`{"type":"grammar","grammar":`), inner.object(format, shape{strip: []string{"type"}})...)
	return append(out, '}')
}

// choice is what the client wants of its tools; nil: it said nothing.
func (e *encoding) choice() any {
	c := e.p.ToolChoice
	switch {
	case c.Mode == chat.ChooseTool:
		return e.chosen(c.Name)
	case c.Allowed != nil && e.official && c.Mode != chat.ChooseNone:
		out := &allowedObject{Mode: string(chat.ChooseAuto), Tools: []choiceObject{}}
		if c.Mode == chat.ChooseRequired {
			out.Mode = string(c.Mode)
		}
		for _, name := range c.Allowed {
			out.Tools = append(out.Tools, e.chosen(name))
		}
		return choiceObject{Type: "allowed_tools", Allowed: out}
	case c.Mode != "":
		return string(c.Mode)
	}
	return nil
}

func (e *encoding) chosen(name string) choiceObject {
	for i := range e.p.Tools {
		if e.p.Tools[i].Name == name && e.p.Tools[i].Custom {
			return choiceObject{Type: "custom", Custom: &nameObject{name}}
		}
	}
	return choiceObject{Type: "function", Function: &nameObject{name}}
}
