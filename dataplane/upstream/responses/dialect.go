package responses

import (
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// Dialect is what a provider says otherwise than OpenAI. The zero value is OpenAI's own.
type Dialect struct {
	// LateCalls says that an item is a call of a tool only when it is done: Perplexity announces its own search as a
	// function_call and then puts search_results in its place.
	LateCalls bool
	// Sources reads the results out of an output item that has some; nil: as OpenAI has them. The item is valid JSON.
	Sources func(item []byte) []chat.Source
	// Citations finds citations in a text that came without annotations, among the sources so far; nil: it does not.
	// Offsets are in UTF-16 code units.
	Citations func(text string, sources []chat.Source) []chat.Citation
}

// sources are what a search found, by an output item.
func (d Dialect) sources(item []byte) []chat.Source {
	if d.Sources == nil {
		return searched(item)
	}
	return d.Sources(item)
}

// searched are the pages in a web_search_call, action.sources, which OpenAI tells to who asks for them (include).
func searched(item []byte) []chat.Source {
	if text(item, "type") != "web_search_call" {
		return nil
	}
	var out []chat.Source
	for page := range jsonscan.Elements(jsonscan.Field(jsonscan.Field(item, "action"), "sources")) {
		if url := text(page, "url"); url != "" {
			out = append(out, chat.Source{URL: url})
		}
	}
	return out
}

// citations are those in a text without annotations.
func (d Dialect) citations(text string, sources []chat.Source) []chat.Citation {
	if d.Citations == nil || text == "" || len(sources) == 0 {
		return nil
	}
	return d.Citations(text, sources)
}
