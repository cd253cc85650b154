package openai

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What the price of a request depends on beside its tokens, and what the model must be able to do for it.
func TestParseSearchesAndCaches(t *testing.T) {
	type cost struct {
		Searches  int64
		LongCache bool
		Needs     []string
	}
	for more, want := range map[string]cost{
		``:                              {},
		`"web_search_options":null`:     {},
		`"web_search_options":{}`:       {Searches: DefaultSearches, Needs: []string{"WebSearch"}},
		`"web_search_options":{},"n":3`: {Searches: 3 * DefaultSearches, Needs: []string{"WebSearch"}},
		`"tools":[{"type":"web_search","max_uses":4}]`:                                             {Searches: 4, Needs: []string{"WebSearch"}},
		`"tools":[{"type":"web_search","max_uses":4,"Max_Uses":7}],"n":2`:                          {Searches: 14, Needs: []string{"WebSearch"}},
		`"tools":[{"type":"web_search_preview","cache_control":{"ttl":"1h"}},{"type":"function"}]`: {Searches: DefaultSearches, LongCache: true, Needs: []string{"WebSearch", "Tools"}},
		`"cache":true`:  {Needs: []string{"PromptCache"}},
		`"cache":"5m"`:  {Needs: []string{"PromptCache"}},
		`"cache":"1h"`:  {LongCache: true, Needs: []string{"PromptCache"}},
		`"cache":false`: {},
		`"cache_control":{"type":"ephemeral","ttl":"1h"}`:                                                                 {LongCache: true},
		`"cache_control":{"type":"ephemeral","ttl":"5m"}`:                                                                 {},
		`"tools":[{"type":"function","CACHE_CONTROL":{"TTL":"1h"}}]`:                                                      {LongCache: true, Needs: []string{"Tools"}},
		`"tools":[{"function":{"cache_control":{"ttl":"5m"},"cache_control":{"ttl":"1h"},"cache_control":{"ttl":"5m"}}}]`: {LongCache: true, Needs: []string{"Tools"}},
		`"prompt_cache_key":"k"`: {},
	} {
		r, e := Parse("", []byte(body(more)))
		if e != nil {
			t.Errorf("%s: %v", more, e)
			continue
		}
		if d := cmp.Diff(want, cost{r.Searches, r.LongCache, r.Needs}); d != "" {
			t.Errorf("%s: %s", more, d)
		}
	}
	for content, long := range map[string]bool{
		`[{"type":"text","text":"a","cache_control":{"ttl":"1h"}}]`: true,
		`[{"type":"text","text":"a","cache_control":{"ttl":"5m"}}]`: false,
		`[{"type":"text","text":"a","Cache_Control":{"Ttl":"1h"}}]`: true,
	} {
		if r, e := Parse("", []byte(withContent(content))); e != nil || r.LongCache != long {
			t.Errorf("%s: %v", content, e)
		}
	}
}
