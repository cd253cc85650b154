package anthropic

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/pricing"
)

func TestUsage(t *testing.T) {
	for name, c := range map[string]struct {
		in   []string
		want *pricing.Usage
	}{
		"absent":          {nil, nil},
		"null":            {[]string{"null"}, nil},
		"input alone":     {[]string{`{"input_tokens":3}`}, nil},
		"zero":            {[]string{`{"input_tokens":0,"output_tokens":0}`}, &pricing.Usage{}},
		"overwritten":     {[]string{`{"input_tokens":3,"output_tokens":1}`, `{"input_tokens":30,"output_tokens":10}`}, &pricing.Usage{Input: 30, Output: 10}},
		"stays":           {[]string{`{"input_tokens":3,"cache_read_input_tokens":8,"output_tokens":1}`, `{"output_tokens":10,"cache_read_input_tokens":null}`}, &pricing.Usage{Input: 3, CacheRead: 8, Output: 10}},
		"creation in all": {[]string{`{"input_tokens":1,"output_tokens":1,"cache_creation_input_tokens":9}`}, &pricing.Usage{Input: 1, CacheWrite: 9, Output: 1}},
		"an hour's":       {[]string{`{"input_tokens":1,"output_tokens":1,"cache_creation_input_tokens":9,"cache_creation":{"ephemeral_5m_input_tokens":2,"ephemeral_1h_input_tokens":7}}`}, &pricing.Usage{Input: 1, CacheWrite: 2, CacheWrite1h: 7, Output: 1}},
		"never negative":  {[]string{`{"input_tokens":1,"output_tokens":1,"cache_creation_input_tokens":5,"cache_creation":{"ephemeral_1h_input_tokens":7}}`}, &pricing.Usage{Input: 1, CacheWrite1h: 5, Output: 1}},
		"nonsense":        {[]string{`{"input_tokens":-1,"output_tokens":1}`}, nil},
		"too much":        {[]string{`{"input_tokens":9999999999999999,"output_tokens":1}`}, nil},
		"thinking":        {[]string{`{"input_tokens":1,"output_tokens":5,"output_tokens_details":{"thinking_tokens":9}}`}, &pricing.Usage{Input: 1, Output: 5, Reasoning: 5}},
		"searches":        {[]string{`{"input_tokens":1,"output_tokens":5,"server_tool_use":{"web_search_requests":2,"web_fetch_requests":4}}`}, &pricing.Usage{Input: 1, Output: 5, Searches: 2}},
		"compaction": {[]string{`{"input_tokens":23,"output_tokens":1,"iterations":[{"type":"compaction","input_tokens":180,"output_tokens":3,"cache_read_input_tokens":7,"cache_creation_input_tokens":2},{"type":"message","input_tokens":23,"output_tokens":1}]}`},
			&pricing.Usage{Input: 203, CacheRead: 7, CacheWrite: 2, Output: 4}},
		"compaction told twice": {[]string{`{"input_tokens":1,"output_tokens":1,"iterations":[{"type":"compaction","input_tokens":5}]}`, `{"iterations":[{"type":"compaction","input_tokens":5},{"type":"compaction","output_tokens":2}]}`},
			&pricing.Usage{Input: 6, Output: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			var m meter
			for _, raw := range c.in {
				m.take([]byte(raw))
			}
			if d := cmp.Diff(c.want, m.usage()); d != "" {
				t.Error(d)
			}
		})
	}
}
