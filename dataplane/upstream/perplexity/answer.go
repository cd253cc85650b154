package perplexity

import (
	"regexp"
	"strconv"
	"unicode/utf16"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/responses"
)

// dialect reads one answer. What a search found is numbered, and the text cites by those numbers: [7] is the result with the
// id 7.
func dialect() responses.Dialect {
	numbered := map[int64]chat.Source{}
	return responses.Dialect{
		LateCalls: true,
		Sources:   func(item []byte) []chat.Source { return sources(item, numbered) },
		Citations: func(text string, _ []chat.Source) []chat.Citation { return citations(text, numbered) },
	}
}

// maxSources bounds what a response can make the dialect remember.
const maxSources = 10_000

// sources reads the results in an item: of a search, of people, or of pages that were fetched, which have no numbers.
func sources(item []byte, numbered map[int64]chat.Source) []chat.Source {
	var list string
	switch str(item, "type") {
	case "search_results", "people_search_results":
		list = "results"
	case "fetch_url_results":
		list = "contents"
	}
	var out []chat.Source
	for r := range jsonscan.Elements(jsonscan.Field(item, list)) {
		s := chat.Source{URL: str(r, "url"), Title: str(r, "title"), Snippet: str(r, "snippet"), Date: str(r, "date")}
		if s.URL == "" {
			continue
		}
		out = append(out, s)
		if id, ok := jsonscan.Int(jsonscan.Field(r, "id")); ok && len(numbered) < maxSources {
			numbered[id] = s
		}
	}
	return out
}

func str(object []byte, name string) string {
	s, _ := jsonscan.String(jsonscan.Field(object, name))
	return s
}

// mark is a citation in a text: [7], or as presets write it [web:7].
var mark = regexp.MustCompile(`\[(?:web:)?(\d{1,6})\]`)

// citations finds the marks in a text. Numbers that nothing has are text.
func citations(text string, numbered map[int64]chat.Source) []chat.Citation {
	var out []chat.Citation
	at, units := 0, int64(0)
	for _, m := range mark.FindAllStringSubmatchIndex(text, -1) {
		n, _ := strconv.ParseInt(text[m[2]:m[3]], 10, 64) // six digits at most
		s, ok := numbered[n]
		if !ok {
			continue
		}
		for _, r := range text[at:m[0]] {
			units += int64(utf16.RuneLen(r))
		}
		length := int64(m[1] - m[0]) // ASCII
		out = append(out, chat.Citation{URL: s.URL, Title: s.Title, Start: units, End: units + length})
		at, units = m[1], units+length
	}
	return out
}
