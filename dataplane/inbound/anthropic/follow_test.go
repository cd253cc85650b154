package anthropic

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// A stream that is ended before its time closes its open block and ends for its length.
func TestStopOfAPassingStream(t *testing.T) {
	const (
		stopped = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n"
		delta   = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\",\"stop_sequence\":null},\"usage\":{\"input_tokens\":3,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"cache_creation\":{\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":0},\"output_tokens\":4,\"cost\":0.5}}\n\n"
		end     = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
	)
	for name, c := range map[string]struct {
		seen []string
		want string
	}{
		"in a block":      {[]string{`{"type":"content_block_start","index":0}`, `{"type":"content_block_stop","index":0}`, `{"type":"content_block_start","index":1}`}, stopped + delta + end},
		"between blocks":  {[]string{`{"type":"content_block_start","index":0}`, `{"type":"content_block_stop","index":0}`}, delta + end},
		"told to its end": {[]string{`{"type":"message_delta"}`}, end},
		"nonsense":        {[]string{`[]`, `{"type":7}`}, delta + end},
	} {
		f := Messages{}.Follow(&chat.Request{})
		for _, data := range c.seen {
			f.Event([]byte(data))
		}
		got := string(f.Stop(nil, chat.Total{Usage: pricing.Usage{Input: 3, Output: 4}, CostUSD: "0.5"}))
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// A budget of thinking leaves room for an answer, or there is no thinking.
func TestClamp(t *testing.T) {
	const head = `{"model":"m","messages":[{"role":"user","content":"hi"}],`
	for name, c := range map[string]struct {
		most       int64
		body, want string
	}{
		"no thinking":      {3000, `"max_tokens":9000}`, `"max_tokens":3000}`},
		"enough":           {3000, `"max_tokens":2000}`, `"max_tokens":2000}`},
		"nothing to write": {3000, `"max_tokens":0}`, `"max_tokens":0}`},
		"a small budget":   {3000, `"max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":2000}}`, `"max_tokens":3000,"thinking":{"type":"enabled","budget_tokens":2000}}`},
		"a large budget":   {3000, `"thinking":{"budget_tokens":8000 ,"type":"enabled"},"max_tokens":9000}`, `"thinking":{"budget_tokens":1500 ,"type":"enabled"},"max_tokens":3000}`},
		"the least budget": {1500, `"max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":8000}}`, `"max_tokens":1500,"thinking":{"type":"enabled","budget_tokens":1024}}`},
		"no room for any":  {1024, `"max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":8000}}`, `"max_tokens":1024,"thinking":{"type":"disabled"}}`},
		"adaptive":         {300, `"max_tokens":9000,"thinking":{"type":"adaptive"}}`, `"max_tokens":300,"thinking":{"type":"adaptive"}}`},
		"null":             {300, `"max_tokens":9000,"thinking":null}`, `"max_tokens":300,"thinking":null}`},
	} {
		r, bad := Messages{}.Parse("req_1", http.Header{}, []byte(head+c.body))
		if bad != nil {
			t.Fatalf("%s: %v", name, bad)
		}
		got := Messages{}.Clamp(r, c.most)
		if d := cmp.Diff(head+c.want, string(got.Body)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if again, bad := (Messages{}).Parse("req_1", http.Header{}, got.Body); bad != nil || again.ExtraOutputTokens > 0 {
			t.Errorf("%s: %s is not what the API takes: %v", name, got.Body, bad)
		}
	}
}
