package gemini

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

// meta is a groundingMetadata with two sources and supports for them.
func meta(supports ...string) string {
	return `{"groundingChunks":[{"web":{"uri":"https://a","title":"A"}},{"maps":{"uri":"https://b"}},{"web":{"title":"no address"}},{"image":{}}],"groundingSupports":[` + strings.Join(supports, ",") + `]}`
}

func support(segment, indices string) string {
	return `{"segment":` + segment + `,"groundingChunkIndices":` + indices + `}`
}

func TestCitations(t *testing.T) {
	// The euro sign has three bytes and one unit, the clef four and two. Thoughts do not count.
	const parts = `{"text":"thought","thought":true},{"text":"€ one "},{"inlineData":{}},{"text":"𝄞 two"}`
	cite := func(url, title, quote string, start, end int64) chat.Citation {
		return chat.Citation{URL: url, Title: title, Quote: quote, Start: start, End: end}
	}
	for name, c := range map[string]struct {
		supports    []string
		first, last []chat.Citation
	}{
		"bytes are units":         {[]string{support(`{"startIndex":4,"endIndex":7,"text":"one"}`, `[0]`)}, []chat.Citation{cite("https://a", "A", "one", 2, 5)}, nil},
		"from the beginning":      {[]string{support(`{"endIndex":3}`, `[1]`)}, []chat.Citation{cite("https://b", "", "", 0, 1)}, nil},
		"in a later part":         {[]string{support(`{"startIndex":13,"endIndex":16,"text":"two"}`, `[0]`)}, nil, []chat.Citation{cite("https://a", "A", "two", 3, 6)}},
		"over two parts":          {[]string{support(`{"startIndex":4,"endIndex":12}`, `[0]`)}, []chat.Citation{cite("https://a", "A", "", 2, 6)}, []chat.Citation{cite("https://a", "A", "", 0, 2)}},
		"from two sources":        {[]string{support(`{"startIndex":4,"endIndex":7}`, `[1,0]`)}, []chat.Citation{cite("https://b", "", "", 2, 5), cite("https://a", "A", "", 2, 5)}, nil},
		"offsets of another text": {[]string{support(`{"startIndex":1,"endIndex":4,"text":"two"}`, `[0]`)}, nil, []chat.Citation{cite("https://a", "A", "two", 3, 6)}},
		"inside a rune":           {[]string{support(`{"startIndex":1,"endIndex":5}`, `[0]`)}, []chat.Citation{cite("https://a", "A", "", 0, 3)}, nil},
		"nowhere":                 {[]string{support(`{"startIndex":90,"endIndex":99,"text":"gone"}`, `[0]`)}, nil, []chat.Citation{cite("https://a", "A", "gone", 0, 0)}},
		"twice":                   {[]string{support(`{"startIndex":4,"endIndex":7}`, `[0]`), support(`{"startIndex":4,"endIndex":7}`, `[0]`)}, []chat.Citation{cite("https://a", "A", "", 2, 5)}, nil},
		"no such source":          {[]string{support(`{"startIndex":4,"endIndex":7}`, `[2,3,4,-1,"x",9999999999999999999]`)}, nil, nil},
		"nothing of use":          {[]string{`{}`, `7`, support(`7`, `7`)}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := ask(t, `{"candidates":[{"content":{"parts":[`+parts+`]},"finishReason":"STOP","groundingMetadata":`+meta(c.supports...)+`}]}`)
			if err != nil {
				t.Fatal(err)
			}
			got := resp.Answer.Choices[0].Parts
			if d := cmp.Diff([][]chat.Citation{c.first, c.last}, [][]chat.Citation{got[1].Citations, got[2].Citations}); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff([]chat.Source{{URL: "https://a", Title: "A"}, {URL: "https://b"}}, resp.Answer.Sources); d != "" {
				t.Error(d)
			}
		})
	}
}

