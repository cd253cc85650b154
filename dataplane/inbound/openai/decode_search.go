package openai

import (
	"encoding/json"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// DefaultSearches is how often an answer may search the web where the client does not say: what is held for, and what an
// upstream that can be told is told.
const DefaultSearches = 10

// isSearchTool knows the web search of OpenAI, with the dates of its versions, and Anthropic's.
func isSearchTool(kind string) bool {
	rest, ok := strings.CutPrefix(kind, "web_search")
	rest = strings.TrimPrefix(rest, "_preview")
	return ok && (rest == "" || strings.HasPrefix(rest, "_20"))
}

// searchFields are the members of a web search: a tool of OpenAI's or Anthropic's, or web_search_options.
type searchFields struct {
	MaxUses int64           `json:"max_uses"`
	Size    string          `json:"search_context_size"`
	Where   json.RawMessage `json:"user_location"`
	domains
	Filters domains `json:"filters"`
}

type domains struct {
	Allowed []string `json:"allowed_domains"`
	Blocked []string `json:"blocked_domains"`
}

func (d *decoder) searchTool(param string, raw []byte) error {
	d.choice.mayRefuseSearch = true
	return d.search(param, raw)
}

func (d *decoder) searchOptions(raw []byte) error {
	err := d.search("web_search_options", raw)
	if err == nil {
		// The field has no limit of OpenAI's.
		d.prompt.Search.MaxUses, d.prompt.Search.Assumed = DefaultSearches, true
	}
	return err
}

func (d *decoder) search(param string, raw []byte) error {
	var f searchFields
	if err := object(param, raw, &f); err != nil {
		return err
	}
	s := &chat.Search{MaxUses: f.MaxUses, ContextSize: f.Size, AllowedDomains: f.Allowed, BlockedDomains: f.Blocked}
	if s.MaxUses == 0 {
		s.MaxUses, s.Assumed = DefaultSearches, true
	}
	if s.AllowedDomains == nil {
		s.AllowedDomains = f.Filters.Allowed
	}
	if s.BlockedDomains == nil {
		s.BlockedDomains = f.Filters.Blocked
	}
	if len(s.AllowedDomains) > 0 && len(s.BlockedDomains) > 0 {
		return refuse(param, "invalid_value", "Invalid '%s': only one of 'allowed_domains' and 'blocked_domains' can be given.", param)
	}
	if !isOneOf(f.Size, "low medium high") && f.Size != "" {
		return refuse(param+".search_context_size", "invalid_value", "Invalid value: '%s'. Supported values are: 'low', 'medium', and 'high'.", clip(f.Size))
	}
	where, err := location(param+".user_location", f.Where)
	if err != nil {
		return err
	}
	s.Location = where
	d.prompt.Search = s
	return nil
}

// location makes OpenAI's {"type":"approximate","approximate":{...}} flat, as all others have it.
func location(param string, raw []byte) (json.RawMessage, error) {
	if jsonscan.IsNull(raw) {
		return nil, nil
	}
	if inner := jsonscan.Field(raw, "approximate"); !jsonscan.IsNull(inner) {
		raw = inner
	}
	var f struct {
		Type     string `json:"type"`
		City     string `json:"city,omitempty"`
		Region   string `json:"region,omitempty"`
		Country  string `json:"country,omitempty"`
		Timezone string `json:"timezone,omitempty"`
	}
	if err := object(param, raw, &f); err != nil {
		return nil, err
	}
	f.Type = "approximate"
	return encode(f)
}

// format reads response_format.
func (d *decoder) format(raw []byte) error {
	const param = "response_format"
	var f struct {
		Type   string
		Schema *struct {
			Name, Description string
			Schema            json.RawMessage
			Strict            *bool
		} `json:"json_schema"`
	}
	if err := object(param, raw, &f); err != nil {
		return err
	}
	switch f.Type {
	case "text":
		return nil
	case "json_object":
		d.prompt.Format = &chat.Format{}
		return nil
	case "json_schema":
	default:
		return refuse(param+".type", "invalid_value", "Invalid value: '%s'. Supported values are: 'json_object', 'json_schema', and 'text'.", clip(f.Type))
	}
	if f.Schema == nil {
		return refuse(param+".json_schema", "missing_required_parameter", "Missing required parameter: '%s.json_schema'.", param)
	}
	d.prompt.Format = &chat.Format{Name: f.Schema.Name, Description: f.Schema.Description, Strict: f.Schema.Strict}
	if jsonscan.IsNull(f.Schema.Schema) {
		return nil
	}
	if f.Schema.Schema[0] != '{' {
		return wrongType(param+".json_schema.schema", "an object", f.Schema.Schema)
	}
	d.prompt.Format.Schema = f.Schema.Schema
	return nil
}
