package perplexity

import (
	"encoding/json"
	"slices"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/responses"
)

type searchTool struct {
	Type        string                     `json:"type"`
	ContextSize string                     `json:"search_context_size,omitempty"`
	Location    map[string]json.RawMessage `json:"user_location,omitempty"`
	Filters     map[string]json.RawMessage `json:"filters,omitempty"`
}

// filters are the parameters of Sonar's chat completions that the search tool takes as its filters.
var filters = map[string]bool{
	domainFilter: true, "search_language_filter": true, "search_recency_filter": true,
	"search_after_date_filter": true, "search_before_date_filter": true,
	"last_updated_after_filter": true, "last_updated_before_filter": true,
}

const domainFilter = "search_domain_filter"

// tools offers the client's tools and the search. Sonar without its search would be another model: it is offered, and used
// where the client, or an id of before, says that it must be. Tools take the place of a preset's own, so that its search is
// named with them.
func (r *request) tools(p *chat.Prompt, forced bool, d *responses.Drops) error {
	tools := allowed(p)
	for i := range tools {
		if tools[i].Custom {
			return responses.Unsupported("tools")
		}
	}
	forced = forced || p.Search != nil && p.Search.Forced
	if forced && p.ToolChoice.Mode == chat.ChooseNone {
		tools = nil
	}
	r.Tools = responses.FunctionTools(d.Protocol, tools)
	if forced || p.Search != nil || r.Model == sonar || r.Preset != "" && len(tools) > 0 {
		r.Tools = append(r.Tools, search(p, d))
	}
	r.ToolChoice = choice(p, len(tools) > 0, forced)
	return nil
}

// allowed are the tools that the client allows.
func allowed(p *chat.Prompt) []chat.Tool {
	if p.ToolChoice.Allowed == nil {
		return p.Tools
	}
	var out []chat.Tool
	for _, t := range p.Tools {
		if slices.Contains(p.ToolChoice.Allowed, t.Name) {
			out = append(out, t)
		}
	}
	return out
}

type chosen struct {
	Type string `json:"type"`
	Name string `json:"name,omitempty"`
}

// choice says which tools must be used; nil: the model decides. Where the search is the only one, "required" forces it.
func choice(p *chat.Prompt, tools, forced bool) any {
	mode := p.ToolChoice.Mode
	switch {
	case forced && !tools:
		return "required"
	case !tools:
		return nil
	case mode == chat.ChooseTool:
		return chosen{Type: "function", Name: p.ToolChoice.Name}
	case forced && (mode == "" || mode == chat.ChooseAuto):
		return chosen{Type: "web_search"}
	case mode != "":
		return string(mode)
	}
	return nil
}

// search is the search tool, by what the client says of it.
func search(p *chat.Prompt, d *responses.Drops) searchTool {
	out := searchTool{Type: "web_search", Filters: map[string]json.RawMessage{}}
	for _, o := range p.Others {
		if filters[o.Name] {
			out.Filters[o.Name] = o.Value
		}
	}
	s := p.Search
	if s == nil {
		return out
	}
	out.ContextSize, out.Location = s.ContextSize, location(s.Location)
	domains := slices.Clone(s.AllowedDomains)
	for _, b := range s.BlockedDomains {
		domains = append(domains, "-"+b) // Perplexity's way to keep one out
	}
	if len(domains) > 0 {
		out.Filters[domainFilter], _ = responses.JSON(domains) // strings always encode
	}
	if s.MaxUses > 0 && !s.Assumed {
		d.Parameter(responses.ParamSearch, "max_uses")
	}
	return out
}

// location is where the user is, without what Perplexity does not know; nil: not said.
func location(raw json.RawMessage) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for name, value := range jsonscan.Members(raw) {
		switch name {
		case "city", "region", "country":
			if !jsonscan.IsNull(value) {
				out[name] = value
			}
		}
	}
	return out
}
