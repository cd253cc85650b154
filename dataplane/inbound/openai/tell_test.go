package openai

import (
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// What a provider does not tell is told in its own answer, of which every other byte stays.
func TestWithUsage(t *testing.T) {
	const usage = `{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0},"cache_creation_input_tokens":0,"cost":0.5}`
	total := chat.Total{Usage: pricing.Usage{Input: 7, Output: 3}, CostUSD: "0.5"}
	for name, c := range map[string]struct{ body, want string }{
		"none":    {`{"id":"a", "x":1 }`, `{"id":"a", "x":1,"usage":` + usage + ` }`},
		"null":    {`{"usage": null, "x":1}`, `{"usage": ` + usage + `, "x":1}`},
		"told":    {`{"usage":{"prompt_tokens":1}}`, ""},
		"strange": {`{"usage":5}`, ""},
		"empty":   {`{}`, ""},
		"no JSON": {`<html>`, ""},
	} {
		got, ok := Completions{}.WithUsage([]byte(c.body), total)
		if want := c.want != ""; ok != want || want && string(got) != c.want || !want && string(got) != c.body {
			t.Errorf("%s: %v %s", name, ok, got)
		}
	}
	const like = `{"id":"c-1","created":5,"model":"m","choices":[{"index":0,"delta":{"content":"a"}}]}`
	want := `data: {"id":"c-1","object":"chat.completion.chunk","created":5,"model":"m","choices":[],"usage":` + usage + "}\n\n"
	if got := string(Completions{}.UsageEvent([]byte(like), total)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
