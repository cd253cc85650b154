package responses

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

func TestSources(t *testing.T) {
	for item, want := range map[string][]chat.Source{
		`{"type":"web_search_call","action":{"type":"search","sources":[{"type":"url","url":"https://a.example"},{"type":"api","name":"weather"},{"type":"url","url":"https://b.example"}]}}`: {
			{URL: "https://a.example"}, {URL: "https://b.example"},
		},
		`{"type":"web_search_call","action":{"type":"search","query":"x"}}`:                                   nil,
		`{"type":"web_search_call","action":null}`:                                                            nil,
		`{"type":"file_search_call","action":{"sources":[{"type":"url","url":"https://a.example"}]}}`:         nil,
		`{"type":"web_search_call","action":{"sources":[3,null,{"url":7}]}}`:                                  nil,
		`{"type":"web_search_call","action":{"sources":{"url":"https://a.example"}}}`:                         nil,
		`{"type":"message","content":[{"type":"output_text","text":"x"}],"action":{"sources":[{"url":"u"}]}}`: nil,
	} {
		if d := cmp.Diff(want, Dialect{}.sources([]byte(item))); d != "" {
			t.Errorf("%s: %s", item, d)
		}
	}
	// A provider's own way stands for OpenAI's.
	own := Dialect{Sources: func([]byte) []chat.Source { return []chat.Source{{URL: "own"}} }}
	if got := own.sources([]byte(`{"type":"x"}`)); len(got) != 1 || got[0].URL != "own" {
		t.Errorf("got %+v", got)
	}
}
