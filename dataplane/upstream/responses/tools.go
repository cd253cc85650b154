package responses

import (
	"encoding/json"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// noParameters is the schema of a tool that takes none.
var noParameters = json.RawMessage(`{"type":"object","properties":{}}`)

type functionTool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"`
	Strict      *bool           `json:"strict,omitempty"`
	Format      json.RawMessage `json:"format,omitempty"`
}

// FunctionTools are the client's tools. Responses make a tool strict where nothing is said, and the other protocols do not:
// to their clients' it is said.
func FunctionTools(client chat.Protocol, tools []chat.Tool) []any {
	var out []any
	for i := range tools {
		t := &tools[i]
		f := functionTool{Type: "function", Name: t.Name, Description: t.Description, Parameters: t.Schema, Strict: t.Strict}
		switch {
		case t.Custom:
			f.Type, f.Parameters, f.Strict, f.Format = "custom", nil, nil, flat(t.Grammar)
		case f.Parameters == nil:
			f.Parameters = noParameters
		}
		if !t.Custom && f.Strict == nil && client != chat.Responses {
			f.Strict = new(bool)
		}
		out = append(out, f)
	}
	return out
}

// flat is the format of a custom tool as Responses have it: chat completions put a grammar's members into one of its own.
func flat(format json.RawMessage) json.RawMessage {
	inner := jsonscan.Field(format, "grammar")
	if inner == nil {
		return format
	}
	out := []byte(`{"type":"grammar"`)
	for name, value := range jsonscan.Members(inner) {
		out = append(append(append(append(out, ','), jsonscan.Quote(name)...), ':'), value...)
	}
	return append(out, '}')
}

type named struct {
	Type string `json:"type"`
	Name string `json:"name,omitempty"`
}

type allowed struct {
	Type  string  `json:"type"`
	Mode  string  `json:"mode"`
	Tools []named `json:"tools"`
}

// ToolChoice is what the client wants of its tools; nil: it said nothing.
func ToolChoice(p *chat.Prompt) any {
	custom := map[string]bool{}
	for i := range p.Tools {
		custom[p.Tools[i].Name] = p.Tools[i].Custom
	}
	name := func(n string) named {
		if custom[n] {
			return named{"custom", n}
		}
		return named{"function", n}
	}
	c := p.ToolChoice
	switch {
	case c.Mode == chat.ChooseTool:
		return name(c.Name)
	case c.Allowed != nil && c.Mode != chat.ChooseNone:
		out := allowed{Type: "allowed_tools", Mode: string(chat.ChooseAuto), Tools: []named{}}
		if c.Mode == chat.ChooseRequired {
			out.Mode = string(c.Mode)
		}
		for _, n := range c.Allowed {
			out.Tools = append(out.Tools, name(n))
		}
		return out
	case c.Mode != "":
		return string(c.Mode)
	}
	return nil
}

type searchTool struct {
	Type        string          `json:"type"`
	ContextSize string          `json:"search_context_size,omitempty"`
	Location    json.RawMessage `json:"user_location,omitempty"`
	Filters     *searchFilters  `json:"filters,omitempty"`
}

type searchFilters struct {
	Allowed []string `json:"allowed_domains,omitempty"`
}

// search is OpenAI's web search. It has no list of pages to keep out.
func search(s *chat.Search, d *Drops) searchTool {
	out := searchTool{Type: "web_search", ContextSize: s.ContextSize, Location: s.Location}
	if len(s.AllowedDomains) > 0 {
		out.Filters = &searchFilters{Allowed: s.AllowedDomains}
	}
	if len(s.BlockedDomains) > 0 {
		d.Parameter(ParamSearch, "blocked_domains")
	}
	return out
}
