package openai

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/pricing"
)

func TestUsage(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want *pricing.Usage
	}{
		"absent":         {``, nil},
		"null":           {`null`, nil},
		"empty":          {`{}`, nil},
		"half":           {`{"prompt_tokens":1}`, nil},
		"zero":           {`{"prompt_tokens":0,"completion_tokens":0}`, &pricing.Usage{}},
		"openai":         {`{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":10,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":15}}`, &pricing.Usage{Input: 30, CacheRead: 60, CacheWrite: 10, Output: 20, Reasoning: 15}},
		"vercel":         {`{"prompt_tokens":100,"completion_tokens":20,"cost":0.1,"prompt_tokens_details":{"cached_tokens":0},"cache_creation_input_tokens":90}`, &pricing.Usage{Input: 10, CacheWrite: 90, Output: 20}},
		"deepseek":       {`{"prompt_tokens":100,"completion_tokens":20,"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":36}`, &pricing.Usage{Input: 36, CacheRead: 64, Output: 20}},
		"xai":            {`{"prompt_tokens":10,"completion_tokens":5,"total_tokens":115,"completion_tokens_details":{"reasoning_tokens":100}}`, &pricing.Usage{Input: 10, Output: 105, Reasoning: 100}},
		"vercel, gemini": {`{"prompt_tokens":9,"completion_tokens":52,"total_tokens":61,"completion_tokens_details":{"reasoning_tokens":232}}`, &pricing.Usage{Input: 9, Output: 284, Reasoning: 232}},
		"null details":   {`{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":null,"completion_tokens_details":null}`, &pricing.Usage{Input: 1, Output: 2}},
		"too much read":  {`{"prompt_tokens":5,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":9,"cache_write_tokens":9}}`, &pricing.Usage{CacheRead: 5, Output: 2}},
		"negative":       {`{"prompt_tokens":-5,"completion_tokens":2}`, nil},
		"overflow":       {`{"prompt_tokens":99999999999999999999,"completion_tokens":2}`, nil},
		"absurd":         {`{"prompt_tokens":1,"completion_tokens":9000000000000000000}`, nil},
		"fraction":       {`{"prompt_tokens":1.5,"completion_tokens":2}`, nil},
		"string":         {`{"prompt_tokens":"1","completion_tokens":2}`, nil},
		"negative part":  {`{"prompt_tokens":5,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":-3}}`, &pricing.Usage{Input: 5, Output: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, usage([]byte(c.in))); d != "" {
				t.Error(d)
			}
		})
	}
}

// Whatever an upstream says, no class is negative and the input's classes sum to prompt_tokens.
func TestUsageSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(-10, 1000)
		prompt := n.Draw(t, "prompt")
		u := usage(fmt.Appendf(nil, `{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d,"cache_write_tokens":%d},"completion_tokens_details":{"reasoning_tokens":%d}}`,
			prompt, n.Draw(t, "completion"), n.Draw(t, "total"), n.Draw(t, "cached"), n.Draw(t, "written"), n.Draw(t, "reasoning")))
		if u == nil {
			return
		}
		if u.Input < 0 || u.CacheRead < 0 || u.CacheWrite < 0 || u.Output < 0 || u.Reasoning < 0 || u.Reasoning > u.Output {
			t.Fatalf("%+v", u)
		}
		if u.Input+u.CacheRead+u.CacheWrite != prompt {
			t.Fatalf("%+v does not sum to %d", u, prompt)
		}
	})
}

func TestContentBytes(t *testing.T) {
	for in, want := range map[string]int64{
		`null`:                                0,
		`{"role":"assistant","content":null}`: 0,
		`{"content":"\u00e9\ud83d\ude00\n"}`:  7,
		`{"content":[{"type":"text","text":"ab"},{"type":"image_url","image_url":{"url":"x"}}]}`:                              2,
		`{"reasoning_content":"abc","content":"d"}`:                                                                           4,
		`{"reasoning_details":[{"type":"reasoning.encrypted","data":"abcd"}]}`:                                                4,
		`{"tool_calls":[{"id":"xxxx","function":{"name":"f","arguments":"{\"a\":1}"}},{"custom":{"name":"g","input":"hi"}}]}`: 11,
		`{"function_call":{"name":"f","arguments":"{}"}}`:                                                                     3,
		`{"content":null,"images":[{"type":"image_url","image_url":{"url":"data:xxxx"}}],"audio":{"id":"a","data":"x"}}`:      2,
		`{"content":"","images":[],"audio":null,"provider_metadata":{"gateway":{}}}`:                                          0,
		`{"refusal":"no","annotations":[{"url":"https://x"}]}`:                                                                2,
	} {
		if got := contentBytes([]byte(in)); got != want {
			t.Errorf("%s: got %d, want %d", in, got, want)
		}
	}
}
