package anthropic

import (
	"strings"

	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// DefaultSearches is what is held for where a web search tool has no max_uses. The provider sets no limit then; what is
// used is charged, whether it was held or not.
const DefaultSearches = 10

// maxSearches bounds what is held for: more than any answer searches.
const maxSearches = 1 << 20

// clientTools are the families of tools that Anthropic defines and the client runs: they cost their tokens and nothing
// more. Each type has a date behind it.
var clientTools = []string{"bash_", "text_editor_", "computer_", "memory_", "browser_toolset_"}

const (
	// searchTools search the web, at a price for each use.
	searchTools = "web_search_"
	// toolSearch finds tools among those in the request; it costs the tokens of what it finds, which may be read anew.
	toolSearch = "tool_search_tool_"
)

func (p *parser) tools(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return nil
	}
	if raw[0] != '[' {
		return wrongType("tools", "a valid array", raw)
	}
	for tool := range jsonscan.Elements(raw) {
		if tool[0] != '{' {
			return wrongType("tools", "an array of objects", tool)
		}
		if err := p.tool(tool); err != nil {
			return err
		}
	}
	return nil
}

// tool judges one tool by its type; none, or null, is one of the client's own.
func (p *parser) tool(raw []byte) error {
	typed := false
	for name, value := range jsonscan.Members(raw) {
		switch strings.ToLower(name) {
		case "type":
			typed = true
			if err := p.toolType(raw, value); err != nil {
				return err
			}
		case "cache_control":
			if err := p.cacheMark("tools", value); err != nil {
				return err
			}
		}
	}
	if !typed {
		p.need(needTools)
	}
	return nil
}

func (p *parser) toolType(tool, raw []byte) error {
	kind, ok := jsonscan.String(raw)
	switch {
	case jsonscan.IsNull(raw), kind == "custom", hasPrefix(kind, clientTools):
		p.need(needTools)
		return nil
	case !ok:
		return wrongType("tools.type", "a valid string", raw)
	case strings.HasPrefix(kind, searchTools):
		return p.search(tool)
	case strings.HasPrefix(kind, toolSearch):
		p.need(needTools)
		p.request.Obscure()
		return nil
	}
	return unsupported("tools", "'tools' with the type '%s': %s", clip(kind), hosted)
}

// search notes how often a search tool may be used. What it finds is input that no byte of the body bounds.
func (p *parser) search(tool []byte) error {
	p.need(needSearch)
	p.request.Obscure()
	uses := int64(0)
	for name, value := range jsonscan.Members(tool) {
		if !strings.EqualFold(name, "max_uses") {
			continue
		}
		n, err := integer("tools.max_uses", value, 1)
		if err != nil {
			return err
		}
		uses = max(uses, n)
	}
	if uses == 0 {
		uses = DefaultSearches
	}
	p.request.Searches = min(p.request.Searches+min(uses, maxSearches), maxSearches)
	return nil
}

func hasPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
