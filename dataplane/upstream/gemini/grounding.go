package gemini

import (
	"bytes"
	"unicode/utf8"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// Bounds on what is kept of one answer's grounding.
const (
	maxQueries   = 1000
	maxCitations = 10_000
	maxText      = 16 << 20
)

// grounding finds the places that Google Search's and URL context's metadata speak of. It comes with the last chunk or the
// last few, and may come again.
type grounding struct {
	// joined is the text so far, without thoughts; starts has where its parts begin in it.
	joined []byte
	starts []int
	// queries, cited and sources are what was told already.
	queries map[string]bool
	cited   map[spot]bool
	sources map[chat.Source]bool
}

// spot is a citation: two offsets into the joined text and the source.
type spot struct {
	from, to int
	url      string
}

// found is what one metadata object adds.
type found struct {
	sources   []chat.Source
	citations []located
}

// located is a citation and the number of the text part that it is in; -1: of all the text.
type located struct {
	part int
	chat.Citation
}

// text adds text; part says that a part begins with it.
func (g *grounding) text(s string, part bool) {
	if part {
		g.starts = append(g.starts, len(g.joined))
	}
	if len(g.joined)+len(s) <= maxText {
		g.joined = append(g.joined, s...)
	}
}

// read takes a groundingMetadata.
func (g *grounding) read(raw []byte) found {
	var out found
	if len(raw) == 0 || raw[0] != '{' {
		return out
	}
	for q := range jsonscan.Elements(jsonscan.Field(raw, "webSearchQueries")) {
		if s, ok := jsonscan.String(q); ok && s != "" && len(g.queries) < maxQueries {
			g.queries = add(g.queries, s)
		}
	}
	var chunks []chat.Source
	for chunk := range jsonscan.Elements(jsonscan.Field(raw, "groundingChunks")) {
		s := source(chunk)
		chunks = append(chunks, s)
		if s.URL != "" && !g.sources[s] && len(g.sources) < maxCitations {
			g.sources = add(g.sources, s)
			out.sources = append(out.sources, s)
		}
	}
	for support := range jsonscan.Elements(jsonscan.Field(raw, "groundingSupports")) {
		segment := jsonscan.Field(support, "segment")
		from, to, ok := g.find(segment)
		for i := range jsonscan.Elements(jsonscan.Field(support, "groundingChunkIndices")) {
			n, is := jsonscan.Int(i)
			if !is || n < 0 || n >= int64(len(chunks)) || chunks[n].URL == "" {
				continue
			}
			out.citations = append(out.citations, g.cite(chunks[n], segment, from, to, ok)...)
		}
	}
	return out
}

func add[K comparable](m map[K]bool, k K) map[K]bool {
	if m == nil {
		m = map[K]bool{}
	}
	m[k] = true
	return m
}

// source reads a chunk: a page, a document or a place.
func source(raw []byte) chat.Source {
	for _, name := range []string{"web", "retrievedContext", "maps"} {
		if inner := jsonscan.Field(raw, name); !jsonscan.IsNull(inner) {
			var s chat.Source
			s.URL, _ = jsonscan.String(jsonscan.Field(inner, "uri"))
			s.Title, _ = jsonscan.String(jsonscan.Field(inner, "title"))
			return s
		}
	}
	return chat.Source{}
}

// find locates a segment: startIndex and endIndex are bytes of the joined text, as recorded; where the text there is another
// than the segment says, the text is looked for.
func (g *grounding) find(segment []byte) (from, to int, ok bool) {
	start, _ := jsonscan.Int(jsonscan.Field(segment, "startIndex"))
	end, _ := jsonscan.Int(jsonscan.Field(segment, "endIndex"))
	text, _ := jsonscan.String(jsonscan.Field(segment, "text"))
	if 0 <= start && start < end && end <= int64(len(g.joined)) && (text == "" || string(g.joined[start:end]) == text) {
		return g.rune(int(start)), g.rune(int(end)), true
	}
	if i := bytes.Index(g.joined, []byte(text)); text != "" && i >= 0 {
		return i, i + len(text), true
	}
	return 0, 0, false
}

// rune goes back to the beginning of the rune that an offset is in.
func (g *grounding) rune(at int) int {
	for at > 0 && at < len(g.joined) && !utf8.RuneStart(g.joined[at]) {
		at--
	}
	return at
}

// cite is one citation for each part of the text that the place lies in.
func (g *grounding) cite(s chat.Source, segment []byte, from, to int, ok bool) []located {
	key := spot{from, to, s.URL}
	if g.cited[key] || len(g.cited) >= maxCitations {
		return nil
	}
	g.cited = add(g.cited, key)
	c := chat.Citation{URL: s.URL, Title: s.Title}
	c.Quote, _ = jsonscan.String(jsonscan.Field(segment, "text"))
	if !ok {
		return []located{{part: -1, Citation: c}}
	}
	var out []located
	for i, start := range g.starts {
		end := len(g.joined)
		if i+1 < len(g.starts) {
			end = g.starts[i+1]
		}
		if lo, hi := max(from, start), min(to, end); lo < hi {
			c.Start, c.End = units(g.joined[start:lo]), units(g.joined[start:hi])
			out = append(out, located{part: i, Citation: c})
		}
	}
	return out
}

// units counts UTF-16 code units.
func units(text []byte) int64 {
	var n int64
	for _, r := range string(text) {
		n++
		if r > 0xFFFF {
			n++
		}
	}
	return n
}
