package openai

import (
	"strings"

	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// searchMembers are those of a web search that change nothing of its price.
var searchMembers = map[string]bool{
	"type": true, "name": true, "max_uses": true, "search_context_size": true, "user_location": true,
	"allowed_domains": true, "blocked_domains": true, "filters": true, "cache_control": true,
}

// searchTool is a web search that runs at the provider, for a price a search.
func (p *parser) searchTool(raw []byte) error {
	types, uses := 0, int64(0)
	for name, value := range jsonscan.Members(raw) {
		folded := strings.ToLower(name)
		if !searchMembers[folded] {
			return refuse("tools", "unsupported_parameter", "Unsupported parameter: 'tools': a web search with the member '%s'.", clip(name))
		}
		switch folded {
		case "type":
			// Another upstream may read the first of two, or the one in another case.
			if types++; types > 1 || name != "type" {
				return refuse("tools", "duplicate_parameter", "Duplicate parameter: 'tools': a tool with two types.")
			}
		case "max_uses":
			n, err := integer("tools.max_uses", value, 1)
			if err != nil {
				return err
			}
			uses = max(uses, n)
		case "cache_control":
			if err := p.cacheTime("tools", value); err != nil {
				return err
			}
		}
	}
	return p.search("tools", uses)
}

// searchOptions asks for a web search with OpenAI's own field, which has no limit of uses.
func (p *parser) searchOptions(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return nil
	}
	if raw[0] != '{' {
		return wrongType("web_search_options", "an object", raw)
	}
	return p.search("web_search_options", 0)
}

// maxSearches bounds what a body may ask for: more than any answer searches.
const maxSearches = 1000

// search notes how often an answer may search; uses 0: not said.
func (p *parser) search(param string, uses int64) error {
	if p.request.Searches > 0 {
		return refuse(param, "invalid_value", "Invalid '%s': only one web search can be asked for.", param)
	}
	if uses > maxSearches {
		return refuse(param, "integer_above_max_value", "Invalid '%s': integer above maximum value. Expected 'max_uses' <= %d, but got %d instead.", param, maxSearches, uses)
	}
	if uses == 0 {
		uses = DefaultSearches
	}
	p.need(needSearch)
	p.request.Searches = uses
	return nil
}
