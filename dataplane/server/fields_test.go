package server

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/inbound/openai"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Every field that is refused by name is refused by the whole gateway, before the provider hears of it and at no cost; the
// fields that make an answer dearer make the hold larger by as much.
func TestFieldsThatCost(t *testing.T) {
	w := newWorld(t, func(_ *Options, s *snapshot.Snapshot) {
		s.Models[0].Capabilities = append(s.Models[0].Capabilities, "Thinking")
		s.Models[0].Limits.MaxOutputTokens = 10_000
	})
	w.key(goodKey, 1000*usd)
	called := 0
	w.serve(func(ctx context.Context, c chat.Call) (*chat.Response, error) {
		called++
		return answers(1, 1)(ctx, c)
	})
	with := func(more string) string { return strings.TrimSuffix(hello, "}") + "," + more + "}" }
	seen := 0
	for _, f := range openai.Fields() {
		if f.Effect != openai.Refused {
			continue
		}
		seen++
		got := w.chat(with(`"` + f.Name + `":{"x":1}`))
		if e := got.failure(t); got.status != 400 || e["param"] != f.Name || !strings.Contains(e["message"].(string), f.Why) {
			t.Errorf("%s: %d %v", f.Name, got.status, e)
		}
	}
	if called > 0 || w.balance() != 1000*usd || seen < 20 {
		t.Errorf("%d fields are refused, %d calls, balance %d", seen, called, w.balance())
	}
	tokens := func(more string) int64 {
		t.Helper()
		got := w.do("POST", "/v1/estimate", goodKey, with(more))
		var e estimate
		if err := json.Unmarshal([]byte(got.body), &e); err != nil || got.status != 200 {
			t.Fatalf("%s: %d %s", more, got.status, got.body)
		}
		return e.WorstTokens.Output
	}
	for more, want := range map[string]int64{
		`"user":"u"`: 10, `"n":3`: 30, `"max_completion_tokens":50`: 50, `"max_output_tokens":60`: 60, `"max_new_tokens":70`: 70,
		`"reasoning":{"max_tokens":2000}`: 2010, `"thinking":{"budget_tokens":2000},"n":2`: 4020, `"thinking_budget":5`: 15,
		`"prediction":{"type":"content","content":"0123456789"}`: 51,
	} {
		if got := tokens(more); got != want {
			t.Errorf("%s: held for %d output tokens, want %d", more, got, want)
		}
	}
	if got := w.chat(with(`"store":true,"verbosity":"low","prompt_cache_retention":"in_memory"`)); got.status != 200 || called != 1 {
		t.Errorf("harmless fields: %d %s", got.status, got.body)
	}
}