// A stream is one run of text, and metadata that comes again says nothing new.
func TestStreamedCitations(t *testing.T) {
	chunk := func(parts, rest string) string {
		return `data: {"candidates":[{"content":{"parts":[` + parts + `]}` + rest + `}]}` + "\r\n\r\n"
	}
	grounded := `,"groundingMetadata":` + meta(support(`{"startIndex":4,"endIndex":11,"text":"one 𝄞"}`, `[0]`))
	got, err := streamText(chunk(`{"text":"€ one "}`, "") + chunk(`{"text":"𝄞 two"}`, grounded) + chunk(`{"text":"","thoughtSignature":"s"}`, grounded+`,"finishReason":"STOP"`))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]chat.Citation{{URL: "https://a", Title: "A", Quote: "one 𝄞", Start: 2, End: 8}}, got.citations); d != "" {
		t.Error(d)
	}
	if len(got.sources) != 2 {
		t.Error(got.sources)
	}
	// Text before a call is a run of its own: a citation of it has no offsets once other text came.
	got, err = streamText(chunk(`{"text":"€ one "},{"functionCall":{"name":"f"}},{"text":"𝄞 two"}`, `,"finishReason":"STOP","groundingMetadata":`+
		meta(support(`{"startIndex":4,"endIndex":7}`, `[0]`), support(`{"startIndex":13,"endIndex":16}`, `[0]`))))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]chat.Citation{{URL: "https://a", Title: "A"}, {URL: "https://a", Title: "A", Start: 3, End: 6}}, got.citations); d != "" {
		t.Error(d)
	}
}

// A signature of the text stands behind what is cited of the text.
func TestSignatureBehindCitations(t *testing.T) {
	a := replayed(`data: {"candidates":[{"content":{"parts":[{"text":"one","thoughtSignature":"s"}]},"finishReason":"STOP","groundingMetadata":` +
		meta(support(`{"endIndex":3}`, `[0,1]`)) + `}]}` + "\n\n")
	e, err := a.Next()
	if err != nil {
		t.Fatal(err)
	}
	var kinds []chat.PieceKind
	for _, p := range e.Pieces {
		kinds = append(kinds, p.Kind)
	}
	want := []chat.PieceKind{chat.PieceStart, chat.PieceText, chat.PieceSource, chat.PieceSource, chat.PieceCitation, chat.PieceCitation, chat.PieceSigned}
	if d := cmp.Diff(want, kinds); d != "" {
		t.Error(d)
	}
	if last := e.Pieces[len(e.Pieces)-1]; last.Thought == nil || last.Thought.Signature != "s" {
		t.Errorf("got %+v", last)
	}
}

// Google bills each query from the third generation on, and before that each answer.
func TestSearches(t *testing.T) {
	for _, c := range []struct {
		model, queries string
		want           int64
	}{
		{third35, `["a","b","a",""]`, 2}, {third35, `[]`, 0}, {third35, `null`, 0}, {second25, `["a","b"]`, 1}, {second25, `[]`, 0}, {"unheard-of", `["a","b"]`, 2},
	} {
		p := hello()
		base := answer(t, 200, "application/json", `{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP","groundingMetadata":{"webSearchQueries":`+c.queries+`}}],
			"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1}}`)
		resp, err := newUpstream(t).Do(t.Context(), call(base, c.model, p, false))
		if err != nil || resp.Usage == nil || resp.Usage.Searches != c.want {
			t.Errorf("%s %s: got %+v, %v", c.model, c.queries, resp.Usage, err)
		}
	}
}

// What is kept of metadata is bounded.
func TestGroundingBounds(t *testing.T) {
	var g grounding
	for i := range 3 {
		var queries, chunks, supports []string
		for j := range 6000 {
			queries = append(queries, fmt.Sprintf(`"q%d-%d"`, i, j))
			chunks = append(chunks, fmt.Sprintf(`{"web":{"uri":"https://%d/%d"}}`, i, j))
			supports = append(supports, fmt.Sprintf(`{"segment":{},"groundingChunkIndices":[%d]}`, j))
		}
		g.read([]byte(`{"webSearchQueries":[` + strings.Join(queries, ",") + `],"groundingChunks":[` + strings.Join(chunks, ",") + `],"groundingSupports":[` + strings.Join(supports, ",") + `]}`))
	}
	if len(g.queries) != maxQueries || len(g.sources) != maxCitations || len(g.cited) != maxCitations {
		t.Error(len(g.queries), len(g.sources), len(g.cited))
	}
	g.text(strings.Repeat("x", maxText), true)
	g.text("more", false)
	if len(g.joined) != maxText {
		t.Error(len(g.joined))
	}
}
